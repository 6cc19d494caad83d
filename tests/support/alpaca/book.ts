/** An account at the emulated venue: its orders, money and positions, and what happens to them. Nothing here does I/O. */
import { randomUUID } from 'node:crypto'
import { Decimal, ZERO } from '../../../jobs/greta/decimals.ts'
import { ASSETS, assetNamed, type EmulatedAsset } from './assets.ts'
import { notFound } from './errors.ts'

export type EmulatedStatus =
  | 'pending_new'
  | 'accepted'
  | 'new'
  | 'held'
  | 'partially_filled'
  | 'filled'
  | 'done_for_day'
  | 'canceled'
  | 'expired'
  | 'replaced'
  | 'rejected'
  | 'pending_cancel'
  | 'suspended'
  | (string & {})

export interface EmulatedOrder {
  id: string
  client_order_id: string
  symbol: string
  asset: EmulatedAsset
  side: 'buy' | 'sell'
  type: string
  qty: Decimal
  limit_price: string | null
  stop_price: string | null
  trail_price: string | null
  trail_percent: string | null
  time_in_force: string
  extended_hours: boolean
  /** Options, several at a time: the order itself has neither a symbol nor a side. */
  order_class?: 'mleg'
  status: EmulatedStatus
  filled_qty: Decimal
  /** Price times quantity of its fills. */
  paid: Decimal
  replaced_by: string | null
  replaces: string | null
  submitted_at: number
  updated_at: number
  ended_at: number | null
}

export interface EmulatedFill {
  execution_id: string
  activity_id: string
  order: EmulatedOrder
  qty: Decimal
  price: Decimal
  cum_qty: Decimal
  leaves_qty: Decimal
  position_qty: Decimal
  at: number
}

export interface EmulatedUpdate {
  event: string
  order: EmulatedOrder
  fill: EmulatedFill | null
  at: number
}

export interface EmulatedPosition {
  asset: EmulatedAsset
  qty: Decimal
  avg_price: string
}

const ENDED: readonly string[] = ['filled', 'canceled', 'expired', 'replaced', 'rejected']
export const isOpen = ({ status }: EmulatedOrder): boolean => !ENDED.includes(status)
export const leaves = (order: EmulatedOrder): Decimal => order.qty.minus(order.filled_qty)
const TAKER = new Decimal('0.0025')
const MAKER = new Decimal('0.0015')
/** A limit order that lay in the book so long made the market. */
const RESTED_MS = 1_000

export interface Book {
  readonly assets: EmulatedAsset[]
  readonly orders: EmulatedOrder[]
  readonly fills: EmulatedFill[]
  readonly positions: Map<string, EmulatedPosition>
  cash: Decimal
  /** Prices of the market, by symbol. */
  readonly prices: Map<string, string>
  /** Activities of fills have ids that have nothing to do with those of the stream: no document says that they have. */
  strangeActivityIds: boolean
  onUpdate: (update: EmulatedUpdate) => void
  asset(name: string): EmulatedAsset | undefined
  order(idOrClientId: string): EmulatedOrder
  position(symbol: string): Decimal
  place(
    order: Omit<EmulatedOrder, 'id' | 'filled_qty' | 'paid' | 'submitted_at' | 'updated_at' | 'ended_at'>,
  ): EmulatedOrder
  tell(order: EmulatedOrder, event: string, status?: EmulatedStatus): void
  fill(order: EmulatedOrder, qty: Decimal, price: string): EmulatedFill
  end(order: EmulatedOrder, status: 'canceled' | 'expired' | 'rejected' | 'replaced' | 'done_for_day'): void
  setPosition(symbol: string, qty: string, avgPrice: string): void
}

export function createBook(now: () => number): Book {
  const orders: EmulatedOrder[] = []
  const positions = new Map<string, EmulatedPosition>()
  let lastAt = 0
  // Moments differ, so that lists have an order.
  const moment = () => {
    lastAt = Math.max(now(), lastAt + 1)
    return lastAt
  }
  const book: Book = {
    assets: ASSETS.map((asset) => ({ ...asset })),
    orders,
    fills: [],
    positions,
    cash: new Decimal('100000'),
    prices: new Map(),
    strangeActivityIds: false,
    onUpdate: () => {},
    asset: (name) => assetNamed(book.assets, name),
    order(id) {
      const order = orders.find((each) => each.id === id || each.client_order_id === id)
      if (!order) throw notFound(`order not found for ${id}`)
      return order
    },
    position: (symbol) => positions.get(symbol)?.qty ?? ZERO,
    place(asked) {
      const at = moment()
      const order = {
        ...asked,
        id: randomUUID(),
        filled_qty: ZERO,
        paid: ZERO,
        submitted_at: at,
        updated_at: at,
        ended_at: null,
      }
      orders.push(order)
      return order
    },
    tell(order, event, status) {
      order.updated_at = moment()
      if (status !== undefined) order.status = status
      book.onUpdate({ event, order: { ...order }, fill: null, at: order.updated_at })
    },
    fill(order, qty, price) {
      const at = moment()
      order.filled_qty = order.filled_qty.plus(qty)
      order.paid = order.paid.plus(qty.times(price))
      order.updated_at = at
      if (leaves(order).lte(ZERO)) Object.assign(order, { status: 'filled', ended_at: at })
      else if (isOpen(order)) order.status = 'partially_filled'
      settle(book, order, qty, price, at)
      const executionId = randomUUID()
      const activityId = book.strangeActivityIds ? randomUUID() : executionId
      const fill: EmulatedFill = {
        execution_id: executionId,
        activity_id: `${new Date(at).toISOString().replace(/\D/g, '')}::${activityId}`,
        order,
        qty,
        price: new Decimal(price),
        cum_qty: order.filled_qty,
        leaves_qty: leaves(order),
        position_qty: book.position(order.symbol),
        at,
      }
      book.fills.push(fill)
      book.onUpdate({ event: leaves(order).lte(ZERO) ? 'fill' : 'partial_fill', order: { ...order }, fill, at })
      return fill
    },
    end(order, status) {
      if (status !== 'done_for_day') order.ended_at = moment()
      book.tell(order, status, status)
    },
    setPosition(symbol, qty, avgPrice) {
      const asset = book.asset(symbol)
      if (!asset) throw notFound(`asset not found for ${symbol}`)
      if (new Decimal(qty).eq(ZERO)) positions.delete(asset.symbol)
      else positions.set(asset.symbol, { asset, qty: new Decimal(qty), avg_price: avgPrice })
    },
  }
  return book
}

/** Money and position after a fill; a crypto fee is kept of what is received. */
function settle(book: Book, order: EmulatedOrder, qty: Decimal, price: string, at: number): void {
  const { symbol, asset, side } = order
  const money = qty.times(price)
  const rate =
    asset.class !== 'crypto' ? ZERO : order.type === 'limit' && at - order.submitted_at > RESTED_MS ? MAKER : TAKER
  const received = side === 'buy' ? qty.minus(qty.times(rate).round(9, 3)) : qty.neg()
  book.cash = side === 'buy' ? book.cash.minus(money) : book.cash.plus(money.minus(money.times(rate)))
  const held = book.positions.get(symbol)
  const before = held?.qty ?? ZERO
  const after = before.plus(received)
  if (after.eq(ZERO)) {
    book.positions.delete(symbol)
    return
  }
  const grows = before.times(received).gte(ZERO)
  const turned = before.times(after).lt(ZERO)
  const average = grows
    ? before
        .abs()
        .times(held?.avg_price ?? '0')
        .plus(received.abs().times(price))
        .div(after.abs())
        .toString()
    : turned
      ? price
      : (held?.avg_price ?? price)
  book.positions.set(symbol, { asset, qty: after, avg_price: average })
}

/** Parts of a share are kept. */
export function splitBook(
  book: Book,
  symbol: string,
  { fresh, old }: { fresh: number; old: number },
  orders: 'cancel' | 'adjust' | 'leave',
): void {
  const more = (qty: Decimal) => qty.times(fresh).div(old)
  const less = (price: string | null) => price && new Decimal(price).times(old).div(fresh).toString()
  const held = book.positions.get(symbol)
  if (held !== undefined) {
    book.positions.set(symbol, { ...held, qty: more(held.qty), avg_price: less(held.avg_price) as string })
  }
  const price = book.prices.get(symbol)
  if (price !== undefined) book.prices.set(symbol, less(price) as string)
  for (const order of book.orders.filter((one) => one.symbol === symbol && isOpen(one))) {
    if (orders === 'cancel') book.end(order, 'canceled')
    if (orders === 'adjust') {
      const { qty, limit_price, stop_price } = order
      Object.assign(order, { qty: more(qty), limit_price: less(limit_price), stop_price: less(stop_price) })
      book.tell(order, 'restated')
    }
  }
}
