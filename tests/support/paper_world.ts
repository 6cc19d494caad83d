/**
 * Paper runs at the simulator through the real jobs, with a day going by in minutes: the clock, the keepers and the simulator
 * live by a clock that the test moves, and what is due later in the queue is brought forward by as much.
 */
import { randomUUID } from 'node:crypto'
import { connectOwner } from '../../db/client.ts'
import { createSimBook } from '../../db/sim_venue.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { dueBoundaries } from '../../jobs/glados/boundaries.ts'
import type { RunRequest } from '../../jobs/glados/commands.ts'
import { createExchange, type Exchange } from '../../jobs/veda/adapters/sim/exchange.ts'
import { simSettings } from '../../jobs/veda/adapters/sim/settings.ts'
import { ACCOUNT } from '../../jobs/veda/adapters/sim/venue.ts'
import type { Timeframe } from '../../strategies/api.ts'
import { createFastTime, type FastTime } from './fast_time.ts'
import { type InProcess, openInProcess } from './in_process.ts'
import { pause, until } from './until.ts'

export interface PaperWorld {
  weaver: InProcess
  time: FastTime
  exchange: Exchange
  start(request: Partial<RunRequest> & { strategy_id: string; symbols: string[] }): Promise<RunRow>
  stop(runId: string): Promise<RunRow>
  run(id: string): Promise<RunRow>
  /** Lets the time go by; everything that is due at a moment is done before the next one comes. */
  pass(ms: number): Promise<void>
  /** Time goes by, and nobody waits for what becomes due. */
  leap(ms: number): Promise<void>
  /** Ends all that works, as when Weaver is stopped. */
  down(): Promise<void>
  up(): Promise<void>
  query<Row extends object>(text: string, values?: unknown[]): Promise<Row[]>
  close(): Promise<void>
}

/** A Monday, long ago: what Postgres stamps is later than any moment of the run. */
const START = Date.UTC(2025, 2, 3, 14, 0, 30)
/** The longest time that goes by without anybody looking. */
const STEP_MS = 15_000
const MINUTE_MS = 60_000
const LOOK_MS = 2
const PATIENCE_MS = 1_300
const WAITS_MS = 250
/** Running runs, with the last boundary that the clock has dealt with. */
const TICKING = `select coalesce(jsonb_agg(jsonb_build_object('symbols', r.symbols, 'timeframe', r.timeframe, 'last',
    coalesce((select max(c.ts) from weaver.clock_ticks c where c.run_id = r.id), r.started_at))), '[]')
  from weaver.runs r join weaver.run_ledgers l on l.run_id = r.id
  where r.status = 'running' and r.mode <> 'backtest' and r.stop_requested is null`
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }

interface Ticking {
  symbols: string[]
  timeframe: Timeframe
  last: string
}

/** A boundary at which the run ticks has come, and the clock has not dealt with it. */
const isUnticked = ({ symbols, timeframe, last }: Ticking, now: number): boolean =>
  dueBoundaries(symbols, timeframe, { after: Date.parse(last), upTo: now, most: 1 }).length > 0

export interface PaperWorldOptions {
  /** What is due sooner than this waits so long: the time goes by in fewer steps. */
  grainMs?: number
  /** So long a job may work, in real milliseconds, until it is taken for one that waits for its clock. */
  patienceMs?: number
}

/** `files`: further strategies. */
export async function openPaperWorld(
  env: Record<string, string> = {},
  files: Record<string, string> = {},
  { grainMs = 1, patienceMs = PATIENCE_MS }: PaperWorldOptions = {},
): Promise<PaperWorld> {
  const time = createFastTime(START)
  const clock = { now: time.now, sleep: time.sleep, newId: randomUUID, monotonic: time.now }
  const weaver = await openInProcess(files, { SIM_CASH: '100000000', ...env }, clock)
  const { db, url } = weaver.system
  const owner = await connectOwner({ url, applicationName: 'weaver paper test' })
  const settings = simSettings.parse({ cash: '100000000' })
  const exchange = createExchange({ book: createSimBook(db), account: ACCOUNT, settings, now: time.now })

  async function jobs(): Promise<{ due: number; next_ms: number | null }> {
    const { rows } = await owner.query<{ due: number; next_ms: number | null; ticking: Ticking[] }>(
      `select (count(*) filter (where j.run_at <= now() or j.locked_at is not null))::int as due, (${TICKING}) as ticking,
        ceil(extract(epoch from min(j.run_at) filter (where j.run_at > now() and j.locked_at is null) - now()) * 1000)::float8 as next_ms
      from graphile_worker._private_jobs j where j.attempts < j.max_attempts`,
    )
    const { due, next_ms, ticking } = rows[0] ?? { due: 0, next_ms: null, ticking: [] }
    return { due: due + ticking.filter((run) => isUnticked(run, time.now())).length, next_ms }
  }

  /** How long until the next job is due, once none is. */
  async function quiet(): Promise<number | null> {
    const began = performance.now()
    let calm = 0
    for (;;) {
      await pause(LOOK_MS)
      const { due, next_ms } = await jobs()
      calm = due === 0 ? calm + 1 : 0
      // A job that waits for its clock is not done before that has moved.
      if (performance.now() - began > patienceMs) return WAITS_MS
      if (calm >= 2) return next_ms
    }
  }

  async function move(ms: number): Promise<void> {
    time.move(ms)
    const { rowCount } = await owner.query(
      // With the time, what venues may be asked flows in.
      `with flown as (update weaver.rate_buckets set updated_at = updated_at - $1 * interval '1 millisecond')
      update graphile_worker._private_jobs set run_at = run_at - $1 * interval '1 millisecond'
      where run_at > now() and locked_at is null and not weaver.is_paused(run_at)`,
      [ms],
    )
    if ((rowCount ?? 0) > 0) await owner.query(`select pg_notify('jobs:insert', '{"count":10}')`)
  }

  async function pass(ms: number): Promise<void> {
    const end = time.now() + ms
    for (;;) {
      const next = await quiet()
      const left = end - time.now()
      if (left <= 0) return
      const boundary = MINUTE_MS - (time.now() % MINUTE_MS)
      await move(Math.min(left, STEP_MS, boundary, Math.max(grainMs, next ?? STEP_MS)))
    }
  }

  const commands = () => weaver.control.commands
  const run = async (id: string) => {
    const found = await getRun(db.reader, id)
    if (found === null) throw new Error(`no run ${id}`)
    return found
  }
  return {
    weaver,
    time,
    exchange,
    async start(request) {
      const created = await commands().createRun({ mode: 'paper', exchange: 'sim', timeframe: '1m', ...request }, CORR)
      return commands().startRun(created.id, CORR)
    },
    async stop(id) {
      await commands().stopRun(id, { cancel_orders: true, close_positions: false }, CORR)
      return until(`run ${id} to stop`, async () => {
        await pass(1_000)
        const found = await run(id)
        return found.status === 'running' ? null : found
      })
    },
    run,
    pass,
    leap: move,
    async down() {
      let isDown = false
      const closing = weaver.down().finally(() => {
        isDown = true
      })
      // Who sleeps by the clock that stands still would never end.
      while (!isDown) {
        time.move(500)
        await pause(5)
      }
      await closing
    },
    up: () => weaver.up(),
    query: async (text, values) => (await owner.query(text, values)).rows,
    async close() {
      time.release()
      await owner.end()
      await weaver.close()
    },
  }
}
