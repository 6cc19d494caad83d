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

/** Of a quantity. */
const PLACES = 9

/** The most of a quantity that the venue takes: a fee in kind leaves more places than that. */
export function closableQty(qty: Decimal, increment: string | null): Decimal {
  const cut = qty.round(PLACES, 0)
  return increment === null ? cut : cut.div(increment).round(0, 0).times(increment)
}

/**
 * A fee in kind leaves a run with a quantity between two of the asset's steps. An order that makes that smaller, or brings it
 * to a step, is made to fit; what is left is less than a step. Any other quantity is its strategy's own.
 */
export function fittedTo(increment: string | null, intent: PlaceIntent, heldQty: string): PlaceIntent {
  const held = new Decimal(heldQty)
  if (increment === null || isMultiple(heldQty, increment)) return intent
  const signed = intent.side === 'buy' ? new Decimal(intent.qty) : new Decimal(intent.qty).neg()
  const after = held.plus(signed)
  if (after.abs().gt(held.abs()) && !isMultiple(after.toString(), increment)) return intent
  const qty = closableQty(new Decimal(intent.qty), increment)
  return qty.gt(ZERO) ? { ...intent, qty: qty.toString() } : intent
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
    (asset === null ? null : checkAsset(intent, asset)) ??
    checkExits(intent, features, asset) ??
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
  const times = timesOf(intent, features)
  if (!times.includes(intent.time_in_force)) {
    const what = times === features.timeInForce[kind] ? kind : `${intent.order_type} orders for ${kind}`
    const detail = `the venue does not know ${intent.time_in_force} for ${what}: ${listed(times)}`
    return refuse('unsupported', 'time_in_force', detail)
  }
  if (intent.extended_hours) {
    if (!features.extendedHours) return refuse('unsupported', 'extended_hours', 'the venue has no extended hours')
    if (intent.order_type !== 'limit' || intent.time_in_force !== 'day') {
      return refuse('unsupported', 'extended_hours', 'extended hours take only limit orders for the day')
    }
  }
  return checkFraction({ ...intent, time_in_force: timeSent(intent, features) }, features)
}

type Shape = Pick<OrderToSend, 'symbol' | 'qty' | 'order_type' | 'time_in_force'>

function timesOf({ symbol, order_type }: Pick<Shape, 'symbol' | 'order_type'>, features: VenueFeatures) {
  const kind = assetClassOf(symbol)
  return features.timesByType[kind][order_type] ?? features.timeInForce[kind]
}

/** A market order is over at once: parts of a unit leave for the day where the venue takes them so and no longer. */
function timeSent({ symbol, qty, order_type, time_in_force }: Shape, features: VenueFeatures): TimeInForce {
  if (order_type !== 'market' || time_in_force !== 'gtc' || isWhole(qty)) return time_in_force
  const times = features.fractional[assetClassOf(symbol)]
  return !times.includes('gtc') && times.includes('day') ? 'day' : 'gtc'
}

function checkFraction(order: Shape, features: VenueFeatures): VenueRefusal | null {
  const { symbol, qty, order_type, time_in_force } = order
  if (isWhole(qty)) return null
  const kind = assetClassOf(symbol)
  const times = features.fractional[kind]
  const isTaken = !features.wholeOnly[kind].includes(order_type)
  if (times.includes(time_in_force) && isTaken) return null
  const which =
    times.length === 0
      ? 'it takes whole quantities only'
      : isTaken
        ? `parts of a unit only ${listed(times)}`
        : `no parts of a unit as ${order_type} orders`
  return refuse('unsupported', 'fractional', `the venue does not take ${qty} ${symbol} ${time_in_force}: ${which}`)
}

const isWhole = (qty: string) => new Decimal(qty).mod(1).eq(ZERO)
const listed = (values: readonly string[]) => (values.length === 0 ? 'none' : values.join(', '))

function checkAsset(intent: PlaceIntent, asset: VenueAsset): VenueRefusal | null {
  const { symbol, qty } = intent
  if (!asset.tradable) return refuse('unsupported', 'tradable', `${symbol} cannot be traded at the venue now`)
  if (!isWhole(qty) && !asset.fractionable) {
    return refuse('invalid_order', 'fractional', `${symbol} is traded in whole quantities, not ${qty}`)
  }
  if (asset.qty_increment !== null && !isMultiple(qty, asset.qty_increment)) {
    return refuse('invalid_order', 'qty_increment', `qty ${qty} is not a multiple of ${asset.qty_increment}`)
  }
  for (const name of ['limit_price', 'stop_price'] as const) {
    const value = intent[name]
    const increment = value === null ? null : incrementAt(asset, value)
    if (value !== null && increment !== null && !isMultiple(value, increment)) {
      return refuse('invalid_order', 'price_increment', `${name} ${value} is not a multiple of ${increment}`)
    }
  }
  const { side } = intent
  return checkLeast({ side, qty, price: intent.limit_price ?? intent.stop_price }, asset)
}

interface Sized {
  side: OrderToSend['side']
  qty: string
  /** Null: the market's, which nobody knows before. */
  price: string | null
}

function checkLeast({ side, qty, price }: Sized, asset: VenueAsset, whose = ''): VenueRefusal | null {
  if (asset.min_qty !== null && new Decimal(qty).lt(asset.min_qty)) {
    return refuse(
      'invalid_order',
      'min_qty',
      `${whose}qty ${qty} is below ${asset.min_qty}, the least of ${asset.symbol}`,
    )
  }
  const least = asset.min_notional ?? (side === 'buy' ? asset.min_purchase : null)
  if (least === null || price === null || new Decimal(qty).times(price).gte(least)) return null
  const detail = `${whose}${new Decimal(qty).times(price)} is below ${least}, the least value of an order`
  return refuse('invalid_order', 'min_notional', detail)
}

function incrementAt({ price_increments }: VenueAsset, price: string): string | null {
  return price_increments.find(({ below }) => below === null || new Decimal(price).lt(below))?.increment ?? null
}

function isMultiple(value: string, increment: string): boolean {
  return new Decimal(value).mod(increment).eq(ZERO)
}

/** Attached exits are orders of their own later: one that the venue would not take would leave its entry unprotected. */
function checkExits(intent: PlaceIntent, features: VenueFeatures, asset: VenueAsset | null): VenueRefusal | null {
  const { symbol, qty } = intent
  const kind = assetClassOf(symbol)
  for (const { order_type, price } of exitsOf(intent)) {
    const type = typeSent(order_type, symbol, features)
    if (!features.orderTypes[kind].includes(type)) {
      return refuse('unsupported', 'attached_exit', `the venue takes no ${order_type} orders for ${kind}`)
    }
    if (!timesOf({ symbol, order_type: type }, features).includes('gtc')) {
      const detail = 'the venue has no orders that are good till cancelled, as exits are'
      return refuse('unsupported', 'attached_exit', detail)
    }
    const refusal =
      checkFraction({ symbol, qty, order_type: type, time_in_force: 'gtc' }, features) ??
      (asset === null ? null : checkLeast(leastOf(intent, { type, price }, features), asset, 'of its exit: '))
    if (refusal !== null) return refusal
  }
  return null
}

function exitsOf(intent: PlaceIntent): { order_type: OrderType; price: string | null }[] {
  const { order_type, trail_price, trail_percent, stop_loss, take_profit } = intent
  const trails = order_type !== 'trailing_stop' && (trail_price ?? trail_percent) !== null && stop_loss === null
  return [
    ...(trails ? [{ order_type: 'trailing_stop' as const, price: null }] : []),
    ...(stop_loss === null ? [] : [{ order_type: 'stop' as const, price: stop_loss }]),
    ...(take_profit === null ? [] : [{ order_type: 'limit' as const, price: take_profit }]),
  ]
}

/** As little as the exit can be: of what the fee leaves, at the price that counts. */
function leastOf(
  { symbol, side, qty }: PlaceIntent,
  { type, price }: { type: OrderType; price: string | null },
  features: VenueFeatures,
): Sized {
  const sells = side === 'buy'
  const kept = sells ? (features.unsureFeeInKind[assetClassOf(symbol)] ?? '0') : '0'
  const exit = sells ? ('sell' as const) : ('buy' as const)
  const counted = price !== null && type === 'stop_limit' ? roomFrom(price, exit).toString() : price
  return { side: exit, qty: new Decimal(qty).times(new Decimal(1).minus(kept)).toString(), price: counted }
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

/** What it is sent as. */
function typeSent(type: OrderType, symbol: string, features: VenueFeatures): OrderType {
  const types = features.orderTypes[assetClassOf(symbol)]
  return type === 'stop' && !types.includes('stop') && types.includes('stop_limit') ? 'stop_limit' : type
}

/** The order as the venue is sent it. `atMarket`: the price has gone through its stop. */
export function orderToSend(
  order: OrderRow,
  features: VenueFeatures,
  asset: VenueAsset | null,
  atMarket = false,
): OrderToSend {
  const onGrid = (price: string | null) => (order.parent_order_id === null ? price : ontoGrid(price, order.side, asset))
  const plain: OrderToSend = {
    client_order_id: order.client_order_id,
    symbol: order.symbol,
    side: order.side,
    order_type: typeSent(order.order_type, order.symbol, features),
    qty: order.qty,
    limit_price: onGrid(order.price),
    stop_price: onGrid(order.stop_price),
    trail_price: order.trail_price,
    trail_percent: order.trail_percent,
    time_in_force: timeSent(order, features),
    extended_hours: order.extended_hours,
  }
  // An entry's trail is that of the exit attached to it.
  if (order.order_type !== 'trailing_stop') Object.assign(plain, { trail_price: null, trail_percent: null })
  if (atMarket) return { ...plain, order_type: 'market', stop_price: null }
  if (plain.order_type === order.order_type) return plain
  return { ...plain, limit_price: beyond(order, asset) }
}

/** An exit that a venue refuses for a part of a cent protects nothing: it closes at no worse a price than was asked for. */
function ontoGrid(price: string | null, side: OrderRow['side'], asset: VenueAsset | null): string | null {
  const increment = price === null || asset === null ? null : incrementAt(asset, price)
  return price === null || increment === null
    ? price
    : rounded(new Decimal(price), increment, side === 'sell' ? UP : DOWN)
}

const DOWN = 0
const UP = 3

function rounded(price: Decimal, increment: string, way: typeof DOWN | typeof UP): string {
  return price.div(increment).round(0, way).times(increment).toString()
}

function beyond({ side, stop_price }: OrderRow, asset: VenueAsset | null): string {
  const price = roomFrom(stop_price as string, side)
  const increment = asset === null ? null : incrementAt(asset, price.toString())
  return increment === null ? price.toString() : rounded(price, increment, side === 'sell' ? DOWN : UP)
}

function roomFrom(stop: string, side: OrderRow['side']): Decimal {
  const room = side === 'sell' ? new Decimal(1).minus(STOP_LIMIT_ROOM) : new Decimal(1).plus(STOP_LIMIT_ROOM)
  return new Decimal(stop).times(room)
}
