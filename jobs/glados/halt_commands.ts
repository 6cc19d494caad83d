/**
 * The kill switch. A halt is a row without `resumed_at`: whoever is about to send an order looks for it in the
 * transaction that says so (veda/orders/sending.ts), so that after this commit no order that was not on its way already
 * leaves, in any process. Orders on their way are cancelled when their answer comes.
 */
import type { Reader } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import type { NewJob } from '../../db/events/tasks.ts'
import type { AccountRow, HaltRow, TradingMode } from '../../db/walle/live_rows.ts'
import type { Outcome, Write } from '../../db/walle/outcome.ts'
import { lockAccount } from '../../db/walle/queries/accounts.ts'
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
  /** Says the same while Postgres is away. */
  haltFile: {
    read: () => Promise<{ reason: string | null; by: string; drill: boolean } | null>
    clear: () => Promise<void>
  }
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

/** The rule of a halt that is only tried: it gives way to any that is meant. */
export const DRILL = 'drill'

export function createHaltCommands(deps: HaltDependencies) {
  return {
    halt: (request: HaltRequest, context: CommandContext) => haltSystem(deps, request, context),
    haltByFile: (context: CommandContext) => haltByFile(deps, context),
    /** `only`: the halt that is to be ended, and no other; absent: whatever holds. */
    resume: (by: string, context: CommandContext, only?: string) => resumeSystem(deps, by, context, only),
    resumeRun: (runId: string, by: string, context: CommandContext) => resumeRun(deps, runId, by, context),
    halts: () => activeHalts(deps.reader),
  }
}

export type HaltCommands = ReturnType<typeof createHaltCommands>

function haltSystem(deps: HaltDependencies, request: HaltRequest, context: CommandContext): Promise<Halted> {
  return deps.recorder(async (tx) => {
    await lockHalts(tx)
    return haltLocked(deps, tx, request, context)
  })
}

interface HaltOutcome {
  outcome: Outcome
  result: Halted
}

async function haltLocked(
  deps: HaltDependencies,
  tx: Reader,
  request: HaltRequest,
  context: CommandContext,
): Promise<HaltOutcome> {
  const active = await activeHalt(tx, null)
  const tried = active?.rule === DRILL && request.rule !== DRILL ? active : null
  const known = tried === null ? active : null
  const at = new Date(deps.now()).toISOString()
  const over = tried === null ? [] : [{ ...tried, resumed_at: at, resumed_by: request.by }]
  const halt = known ?? newHalt(deps, request, null, at)
  const runs = await runsWithOpenOrders(tx)
  const accounts = await knownAccounts(tx)
  return {
    outcome: {
      // Another row in the place of the drill's: the drill ends its own, and no other.
      writes: known ? [] : [{ kind: 'save_halts', rows: [...over, halt] }],
      events: known ? [] : [haltEvent(deps, halt, null, context.corrId)],
      // Ours run by run, under each run's lock, for which the halt itself must not wait; then what else lies open.
      jobs: [...runs.map(cancelRunJob), ...accounts.map(cancelAllJob)],
    },
    result: { halt, already: known !== null, runs: runs.length },
  }
}

/** What so far only the file says. Who resumes takes the file away first: what is gone under the lock is no halt any more. */
function haltByFile(deps: HaltDependencies, context: CommandContext): Promise<Halted | null> {
  return deps.recorder<Halted | null>(async (tx) => {
    await lockHalts(tx)
    const file = await deps.haltFile.read()
    if (file === null || saysNothingNew(file, await activeHalt(tx, null))) {
      return { outcome: { writes: [], events: [] }, result: null }
    }
    return haltLocked(deps, tx, { ...file, rule: file.drill ? DRILL : 'halt_file' }, context)
  })
}

/** What holds already stays as it is, but for a drill's halt under a file that is meant. */
export function saysNothingNew(file: { drill: boolean }, active: Pick<HaltRow, 'rule'> | null): boolean {
  return active !== null && (active.rule !== DRILL || file.drill)
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
 * Ticks go on; only cancels leave. Its open orders are cancelled but for those that protect what it holds.
 */
export function haltRunOutcome(
  run: Pick<RunRow, 'id' | 'halted' | 'last_event_id' | 'open_corr_id'>,
  barIndex: number,
  breach: Breach,
  now: number,
): Outcome {
  // Out of the way of the tick's own events; a tick can break a limit once.
  const id = tickEventId(run.id, barIndex, HALT_ORDINAL)
  const tickId = tickEventId(run.id, barIndex, 0)
  return haltRun(run, { id, cause: tickId, corrId: run.open_corr_id ?? tickId }, breach, now)
}

/** The same for a run that broke it by what the market said between two ticks: no tick caused it. */
export function haltBetweenTicks(run: Pick<RunRow, 'id' | 'halted'>, id: string, breach: Breach, now: number): Outcome {
  return haltRun(run, { id, cause: null, corrId: id }, breach, now)
}

function haltRun(
  run: Pick<RunRow, 'id' | 'halted'>,
  { id, cause, corrId }: { id: string; cause: string | null; corrId: string },
  { rule, detail }: Breach,
  now: number,
): Outcome {
  if (run.halted !== null) return { writes: [], events: [] }
  const at = new Date(now).toISOString()
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
  return {
    writes: [
      { kind: 'save_halts', rows: [halt] },
      { kind: 'update_run', id: run.id, changes: { halted: { rule, at } } },
    ],
    events: [haltEvent({ newId: () => id }, halt, cause, corrId)],
    jobs: [cancelRunJob(run.id)],
  }
}

const HALT_ORDINAL = 1_000_000

async function resumeSystem(
  deps: HaltDependencies,
  by: string,
  context: CommandContext,
  only: string | undefined,
): Promise<HaltRow | null> {
  // What only the file says becomes a row first: whatever fails on the way out of a halt, one of the two is left.
  await haltByFile(deps, context)
  mustBe(await activeHalt(deps.reader, null), only)
  // Before the row ends: were the file read again after that, the halt would come back by itself.
  await deps.haltFile.clear()
  return deps.recorder<HaltRow | null>(async (tx) => {
    await lockHalts(tx)
    const halt = await activeHalt(tx, null)
    mustBe(halt, only)
    if (!halt) return { outcome: { writes: [], events: [] }, result: null }
    return { outcome: ended(deps, halt, by, context, await askedFirst(deps, tx)), result: halt }
  })
}

function mustBe(halt: HaltRow | null, only: string | undefined): void {
  if (only === undefined || halt === null || halt.id === only) return
  const { rule, halted_by, halted_at } = halt
  throw new DomainError('CONFLICT', `another halt holds, which is not ended: ${rule} by ${halted_by}, ${halted_at}`)
}

/** One that is refused is asked when its credentials are good again. */
const ASKED_STATES: ReadonlySet<AccountRow['state']> = new Set(['ready', 'unknown'])

/** After a halt nobody knows what became of what: each venue is asked before the first order leaves. */
async function askedFirst({ now }: HaltDependencies, tx: Reader): Promise<Write[]> {
  const rows: AccountRow[] = []
  for (const name of await knownAccounts(tx)) {
    const account = await lockAccount(tx, name)
    if (account === null || !ASKED_STATES.has(account.state)) continue
    // A check that is under way saw the account as it was before.
    const asked = { ...account, reconcile_requested_at: new Date(now()).toISOString() }
    const reason = 'it was halted: its venue is asked first'
    rows.push(account.state === 'ready' ? { ...asked, state: 'unknown', state_reason: reason } : asked)
  }
  // Its keeper looks at once.
  await tx.query(`select pg_notify('weaver_account', '')`)
  return [{ kind: 'save_accounts', rows }]
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
