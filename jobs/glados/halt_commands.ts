/**
 * The kill switch. A halt is a row without `resumed_at`: whoever is about to send an order looks for it in the
 * transaction that says so (order_sending.ts), so that after this commit no order that was not on its way already
 * leaves, in any process. Orders on their way are cancelled when their answer comes.
 */
import type { Reader } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import type { NewJob } from '../../db/events/tasks.ts'
import type { HaltRow, TradingMode } from '../../db/walle/live_rows.ts'
import type { Outcome, Write } from '../../db/walle/outcome.ts'
import { activeHalt, activeHalts, knownAccounts, lockHalts, runsWithOpenOrders } from '../../db/walle/queries/halts.ts'
import { getRunLedger } from '../../db/walle/queries/live_runs.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { Json } from '../../strategies/api.ts'
import type { CommandContext } from './commands.ts'
import { DomainError } from './errors.ts'
import type { Breach } from './risk.ts'

export interface HaltDependencies {
  recorder: <T>(work: (reader: Reader) => Promise<{ outcome: Outcome; result: T }>) => Promise<T>
  reader: Reader
  now: () => number
  newId: () => string
  /** What a run's limits on losses remember, as if it began now: or the next tick would halt it again. */
  forgetLosses: (riskWatch: Json) => Json
  /** Takes away the halt file, which says the same while Postgres is away. */
  clearHaltFile: () => Promise<void>
}

export interface HaltRequest {
  rule: string
  reason: string | null
  /** Who asks, for the record. */
  by: string
}

export interface Halted {
  halt: HaltRow
  /** It held already: nothing was done but the cancels that were still missing. */
  already: boolean
  /** Runs with open orders, all of which are being cancelled. */
  runs: number
}

export function createHaltCommands(deps: HaltDependencies) {
  return {
    halt: (request: HaltRequest, context: CommandContext) => haltSystem(deps, request, context),
    resume: (by: string, context: CommandContext) => resumeSystem(deps, by, context),
    resumeRun: (runId: string, by: string, context: CommandContext) => resumeRun(deps, runId, by, context),
    halts: () => activeHalts(deps.reader),
  }
}

export type HaltCommands = ReturnType<typeof createHaltCommands>

async function haltSystem(deps: HaltDependencies, request: HaltRequest, context: CommandContext): Promise<Halted> {
  return deps.recorder(async (tx) => {
    await lockHalts(tx)
    const known = await activeHalt(tx, null)
    const at = new Date(deps.now()).toISOString()
    const halt = known ?? newHalt(deps, request, null, at)
    const runs = await runsWithOpenOrders(tx)
    const accounts = await knownAccounts(tx)
    return {
      outcome: {
        writes: known ? [] : [{ kind: 'save_halts', rows: [halt] }],
        events: known ? [] : [haltEvent(deps, halt, null, context.corrId)],
        // Ours run by run, under each run's lock, for which the halt itself must not wait; then what else lies open.
        jobs: [...runs.map(cancelRunJob), ...accounts.map(cancelAllJob)],
      },
      result: { halt, already: known !== null, runs: runs.length },
    }
  })
}

function cancelRunJob(run_id: string): NewJob {
  return { task: 'veda.cancel_run', payload: { run_id }, queue: `halt:${run_id}` }
}

function cancelAllJob(account: { exchange: string; mode: TradingMode }): NewJob {
  return { task: 'veda.cancel_all', payload: account, queue: `halt:${account.exchange}:${account.mode}` }
}

function newHalt(
  { newId }: HaltDependencies,
  { rule, reason, by }: HaltRequest,
  run_id: string | null,
  at: string,
): HaltRow {
  return { id: newId(), run_id, rule, reason, halted_at: at, halted_by: by, resumed_at: null, resumed_by: null }
}

function haltEvent(
  deps: Pick<HaltDependencies, 'newId'>,
  halt: HaltRow,
  cause: string | null,
  corrId: string,
): NewEvent {
  return {
    id: deps.newId(),
    type: 'system.Halted',
    run_id: halt.run_id,
    corr_id: corrId,
    causation_id: cause,
    ts: halt.halted_at,
    producer: 'glados',
    payload: { rule: halt.rule, reason: halt.reason, by: halt.halted_by },
  }
}

/**
 * A run that broke one of its limits at a tick: to be recorded in the transaction that found it, under the run's lock.
 * Ticks go on; only cancels leave. Its open orders stay: exits that protect may be among them.
 */
export function haltRunOutcome(
  run: Pick<RunRow, 'id' | 'halted' | 'last_event_id' | 'open_corr_id'>,
  barIndex: number,
  { rule, detail }: Breach,
  now: number,
): Outcome {
  if (run.halted !== null) return { writes: [], events: [] }
  const at = new Date(now).toISOString()
  // Out of the way of the tick's own events; a tick can break a limit once.
  const id = tickEventId(run.id, barIndex, HALT_ORDINAL)
  const halt: HaltRow = {
    id,
    run_id: run.id,
    rule,
    reason: detail,
    halted_at: at,
    halted_by: rule,
    resumed_at: null,
    resumed_by: null,
  }
  const tickId = tickEventId(run.id, barIndex, 0)
  return {
    writes: [
      { kind: 'save_halts', rows: [halt] },
      { kind: 'update_run', id: run.id, changes: { halted: { rule, at } } },
    ],
    events: [haltEvent({ newId: () => id }, halt, tickId, run.open_corr_id ?? tickId)],
  }
}

const HALT_ORDINAL = 1_000_000

async function resumeSystem(deps: HaltDependencies, by: string, context: CommandContext): Promise<HaltRow | null> {
  // First the file: were it read again after the row has ended, the halt would come back by itself.
  await deps.clearHaltFile()
  return deps.recorder(async (tx) => {
    await lockHalts(tx)
    const halt = await activeHalt(tx, null)
    if (!halt) return { outcome: { writes: [], events: [] }, result: null }
    return { outcome: ended(deps, halt, by, context, []), result: halt }
  })
}

async function resumeRun(
  deps: HaltDependencies,
  runId: string,
  by: string,
  context: CommandContext,
): Promise<HaltRow | null> {
  return deps.recorder(async (tx) => {
    const run = await lockRun(tx, runId)
    if (!run) throw new DomainError('NOT_FOUND', `there is no run ${runId}`, {})
    await lockHalts(tx)
    const halt = await activeHalt(tx, runId)
    if (!halt) return { outcome: { writes: [], events: [] }, result: null }
    const ledger = await getRunLedger(tx, runId)
    const writes: Write[] = [{ kind: 'update_run', id: runId, changes: { halted: null } }]
    if (ledger !== null && ledger.risk_watch !== null) {
      const risk_watch = deps.forgetLosses(ledger.risk_watch)
      writes.push({ kind: 'save_run_ledgers', rows: [{ ...ledger, risk_watch }] })
    }
    return { outcome: ended(deps, halt, by, context, writes), result: halt }
  })
}

function ended(deps: HaltDependencies, halt: HaltRow, by: string, context: CommandContext, writes: Write[]): Outcome {
  const at = new Date(deps.now()).toISOString()
  return {
    writes: [{ kind: 'save_halts', rows: [{ ...halt, resumed_at: at, resumed_by: by }] }, ...writes],
    events: [
      {
        id: deps.newId(),
        type: 'system.Resumed',
        run_id: halt.run_id,
        corr_id: context.corrId,
        causation_id: null,
        ts: at,
        producer: 'glados',
        payload: { by },
      },
    ],
  }
}
