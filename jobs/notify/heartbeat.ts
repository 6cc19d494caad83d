/**
 * The dead man's switch: one of all workers calls WEAVER_HEARTBEAT_URL each minute, but only while everything that paper
 * and live runs live by is well. What hears nothing for a few minutes raises the alarm, whatever it is that is broken:
 * Weaver, its machine, or the way out of it. A halt is no reason to be silent: it is told, and somebody is at it.
 */
import type { Database, Reader, WriteTx } from '../../db/database.ts'
import { logHealth } from '../../db/events/health.ts'
import { createLeader, type Leader, type Next } from '../../db/events/leader.ts'
import { livePools } from '../../db/events/leases.ts'
import { redact, type Secret } from '../../db/secrets.ts'
import type { HeartbeatRow } from '../../db/walle/notice_rows.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { type AccountHealth, accountHealth } from '../../db/walle/queries/accounts.ts'
import { type TickingRun, tickingRuns } from '../../db/walle/queries/live_runs.ts'
import { clockIsLed, getHeartbeat } from '../../db/walle/queries/notifications.ts'
import { dueBoundaries } from '../glados/boundaries.ts'
import { progressOf, standstills } from '../health/progress.ts'
import { LIMITS } from '../health/readiness.ts'
import { mustBeTaken } from './channels.ts'

export interface HeartbeatOptions {
  db: Database
  record: (tx: WriteTx, outcome: Outcome) => Promise<unknown>
  url: Secret
  strategyTimeoutMs: number
  now: () => number
  sleep: (ms: number) => Promise<void>
  log: (level: 'info' | 'warn' | 'error', fields: object, message: string) => void
}

export const BEAT_MS = 60_000
/** How often it looks whether a minute has passed. */
const LOOK_MS = 1_000
const STAND_BY_MS = 1_000
const ANSWER_MS = 10_000
const TRIES = 2
const BETWEEN_TRIES_MS = 2_000
const STATEMENT_TIMEOUT_MS = 5_000
/** A tick that is not there so long after its boundary is not on its way. */
const OVERDUE_MS = 15_000

export function createHeartbeat(options: HeartbeatOptions): Leader {
  const { db, now, sleep, log, strategyTimeoutMs } = options
  let triedAt = Number.NEGATIVE_INFINITY
  /** What was told last: a problem that stays is logged once. */
  let told: string | null = null

  async function beat(): Promise<void> {
    const unwell = await problems(db, strategyTimeoutMs, now()).catch((error: unknown) => [
      `the database: ${messageOf(error)}`,
    ])
    const problem =
      unwell.length > 0 ? `not called: ${unwell.join('; ')}` : await call(options).then(() => null, unheard)
    if (problem !== told) {
      if (problem !== null) log('warn', { problem }, 'the heartbeat is missing')
      else if (told !== null) log('info', {}, 'the heartbeat is back')
    }
    told = problem
    await note(options, problem, new Date(triedAt).toISOString())
  }

  async function round(): Promise<Next> {
    if (Math.abs(now() - triedAt) >= BEAT_MS) {
      triedAt = now()
      await beat()
    }
    return { pauseMs: LOOK_MS }
  }

  return createLeader({
    db,
    sleep,
    onError: (error) => log('error', { err: error }, 'the heartbeat'),
    key: { sql: "hashtext('weaver:heartbeat')" },
    channel: 'weaver_heartbeat',
    pollMs: LOOK_MS,
    standByMs: STAND_BY_MS,
    round,
  })
}

const messageOf = (error: unknown): string => redact(error instanceof Error ? error.message : String(error))
const unheard = (error: unknown): string => `called, and not heard: ${messageOf(error)}`

async function call({ url, sleep }: HeartbeatOptions): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS)
      return await mustBeTaken(await fetch(url.reveal(), { redirect: 'manual', signal }))
    } catch (error) {
      if (tries === TRIES) throw error
      await sleep(BETWEEN_TRIES_MS)
    }
  }
}

async function note({ db, record }: HeartbeatOptions, problem: string | null, tried_at: string): Promise<void> {
  await db.write(async (tx) => {
    const before = await getHeartbeat(tx)
    const beat_at = problem === null ? tried_at : (before?.beat_at ?? null)
    const row: HeartbeatRow = { id: 'heartbeat', tried_at, beat_at, problem }
    await record(tx, { writes: [{ kind: 'save_heartbeat', row }], events: [] })
  })
}

/** Everything that keeps paper and live runs from going on as they should; empty: all is well. */
export async function problems(db: Database, strategyTimeoutMs: number, now: number): Promise<string[]> {
  const found = await db.read(async (reader: Reader) => {
    await reader.query(`set local statement_timeout = ${STATEMENT_TIMEOUT_MS}`)
    return {
      led: await clockIsLed(reader),
      runs: await tickingRuns(reader),
      progress: await progressOf(reader),
      accounts: await accountHealth(reader),
      log: await logHealth(reader),
    }
  })
  const pools = await livePools(db)
  const late = found.log.oldestUnsequencedSeconds ?? 0
  return [
    ...(found.led ? [] : ['no process runs the clock']),
    ...(pools > 0 ? [] : ['no worker is alive']),
    ...(late <= LIMITS.unsequencedSeconds ? [] : [`events wait for their place in the log for ${Math.round(late)} s`]),
    ...overdueTicks(found.runs, now),
    ...standstills(found.progress, strategyTimeoutMs, now),
    ...found.accounts.flatMap(accountProblem),
  ]
}

export function overdueTicks(runs: readonly TickingRun[], now: number): string[] {
  const overdue = runs.filter(({ symbols, timeframe, last_ts, started_at, open_corr_id }) => {
    // What is due while a tick is under way is dealt with after it; one that does not end is a standstill.
    if (open_corr_id !== null) return false
    const after = Date.parse((last_ts ?? started_at) as string)
    return dueBoundaries(symbols, timeframe, { after, upTo: now - OVERDUE_MS, most: 1 }).length > 0
  })
  return overdue.length === 0 ? [] : [`ticks of ${overdue.length} runs are overdue, such as ${overdue[0]?.id}`]
}

/** One with a paused symbol is told of, and is well: its other symbols trade. */
function accountProblem({ exchange, mode, state, state_reason, runs, reconciledSeconds }: AccountHealth): string[] {
  if (runs === 0) return []
  if (state !== 'ready') return [`the account ${exchange} ${mode} is ${state}: ${state_reason}`]
  const age = reconciledSeconds ?? 0
  if (age <= LIMITS.unreconciledSeconds) return []
  return [`the account ${exchange} ${mode} was not compared with its venue for ${Math.round(age)} s`]
}
