/** What of its position a run may still sell, or cover. Pure. */
import type { OrderRow, PositionRow, RunRow } from '../../../db/walle/rows.ts'
import { Decimal, ZERO } from '../../greta/decimals.ts'
import type { Holding } from '../checks.ts'

/**
 * `others`: the run's open orders that come before the one in question. Exits do not count: they make room for an order that
 * closes, and end with the position.
 */
export function holdingOf(
  run: Pick<RunRow, 'fill'>,
  { symbol, side }: Pick<OrderRow, 'symbol' | 'side'>,
  { position, others }: { position: Pick<PositionRow, 'qty'> | null; others: readonly OrderRow[] },
): Holding {
  const closing = others
    .filter((order) => order.symbol === symbol && order.side === side && order.parent_order_id === null)
    .reduce((sum, order) => sum.plus(order.qty).minus(order.filled_qty), ZERO)
  return {
    qty: new Decimal(position?.qty ?? '0').toString(),
    closing: closing.toString(),
    allowShort: run.fill.allow_short === true,
  }
}

/** What an order of that side can close of it. */
export function closableBy(side: OrderRow['side'], { qty, closing }: Holding): Decimal {
  const held = side === 'sell' ? new Decimal(qty) : new Decimal(qty).neg()
  const left = held.minus(closing)
  return left.gt(ZERO) ? left : ZERO
}
