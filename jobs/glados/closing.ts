/** What it takes that a person gets out of a position: one order, and nothing of the run's own beside it. Pure. */
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { isByHand } from '../marvin/contract.ts'
import { isOwn, restOf } from './worst_case.ts'

type Open = Pick<
  OrderRow,
  'client_order_id' | 'symbol' | 'side' | 'order_type' | 'qty' | 'filled_qty' | 'parent_order_id'
> & { cancel_requested_at: string | null }

export type Closing<T extends Open = Open> =
  | { kind: 'nothing held' }
  /** It is open, and closes the position: no other is placed beside it. */
  | { kind: 'closing'; order: T }
  /** `inTheWay` is cancelled first: what it would sell is not there for two, what it would buy would come back, and venues refuse both sides at once. */
  | { kind: 'to close'; side: OrderRow['side']; qty: string; inTheWay: T[] }

/** `open`: the run's open orders. Exits attached to an entry make room by themselves, when the order that closes can leave. */
export function closingOf<T extends Open>(symbol: string, heldQty: string, open: readonly T[]): Closing<T> {
  const held = new Decimal(heldQty)
  if (held.eq(ZERO)) return { kind: 'nothing held' }
  const side = held.gt(ZERO) ? 'sell' : 'buy'
  const own = open.filter((order) => order.symbol === symbol && isOwn(order))
  const closes = (order: T) =>
    order.side === side &&
    order.cancel_requested_at === null &&
    (isByHand(order) || (order.order_type === 'market' && restOf(order).gte(held.abs())))
  const order = own.find(closes)
  if (order !== undefined) return { kind: 'closing', order }
  return { kind: 'to close', side, qty: held.abs().toString(), inTheWay: own }
}

/** The order that closes a position, at the market: at the venue's next opening where it is closed. */
export function closingIntent(
  order: Pick<PlaceIntent, 'client_order_id' | 'symbol' | 'side' | 'qty' | 'reason'>,
): PlaceIntent {
  return {
    ...order,
    kind: 'place',
    order_type: 'market',
    limit_price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: tradesAroundTheClock(order.symbol) ? 'gtc' : 'day',
    extended_hours: false,
    take_profit: null,
    stop_loss: null,
  }
}
