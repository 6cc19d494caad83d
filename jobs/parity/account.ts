/** A paper or live run's account and orders as its log tells them, event by event: what its strategy was shown. Pure. */

import type { LogEvent } from '../../db/events/envelope.ts'
import { isOpen } from '../../db/events/order_state.ts'
import { isFillEvent } from '../../db/walle/projections/fills.ts'
import { evolveOrder, type OrderEvent } from '../../db/walle/projections/orders.ts'
import type { OrderWithParent } from '../../db/walle/queries/live_views.ts'
import type { OrderRow, PositionRow, RunRow } from '../../db/walle/rows.ts'
import { bookLedger } from '../greta/attribution.ts'
import { Decimal } from '../greta/decimals.ts'
import { applyFill, averagePrice, openLedger } from '../greta/ledger.ts'
import type { AppliedSplit } from '../greta/splits.ts'
import type { Account } from '../live/view.ts'

export interface ReplayAccount {
  apply(event: OrderEvent): void
  attribute(event: Extract<LogEvent, { type: 'account.PositionAttributed' }>): void
  order(id: string): OrderWithParent | null
  orders(): OrderRow[]
  now(): Account
}

/** `symbols`: those ever traded, in the order in which the run's account adds them up. */
export function createReplayAccount(run: RunRow, symbols: readonly string[]): ReplayAccount {
  const ledger = openLedger(run.initial_cash, run.symbols.length)
  const traded = new Set<string>()
  const orders = new Map<string, OrderRow>()
  const open = new Map<string, OrderRow>()
  const splits: AppliedSplit[] = []

  const withParent = (order: OrderRow): OrderWithParent => {
    const parent = order.parent_order_id === null ? undefined : orders.get(order.parent_order_id)
    return { ...order, parent_client_order_id: parent?.client_order_id ?? null }
  }

  const book = (event: OrderEvent): void => {
    if (!isFillEvent(event)) return
    const { symbol, side, qty, fee_qty, price, fee } = event.payload
    const received = new Decimal(qty).minus(fee_qty)
    const signed = side === 'buy' ? received : received.neg()
    applyFill(ledger, run.symbols.indexOf(symbol), signed, new Decimal(price), new Decimal(fee))
    traded.add(symbol)
  }

  const positionOf = (symbol: string): PositionRow => {
    const position = ledger.positions[run.symbols.indexOf(symbol)]
    if (position === undefined) throw new RangeError(`the run does not trade ${symbol}`)
    return {
      ...{ run_id: run.id, symbol, last_price: null },
      qty: position.qty.toString(),
      avg_price: averagePrice(position).toString(),
      realised_pnl: position.realised.toString(),
      cost: position.cost.toString(),
    }
  }

  return {
    apply(event) {
      const { order_id } = event.payload
      const row = evolveOrder(orders.get(order_id) ?? null, event)
      if (row === null) return
      orders.set(order_id, row)
      if (isOpen(row.status)) open.set(order_id, row)
      else open.delete(order_id)
      book(event)
    },
    attribute({ payload }) {
      const { symbol, ratio } = payload
      bookLedger(ledger, run.symbols.indexOf(symbol), payload)
      traded.add(symbol)
      if (ratio !== null) splits.push({ symbol, ...ratio, next_order: orders.size })
    },
    order(id) {
      const row = orders.get(id)
      return row === undefined ? null : withParent(row)
    },
    orders: () => [...orders.values()],
    now: () => ({
      cash: ledger.cash.toString(),
      positions: symbols.filter((symbol) => traded.has(symbol)).map(positionOf),
      orders: [...open.values()].sort((one, other) => one.ordinal - other.ordinal).map(withParent),
      splits: [...splits],
    }),
  }
}
