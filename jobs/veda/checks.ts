/**
 * What is known of a venue and its asset before anything is sent: an order that the venue is known to refuse is refused
 * here, in words. Pure.
 */
import type { OrderRow } from '../../db/walle/rows.ts'
import type { OrderType, PlaceIntent, TimeInForce } from '../../strategies/api.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import type { AssetClass, OrderToSend, VenueAsset, VenueFeatures } from './venue.ts'

export interface VenueRefusal {
  reason: 'unsupported' | 'invalid_order' | 'short_not_allowed'
  rule: string
  detail: string
}

/** What the run holds in the symbol, and what of it is spoken for. */
export interface Holding {
  qty: string
  /** The run's other open orders that would sell (or cover) what it holds. */
  closing: string
  /** The run may sell what it does not hold. */
  allowShort: boolean
}

export function assetClassOf(symbol: string): AssetClass {
  return symbol.includes('/') ? 'crypto' : 'equity'
}

/** `asset` null: the venue could not be asked, so that it will have to refuse by itself. */
export function checkVenue(
  intent: PlaceIntent,
  features: VenueFeatures,
  asset: VenueAsset | null,
  holding: Holding,
): VenueRefusal | null {
  return (
    checkFeatures(intent, features) ??
    (asset === null ? null : checkAsset(intent, asset, features)) ??
    checkExits(intent, features) ??
    checkShort(intent, features, asset, holding)
  )
}

const refuse = (reason: VenueRefusal['reason'], rule: string, detail: string): VenueRefusal => ({
  reason,
  rule,
  detail,
})

function checkFeatures(intent: PlaceIntent, features: VenueFeatures): VenueRefusal | null {
  const kind = assetClassOf(intent.symbol)
  const types = features.orderTypes[kind]
  if (!types.includes(intent.order_type)) {
    return refuse(
      'unsupported',
      'order_type',
      `the venue takes no ${intent.order_type} orders for ${kind}: ${listed(types)}`,
    )
  }
  const times = features.timeInForce[kind]
  if (!times.includes(intent.time_in_force)) {
    const detail = `the venue does not know ${intent.time_in_force} for ${kind}: ${listed(times)}`
    return refuse('unsupported', 'time_in_force', detail)
  }
  if (intent.extended_hours) {
    if (!features.extendedHours) return refuse('unsupported', 'extended_hours', 'the venue has no extended hours')
    if (intent.order_type !== 'limit' || intent.time_in_force !== 'day') {
      return refuse('unsupported', 'extended_hours', 'extended hours take only limit orders for the day')
    }
  }
  return checkFraction(intent.symbol, intent.qty, intent.time_in_force, features)
}

function checkFraction(
  symbol: string,
  qty: string,
  timeInForce: TimeInForce,
  features: VenueFeatures,
): VenueRefusal | null {
  if (new Decimal(qty).mod(1).eq(ZERO)) return null
  const kind = assetClassOf(symbol)
  const times = features.fractional[kind]
  if (times.includes(timeInForce)) return null
  const which = times.length === 0 ? 'it takes whole quantities only' : `parts of a unit only ${listed(times)}`
  return refuse('unsupported', 'fractional', `the venue does not take ${qty} ${symbol} ${timeInForce}: ${which}`)
}

const listed = (values: readonly string[]) => (values.length === 0 ? 'none' : values.join(', '))

function checkAsset(intent: PlaceIntent, asset: VenueAsset, features: VenueFeatures): VenueRefusal | null {
  const { symbol, qty } = intent
  if (!asset.tradable) return refuse('unsupported', 'tradable', `${symbol} cannot be traded at the venue now`)
  const whole = new Decimal(qty).mod(1).eq(ZERO)
  if (!whole && !asset.fractionable) {
    return refuse('invalid_order', 'fractional', `${symbol} is traded in whole quantities, not ${qty}`)
  }
  if (asset.qty_increment !== null && !isMultiple(qty, asset.qty_increment)) {
    return refuse('invalid_order', 'qty_increment', `qty ${qty} is not a multiple of ${asset.qty_increment}`)
  }
  if (asset.min_qty !== null && new Decimal(qty).lt(asset.min_qty)) {
    return refuse('invalid_order', 'min_qty', `qty ${qty} is below ${asset.min_qty}, the least of ${symbol}`)
  }
  const price = intent.limit_price ?? intent.stop_price
  if (asset.min_notional !== null && price !== null && new Decimal(qty).times(price).lt(asset.min_notional)) {
    const detail = `${new Decimal(qty).times(price)} is below ${asset.min_notional}, the least value of an order`
    return refuse('invalid_order', 'min_notional', detail)
  }
  for (const name of ['limit_price', 'stop_price', 'take_profit', 'stop_loss'] as const) {
    const value = intent[name]
    const increment = value === null ? null : incrementAt(asset, value)
    if (value !== null && increment !== null && !isMultiple(value, increment)) {
      return refuse('invalid_order', 'price_increment', `${name} ${value} is not a multiple of ${increment}`)
    }
  }
  return intent.take_profit === null && intent.stop_loss === null ? null : checkFraction(symbol, qty, 'gtc', features)
}

function incrementAt({ price_increments }: VenueAsset, price: string): string | null {
  return price_increments.find(({ below }) => below === null || new Decimal(price).lt(below))?.increment ?? null
}

function isMultiple(value: string, increment: string): boolean {
  return new Decimal(value).mod(increment).eq(ZERO)
}

/** Attached exits are orders of their own later: one that the venue would not take would leave its entry unprotected. */
function checkExits(intent: PlaceIntent, features: VenueFeatures): VenueRefusal | null {
  const kind = assetClassOf(intent.symbol)
  const trails = intent.order_type !== 'trailing_stop' && (intent.trail_price ?? intent.trail_percent) !== null
  if (intent.take_profit === null && intent.stop_loss === null && !trails) return null
  const types = features.orderTypes[kind]
  const missing = (['trailing_stop', 'stop', 'limit'] as const).find((type) => {
    const wanted =
      type === 'trailing_stop' ? trails : type === 'stop' ? intent.stop_loss !== null : intent.take_profit !== null
    return wanted && !types.includes(type) && !(type === 'stop' && types.includes('stop_limit'))
  })
  if (missing !== undefined) {
    return refuse('unsupported', 'attached_exit', `the venue takes no ${missing} orders for ${kind}`)
  }
  if (!features.timeInForce[kind].includes('gtc')) {
    return refuse('unsupported', 'attached_exit', 'the venue has no orders that are good till cancelled, as exits are')
  }
  return null
}

/** The account may hold more than the run does: what others hold is not for this run to sell. */
function checkShort(
  intent: PlaceIntent,
  features: VenueFeatures,
  asset: VenueAsset | null,
  { qty, closing, allowShort }: Holding,
): VenueRefusal | null {
  if (intent.side === 'buy') return null
  const held = new Decimal(qty)
  const free = held.minus(closing)
  if (free.gte(intent.qty)) return null
  const spoken = new Decimal(closing).gt(ZERO) ? `, of which ${closing} other orders would sell` : ''
  const detail = `selling ${intent.qty} ${intent.symbol} with ${held} held by the run${spoken} would go short`
  if (!allowShort) return refuse('short_not_allowed', 'short', `${detail}; the fill option allow_short permits it`)
  if (!features.shorting[assetClassOf(intent.symbol)] || asset?.shortable === false) {
    return refuse('short_not_allowed', 'short', `${detail}, which the venue does not allow`)
  }
  return null
}

/** How far beyond its stop the limit of a stop loss lies where the venue has no plain stop orders. */
const STOP_LIMIT_ROOM = new Decimal('0.05')

/** The order as the venue is sent it. */
export function orderToSend(order: OrderRow, features: VenueFeatures, asset: VenueAsset | null): OrderToSend {
  const plain: OrderToSend = {
    client_order_id: order.client_order_id,
    symbol: order.symbol,
    side: order.side,
    order_type: order.order_type,
    qty: order.qty,
    limit_price: order.price,
    stop_price: order.stop_price,
    trail_price: order.trail_price,
    trail_percent: order.trail_percent,
    time_in_force: order.time_in_force,
    extended_hours: order.extended_hours,
  }
  // An entry's trail is that of the exit attached to it.
  if (order.order_type !== 'trailing_stop') Object.assign(plain, { trail_price: null, trail_percent: null })
  const types: readonly OrderType[] = features.orderTypes[assetClassOf(order.symbol)]
  if (order.order_type !== 'stop' || types.includes('stop') || !types.includes('stop_limit')) return plain
  return { ...plain, order_type: 'stop_limit', limit_price: beyond(order, asset) }
}

function beyond({ side, stop_price }: OrderRow, asset: VenueAsset | null): string {
  const stop = new Decimal(stop_price as string)
  const room = side === 'sell' ? new Decimal(1).minus(STOP_LIMIT_ROOM) : new Decimal(1).plus(STOP_LIMIT_ROOM)
  const price = stop.times(room)
  const increment = asset === null ? null : incrementAt(asset, price.toString())
  if (increment === null) return price.toString()
  return price
    .div(increment)
    .round(0, side === 'sell' ? 0 : 3)
    .times(increment)
    .toString()
}
