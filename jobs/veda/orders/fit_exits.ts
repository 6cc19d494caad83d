/**
 * What a run holds was changed by no order of its own: its orders and exits close no more than that, at prices that mean what
 * they meant. Where it may be in other shares than the venue's, nothing of the run's stays open until somebody has said so.
 */
import type { Database, WriteTx } from '../../../db/database.ts'
import { claim } from '../../../db/events/claims.ts'
import type { LogEvent } from '../../../db/events/envelope.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { getEvent } from '../../../db/events/read.ts'
import type { TaskPayload } from '../../../db/events/tasks.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { getPosition, isPausedAsSplit, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { listOpenOrders } from '../../../db/walle/queries/orders.ts'
import { lockRun } from '../../../db/walle/queries/runs.ts'
import type { OrderRow, RunRow } from '../../../db/walle/rows.ts'
import type { Job } from '../../attempt.ts'
import { closingTooMuch } from '../../greta/attribution.ts'
import { isSplit, splitSince, splitsOf } from '../../greta/splits.ts'
import type { Live } from '../../live/live.ts'
import { SPLIT } from '../exits.ts'
import { exitOutcome } from './exits.ts'
import { cancelOutcome } from './placing.ts'

type FitJobs = Pick<Live, 'record' | 'now'> & { db: Database }

/** After what was attributed to the run. */
export async function fitExits(
  jobs: FitJobs,
  { run_id, event_id }: TaskPayload<'veda.fit_exits'>,
  job: Pick<Job, 'finish'>,
): Promise<void> {
  await jobs.db.write(async (tx) => {
    const run = await lockRun(tx, run_id)
    if (run !== null && (await claim(tx, 'veda.fit_exits', event_id))) {
      const event = (await getEvent(tx, event_id)) as LogEvent | null
      if (event?.type !== 'account.PositionAttributed') throw new Error(`the event ${event_id} attributes nothing`)
      const { symbol, how } = event.payload
      const tooMuch = how === 'transfer' ? closingTooMuch(await listOpenOrders(tx, run_id), event.payload) : []
      await jobs.record(tx, await cancelOutcome(tx, tooMuch, 'it would close more than the run holds', jobs.now()))
      await fitToHeld(jobs, tx, run, symbol)
    }
    await job.finish(tx)
  })
}

/** When a symbol has begun to look like a split, and when it is in order again. Goes by what is so now, however often it comes. */
export async function fitSymbol(
  jobs: FitJobs,
  { run_id, symbol }: TaskPayload<'veda.fit_symbol'>,
  job: Pick<Job, 'finish'>,
): Promise<void> {
  await jobs.db.write(async (tx) => {
    const run = await lockRun(tx, run_id)
    if (run !== null && (await isPausedAsSplit(tx, run, symbol))) {
      const open = (await listOpenOrders(tx, run_id)).filter((order) => order.symbol === symbol)
      await jobs.record(tx, await cancelOutcome(tx, open, SPLIT, jobs.now()))
    } else if (run !== null) await fitToHeld(jobs, tx, run, symbol)
    await job.finish(tx)
  })
}

async function fitToHeld(jobs: FitJobs, tx: WriteTx, run: RunRow, symbol: string): Promise<void> {
  const ledger = await getRunLedger(tx, run.id)
  if (ledger === null) return
  // Of before a split that was applied. Exits are seen to below.
  const isOutdated = (order: OrderRow) =>
    order.symbol === symbol && order.parent_order_id === null && isSplit(splitSince(splitsOf(ledger), order))
  const outdated = (await listOpenOrders(tx, run.id)).filter(isOutdated)
  await jobs.record(tx, await cancelOutcome(tx, outdated, SPLIT, jobs.now()))
  const position = await getPosition(tx, run.id, symbol)
  // Any that has ended tells the same: exits are fitted to what is held, whatever ended.
  const all = await symbolOrders(tx, run.id, symbol)
  const ended =
    all.find(({ order }) => !isOpen(order.status)) ?? all.find(({ order }) => order.parent_order_id !== null)
  if (ended?.send == null) return
  const { order, send } = ended
  const fitted = await exitOutcome(jobs, tx, { run, order, send, fills: [], ledger, position, fits: true })
  const outcome: Outcome = fitted.outcome
  await jobs.record(tx, {
    ...outcome,
    writes: [...outcome.writes, { kind: 'save_run_ledgers', rows: [fitted.ledger] }],
  })
}
