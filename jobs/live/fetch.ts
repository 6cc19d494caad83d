/**
 * The windows of a tick of a paper or live run: waits for the bars that close at its boundary, then tells what there is,
 * with the columns as they were received. A bar that does not come in time is seen at the next tick, and no window is older
 * than one that the run was told before.
 */
import { claim, isClaimed } from '../../db/events/claims.ts'
import type { LogEvent, NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import { getEvent } from '../../db/events/read.ts'
import type { TaskPayload } from '../../db/events/tasks.ts'
import { sliceColumns } from '../../db/walle/candle_columns.ts'
import type { WindowWaitRow } from '../../db/walle/market_rows.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { countLateBars, lastWindowWait } from '../../db/walle/queries/market.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import { type CandleWindow, type FetchRequest, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { RunningJob } from '../backtest/jobs.ts'
import { BARS_IN_PARTS, windowEvents } from '../greta/window_events.ts'
import type { BarCache, Gathered } from '../veda/market/bar_cache.ts'
import { newestClosed } from '../veda/market_data.ts'
import { type TradingMode, type Venue, VenueError } from '../veda/venue.ts'
import { BEFORE_WINDOWS } from './decisions.ts'
import type { Live } from './live.ts'
import { getLiveCheckpoint, type LiveCheckpoint } from './ticks.ts'
import { readWindows, type WindowEvent } from './view.ts'

export interface FetchJobs extends Pick<Live, 'db' | 'record' | 'venues' | 'now' | 'log'> {
  bars: BarCache
}

interface FetchJob extends RunningJob {
  putBack(delayMs: number): Promise<never>
}

export const DEFAULT_BAR_WAIT_MS = 5_000
const LOOK_AGAIN_MS = 200
const LATE_CAUTION = 'bars that came too late for their tick: '
const THIN_CAUTION = 'a year has fewer bars than the strategy wants: '

type FetchCommand = Extract<LogEvent, { type: 'live.FetchWindow' }>

export async function fetchWindow(
  jobs: FetchJobs,
  payload: TaskPayload<'veda.fetch_window'>,
  job: FetchJob,
): Promise<void> {
  const { db, now } = jobs
  const [run, claimed, command, before, checkpoint] = await db.read((reader) =>
    Promise.all([
      getRun(reader, payload.run_id),
      isClaimed(reader, 'veda.fetch_window', payload.event_id),
      getEvent(reader, payload.event_id),
      lastWindowWait(reader, payload.run_id),
      getLiveCheckpoint(reader, payload.run_id),
    ]),
  )
  const done = run?.status !== 'running' || claimed
  const tick = { command: fetchOf(command), before, checkpoint }
  const told = run === null || done ? null : await windowsOf(jobs, run, tick, job)
  job.signal.throwIfAborted()
  await db.write(
    async (tx) => {
      const locked = await lockRun(tx, payload.run_id)
      const due = locked?.status === 'running' && told !== null
      if (due && (await claim(tx, 'veda.fetch_window', payload.event_id))) {
        const before = told.late > 0 ? await countLateBars(tx, locked.id) : 0
        await jobs.record(tx, outcomeOf(locked, told, before))
      }
      await job.finish(tx)
    },
    { flush: false },
  )
  // Nobody waits for this, and what is not stored is asked for again.
  await jobs.bars.storeDue().catch((error) => jobs.log('warn', { err: error, now: now() }, 'bars were not stored'))
}

function fetchOf(event: Awaited<ReturnType<typeof getEvent>>): FetchCommand {
  if (event?.type !== 'live.FetchWindow') throw new Error('What set off veda.fetch_window is no live.FetchWindow')
  return event as FetchCommand
}

interface Told {
  events: NewEvent[]
  wait: WindowWaitRow
  /** Bars of the tick before that have come since. */
  late: number
  /** Series that had fewer bars in a year than are wanted. */
  thin: readonly string[]
}

interface TickFetch {
  command: FetchCommand
  before: WindowWaitRow | null
  checkpoint: LiveCheckpoint
}

/** Puts the job back while a bar is missing that may still come in time. */
async function windowsOf(
  jobs: FetchJobs,
  run: RunRow,
  { command, before, checkpoint }: TickFetch,
  job: FetchJob,
): Promise<Told> {
  const { bar_index, requests } = command.payload
  const ts = Date.parse(command.ts)
  const venue = await venueOf(jobs, run)
  const gathered = venue === null ? nothingOf(requests) : await jobs.bars.gather(venue, requests, ts)
  const left = untilOf(run, requests, gathered, ts) - jobs.now()
  if (left > 0) return job.putBack(Math.min(LOOK_AGAIN_MS, left))
  const windows = await notOlder(jobs, requests, gathered.windows, checkpoint)
  const bars = requests.reduce((sum, request) => sum + request.bars, 0)
  // What was told by another process may not be stored by this one.
  const own = windows.every((window, i) => window === gathered.windows[i])
  const stored = venue !== null && own && bars > BARS_IN_PARTS && (await jobs.bars.store(venue, requests))
  const missing = gathered.missing.filter((name) =>
    requests.some((one, i) => nameOf(one) === name && !has(windows[i], one, ts)),
  )
  // What its strategy fetched counts for the tick as well.
  const first = before?.bar_index === bar_index ? before : null
  const late = first === null && before !== null ? countLate(jobs, before, venue) : 0
  return {
    late,
    thin: gathered.thin,
    events: eventsOf(run, command, { ts, windows, stored, first: firstOrdinal(run, command, checkpoint) }),
    wait: {
      run_id: run.id,
      bar_index,
      ts: new Date(ts).toISOString(),
      in_hand_ms: Math.max(0, jobs.now() - ts),
      missing: [...new Set([...(first?.missing ?? []), ...missing])],
      late: first?.late ?? late,
    },
  }
}

/** Of a venue that cannot be asked. */
function nothingOf(requests: readonly FetchRequest[]): Gathered {
  const missing = [...new Set(requests.map(nameOf))]
  return { windows: requests.map(() => NO_BARS), missing, unanswered: null, thin: [] }
}

/** A series that is older here than what the run was told before is shown as it was then: its strategy never goes back in time. */
function notOlder(
  { db }: FetchJobs,
  requests: readonly FetchRequest[],
  windows: readonly CandleColumns[],
  { told }: LiveCheckpoint,
): Promise<CandleColumns[]> {
  return Promise.all(
    requests.map(async (request, i) => {
      const window = windows[i] ?? NO_BARS
      const known = told[nameOf(request)]
      if (known === undefined || known.newest <= (window.time.at(-1) ?? Number.NEGATIVE_INFINITY)) return window
      const event = (await getEvent(db.reader, known.event)) as WindowEvent
      const { shown } = await readWindows(db.reader, event, { again: true })
      const before = shown.findLast((one) => nameOf(one) === nameOf(request))?.columns ?? window
      const { length } = before.time
      return sliceColumns(before, Math.max(0, length - request.bars), length)
    }),
  )
}

function has(window: CandleColumns | undefined, { symbol, timeframe }: FetchRequest, ts: number): boolean {
  return (window?.time.at(-1) ?? Number.NEGATIVE_INFINITY) >= newestClosed(symbol, timeframe, ts)
}

/** Null: it cannot be opened now. */
async function venueOf({ venues, log }: FetchJobs, run: RunRow): Promise<Venue | null> {
  if (run.exchange === null) throw new Error(`The run ${run.id} has no exchange`)
  try {
    return await venues.get(run.exchange, run.mode as TradingMode)
  } catch (error) {
    if (!(error instanceof VenueError)) throw error
    log('warn', { run_id: run.id, exchange: run.exchange, kind: error.kind }, `no bars: ${error.message}`)
    return null
  }
}

/**
 * Until when the tick waits. A bar that closed before the boundary, at the end of a session, is waited for from its own close
 * on; a tick that comes so late that its wait was over before anything was asked waits for the answer as long.
 */
function untilOf(run: RunRow, requests: readonly FetchRequest[], gathered: Gathered, ts: number): number {
  const { missing, unanswered } = gathered
  const wait = run.bar_wait_ms ?? DEFAULT_BAR_WAIT_MS
  const closes = requests
    .filter((request) => missing.includes(nameOf(request)))
    .map(({ symbol, timeframe }) => newestClosed(symbol, timeframe, ts) + TIMEFRAME_MS[timeframe])
  const until = Math.max(...closes) + wait
  return unanswered !== null && unanswered >= until ? unanswered + wait : until
}

const nameOf = ({ symbol, timeframe }: { symbol: string; timeframe: string }) => `${symbol} ${timeframe}`

/** Bars that the run's tick before did without, and that have come since. */
function countLate({ bars }: FetchJobs, before: WindowWaitRow, venue: Venue | null): number {
  if (venue === null) return 0
  return before.missing.filter((name) => {
    const [symbol, timeframe] = name.split(' ') as [string, Timeframe]
    return bars.has(venue, symbol, timeframe, newestClosed(symbol, timeframe, Date.parse(before.ts)))
  }).length
}

/** Of the tick's events: its own windows come after their command, fetched ones after all that was told before. */
function firstOrdinal(run: RunRow, { id, payload }: FetchCommand, { tick }: LiveCheckpoint): number {
  if (id === tickEventId(run.id, payload.bar_index, BEFORE_WINDOWS - 1)) return BEFORE_WINDOWS
  if (tick?.bar_index !== payload.bar_index) throw new Error(`${id} is no live.FetchWindow of the run's newest tick`)
  return tick.next_event
}

const NO_BARS: CandleColumns = {
  time: new Float64Array(0),
  open: new Float64Array(0),
  high: new Float64Array(0),
  low: new Float64Array(0),
  close: new Float64Array(0),
  volume: new Float64Array(0),
}

function eventsOf(
  run: RunRow,
  command: FetchCommand,
  { ts, windows, stored, first }: { ts: number; windows: readonly CandleColumns[]; stored: boolean; first: number },
): NewEvent[] {
  const { bar_index, requests } = command.payload
  const shown = requests.map(({ symbol, timeframe }, i) => {
    const columns = windows[i] ?? NO_BARS
    return { symbol, timeframe, window: { ...columns, length: columns.time.length } as CandleWindow }
  })
  const get = (symbol: string, timeframe: Timeframe) =>
    // As in a backtest: of two requests of one series the later one counts.
    shown.findLast((one) => one.symbol === symbol && one.timeframe === timeframe)?.window as CandleWindow
  return windowEvents(requests, { get }, { bar_index, ts, stored }).map(
    (build, ordinal) =>
      ({
        ...build(),
        id: tickEventId(run.id, bar_index, first + ordinal),
        run_id: run.id,
        corr_id: command.corr_id,
        causation_id: command.id,
        ts: new Date(ts).toISOString(),
        producer: 'veda',
      }) as NewEvent,
  )
}

function outcomeOf(run: RunRow, { events, wait, late, thin }: Told, lateBefore: number): Outcome {
  let { cautions } = run
  if (late > 0) cautions = [...without(cautions, LATE_CAUTION), `${LATE_CAUTION}${lateBefore + late}`]
  const known =
    cautions
      .find((text) => text.startsWith(THIN_CAUTION))
      ?.slice(THIN_CAUTION.length)
      .split(', ') ?? []
  if (thin.some((name) => !known.includes(name))) {
    cautions = [...without(cautions, THIN_CAUTION), THIN_CAUTION + [...new Set([...known, ...thin])].join(', ')]
  }
  return {
    writes: [
      { kind: 'save_window_waits', rows: [wait] },
      ...(cautions === run.cautions ? [] : [{ kind: 'update_run', id: run.id, changes: { cautions } } as const]),
    ],
    events,
  }
}

const without = (cautions: readonly string[], about: string) => cautions.filter((text) => !text.startsWith(about))
