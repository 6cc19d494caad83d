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
  newestClosed,
  toAsk,
  type Wanted,
  windowAt,
} from '../market_data.ts'
import { type Venue, type VenueBar, VenueError } from '../venue.ts'

export interface BarCacheOptions {
  db: Pick<Database, 'reader' | 'write'>
  record: (tx: WriteTx, outcome: Outcome) => Promise<void>
  now: () => number
  log: (level: 'info' | 'warn' | 'error', fields: object, message: string) => void
}

export interface Gathered {
  /** One for each request. */
  windows: CandleColumns[]
  /** Series (`symbol timeframe`) whose newest bar is not there yet. */
  missing: string[]
}

export interface BarCache {
  /** What there is at the boundary `ts`. Asks the venue for what is missing, though not at every call. */
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

/** The venue is not asked for one series more often. */
const ASK_EVERY_MS = 1_000
/** A venue that has not answered by then is asked again: adapters have limits of their own, and one may fail to keep them. */
const GIVEN_UP_MS = 30_000
/** A bar that is pushed comes about so long after it closes; only then is the venue asked. */
const PUSHED_WITHIN_MS = 1_500
/** A stream that was silent for so many bars is not waited for. */
const PUSHED_LATELY_BARS = 3
/** Each store writes a month's bars anew. */
const STORE_EVERY_MS = 300_000
/** Of one series. Beyond it and twice what is wanted the oldest are let go. */
const KEPT_BARS = 5_000

interface Entry {
  venue: Venue
  symbol: string
  timeframe: Timeframe
  series: BarSeries | null
  /** Of the one request under way. */
  asking: Promise<void> | null
  loaded: Promise<void> | null
  askedAt: number
  failed: boolean
  heardAt: number
  wanted: number
  /** By open time, not stored yet. */
  unstored: Map<number, VenueBar>
  storedAt: number
  /** False: the stored candles are others'. */
  storable: boolean
}

function newEntry(venue: Venue, symbol: string, timeframe: Timeframe): Entry {
  const never = Number.NEGATIVE_INFINITY
  return {
    ...{ venue, symbol, timeframe, series: null, asking: null, loaded: null, askedAt: never, failed: false },
    ...{ heardAt: never, wanted: 0, unstored: new Map(), storedAt: never, storable: true },
  }
}

export function createBarCache(options: BarCacheOptions): BarCache {
  const { now } = options
  const entries = new Map<string, Entry>()

  function entryOf(venue: Venue, symbol: string, timeframe: Timeframe): Entry {
    const key = `${venue.exchange} ${venue.feedOf(symbol)} ${symbol} ${timeframe}`
    const entry = entries.get(key) ?? newEntry(venue, symbol, timeframe)
    entries.set(key, entry)
    return entry
  }

  async function bring(entry: Entry, ts: number): Promise<boolean> {
    const { symbol, timeframe } = entry
    const wanted = { symbol, timeframe, bars: entry.wanted, newest: newestClosed(symbol, timeframe, ts) }
    entry.loaded ??= load(options, entry).catch((error) => {
      entry.loaded = null
      throw error
    })
    await entry.loaded
    // Each answer may show that bars are too thin and a longer span is to be asked for.
    for (;;) {
      if (entry.asking !== null && now() - entry.askedAt < GIVEN_UP_MS) await entry.asking
      else if (!isTime(entry, wanted, now())) break
      else {
        const asking = ask(options, entry, wanted).finally(() => {
          if (entry.asking === asking) entry.asking = null
        })
        entry.asking = asking
        await asking
      }
    }
    return (entry.series?.last ?? Number.NEGATIVE_INFINITY) >= wanted.newest
  }

  return {
    async gather(venue, requests, ts) {
      const asked = requests.map(({ symbol, timeframe, bars }) => {
        const entry = entryOf(venue, symbol, timeframe)
        entry.wanted = Math.max(entry.wanted, bars)
        return { entry, bars }
      })
      const distinct = [...new Set(asked.map(({ entry }) => entry))]
      const there = await Promise.all(distinct.map((entry) => bring(entry, ts)))
      return {
        windows: asked.map(({ entry, bars }) => windowAt(entry.series, { timeframe: entry.timeframe, bars, ts })),
        missing: distinct.filter((_, i) => !there[i]).map(({ symbol, timeframe }) => `${symbol} ${timeframe}`),
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
      for (const entry of entries.values()) {
        if (now() - entry.storedAt >= STORE_EVERY_MS) await store(options, entry)
      }
    },
    async store(venue, requests) {
      const wanted = requests.map(({ symbol, timeframe }) => entryOf(venue, symbol, timeframe))
      for (const entry of wanted) await store(options, entry)
      return wanted.every(({ storable }) => storable)
    },
  }
}

/** Whether the venue is to be asked now. */
function isTime({ series, askedAt, failed, heardAt, timeframe, venue }: Entry, wanted: Wanted, now: number): boolean {
  const asked = toAsk(series, wanted)
  if (asked === null) return false
  const isWider = asked.anew && series !== null && !failed
  if (now - askedAt < ASK_EVERY_MS && !isWider) return false
  const frame = TIMEFRAME_MS[timeframe]
  const isPushed = venue.features.barStream && now - heardAt < PUSHED_LATELY_BARS * frame
  return asked.anew || !isPushed || now >= wanted.newest + frame + PUSHED_WITHIN_MS
}

async function ask({ log, now }: BarCacheOptions, entry: Entry, wanted: Wanted): Promise<void> {
  const { venue, symbol, timeframe } = entry
  const asked = toAsk(entry.series, wanted)
  if (asked === null) return
  entry.askedAt = now()
  entry.failed = true
  try {
    const adjustment = adjustmentOf(symbol)
    const answer = await venue.bars({ symbol, timeframe, start: asked.start, end: asked.end, adjustment, urgent: true })
    take(entry, absorb(entry.series, asked, answer, { timeframe, now: now() }))
    entry.failed = false
  } catch (error) {
    if (!(error instanceof VenueError)) throw error
    entry.askedAt = now() + Math.max(0, (error.retryAfterMs ?? 0) - ASK_EVERY_MS)
    log('warn', { exchange: venue.exchange, symbol, timeframe, kind: error.kind }, `no bars: ${error.message}`)
  }
}

function take(entry: Entry, { series, changed }: Absorbed): void {
  if (entry.storable) for (const bar of changed) entry.unstored.set(bar.time, bar)
  const most = Math.max(KEPT_BARS, 2 * entry.wanted)
  const [first] = series.bars.slice(-most)
  const tooMany = series.bars.length > most && first !== undefined
  entry.series = tooMany ? { ...series, bars: series.bars.slice(-most), first: first.time } : series
}

export function adjustmentOf(symbol: string): 'raw' | 'split' {
  return tradesAroundTheClock(symbol) ? 'raw' : 'split'
}

const kindOf = ({ venue, symbol }: Entry): { adjustment: Adjustment; feed: string } => ({
  adjustment: adjustmentOf(symbol),
  feed: venue.feedOf(symbol),
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

async function store({ db, record, now, log }: BarCacheOptions, entry: Entry): Promise<void> {
  const { symbol, timeframe, series, venue } = entry
  if (!entry.storable || entry.unstored.size === 0 || series === null) return
  // Of two jobs at once only one is to store.
  entry.storedAt = now()
  const bars = [...entry.unstored.values()].sort((a, b) => a.time - b.time)
  const iso = (time: number) => new Date(time).toISOString()
  const [first, last, asked_at] = [iso(series.first), iso(series.last), iso(series.asked_at)]
  entry.storable = await db.write(async (tx) => {
    await lockCandles(tx, symbol, timeframe)
    if (!(await mayAddCandles(tx, symbol, timeframe, kindOf(entry)))) return false
    await record(tx, {
      writes: [
        { kind: 'store_candles', symbol, timeframe, candles: bars, ...kindOf(entry) },
        { kind: 'save_bar_coverage', rows: [{ symbol, timeframe, first, last, asked_at }] },
      ],
      events: [],
    })
    return true
  })
  if (!entry.storable) {
    log(
      'warn',
      { exchange: venue.exchange, symbol, timeframe },
      'its stored candles are of another feed: bars are not stored',
    )
  }
  for (const bar of bars) if (entry.unstored.get(bar.time) === bar) entry.unstored.delete(bar.time)
  if (!entry.storable) entry.unstored.clear()
}
