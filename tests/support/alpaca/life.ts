/** What the emulated venue does of itself, with an order that comes and as time goes by. */
import { Decimal } from '../../../jobs/greta/decimals.ts'
import { type Book, type EmulatedOrder, isOpen, leaves } from './book.ts'
import type { Market } from './market.ts'
import { meets } from './routes.ts'

export interface Life {
  begin(order: EmulatedOrder): void
  cancel(order: EmulatedOrder): void
  /** Brings all orders up to now. */
  look(): void
  autoFill: boolean
  /** The most of one fill; null: all at once. */
  part: string | null
  keepsCancels: boolean
}

const least = (qty: Decimal, part: string | null) => (part !== null && qty.gt(part) ? new Decimal(part) : qty)
const isImmediate = ({ time_in_force: time }: EmulatedOrder) => time === 'ioc' || time === 'fok'

export function createLife(book: Book, market: Market, now: () => number): Life {
  const isShare = (order: EmulatedOrder) => order.asset.class === 'us_equity'
  const trades = (order: EmulatedOrder) => {
    if (market.halted.has(order.symbol)) return false
    return !isShare(order) || market.isOpen() || (order.extended_hours && market.isExtended())
  }
  const fill = (order: EmulatedOrder, price: string) => {
    while (isOpen(order)) book.fill(order, least(leaves(order), life.part), price)
  }
  const match = (order: EmulatedOrder) => {
    const price = book.prices.get(order.symbol)
    if (!life.autoFill || price === undefined || !isOpen(order)) return
    if (trades(order) && meets(order, price)) fill(order, price)
    else if (isImmediate(order)) book.end(order, 'canceled')
  }
  /** An auction takes all that meets its price, and cancels the rest. */
  const auction = (order: EmulatedOrder, at: number) => {
    const price = book.prices.get(order.symbol)
    if (now() < at) return
    if (life.autoFill && price !== undefined && meets(order, price)) fill(order, price)
    else book.end(order, 'canceled')
  }
  const age = (order: EmulatedOrder) => {
    if (!isOpen(order)) return
    if (!isShare(order)) return match(order)
    const session = market.sessionOf(order.submitted_at, order.time_in_force === 'opg' ? 'open' : 'close')
    if (session === null) return match(order)
    if (order.time_in_force === 'opg') return auction(order, session.open)
    if (order.time_in_force === 'cls') return auction(order, session.close)
    match(order)
    const isOver = now() >= (order.extended_hours ? market.extendedEnd(order.submitted_at) : session.close)
    if (isOpen(order) && isOver && order.time_in_force === 'day') book.end(order, 'expired')
  }
  const life: Life = {
    autoFill: false,
    part: null,
    keepsCancels: false,
    begin(order) {
      book.tell(order, 'pending_new')
      // A day's order that comes outside of the session waits for it.
      if (isShare(order) && !market.isOpen()) order.status = 'accepted'
      else book.tell(order, 'new', 'new')
      if (order.time_in_force !== 'opg' && order.time_in_force !== 'cls') match(order)
    },
    cancel(order) {
      if (life.keepsCancels) book.tell(order, 'pending_cancel', 'pending_cancel')
      else book.end(order, 'canceled')
    },
    look: () => {
      for (const order of book.orders) age(order)
    },
  }
  return life
}
