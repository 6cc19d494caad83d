/**
 * What a run's open orders may still make of a position: an order is judged as if all others on its side had filled before
 * it. Exits do not count: they end with the position, and make room for what closes it. Pure.
 */
import type { OrderRow } from '../../db/walle/rows.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'

export type OpenOrder = Pick<OrderRow, 'symbol' | 'side' | 'qty' | 'filled_qty' | 'parent_order_id'>
type Asked = Pick<PlaceIntent, 'symbol' | 'side' | 'qty'>

/** What the run's strategy, or a person, asked for: no exit. */
export function isOwn({ parent_order_id }: Pick<OpenOrder, 'parent_order_id'>): boolean {
  return parent_order_id === null
}

export function restOf({ qty, filled_qty }: Pick<OpenOrder, 'qty' | 'filled_qty'>): Decimal {
  return new Decimal(qty).minus(filled_qty)
}

/** The position after the order and all that is open on its side. */
export function worstPosition({ symbol, side, qty }: Asked, held: Decimal, open: readonly OpenOrder[]): Decimal {
  const traded = open
    .filter((order) => order.symbol === symbol && order.side === side && isOwn(order))
    .reduce((sum, order) => sum.plus(restOf(order)), new Decimal(qty))
  return side === 'buy' ? held.plus(traded) : held.minus(traded)
}

/** Whatever fills before it, the order only makes the position smaller. */
export function onlyCloses(asked: Asked, held: Decimal, open: readonly OpenOrder[]): boolean {
  if (asked.side === 'buy' ? held.gte(ZERO) : held.lte(ZERO)) return false
  return worstPosition(asked, held, open).times(held).gte(ZERO)
}
