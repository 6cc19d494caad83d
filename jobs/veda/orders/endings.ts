/** What Weaver itself says of an order on its way: that it was sent, that it ended without having been at its venue. */
import type { WriteTx } from '../../../db/database.ts'
import { venueEventId } from '../../../db/events/ids.ts'
import type { OrderSendRow } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import type { Live } from '../../live/live.ts'
import type { OrderBody } from '../reports.ts'
import { type LockedOrder, ordersChange } from './reports.ts'

type EndingJobs = Pick<Live, 'now' | 'newId' | 'log'>

export function ended(order: OrderRow, type: 'orders.Cancelled', reason: string): OrderBody {
  const payload = { order_id: order.id, client_order_id: order.client_order_id, reason }
  return { id: venueEventId(order.run_id, order.client_order_id, 'given-up'), type, payload }
}

/** Nothing of the order is at the venue, and it ends here. */
export async function endOutcome(
  jobs: EndingJobs,
  tx: WriteTx,
  locked: LockedOrder,
  body: OrderBody,
): Promise<Outcome> {
  const send: OrderSendRow = { ...locked.send, state: 'answered' }
  const { outcome } = await changeOf(jobs, tx, { ...locked, send }, [body])
  return { ...outcome, writes: [{ kind: 'save_order_sends', rows: [send] }, ...outcome.writes] }
}

export async function rejectOutcome(
  jobs: EndingJobs,
  tx: WriteTx,
  locked: LockedOrder,
  reason: string,
  detail: string,
): Promise<Outcome> {
  const { order } = locked
  const payload = { order_id: order.id, client_order_id: order.client_order_id, reason, rule: null, detail }
  const id = venueEventId(order.run_id, order.client_order_id, 'rejected')
  return endOutcome(jobs, tx, locked, { id, type: 'orders.Rejected', payload })
}

export async function changeOf(jobs: EndingJobs, tx: WriteTx, locked: LockedOrder, bodies: OrderBody[]) {
  const ledger = await getRunLedger(tx, locked.run.id)
  if (ledger === null) throw new Error(`the run ${locked.run.id} has no ledger: it was never started`)
  return ordersChange(jobs, tx, locked, bodies, ledger)
}
