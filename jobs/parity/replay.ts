/**
 * Plays a paper or live run again from what it recorded: its ticks, its windows, what its venue answered. One pass over its
 * log, in the order of the log; memory holds its orders, its bars, and a page.
 */
import type { Database, Reader } from '../../db/database.ts'
import type { LogEvent } from '../../db/events/envelope.ts'
import { getEvent } from '../../db/events/read.ts'
import type { EventType } from '../../db/events/registry.ts'
import { firstOfRun, lastOfRun, readRunLog } from '../../db/events/run_log.ts'
import type { ParityResult } from '../../db/walle/parity_rows.ts'
import { isOnlyInRow } from '../../db/walle/projections/decisions.ts'
import { isOrderEvent } from '../../db/walle/projections/orders.ts'
import {
  type FeeAdjustment,
  getDecisionById,
  lastHop,
  listCancelReasons,
  listFeeAdjustments,
  listHops,
  listVenueSaid,
  type PlacedHop,
  type VenueSaid,
} from '../../db/walle/queries/parity.ts'
import { listFills, listPositions } from '../../db/walle/queries/results.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import { readSeries } from '../../db/walle/queries/series.ts'
import type { FillRow, RunRow } from '../../db/walle/rows.ts'
import type { Intent } from '../../strategies/api.ts'
import { DomainError } from '../glados/errors.ts'
import type { FillModel } from '../greta/fill_model.ts'
import { getLiveCheckpoint } from '../live/ticks.ts'
import { isWindowEvent, type ReadWindows, readWindows } from '../live/view.ts'
import { adjustmentOf } from '../veda/market/bar_cache.ts'
import type { FeeBounds } from '../veda/venue.ts'
import { createReplayAccount, type ReplayAccount } from './account.ts'
import { createRecordedBars, type RecordedBars } from './bars.ts'
import { compareBooked, compareKept, modelFees } from './booked.ts'
import type { Breath } from './breath.ts'
import { createDecisionReplay, type DecisionParts, type DecisionReplay } from './decisions.ts'
import { compareExits } from './exits.ts'
import { judgeOrders } from './fills.ts'
import { createOrderBook, type OrderBook, type OrderStory, orderDifference } from './orders.ts'
import { createFindings, type Findings } from './parity.ts'

export interface ReplayParts {
  db: Pick<Database, 'read' | 'reader'>
  /** Asks the strategy in a host in which nothing has run. */
  ask: DecisionParts['ask']
  /** What the run's venue says that a fill costs; null: it says nothing. */
  fees: (symbol: string) => FeeBounds | null
  /** Of the venue's bars; null: the venue could not be asked. */
  feedOf: ((symbol: string) => string) | null
  toleranceBps: number
  /** Told now and then: the fraction of the log that is done. */
  onProgress: (done: number) => Promise<void>
  breathe: Breath
}

/** Read and checked at once. */
const PAGE = 200
/** A longer log is not replayed: two years of minutes of a run that trades now and then. */
export const MOST_EVENTS = 8_000_000

const TYPES: readonly EventType[] = [
  ...(['run.Created', 'run.Started', 'run.LimitsChanged', 'run.StopRequested', 'clock.Tick'] as const),
  ...(['strategy.FetchWindow', 'strategy.DecisionMade'] as const),
  ...(['system.Resumed', 'orders.Created', 'orders.Submitted', 'orders.Accepted'] as const),
  'orders.Replaced',
  ...(['orders.PartiallyFilled', 'orders.Filled', 'orders.Cancelled', 'orders.Expired', 'orders.Rejected'] as const),
  'account.PositionAttributed',
]

/** The run at one moment: what came later is not looked at. */
interface Moment {
  run: RunRow
  lastPlace: number
  lastHop: number
  /** Commands that are not carried out yet, of a run that goes on. */
  underWay: boolean
  traded: string[]
  fills: FillRow[]
  said: VenueSaid[]
  cancels: { order_id: string; reason: string }[]
  adjustments: FeeAdjustment[]
}

export async function replayRun(parts: ReplayParts, runId: string): Promise<ParityResult> {
  const moment = await parts.db.read((reader) => readMoment(reader, runId))
  const replay = openReplay(parts, moment)
  await playLog(parts, moment, replay)
  return finish(parts, moment, replay)
}

async function readMoment(reader: Reader, runId: string): Promise<Moment> {
  const run = await getRun(reader, runId)
  if (run === null) throw new DomainError('NOT_FOUND', `there is no run ${runId}`)
  const { tick } = await getLiveCheckpoint(reader, runId)
  const positions = await listPositions(reader, runId)
  const [firstPlace, lastPlace] = [await firstOfRun(reader, runId), await lastOfRun(reader, runId)]
  return {
    run,
    lastPlace,
    lastHop: await lastHop(reader, runId),
    underWay: run.status === 'running' && (tick?.pending.length ?? 0) > 0,
    traded: positions.map(({ symbol }) => symbol),
    fills: await listFills(reader, runId),
    said: await listVenueSaid(reader, runId),
    cancels: await listCancelReasons(reader, runId),
    adjustments: await listFeeAdjustments(reader, run, {
      from: firstPlace,
      to: run.stopped_at === null ? null : lastPlace,
    }),
  }
}

interface Replay {
  findings: Findings
  account: ReplayAccount
  bars: RecordedBars
  decisions: DecisionReplay
  book: OrderBook
  ticks: number
  events: number
  /** Boundary and index of the newest tick that was decided on. */
  newest: { ts: number; bar_index: number } | null
}

function openReplay({ ask }: ReplayParts, { run, traded }: Moment): Replay {
  const findings = createFindings()
  const report = findings.add
  const account = createReplayAccount(run, traded)
  return {
    ...{ findings, account, bars: createRecordedBars(), book: createOrderBook(run, report) },
    decisions: createDecisionReplay({ run, account, ask, report }),
    ...{ ticks: 0, events: 0, newest: null },
  }
}

/** Events as they were written; between them, each time that the strategy was spoken to, with the account as it was then. */
async function playLog(parts: ReplayParts, moment: Moment, replay: Replay): Promise<void> {
  const hops = createHopReader(parts, moment)
  let after = '0'
  for (;;) {
    const { events, places, last } = await readRunLog(parts.db.reader, moment.run.id, {
      types: TYPES,
      after,
      limit: PAGE,
    })
    for (const [index, event] of events.entries()) {
      const place = places[index] as number
      // Before anything is heard: what was heard then may be gone as well.
      if (replay.events === 0 && event.type !== 'run.Created') throw forgotten(moment.run)
      await hearUpTo(parts, replay, hops, place - 1)
      if (place <= moment.lastPlace) await take(parts, moment, replay, event, place)
    }
    after = last ?? after
    if (events.length < PAGE || Number(after) > moment.lastPlace) break
    await parts.onProgress(Number(after) / moment.lastPlace)
  }
  await hearUpTo(parts, replay, hops, Number.POSITIVE_INFINITY)
  replay.decisions.end()
  if (replay.events === 0) throw forgotten(moment.run)
}

type Hops = ReturnType<typeof createHopReader>

function createHopReader({ db }: ReplayParts, { run, lastHop: until }: Moment) {
  let page: PlacedHop[] = []
  let after = 0
  let done = false
  return {
    async peek(): Promise<PlacedHop | null> {
      if (page.length === 0 && !done) {
        page = (await listHops(db.reader, run.id, after, PAGE)).filter(({ id }) => id <= until)
        done = page.length === 0
        after = page.at(-1)?.id ?? after
      }
      return page[0] ?? null
    },
    take() {
      page.shift()
    },
  }
}

/** The strategy was shown the account as it was before the event after this place. */
async function hearUpTo({ db }: ReplayParts, replay: Replay, hops: Hops, place: number): Promise<void> {
  for (let row = await hops.peek(); row !== null && row.seen <= place; row = await hops.peek()) {
    hops.take()
    const event = (await getEvent(db.reader, row.event_id)) as LogEvent | null
    if (event === null) throw new DomainError('CONFLICT', `the event ${row.event_id} is not in the log any more`)
    const windows = isWindowEvent(event) ? await readWindows(db.reader, event, { again: true }) : null
    if (windows !== null) seeWindows(replay, row, event, windows)
    await replay.decisions.hear({ row, event, windows })
    if (windows !== null) {
      const { account, decisions, book } = replay
      book.marked(Date.parse(event.ts), () => ({ account: account.now(), newest: decisions.newest }))
    }
  }
}

function seeWindows(replay: Replay, { bar_index, seen }: PlacedHop, event: LogEvent, { shown }: ReadWindows): void {
  const ts = Date.parse(event.ts)
  replay.findings.add(...replay.bars.take(shown, { place: seen, bar_index, ts }))
  if (replay.newest?.bar_index !== bar_index) replay.ticks += 1
  replay.newest = { ts, bar_index }
}

async function take(
  { db }: ReplayParts,
  { run }: Moment,
  replay: Replay,
  event: LogEvent,
  place: number,
): Promise<void> {
  replay.events += 1
  if (replay.events > MOST_EVENTS) {
    throw new DomainError('CONFLICT', `the run has more than ${MOST_EVENTS} events: that is more than a replay plays`)
  }
  const { account, book, decisions } = replay
  if (isOrderEvent(event)) {
    book.apply(event, place, () => ({ account: account.now(), newest: decisions.newest }))
    account.apply(event)
  } else if (event.type === 'account.PositionAttributed') account.attribute(event)
  else if (event.type === 'run.StopRequested') book.stopping()
  else if (event.type === 'system.Resumed') book.resumed()
  else if (event.type === 'run.Started' || event.type === 'run.LimitsChanged') {
    if (event.payload.risk) book.limited(event.payload.risk)
  } else if (event.type === 'strategy.FetchWindow') decisions.fetched(event, place)
  else if (event.type === 'strategy.DecisionMade') {
    if (decisions.asked === 0) throw unrecorded(run)
    const row = isOnlyInRow(event) ? await getDecisionById(db.reader, event.id) : null
    const intents = (row?.intents ?? event.payload.intents) as Intent[]
    decisions.decided(event, intents, place)
    book.decided(intents, { bar_index: event.payload.bar_index, ts: Date.parse(event.ts), place })
  }
}

function forgotten({ id }: RunRow): DomainError {
  const why = 'its events were kept for WEAVER_AUDIT_DAYS, and those are over'
  return new DomainError('CONFLICT', `the beginning of run ${id} is not in the log any more: ${why}`)
}

function unrecorded({ id, weaver_version }: RunRow): DomainError {
  const why = 'it was made by a Weaver that did not record what a replay needs'
  return new DomainError('CONFLICT', `run ${id} (version ${weaver_version}) cannot be replayed: ${why}`)
}

async function finish(parts: ReplayParts, moment: Moment, replay: Replay): Promise<ParityResult> {
  const { findings, bars, book, newest } = replay
  const { run } = moment
  const notes = await compareCandles(parts, replay)
  const stories = book.stories()
  if (!moment.underWay) tellUnplaced(run, stories, findings)
  const columns = new Map(run.symbols.map((symbol) => [symbol, bars.columns({ symbol, timeframe: run.timeframe })]))
  const report = findings.add
  compareExits(stories, { settledAt: run.status === 'running' ? (newest?.ts ?? 0) : null, report })
  const { slippage, unjudged } = await judgeOrders(stories, {
    run,
    bars: (symbol) => columns.get(symbol) ?? bars.columns({ symbol, timeframe: run.timeframe }),
    toleranceBps: parts.toleranceBps,
    through: newest?.ts ?? 0,
    cancelReasons: new Map(moment.cancels.map(({ order_id, reason }) => [order_id, reason])),
    report,
    breathe: parts.breathe,
  })
  const said = new Map(moment.said.map((one) => [one.client_order_id, one]))
  const booked = compareBooked(stories, { fills: moment.fills, said, fees: parts.fees, report })
  notes.push(...compareKept(stories, moment.adjustments, report))
  const model = modelFees(stories, run.fill as unknown as FillModel)
  return {
    ...findings.summary(),
    ...{ ticks: replay.ticks, orders: stories.filter(({ order_id }) => order_id !== null).length },
    ...{ fills: stories.reduce((sum, { fills }) => sum + fills.length, 0), unjudged },
    through: newest === null ? null : new Date(newest.ts).toISOString(),
    slippage,
    fees: { booked: booked.toString(), model: model.toString() },
    notes,
  }
}

/** What the stored candles say now of the bars that the run saw. */
async function compareCandles({ db, feedOf, breathe }: ReplayParts, { bars, findings }: Replay): Promise<string[]> {
  const notes: string[] = []
  for (const series of bars.series()) {
    const { symbol, timeframe } = series
    const { time } = bars.columns(series)
    const [first, last] = [time[0], time.at(-1)]
    if (first === undefined || last === undefined) continue
    const { columns, source } = await readSeries(db.reader, { ...series, from: first, to: last + 1, warmupBars: 0 })
    const name = `candles of ${symbol} ${timeframe}`
    if (source === null || columns.time.length === 0) {
      notes.push(`no ${name} are stored: they were not compared`)
    } else if (feedOf === null) {
      notes.push(`the venue did not tell what the feed of its bars is: the stored ${name} were not compared`)
    } else if (source.feed !== feedOf(symbol) || source.adjustment !== adjustmentOf(symbol)) {
      const kind = `${source.adjustment} ones of the feed ${source.feed}`
      notes.push(`the stored ${name} are ${kind}, not those that the run saw: they were not compared`)
    } else findings.add(...(await bars.compare(series, columns, breathe)))
  }
  return notes
}

function tellUnplaced({ status }: RunRow, stories: readonly OrderStory[], findings: Findings): void {
  for (const story of stories) {
    if (story.order_id !== null) continue
    const cause = status === 'running' ? 'the intent has no order' : 'the run ended before the intent was carried out'
    findings.add({
      ...orderDifference(story, story.place, 'unplaced', cause),
      recorded: 'no order',
      expected: 'an order',
    })
  }
}
