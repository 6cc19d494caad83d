/**
 * The windows of a tick of a paper or live run: waits for the bars that close at its boundary, then tells what there is,
 * with the columns as they were received. A bar that does not come in time is seen at the next tick.
 */
import { claim, isClaimed } from '../../db/events/claims.ts'
import type { LogEvent, NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import { getEvent } from '../../db/events/read.ts'
import type { TaskPayload } from '../../db/events/tasks.ts'
import type { WindowWaitRow } from '../../db/walle/market_rows.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { countLateBars, lastWindowWait } from '../../db/walle/queries/market.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import { type CandleWindow, type FetchRequest, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { RunningJob } from '../backtest/jobs.ts'
import { BARS_IN_PARTS, windowEvents } from '../greta/window_events.ts'
import type { BarCache } from '../veda/market/bar_cache.ts'
import { newestClosed } from '../veda/market_data.ts'
import { type TradingMode, type Venue, VenueError } from '../veda/venue.ts'
import { BEFORE_WINDOWS } from './decisions.ts'
import type { Live } from './live.ts'
import { getLiveCheckpoint } from './ticks.ts'

export interface FetchJobs extends Pick<Live, 'db' | 'record' | 'venues' | 'now' | 'log'> {
  bars: BarCache
}

interface FetchJob extends RunningJob {
  putBack(delayMs: number): Promise<never>
}

export const DEFAULT_BAR_WAIT_MS = 5_000
const LOOK_AGAIN_MS = 200
const LATE_CAUTION = 'bars that came too late for their tick: '

type FetchCommand = Extract<LogEvent, { type: 'live.FetchWindow' }>

export async function fetchWindow(
  jobs: FetchJobs,
  payload: TaskPayload<'veda.fetch_window'>,
  job: FetchJob,
): Promise<void> {
  const { db, now } = jobs
  const [run, claimed, command, before] = await db.read((reader) =>
    Promise.all([
      getRun(reader, payload.run_id),
      isClaimed(reader, 'veda.fetch_window', payload.event_id),
      getEvent(reader, payload.event_id),
      lastWindowWait(reader, payload.run_id),
    ]),
  )
  const done = run?.status !== 'running' || claimed
  const told = run === null || done ? null : await windowsOf(jobs, run, { command: fetchOf(command), before }, job)
  job.signal.throwIfAborted()
  await db.write(
    async (tx) => {
      const locked = await lockRun(tx, payload.run_id)
      const due = locked?.status === 'running' && told !== null
      if (due && (await claim(tx, 'veda.fetch_window', payload.event_id))) {
        const before = await countLateBars(tx, locked.id)
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
}

/** Puts the job back while a bar is missing that may still come in time. */
async function windowsOf(
  jobs: FetchJobs,
  run: RunRow,
  { command, before }: { command: FetchCommand; before: WindowWaitRow | null },
  job: FetchJob,
): Promise<Told> {
  const { bar_index, requests } = command.payload
  const ts = Date.parse(command.ts)
  const venue = await venueOf(jobs, run)
  const gathered = venue && (await jobs.bars.gather(venue, requests, ts))
  const missing = gathered?.missing ?? [...new Set(requests.map(nameOf))]
  const left = deadlineOf(run, requests, missing, ts) - jobs.now()
  if (missing.length > 0 && left > 0) return job.putBack(Math.min(LOOK_AGAIN_MS, left))
  const windows = gathered?.windows ?? requests.map(() => NO_BARS)
  const bars = requests.reduce((sum, request) => sum + request.bars, 0)
  const stored = venue !== null && bars > BARS_IN_PARTS && (await jobs.bars.store(venue, requests))
  // What its strategy fetched counts for the tick as well.
  const first = before?.bar_index === bar_index ? before : null
  const late = first === null && before !== null ? countLate(jobs, before, venue) : 0
  return {
    late,
    events: eventsOf(run, command, { ts, windows, stored, first: await firstOrdinal(jobs, run, command) }),
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

/** Null: it cannot be opened now; the run keeps its old windows meanwhile. */
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

/** A bar that closed before the boundary, at the end of a session, is waited for from its own close on. */
function deadlineOf(run: RunRow, requests: readonly FetchRequest[], missing: readonly string[], ts: number): number {
  const closes = requests
    .filter((request) => missing.includes(nameOf(request)))
    .map(({ symbol, timeframe }) => newestClosed(symbol, timeframe, ts) + TIMEFRAME_MS[timeframe])
  return Math.max(...closes) + (run.bar_wait_ms ?? DEFAULT_BAR_WAIT_MS)
}

const nameOf = ({ symbol, timeframe }: { symbol: string; timeframe: Timeframe }) => `${symbol} ${timeframe}`

/** Bars that the run's tick before did without, and that have come since. */
function countLate({ bars }: FetchJobs, before: WindowWaitRow, venue: Venue | null): number {
  if (venue === null) return 0
  return before.missing.filter((name) => {
    const [symbol, timeframe] = name.split(' ') as [string, Timeframe]
    return bars.has(venue, symbol, timeframe, newestClosed(symbol, timeframe, Date.parse(before.ts)))
  }).length
}

/** Of the tick's events: its own windows come after their command, fetched ones after all that was told before. */
async function firstOrdinal({ db }: FetchJobs, run: RunRow, { id, payload }: FetchCommand): Promise<number> {
  if (id === tickEventId(run.id, payload.bar_index, BEFORE_WINDOWS - 1)) return BEFORE_WINDOWS
  const { tick } = await getLiveCheckpoint(db.reader, run.id)
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

function outcomeOf(run: RunRow, { events, wait, late }: Told, lateBefore: number): Outcome {
  const caution = `${LATE_CAUTION}${lateBefore + late}`
  const cautions = [...run.cautions.filter((text) => !text.startsWith(LATE_CAUTION)), caution]
  return {
    writes: [
      { kind: 'save_window_waits', rows: [wait] },
      ...(late > 0 ? [{ kind: 'update_run', id: run.id, changes: { cautions } } as const] : []),
    ],
    events,
  }
}
