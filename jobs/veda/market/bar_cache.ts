/**
 * Bars of venues at hand: one series for each exchange, feed, symbol and timeframe, whichever runs want it. What is missing
 * is asked for once for all of them. Bars are stored as candles where these are of the venue's feed, or there are none;
 * never beside those that somebody imported from elsewhere: then this process keeps them for itself.
 */
import type { Database, WriteTx } from '../../../db/database.ts'
import { tradesAroundTheClock } from '../../../db/walle/calendar/calendar.ts'
import { lockCandles } from '../../../db/walle/candles.ts'
import type { Adjustment } from '../../../db/walle/import/adjustment.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { listCandles } from '../../../db/walle/queries/candles.ts'
import { getBarCoverage, mayAddCandles } from '../../../db/walle/queries/market.ts'
import type { CandleColumns } from '../../../db/walle/rows.ts'
import { type FetchRequest, TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'
import {
  type Absorbed,
  absorb,
  type BarSeries,
  hear,
  isOutdated,
  newestClosed,
  OUTDATED,
  toAsk,
  type Wanted,
  windowAt,
} from '../market_data.ts'
import { type TradingMode, type Venue, type VenueBar, VenueError } from '../venue.ts'
import { newFetch } from './candle_fetch.ts'

export interface BarCacheOptions {
  db: Pick<Database, 'reader' | 'write'>
  record: (tx: WriteTx, outcome: Outcome) => Promise<void>
  now: () => number
  newId: () => string
  /** Of this machine: how long a worker is kept, however fast the clock of the runs goes. */
  sleep: (ms: number) => Promise<void>
  log: (level: 'info' | 'warn' | 'error', fields: object, message: string) => void
}

export interface Gathered {
  /** One for each request. */
  windows: CandleColumns[]
  /** Series (`symbol timeframe`) whose newest bar is not there yet, or may still change. */
  missing: string[]
  /** Since when the oldest question is under way that may bring what is missing, or bars from before; null: none is. */
  unanswered: number | null
  /** Series that had fewer bars in a year than are wanted. */
  thin: string[]
}

export interface BarCache {
  /**
   * What there is at the boundary `ts`. Asks the venue for what is missing, though not at every call, and waits for an answer
   * for a moment only: the question goes on, for whoever comes again.
   */
  gather(venue: Venue, requests: readonly FetchRequest[], ts: number): Promise<Gathered>
  /** Whether there is a bar that opened then. */
  has(venue: Venue, symbol: string, timeframe: Timeframe, time: number): boolean
  /** The venue pushed a bar. */
  heard(venue: Venue, bar: VenueBar & { symbol: string; timeframe: Timeframe }): void
  /** Stores what is not stored yet, of the series whose turn it is. */
  storeDue(): Promise<void>
  /** Stores these at once. False: some cannot be. */
  store(venue: Venue, requests: readonly FetchRequest[]): Promise<boolean>
}

/** The venue is not asked for one series more often, counted from its answer. */
const ASK_EVERY_MS = 1_000
/** A question keeps those who wait for it so long in all: they are workers that others need. */
const HOLD_MS = 500
/** A venue that has not answered by then is asked again: adapters have limits of their own, and one may fail to keep them. */
const GIVEN_UP_MS = 30_000
/** A bar that is pushed comes about so long after it closes; only then is the venue asked. */
const PUSHED_WITHIN_MS = 1_500
/** A stream that was silent for so many bars is not waited for. */
const PUSHED_LATELY_BARS = 3
/** Each store writes a month's bars anew. */
const STORE_EVERY_MS = 300_000
/** A series that nobody has asked for in so long, and in three of its bars, is let go: the run has ended. It can be read again. */
const LET_GO_AFTER_MS = 3_600_000
/** Of one series. Beyond it and twice what is wanted the oldest are let go. */
const KEPT_BARS = 5_000

/** Whom a series can be asked of: the data of an exchange is the same in its modes, their keys are not. */
interface Source {
  venue: Venue
  askedAt: number
  /** It is not asked again before so long after. */
  restMs: number
  failed: VenueError['kind'] | null
}

interface Pending {
  since: number
  done: Promise<void>
}

interface Entry {
  exchange: string
  feed: string
  symbol: string
  timeframe: Timeframe
  series: BarSeries | null
  sources: Map<TradingMode, Source>
  /** The one request under way. */
  asking: Pending | null
  loading: Pending | null
  loaded: boolean
  heardAt: number
  wanted: number
  /** When it was asked for last. */
  wantedAt: number
  /** By open time, not stored yet. */
  unstored: Map<number, VenueBar>
  /** There was a split: candles that are stored from before what is known here are to be fetched anew. */
  rescaled: boolean
  storedAt: number
  /** False: the stored candles are others'. */
  storable: boolean
}

const NEVER = Number.NEGATIVE_INFINITY

function newEntry({ exchange, feedOf }: Venue, symbol: string, timeframe: Timeframe, now: number): Entry {
  return {
    ...{ exchange, feed: feedOf(symbol), symbol, timeframe, series: null, sources: new Map(), asking: null },
    ...{ loading: null, loaded: false, heardAt: NEVER, wanted: 0, wantedAt: now, unstored: new Map() },
    ...{ rescaled: false, storedAt: NEVER, storable: true },
  }
}

export function createBarCache(options: BarCacheOptions): BarCache {
  const { now, sleep, log } = options
  const entries = new Map<string, Entry>()

  function entryOf(venue: Venue, symbol: string, timeframe: Timeframe): Entry {
    const key = `${venue.exchange} ${venue.feedOf(symbol)} ${symbol} ${timeframe}`
    const entry = entries.get(key) ?? newEntry(venue, symbol, timeframe, now())
    entries.set(key, entry)
    const known = entry.sources.get(venue.mode) ?? { askedAt: NEVER, restMs: 0, failed: null }
    entry.sources.set(venue.mode, Object.assign(known, { venue }))
    return entry
  }

  return {
    async gather(venue, requests, ts) {
      const asked = requests.map(({ symbol, timeframe, bars }) => {
        const entry = entryOf(venue, symbol, timeframe)
        entry.wanted = Math.max(entry.wanted, bars)
        entry.wantedAt = now()
        return { entry, bars }
      })
      const distinct = [...new Set(asked.map(({ entry }) => entry))]
      const brought = Promise.all(distinct.map((entry) => bring(options, entry, { mode: venue.mode, ts })))
      let waits = true
      // Nobody hears of what goes wrong after that.
      brought.catch((err) => waits || log('error', { err, exchange: venue.exchange }, 'no bars'))
      const since = unansweredSince(distinct)
      await (since === null ? brought : Promise.race([brought, sleep(Math.max(0, since + HOLD_MS - now()))]))
      waits = false
      const windows = asked.map(({ entry, bars }) => windowAt(entry.series, { timeframe: entry.timeframe, bars, ts }))
      const missing = distinct.filter((entry) => !isThere(entry, ts))
      const short = asked.flatMap(({ entry, bars }, i) => {
        return (windows[i] as CandleColumns).time.length < bars ? [entry] : []
      })
      const thin = short.filter((entry) => toAsk(entry.series, wantedOf(entry, ts)) === null)
      return {
        windows,
        missing: missing.map(nameOf),
        unanswered: unansweredSince([...missing, ...short]),
        thin: [...new Set(thin.map(nameOf))],
      }
    },
    has(venue, symbol, timeframe, time) {
      return entryOf(venue, symbol, timeframe).series?.bars.some((bar) => bar.time === time) ?? false
    },
    heard(venue, { symbol, timeframe, time, open, high, low, close, volume, trade_count }) {
      const entry = entryOf(venue, symbol, timeframe)
      const bar = { time, open, high, low, close, volume, trade_count }
      entry.heardAt = now()
      if (entry.series !== null) take(entry, hear(entry.series, symbol, timeframe, { bar, now: now() }))
    },
    async storeDue() {
      for (const [key, entry] of entries) {
        if (isAnew(entry) || now() - entry.storedAt >= STORE_EVERY_MS) await store(options, entry)
        if (isOver(entry, now())) entries.delete(key)
      }
    },
    async store(venue, requests) {
      const wanted = requests.map(({ symbol, timeframe }) => entryOf(venue, symbol, timeframe))
      for (const entry of wanted) await store(options, entry)
      return wanted.every(({ storable }) => storable)
    },
  }
}

/** What is not stored yet, or under way, is waited for. */
function isOver({ wantedAt, timeframe, unstored, asking, loading }: Entry, now: number): boolean {
  const since = now - wantedAt - LET_GO_AFTER_MS - 3 * TIMEFRAME_MS[timeframe]
  return since > 0 && unstored.size === 0 && asking === null && loading === null
}

const nameOf = ({ symbol, timeframe }: Entry): string => `${symbol} ${timeframe}`

function wantedOf({ symbol, timeframe, wanted }: Entry, ts: number): Wanted {
  return { symbol, timeframe, bars: wanted, newest: newestClosed(symbol, timeframe, ts) }
}

function isThere(entry: Entry, ts: number): boolean {
  const wanted = wantedOf(entry, ts)
  return entry.series !== null && entry.series.last >= wanted.newest && !isOutdated(entry.series, wanted)
}

function unansweredSince(entries: readonly Entry[]): number | null {
  const since = entries.flatMap(({ asking, loading }) => (asking ?? loading)?.since ?? [])
  return since.length === 0 ? null : Math.min(...since)
}

/** Until the series is there, or the venue is not to be asked now. */
async function bring(options: BarCacheOptions, entry: Entry, { mode, ts }: { mode: TradingMode; ts: number }) {
  const { now } = options
  if (!entry.loaded) {
    entry.loading ??= loadOf(options, entry)
    await entry.loading.done
  }
  // Each answer may show that bars are too thin and a longer span is to be asked for.
  for (;;) {
    const wanted = wantedOf(entry, ts)
    if (entry.asking !== null && Math.abs(now() - entry.asking.since) < GIVEN_UP_MS) await entry.asking.done
    else {
      const source = sourcesFor(entry, mode).find((one) => isTime(entry, one, wanted, now()))
      if (source === undefined) break
      await ask(options, entry, source, wanted).done
    }
  }
}

function loadOf(options: BarCacheOptions, entry: Entry): Pending {
  const done = load(options, entry)
    .then(() => {
      entry.loaded = true
    })
    .finally(() => {
      entry.loading = null
    })
  return { since: options.now(), done }
}

/** Its own first; one whose keys are refused has no other way to its bars than another's. */
function sourcesFor({ sources }: Entry, mode: TradingMode): Source[] {
  const own = sources.get(mode) as Source
  const others = [...sources.values()].filter((one) => one !== own && one.failed !== 'unauthorised')
  return own.failed === 'unauthorised' ? [own, ...others] : [own]
}

/** Whether the venue is to be asked now. */
function isTime(entry: Entry, { venue, askedAt, restMs, failed }: Source, wanted: Wanted, now: number): boolean {
  const { series, heardAt, timeframe } = entry
  const asked = toAsk(series, wanted)
  if (asked === null) return false
  const isWider = asked.anew && series !== null && failed === null && asked.start < series.first
  // A clock that was set back is no reason to wait.
  if (now >= askedAt && now - askedAt < restMs && !isWider) return false
  const closed = wanted.newest + TIMEFRAME_MS[timeframe]
  const isPushed = venue.features.barStream && now - heardAt < PUSHED_LATELY_BARS * TIMEFRAME_MS[timeframe]
  // It was seen, and may still change.
  const isSeen = series?.bars.at(-1)?.time === wanted.newest
  if (asked.anew) return true
  if (isSeen && series.last < wanted.newest) return now >= closed + settleMs(venue, timeframe)
  return !isPushed || now >= closed + PUSHED_WITHIN_MS
}

/** A bar of a minute is there, or is not. */
function settleMs({ features }: Venue, timeframe: Timeframe): number {
  return timeframe === '1m' ? 0 : features.barsSettleMs
}

function ask(options: BarCacheOptions, entry: Entry, source: Source, wanted: Wanted): Pending {
  const asking: Pending = { since: options.now(), done: Promise.resolve() }
  entry.asking = asking
  asking.done = answer(options, entry, source, { asking, wanted }).finally(() => {
    if (entry.asking === asking) entry.asking = null
  })
  return asking
}

async function answer(
  { log, now }: BarCacheOptions,
  entry: Entry,
  source: Source,
  { asking, wanted }: { asking: Pending; wanted: Wanted },
): Promise<void> {
  const { symbol, timeframe } = entry
  const { venue } = source
  const asked = spanOf(entry, wanted, asking.since)
  if (asked === null) return
  source.failed = 'unavailable'
  source.restMs = ASK_EVERY_MS
  try {
    const { start, end } = asked
    const bars = await venue.bars({ symbol, timeframe, start, end, adjustment: adjustmentOf(symbol), urgent: true })
    source.failed = null
    // It was given up, and another question has gone out since.
    if (entry.asking !== asking) return
    const about = { symbol, timeframe, now: asking.since, settleMs: settleMs(venue, timeframe) }
    const absorbed = absorb(entry.series, asked, bars, about)
    take(entry, absorbed)
    entry.rescaled ||= absorbed.rescaled
  } catch (error) {
    if (!(error instanceof VenueError)) throw error
    source.failed = error.kind
    source.restMs = Math.max(ASK_EVERY_MS, error.retryAfterMs ?? 0)
    log('warn', { exchange: venue.exchange, symbol, timeframe, kind: error.kind }, `no bars: ${error.message}`)
  } finally {
    source.askedAt = now()
  }
}

/** Up to now, also for a tick of long ago: those after it want the rest. No more than is kept. */
function spanOf(entry: Entry, wanted: Wanted, now: number): ReturnType<typeof toAsk> {
  const { symbol, timeframe } = entry
  const asked = toAsk(entry.series, wanted)
  if (asked === null) return null
  const most = asked.start + (keptBars(entry) - 1) * TIMEFRAME_MS[timeframe]
  return { ...asked, end: Math.max(asked.end, Math.min(newestClosed(symbol, timeframe, now), most)) }
}

const keptBars = ({ wanted }: Entry): number => Math.max(KEPT_BARS, 2 * wanted)

function take(entry: Entry, { series, changed }: Absorbed): void {
  if (entry.storable) for (const bar of changed) entry.unstored.set(bar.time, bar)
  const most = keptBars(entry)
  const [first] = series.bars.slice(-most)
  const tooMany = series.bars.length > most && first !== undefined
  entry.series = tooMany ? { ...series, bars: series.bars.slice(-most), first: first.time } : series
}

export function adjustmentOf(symbol: string): 'raw' | 'split' {
  return tradesAroundTheClock(symbol) ? 'raw' : 'split'
}

const kindOf = ({ feed, symbol }: Entry): { adjustment: Adjustment; feed: string } => ({
  adjustment: adjustmentOf(symbol),
  feed,
})

/** What was stored before this process began. */
async function load({ db }: BarCacheOptions, entry: Entry): Promise<void> {
  const { symbol, timeframe } = entry
  if (!(await mayAddCandles(db.reader, symbol, timeframe, kindOf(entry)))) {
    entry.storable = false
    return
  }
  const known = await getBarCoverage(db.reader, symbol, timeframe)
  if (known === null) return
  const limit = Math.max(KEPT_BARS, 2 * entry.wanted)
  const rows = await listCandles(db.reader, { symbol, timeframe, end: known.last, limit })
  const first = Date.parse(known.first)
  const bars = rows
    .map(({ timestamp, trade_count, symbol: _symbol, timeframe: _timeframe, ...prices }) => {
      return { time: Date.parse(timestamp), ...prices, trade_count: trade_count === null ? null : String(trade_count) }
    })
    .filter(({ time }) => time >= first)
  const whole = rows.length < limit
  entry.series = {
    bars,
    first: whole ? first : (bars[0]?.time ?? first),
    last: Date.parse(known.last),
    asked_at: Date.parse(known.asked_at),
  }
}

async function store(options: BarCacheOptions, entry: Entry): Promise<void> {
  const { db, record, now, log } = options
  const { exchange, symbol, timeframe, series } = entry
  if (!entry.storable || entry.unstored.size === 0 || series === null) return
  // Of two jobs at once only one is to store.
  entry.storedAt = now()
  const anew = isAnew(entry)
  if (anew) entry.rescaled = false
  const bars = [...entry.unstored.values()].sort((a, b) => a.time - b.time)
  const [first, last, asked_at] = [isoOf(series.first), isoOf(series.last), isoOf(series.asked_at)]
  entry.storable = await db.write(async (tx) => {
    await lockCandles(tx, symbol, timeframe)
    if (!(await mayAddCandles(tx, symbol, timeframe, kindOf(entry)))) return false
    const older = anew ? await olderAnew(options, tx, entry, series.first) : NOTHING
    await record(tx, {
      ...older,
      writes: [
        ...older.writes,
        { kind: 'store_candles', symbol, timeframe, candles: bars, ...kindOf(entry) },
        { kind: 'save_bar_coverage', rows: [{ symbol, timeframe, first, last, asked_at }] },
      ],
    })
    return true
  })
  if (!entry.storable) {
    log('warn', { exchange, symbol, timeframe }, 'its stored candles are of another feed: bars are not stored')
  }
  for (const bar of bars) if (entry.unstored.get(bar.time) === bar) entry.unstored.delete(bar.time)
  if (!entry.storable) entry.unstored.clear()
}

const isoOf = (time: number): string => new Date(time).toISOString()
const NOTHING: Outcome = { writes: [], events: [] }

/** What is known here is of after the split. */
const isAnew = ({ rescaled, series }: Entry): boolean => rescaled && series !== null && series.asked_at > OUTDATED

/** After a split all that is stored from before `first` is fetched anew, page by page. */
async function olderAnew({ newId }: BarCacheOptions, tx: WriteTx, entry: Entry, first: number): Promise<Outcome> {
  const { exchange, symbol, timeframe, sources } = entry
  const [oldest] = await listCandles(tx, { symbol, timeframe, start: isoOf(0), limit: 1 })
  const [mode] = [...sources.values()].filter(({ failed }) => failed !== 'unauthorised').map(({ venue }) => venue.mode)
  const end = first - TIMEFRAME_MS[timeframe]
  if (oldest === undefined || mode === undefined || Date.parse(oldest.timestamp) > end) return NOTHING
  const range = { start_time: oldest.timestamp, end_time: isoOf(end), adjustment: adjustmentOf(symbol) }
  return newFetch({ id: newId(), exchange, mode, symbol, timeframe, ...range })
}
