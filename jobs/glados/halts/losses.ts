/**
 * The limits on losses between ticks: what a run holds is worth what the market says, and a run that has lost too much by
 * that is halted at once. A tick looks again, at the closes of its bars.
 */
import type { AccountName } from '../../../db/walle/queries/accounts.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { type RunAtRisk, runsAtRisk } from '../../../db/walle/queries/market.ts'
import { lockRun } from '../../../db/walle/queries/runs.ts'
import type { Json } from '../../../strategies/api.ts'
import { lossesOf, markEquity, newWatch, type RiskWatch } from '../../greta/risk_watch.ts'
import type { Live } from '../../live/live.ts'
import type { Mark } from '../../veda/marks.ts'
import { haltBetweenTicks } from '../halt_commands.ts'
import { type Breach, checkHalt, type RiskLimits } from '../risk.ts'
import { createJumps, heldPrice } from './jumps.ts'

type LossJobs = Pick<Live, 'db' | 'record' | 'venues' | 'now' | 'newId' | 'log'>

export interface LossWatch {
  /** After the marks of these symbols have moved. */
  check(account: AccountName, marks: ReadonlyMap<string, Mark>, moved: readonly string[]): Promise<void>
}

export function createLossWatch(jobs: LossJobs): LossWatch {
  /**
   * Runs whose newest marks break a limit by quotes or trades, with the moments of these: one that is wrong must not halt a
   * run, nor may it because another symbol has moved since.
   */
  const suspected = new Map<string, Doubts>()
  const jumps = createJumps(jobs)
  return {
    async check(account, marks, moved) {
      for (const run of await runsAtRisk(jobs.db.reader, account, moved)) {
        const unsure = jumps.unsureOf(account, run, marks)
        const found = breachOf(run, marks, jobs.now(), { unsure })
        const doubts = suspected.get(run.id)
        const told = unsure.size === 0 ? null : breachOf(run, marks, jobs.now(), {})
        if (found === null && told !== null) await jumps.tell(run, unsure, told.breach.detail)
        if (found === null) suspected.delete(run.id)
        else if (found.isByBars || (doubts && breachOf(run, marks, jobs.now(), { doubts, unsure }) !== null)) {
          suspected.delete(run.id)
          await halt(jobs, account, run.id, { marks, moved, unsure })
        } else if (doubts === undefined)
          suspected.set(run.id, new Map([...marks].map(([symbol, { at }]) => [symbol, at])))
      }
    },
  }
}

/** By symbol, the moment of its mark when the suspicion arose. */
type Doubts = ReadonlyMap<string, number>

interface Found {
  breach: Breach
  watch: RiskWatch
  /** No quote or trade has a part in it. */
  isByBars: boolean
}

interface Reserve {
  doubts?: Doubts
  /** Symbols whose marks may be those of other shares than are held. */
  unsure?: ReadonlySet<string>
}

/**
 * Marks that are older than the newest tick of the run count for nothing: its closes are what is newest then. Nor do those
 * that are in doubt, until a newer one says the same.
 */
function breachOf(
  run: RunAtRisk,
  marks: ReadonlyMap<string, Mark>,
  now: number,
  { doubts = new Map(), unsure = new Set() }: Reserve,
): Found | null {
  const since = run.marked_at === null ? Number.NEGATIVE_INFINITY : Date.parse(run.marked_at)
  let equity = Number(run.cash)
  let isByBars = true
  for (const position of run.positions) {
    const { symbol, qty, price, is_unsure } = position
    const mark = marks.get(symbol)
    const isDoubted = mark !== undefined && mark.source !== 'bar' && doubts.get(symbol) === mark.at
    const counts = mark !== undefined && mark.at > since && !isDoubted && !is_unsure && !unsure.has(symbol)
    if (counts && mark.source !== 'bar') isByBars = false
    equity += Number(qty) * (counts ? heldPrice(run, position, mark.price) : Number(price))
  }
  const watch = structuredClone((run.risk_watch as unknown as RiskWatch | null) ?? newWatch(run.initial_cash))
  markEquity(watch, now, equity)
  const breach = checkHalt(run.risk as RiskLimits, lossesOf(watch, now))
  return breach && { breach, watch, isByBars }
}

/** Under the run's lock it is looked at once more: a fill may have changed what the run holds. */
async function halt(
  jobs: LossJobs,
  account: AccountName,
  runId: string,
  { marks, moved, unsure }: { marks: ReadonlyMap<string, Mark>; moved: readonly string[]; unsure: ReadonlySet<string> },
): Promise<void> {
  await jobs.db.write(async (tx) => {
    const run = await lockRun(tx, runId)
    const atRisk = run && (await runsAtRisk(tx, account, moved)).find(({ id }) => id === runId)
    const found = atRisk ? breachOf(atRisk, marks, jobs.now(), { unsure }) : null
    const ledger = found && (await getRunLedger(tx, runId))
    if (run === null || found === null || ledger === null) return
    const halted = haltBetweenTicks(run, jobs.newId(), found.breach, jobs.now())
    // With what it was halted for: who resumes the run begins anew from there.
    const saved = { ...ledger, risk_watch: found.watch as unknown as Json }
    await jobs.record(tx, { ...halted, writes: [{ kind: 'save_run_ledgers', rows: [saved] }, ...halted.writes] })
    jobs.log('warn', { run_id: runId, rule: found.breach.rule }, `the run is halted: ${found.breach.detail}`)
  })
}
