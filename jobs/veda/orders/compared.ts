/**
 * Of shares nothing goes out on knowledge that is older than what may have changed its meaning. An exit that the venue ended,
 * a stop that the price has gone through, a take profit that it has reached: each may be a split, after which the same price
 * means another thing. So it leaves when its account was compared after that, and its symbol found in order.
 */
import type { WriteTx } from '../../../db/database.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { tradesAroundTheClock } from '../../../db/walle/calendar/calendar.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { lockAccount } from '../../../db/walle/queries/accounts.ts'
import { type Hindrance, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { follows, madeWay } from '../exits.ts'
import type { LockedOrder } from './reports.ts'

/** The moment after which its account must have been compared, ISO 8601; null: it need not. */
export async function toCompareAfter(tx: WriteTx, { order, send }: LockedOrder): Promise<string | null> {
  if (order.parent_order_id === null || tradesAroundTheClock(order.symbol)) return null
  const legs = await symbolOrders(tx, order.run_id, order.symbol)
  const ends = legs
    .filter((leg) => follows(order.client_order_id, leg.order.client_order_id) && !isOpen(leg.order.status))
    .filter((leg) => !madeWay({ cancelReason: leg.send?.cancel_reason ?? null }))
    .flatMap((leg) => leg.order.closed_at ?? [])
  // Refused as passed by the call before this one.
  if (send.at_market && send.last_sent_at !== null) ends.push(send.last_sent_at)
  return ends.length === 0 ? null : new Date(Math.max(...ends.map((end) => Date.parse(end)))).toISOString()
}

export function isComparedAfter({ equal_at }: Pick<Hindrance, 'equal_at'>, moment: string): boolean {
  return equal_at !== null && Date.parse(equal_at) >= Date.parse(moment)
}

/** Its keeper is asked to compare the account now, once for that moment. */
export async function askToCompare(
  tx: WriteTx,
  { exchange, mode }: Pick<LockedOrder['send'], 'exchange' | 'mode'>,
  moment: string,
  now: number,
): Promise<Outcome> {
  const account = await lockAccount(tx, { exchange, mode })
  const asked = account?.reconcile_requested_at ?? null
  if (account === null || (asked !== null && Date.parse(asked) >= Date.parse(moment))) return { writes: [], events: [] }
  await tx.execute(`select pg_notify('weaver_account', '')`)
  const reconcile_requested_at = new Date(Math.max(now, Date.parse(moment))).toISOString()
  return { writes: [{ kind: 'save_accounts', rows: [{ ...account, reconcile_requested_at }] }], events: [] }
}
