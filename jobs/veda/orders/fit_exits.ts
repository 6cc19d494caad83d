/** What a run holds was changed by no order of its own: its orders and exits close no more than that. */
import type { Database } from '../../../db/database.ts'
import { claim } from '../../../db/events/claims.ts'
import type { LogEvent } from '../../../db/events/envelope.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { getEvent } from '../../../db/events/read.ts'
import type { TaskPayload } from '../../../db/events/tasks.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { getPosition, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { listOpenOrders } from '../../../db/walle/queries/orders.ts'
import { lockRun } from '../../../db/walle/queries/runs.ts'
import type { Job } from '../../attempt.ts'
import { closingTooMuch } from '../../greta/attribution.ts'
import type { Live } from '../../live/live.ts'
import { exitOutcome } from './exits.ts'
import { cancelOutcome } from './placing.ts'

type FitJobs = Pick<Live, 'record' | 'now'> & { db: Database }

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
      const open = how === 'transfer' ? closingTooMuch(await listOpenOrders(tx, run_id), event.payload) : []
      await jobs.record(tx, await cancelOutcome(tx, open, 'it would close more than the run holds', jobs.now()))
      const ledger = await getRunLedger(tx, run_id)
      const position = await getPosition(tx, run_id, symbol)
      // Any that has ended tells the same: exits are fitted to what is held, whatever ended.
      const all = await symbolOrders(tx, run_id, symbol)
      const ended =
        all.find(({ order }) => !isOpen(order.status)) ?? all.find(({ order }) => order.parent_order_id !== null)
      if (ledger !== null && ended?.send != null) {
        const { order, send } = ended
        const fitted = await exitOutcome(jobs, tx, { run, order, send, fills: [], ledger, position, fits: true })
        const outcome: Outcome = fitted.outcome
        await jobs.record(tx, {
          ...outcome,
          writes: [...outcome.writes, { kind: 'save_run_ledgers', rows: [fitted.ledger] }],
        })
      }
    }
    await job.finish(tx)
  })
}
