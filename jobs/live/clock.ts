/**
 * The clock of paper and live runs: of all that run, one leads. At each boundary it appends, in one transaction, the ticks
 * of all runs that are due, each with the fetch of the run's own windows; a boundary that passed while nobody watched, or
 * while the tick before was under way, is recorded as missed. What was emitted lies in `clock_ticks`, so that another clock,
 * or this one after any pause, goes on from there: no tick is emitted twice or out of order, whatever the wall clock does.
 */
import type { Database, WriteTx } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import { createLeader, type Leader, type Next } from '../../db/events/leader.ts'
import type { ClockTickRow } from '../../db/walle/live_rows.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { lockTickingRuns, runsWithBoundaries, type TickingRun } from '../../db/walle/queries/live_runs.ts'
import { TIMEFRAMES } from '../../strategies/api.ts'
import { decideTicks, newestBoundary, SMALLEST_MS } from '../glados/boundaries.ts'
import type { PreciseClock } from '../glados/clock.ts'
import { clockError } from './clock_error.ts'
import { ownFetch } from './decisions.ts'

export interface LiveClockOptions {
  db: Database
  record: (tx: WriteTx, outcome: Outcome) => Promise<unknown>
  clock: PreciseClock
  log: (level: 'info' | 'warn' | 'error', fields: object, message: string) => void
}

/** How often it looks at the wall clock, and at runs that catch up. */
const LOOK_MS = 500
const BEHIND_MS = 200
/** A run that somebody holds is tried again after so long, then twice that. */
const HELD_MS = 5
/** So close to a boundary it does nothing else: it reads what is due, and waits for the moment. */
const CLOSE_MS = 250
/** Timers are late by a millisecond or two: the last bit is slept in the smallest steps there are. */
const STEPS_MS = 15
/** What the wall clock is allowed to move against the monotonic one between two looks. */
const JUMP_MS = 500
/** A pause of the clock that is told: of the process, of the machine, or of Postgres. */
const STALL_MS = 5_000
/** Jumps and pauses are logged each, and told in the log of events so often. */
const TELL_EVERY_MS = 60_000
/** A stand-by asks whether the lead is free. */
const STAND_BY_MS = 500

export function createLiveClock(options: LiveClockOptions): Leader {
  const { db, record, clock, log } = options
  const sweeper = createSweeper(options)
  const watch = createWatch(clock)
  let told = Number.NEGATIVE_INFINITY

  async function tell(message: string): Promise<void> {
    log('warn', {}, message)
    if (clock.monotonic() - told < TELL_EVERY_MS) return
    told = clock.monotonic()
    await db.write((tx) => record(tx, { writes: [], events: [clockError(clock, 'glados', message)] }))
  }

  /** Reads before the boundary what will be due, on the connection that will write it, and comes back at the boundary. */
  async function waitFor(boundary: number): Promise<string[]> {
    const ids = await db.write((tx) => runsWithBoundaries(tx, newestAt(boundary)))
    for (let left = boundary - clock.now(); left > 0 && left <= CLOSE_MS; left = boundary - clock.now()) {
      await clock.sleep(left > STEPS_MS ? left - STEPS_MS : 1)
    }
    return ids
  }

  async function round(): Promise<Next> {
    const strange = watch.look()
    if (strange !== null) await tell(strange)
    if (sweeper.isNeeded()) await sweeper.sweep()
    const boundary = smallestAt(clock.now()) + SMALLEST_MS
    const left = boundary - clock.now()
    if (left > CLOSE_MS) return { pauseMs: Math.min(sweeper.restMs(), left - CLOSE_MS / 2) }
    const due = await waitFor(boundary)
    if (clock.now() >= boundary) await sweeper.sweep(due)
    return 'again'
  }

  return createLeader({
    db,
    sleep: clock.sleep,
    onError: (error) => log('error', { err: error }, 'the clock of paper and live runs'),
    key: { sql: "hashtext('weaver:clock')" },
    channel: 'weaver_clock',
    pollMs: LOOK_MS,
    standByMs: STAND_BY_MS,
    onLead: async () => watch.start(),
    round,
  })
}

const newestAt = (time: number) => TIMEFRAMES.map((timeframe) => ({ timeframe, ts: newestBoundary(timeframe, time) }))
const smallestAt = (time: number) => Math.floor(time / SMALLEST_MS) * SMALLEST_MS

/** Deals with what is due. Any number of them, in whatever processes, emit each tick once. */
export function createSweeper({ db, record, clock, log }: LiveClockOptions) {
  /** The newest boundary whose runs were all dealt with. */
  let swept = Number.NEGATIVE_INFINITY
  /** Sweeps in a row that found a run held by somebody. */
  let held = 0
  let behind = false

  async function tick(tx: WriteTx, ids: readonly string[]): Promise<{ locked: number; behind: boolean }> {
    const runs = await lockTickingRuns(tx, ids)
    const now = clock.now()
    const all = runs.map((run) => ({ run, ...decideTicks(stateOf(run), now) }))
    await record(tx, outcomeOf(all, now))
    const missed = all.reduce((sum, one) => sum + one.missed.length, 0)
    if (missed > 0) log('warn', { missed }, 'ticks of paper and live runs were missed')
    return { locked: runs.length, behind: all.some((one) => one.behind) }
  }

  return {
    isNeeded: (): boolean => smallestAt(clock.now()) !== swept || held > 0 || behind,
    /** How long nothing is to be done, but for the next boundary. */
    restMs(): number {
      if (held > 0) return Math.min(BEHIND_MS, HELD_MS * 2 ** held)
      return behind ? BEHIND_MS : LOOK_MS
    },
    /** `known`: the runs that have something due, if somebody has asked already. */
    async sweep(known?: readonly string[]): Promise<void> {
      const asked = clock.now()
      const ids = known ?? (await runsWithBoundaries(db.reader, newestAt(asked)))
      const done = ids.length === 0 ? { locked: 0, behind: false } : await db.write((tx) => tick(tx, ids))
      held = done.locked < ids.length ? held + 1 : 0
      behind = done.behind
      swept = smallestAt(asked)
    },
  }
}

function stateOf(run: TickingRun) {
  return {
    symbols: run.symbols,
    timeframe: run.timeframe,
    missed_ticks: run.missed_ticks,
    last: Date.parse((run.last_ts ?? run.started_at) as string),
    busy: run.open_corr_id !== null,
  }
}

type Decided = { run: TickingRun } & ReturnType<typeof decideTicks>

function outcomeOf(all: readonly Decided[], now: number): Outcome {
  const rows: ClockTickRow[] = []
  const opened: { run_id: string; bar_index: number; corr_id: string }[] = []
  const events: NewEvent[] = []
  for (const { run, missed, emit } of all) {
    let bar_index = (run.last_index ?? -1) + 1
    for (const { ts, reason } of missed) {
      rows.push(rowOf(run.id, bar_index, ts, { event_id: null, missed_reason: reason, drift_ms: null }))
      bar_index += 1
    }
    if (emit === null) continue
    const id = tickEventId(run.id, bar_index, 0)
    rows.push(rowOf(run.id, bar_index, emit, { event_id: id, missed_reason: null, drift_ms: now - emit }))
    opened.push({ run_id: run.id, bar_index, corr_id: id })
    const tick = { bar_index, ts: emit, corr_id: id }
    events.push(tickEvent(run, id, { bar_index, boundary: emit, now }), ...ownFetch(run, tick))
  }
  return {
    writes: [
      { kind: 'save_clock_ticks', rows },
      { kind: 'open_ticks', rows: opened },
    ],
    events,
  }
}

function rowOf(
  run_id: string,
  bar_index: number,
  ts: number,
  rest: Pick<ClockTickRow, 'event_id' | 'missed_reason' | 'drift_ms'>,
): ClockTickRow {
  return { run_id, bar_index, ts: new Date(ts).toISOString(), ...rest, done_at: null }
}

function tickEvent(
  { id: run_id, timeframe }: TickingRun,
  id: string,
  { bar_index, boundary, now }: { bar_index: number; boundary: number; now: number },
): NewEvent {
  const ts = new Date(boundary).toISOString()
  return {
    id,
    type: 'clock.Tick',
    run_id,
    corr_id: id,
    causation_id: null,
    ts: new Date(now).toISOString(),
    producer: 'glados',
    payload: { run_id, ts, timeframe, bar_index, is_backtest: false },
  }
}

/** Holds the wall clock against the monotonic one: it is set, or the machine sleeps, and only their difference tells. */
function createWatch(clock: PreciseClock) {
  let wall = clock.now()
  let steady = clock.monotonic()
  const set = () => {
    wall = clock.now()
    steady = clock.monotonic()
  }
  return {
    start: set,
    /** What is strange about the time since the last look, in words. */
    look(): string | null {
      const passed = clock.monotonic() - steady
      const jump = clock.now() - wall - passed
      set()
      if (jump <= -JUMP_MS) {
        return `the system clock was set back by ${seconds(-jump)}: boundaries that had their tick get no second one`
      }
      if (jump >= JUMP_MS) {
        return `the system clock went ahead by ${seconds(jump)}: it was set, or the machine was asleep; what was due meanwhile is missed or caught up`
      }
      return passed >= STALL_MS
        ? `the clock stood still for ${seconds(passed)}: the process, or Postgres, was held up`
        : null
    },
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
