/** What is wrong with an intent in itself, whatever the market and the account. Pure; the same for every driver. */
import {
  type Intent,
  ORDER_TYPES,
  type OrderType,
  type PlaceIntent,
  SIDES,
  TIMES_IN_FORCE,
} from '../../strategies/api.ts'

/** Quantities have at most this many decimal places. */
export const QTY_PLACES = 9
/** Digits before and after the point that a price or quantity may have. */
export const DECIMAL_DIGITS = 40

const PLAIN = new RegExp(`^-?(0|[1-9]\\d{0,${DECIMAL_DIGITS - 1}})(\\.\\d{1,${DECIMAL_DIGITS}})?$`)

/** Decimals by the types that need them; anything else given is named as superfluous. */
const PRICES: Readonly<Record<OrderType, readonly ('limit_price' | 'stop_price')[]>> = {
  market: [],
  limit: ['limit_price'],
  stop: ['stop_price'],
  stop_limit: ['stop_price', 'limit_price'],
  trailing_stop: [],
}

/** The reason for refusing the intent, naming what is wrong, or null. `symbols` are the run's. */
export function checkIntent(intent: Intent, symbols: readonly string[]): string | null {
  if (intent.kind === 'cancel') return null
  if (!symbols.includes(intent.symbol)) {
    return `unknown symbol ${quote(intent.symbol)}: the run trades ${symbols.join(', ')}`
  }
  return (
    notOneOf('side', intent.side, SIDES) ??
    notOneOf('type', intent.order_type, ORDER_TYPES) ??
    notOneOf('time_in_force', intent.time_in_force, TIMES_IN_FORCE) ??
    badQty(intent.qty) ??
    badPrices(intent) ??
    badTrail(intent) ??
    badExits(intent) ??
    badTiming(intent)
  )
}

function notOneOf(name: string, value: string, known: readonly string[]): string | null {
  return known.includes(value) ? null : `unknown ${name} ${quote(value)}: use ${known.join(', ')}`
}

function badQty(qty: string): string | null {
  const bad = notPositive('qty', qty)
  if (bad) return bad
  const places = qty.split('.')[1]?.length ?? 0
  return places > QTY_PLACES ? `qty ${qty} has ${places} decimal places: at most ${QTY_PLACES} are allowed` : null
}

function badPrices(intent: PlaceIntent): string | null {
  const wanted = PRICES[intent.order_type]
  for (const name of ['limit_price', 'stop_price'] as const) {
    const value = intent[name]
    if (wanted.includes(name)) {
      if (value === null) return `a ${intent.order_type} order needs a ${name}`
      const bad = notPositive(name, value)
      if (bad) return bad
    } else if (value !== null) {
      return `a ${intent.order_type} order takes no ${name}`
    }
  }
  return null
}

/** Of a trailing stop its own trail; of an entry that of the exit attached to it. */
function badTrail(intent: PlaceIntent): string | null {
  const { order_type, trail_price, trail_percent, stop_loss } = intent
  if (trail_price !== null && trail_percent !== null)
    return 'an order takes either trail_price or trail_percent, not both'
  if (trail_price === null && trail_percent === null) {
    return order_type === 'trailing_stop' ? 'a trailing_stop order needs either trail_price or trail_percent' : null
  }
  if (order_type !== 'trailing_stop' && stop_loss !== null)
    return 'an order takes either a stop_loss or a trail, not both'
  if (trail_price !== null) return notPositive('trail_price', trail_price)
  const bad = notPositive('trail_percent', trail_percent as string)
  if (bad) return bad
  return Number(trail_percent) >= 100 ? `trail_percent ${trail_percent} must be below 100` : null
}

/** A stop loss lies below what a buy enters at, a take profit above; of a sell the other way round. */
function badExits({ take_profit, stop_loss, side, limit_price, stop_price }: PlaceIntent): string | null {
  const bad =
    (take_profit === null ? null : notPositive('take_profit', take_profit)) ??
    (stop_loss === null ? null : notPositive('stop_loss', stop_loss))
  if (bad) return bad
  const entry = limit_price ?? stop_price
  const [below, above] =
    side === 'buy' ? (['stop_loss', 'take_profit'] as const) : (['take_profit', 'stop_loss'] as const)
  const prices = { take_profit, stop_loss }
  const [low, high] = [prices[below], prices[above]]
  if (low !== null && high !== null && Number(low) >= Number(high)) {
    return `stop_loss ${stop_loss} and take_profit ${take_profit} are on the wrong sides of each other for a ${side}`
  }
  if (entry === null) return null
  if (low !== null && Number(low) >= Number(entry)) return `${below} ${low} must be below the ${side}'s price ${entry}`
  if (high !== null && Number(high) <= Number(entry))
    return `${above} ${high} must be above the ${side}'s price ${entry}`
  return null
}

/** An auction and extended hours are an equity's, and take the types of order that the venues take for them. */
function badTiming({ symbol, order_type, time_in_force, extended_hours }: PlaceIntent): string | null {
  const around = symbol.includes('/')
  if (time_in_force === 'opg' || time_in_force === 'cls') {
    if (around) return `${symbol} trades around the clock: it has no auction for time_in_force ${time_in_force}`
    if (order_type !== 'market' && order_type !== 'limit') {
      return `a ${order_type} order cannot be ${time_in_force}: only market and limit orders can`
    }
  }
  if (!extended_hours || around) return null
  if (order_type === 'limit' && time_in_force === 'day') return null
  return `extended_hours is for limit orders with time_in_force day, not for a ${order_type} order with ${time_in_force}`
}

function notPositive(name: string, value: string): string | null {
  if (!PLAIN.test(value)) return `${name} ${quote(value)} is not a decimal`
  return Number(value) > 0 ? null : `${name} ${value} must be above zero`
}

function quote(text: string): string {
  return JSON.stringify(text)
}
