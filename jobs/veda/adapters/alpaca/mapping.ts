/** From Alpaca's words to Weaver's. Pure. */
import { ORDER_TYPES, type OrderType, TIMES_IN_FORCE, type TimeInForce } from '../../../../strategies/api.ts'
import { BASIS_POINT, Decimal, ZERO } from '../../../greta/decimals.ts'
import type { Execution, VenueAccount, VenueAsset, VenueOrder, VenuePosition, VenueStatus } from '../../venue.ts'
import { weaverSymbol } from './symbols.ts'
import type { WireAccount, WireActivity, WireAsset, WireOrder, WirePosition, WireUpdate } from './wire.ts'

/** Names of the venue's crypto assets. */
export type Pairs = readonly string[]

const ENDS: Readonly<Record<string, VenueStatus>> = {
  filled: 'filled',
  canceled: 'cancelled',
  expired: 'expired',
  rejected: 'rejected',
  replaced: 'replaced',
}

/** What is no known end is open: also `done_for_day`, which goes on the next day, and words that are not known yet. */
function statusOf(status: string, filledQty: string): VenueStatus {
  const end = ENDS[status]
  if (end !== undefined) return end
  if (new Decimal(filledQty).gt(ZERO)) return 'partial'
  return status === 'pending_new' ? 'pending' : 'accepted'
}

const known = <T extends string>(list: readonly T[], word: string | null, otherwise: T): T =>
  list.find((each) => each === word) ?? otherwise

export function orderOf(wire: WireOrder, pairs: Pairs): VenueOrder {
  const filled = wire.filled_qty ?? '0'
  const symbol = weaverSymbol(wire.symbol, wire.asset_class, pairs)
  return {
    exchange_order_id: wire.id,
    client_order_id: wire.client_order_id,
    symbol,
    side: wire.side,
    order_type: known<OrderType>(ORDER_TYPES, wire.type ?? wire.order_type, 'market'),
    // An order of somebody else's for an amount of money has no quantity until it is filled.
    qty: wire.qty ?? filled,
    limit_price: wire.limit_price,
    stop_price: wire.stop_price,
    trail_price: wire.trail_price,
    trail_percent: wire.trail_percent,
    time_in_force: known<TimeInForce>(TIMES_IN_FORCE, wire.time_in_force, 'day'),
    status: statusOf(wire.status, filled),
    filled_qty: filled,
    filled_avg_price: wire.filled_avg_price,
    // Its fills may have taken and made: the higher fee is counted.
    ...costOf(symbol, wire.side, filled, wire.filled_avg_price ?? '0', TAKER_BPS),
    reject_reason: null,
    replaced_by: wire.replaced_by,
    replaces: wire.replaces,
    submitted_at: wire.submitted_at,
    updated_at: wire.updated_at ?? wire.submitted_at ?? wire.created_at ?? 0,
  }
}

/**
 * Fees of the lowest tier, charged in what is received: no field of an order or a fill tells them, and the day's CFEE
 * activities come too late. When in doubt it is the higher one: a run must not hold more on record than there is, for it
 * could not sell that. What was kept less is found by comparing, and nobody's (`unsureFeeInKind`).
 */
export const TAKER_BPS = '25'
const MAKER_BPS = '15'
/** The most that is kept of a purchase, as a part of it. */
export const MOST_FEE_IN_KIND = new Decimal(TAKER_BPS).times(BASIS_POINT).toString()
/** A limit order that waited longer than this lay in the book: no venue takes so long to match one that does not. */
const RESTED_MS = 60_000
const QTY_PLACES = 9
const ROUND_UP = 3

type Fees = Pick<Execution, 'fee' | 'fee_qty'>

function costOf(symbol: string, side: 'buy' | 'sell', qty: string, price: string, bps: string): Fees {
  if (!symbol.includes('/')) return { fee: null, fee_qty: null }
  const rate = new Decimal(bps).times(BASIS_POINT)
  if (side === 'sell') return { fee: new Decimal(qty).times(price).times(rate).toString(), fee_qty: null }
  return { fee: null, fee_qty: new Decimal(qty).times(rate).round(QTY_PLACES, ROUND_UP).toString() }
}

function rateOf(order: Pick<VenueOrder, 'order_type' | 'submitted_at'> | null, at: number): string {
  const rested = order?.order_type === 'limit' && order.submitted_at !== null && at - order.submitted_at > RESTED_MS
  return rested ? MAKER_BPS : TAKER_BPS
}

const isFill = (event: string) => event === 'fill' || event === 'partial_fill'

/** The execution that an update tells of; null: it tells of none. */
export function updateExecution(update: WireUpdate, pairs: Pairs): Execution | null {
  const { event, execution_id, price, qty, timestamp } = update
  if (!isFill(event) || execution_id === null || price === null || qty === null) return null
  const order = orderOf(update.order, pairs)
  const at = timestamp ?? order.updated_at
  const { symbol, side } = order
  return {
    execution_id,
    exchange_order_id: order.exchange_order_id,
    client_order_id: order.client_order_id,
    symbol,
    side,
    qty,
    price,
    cum_qty: order.filled_qty,
    ...costOf(symbol, side, qty, price, rateOf(order, at)),
    at,
  }
}

/** `order`: the one that it belongs to; null: it could not be found. */
export function activityExecution(activity: WireActivity, order: VenueOrder | null, pairs: Pairs): Execution {
  const { qty, price, transaction_time: at } = activity
  // Activities name no class of asset: a pair of theirs may come without its slash.
  const assetClass = pairs.some((pair) => pair.replace('/', '') === activity.symbol) ? 'crypto' : null
  const symbol = order?.symbol ?? weaverSymbol(activity.symbol, assetClass, pairs)
  // `sell_short` is a sale too.
  const side = activity.side.startsWith('sell') ? 'sell' : 'buy'
  return {
    // `time::id`. Whether that is the stream's execution id is not documented: the cumulative quantity tells them apart.
    execution_id: activity.id.split('::').at(-1) as string,
    exchange_order_id: activity.order_id,
    client_order_id: order?.client_order_id ?? null,
    symbol,
    side,
    qty,
    price,
    cum_qty: activity.cum_qty,
    ...costOf(symbol, side, qty, price, rateOf(order, at)),
    at,
  }
}

export function positionOf(wire: WirePosition, pairs: Pairs): VenuePosition {
  const qty = new Decimal(wire.qty)
  return {
    symbol: weaverSymbol(wire.symbol, wire.asset_class, pairs),
    qty: (wire.side === 'short' ? qty.abs().neg() : qty).toString(),
    avg_price: wire.avg_entry_price,
  }
}

export function accountOf(wire: WireAccount): VenueAccount {
  const reasons = [
    wire.status === 'ACTIVE' ? null : `the account is ${wire.status}`,
    wire.account_blocked ? 'the account is blocked' : null,
    wire.trading_blocked ? 'trading is blocked' : null,
    wire.trade_suspended_by_user ? 'trading is suspended in the settings of the account' : null,
  ].filter((reason) => reason !== null)
  return {
    account_number: wire.account_number,
    currency: wire.currency ?? 'USD',
    cash: wire.cash,
    equity: wire.equity,
    buying_power: wire.buying_power,
    blocked: reasons.length === 0 ? null : reasons.join(', '),
  }
}

/** Dollars, asked of every order for coins, whatever the asset's `min_order_size` says. */
const CRYPTO_MIN_NOTIONAL = '10'
const DOLLARS = ['USD', 'USDT', 'USDC']
/** Dollars, asked of a purchase of shares. */
const EQUITY_MIN_PURCHASE = '1'
const FINEST = '0.000000001'
const EQUITY_INCREMENTS = [
  { below: '1', increment: '0.0001' },
  { below: null, increment: '0.01' },
]

export function assetOf(wire: WireAsset): VenueAsset {
  const crypto = wire.class === 'crypto'
  return {
    symbol: wire.symbol,
    asset_class: crypto ? 'crypto' : 'equity',
    tradable: wire.tradable && wire.status === 'active',
    fractionable: wire.fractionable,
    shortable: !crypto && wire.shortable,
    qty_increment: crypto ? (wire.min_trade_increment ?? FINEST) : wire.fractionable ? FINEST : '1',
    min_qty: crypto ? wire.min_order_size : null,
    price_increments: crypto ? [{ below: null, increment: wire.price_increment ?? FINEST }] : EQUITY_INCREMENTS,
    // What it is in coins of another quote only the venue knows.
    min_notional: crypto && DOLLARS.includes(wire.symbol.split('/')[1] ?? '') ? CRYPTO_MIN_NOTIONAL : null,
    min_purchase: crypto ? null : EQUITY_MIN_PURCHASE,
  }
}
