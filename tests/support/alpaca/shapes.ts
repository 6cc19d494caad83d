/** Orders, positions, activities and the account as the venue writes them: numbers as text, times with nanoseconds. */
import { Decimal, ZERO } from '../../../jobs/greta/decimals.ts'
import {
  type Book,
  type EmulatedFill,
  type EmulatedOrder,
  type EmulatedPosition,
  type EmulatedUpdate,
  leaves,
} from './book.ts'
import { buyingPower } from './rules.ts'

/** Beyond the milliseconds that the emulator counts in. */
const NANOS = '456789'
export const SUBMITTED_FRACTION = 0.456789

export const zulu = (at: number): string => new Date(at).toISOString().replace('Z', `${NANOS}Z`)
/** The same moment as New York's clocks show it in winter. */
export const offset = (at: number): string => new Date(at - 5 * 3_600_000).toISOString().replace('Z', `${NANOS}-05:00`)

type Times = (at: number) => string

export function orderShape(order: EmulatedOrder, time: Times = zulu): Record<string, unknown> {
  const legs = order.order_class === 'mleg'
  const ended = (status: string) => (order.status === status && order.ended_at !== null ? zulu(order.ended_at) : null)
  return {
    id: order.id,
    client_order_id: order.client_order_id,
    created_at: time(order.submitted_at),
    updated_at: time(order.updated_at),
    submitted_at: time(order.submitted_at),
    filled_at: order.filled_qty.gt(ZERO) ? zulu(order.updated_at) : null,
    expired_at: ended('expired'),
    canceled_at: ended('canceled'),
    failed_at: ended('rejected'),
    replaced_at: ended('replaced'),
    replaced_by: order.replaced_by,
    replaces: order.replaces,
    asset_id: legs ? '' : order.asset.id,
    symbol: legs ? '' : order.symbol,
    asset_class: legs ? '' : order.asset.class,
    notional: null,
    qty: order.qty.toString(),
    filled_qty: order.filled_qty.toString(),
    filled_avg_price: order.filled_qty.gt(ZERO) ? order.paid.div(order.filled_qty).toString() : null,
    order_class: order.order_class ?? (order.asset.class === 'crypto' ? '' : 'simple'),
    order_type: order.type,
    type: order.type,
    side: legs ? '' : order.side,
    time_in_force: order.time_in_force,
    limit_price: order.limit_price,
    stop_price: order.stop_price,
    status: order.status,
    extended_hours: order.extended_hours,
    legs: null,
    trail_percent: order.trail_percent,
    trail_price: order.trail_price,
    hwm: null,
    subtag: null,
    source: null,
  }
}

export function updateShape({ event, order, fill, at }: EmulatedUpdate): Record<string, unknown> {
  const common = { event, order: orderShape(order, offset), timestamp: zulu(at) }
  if (fill === null) return { ...common, execution_id: event === 'pending_new' ? null : `${order.id}-${event}` }
  return {
    ...common,
    execution_id: fill.execution_id,
    price: fill.price.toString(),
    qty: fill.qty.toString(),
    position_qty: fill.position_qty.toString(),
  }
}

export function activityShape(fill: EmulatedFill): Record<string, unknown> {
  const { order } = fill
  return {
    id: fill.activity_id,
    activity_type: 'FILL',
    transaction_time: zulu(fill.at),
    type: fill.leaves_qty.gt(ZERO) ? 'partial_fill' : 'fill',
    price: fill.price.toString(),
    qty: fill.qty.toString(),
    side: order.side,
    symbol: order.symbol,
    leaves_qty: fill.leaves_qty.toString(),
    order_id: order.id,
    cum_qty: fill.cum_qty.toString(),
    order_status: fill.leaves_qty.gt(ZERO) ? 'partially_filled' : 'filled',
  }
}

/** A coin's symbol is without its slash here, and its asset is another than in the list of assets. */
export function positionShape(book: Book, { asset, qty, avg_price }: EmulatedPosition): Record<string, unknown> {
  const crypto = asset.class === 'crypto'
  const price = book.prices.get(asset.symbol) ?? avg_price
  const selling = book.orders
    .filter((order) => order.symbol === asset.symbol && order.side === 'sell' && order.ended_at === null)
    .reduce((sum, order) => sum.plus(leaves(order)), ZERO)
  return {
    asset_id: crypto ? asset.id.replace('b0b6dd9d', '276e2673') : asset.id,
    symbol: asset.symbol.replace('/', ''),
    exchange: asset.exchange,
    asset_class: asset.class,
    asset_marginable: asset.marginable,
    qty: qty.toString(),
    avg_entry_price: avg_price,
    side: qty.lt(ZERO) ? 'short' : 'long',
    market_value: qty.times(price).toString(),
    cost_basis: qty.times(avg_price).toString(),
    unrealized_pl: qty.times(new Decimal(price).minus(avg_price)).toString(),
    unrealized_plpc: '0',
    current_price: price,
    lastday_price: price,
    change_today: '0',
    qty_available: qty.minus(selling).toString(),
  }
}

export function accountShape(
  book: Book,
  number: string,
  blocked: Partial<Record<string, boolean>>,
): Record<string, unknown> {
  const worth = [...book.positions.values()].reduce(
    (sum, { asset, qty, avg_price }) => sum.plus(qty.times(book.prices.get(asset.symbol) ?? avg_price)),
    ZERO,
  )
  const power = buyingPower(book).toString()
  return {
    id: '904837e3-3b76-47ec-b432-046db621571b',
    account_number: number,
    status: 'ACTIVE',
    crypto_status: 'ACTIVE',
    currency: 'USD',
    cash: book.cash.toString(),
    equity: book.cash.plus(worth).toString(),
    portfolio_value: book.cash.plus(worth).toString(),
    buying_power: power,
    non_marginable_buying_power: power,
    regt_buying_power: power,
    trading_blocked: false,
    transfers_blocked: false,
    account_blocked: false,
    trade_suspended_by_user: false,
    shorting_enabled: true,
    multiplier: '2',
    created_at: '2026-01-02T15:04:05.123456Z',
    ...blocked,
  }
}
