/** What the venue asks of an order before it takes it, in its own words. */
import { randomUUID } from 'node:crypto'
import { Decimal, ZERO } from '../../../jobs/greta/decimals.ts'
import type { EmulatedAsset } from './assets.ts'
import { type Book, type EmulatedOrder, isOpen, leaves } from './book.ts'
import { badField, badParameter, malformed, notAllowed } from './errors.ts'
import type { Market } from './market.ts'

export interface Ask {
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
  client_order_id: string
}

const TYPES = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop']
const TIMES = ['day', 'gtc', 'opg', 'cls', 'ioc', 'fok']
const DECIMAL = /^\d+(\.\d+)?$/
const LONGEST_CLIENT_ORDER_ID = 128

/** Reads and judges a request for an order. Throws the venue's refusal. */
export function judge(book: Book, market: Market, body: unknown): Ask {
  if (typeof body !== 'object' || body === null) throw malformed()
  const ask = read(book, body as Record<string, unknown>)
  judgeClientOrderId(book, ask)
  if (ask.asset.class === 'crypto') judgeCrypto(ask)
  else {
    judgeEquity(ask)
    judgeAuction(ask, market)
  }
  judgeStop(book, ask)
  judgeMoney(book, ask)
  return ask
}

function read(book: Book, body: Record<string, unknown>): Ask {
  const text = (name: string): string | null => {
    const value = body[name]
    if (value === undefined || value === null) return null
    const written = String(value)
    if (!DECIMAL.test(written)) throw badField(`invalid ${name} ${written}`)
    return written
  }
  if (typeof body.symbol !== 'string') throw badField('symbol is required')
  const asset = book.asset(body.symbol)
  if (!asset) throw badParameter(`asset "${body.symbol}" not found`)
  if (!asset.tradable) throw badParameter(`asset "${body.symbol}" is not tradable`)
  if (body.side !== 'buy' && body.side !== 'sell') throw badField('side must be buy or sell')
  if (!TYPES.includes(String(body.type))) throw badField('invalid order type')
  if (!TIMES.includes(String(body.time_in_force))) throw badField('invalid time_in_force')
  if ((body.qty === undefined) === (body.notional === undefined)) throw badField('qty or notional is required')
  const qty = new Decimal(text('qty') ?? '0')
  if (qty.lte(ZERO)) throw badField('qty must be > 0')
  const ask: Ask = {
    symbol: asset.symbol,
    asset,
    side: body.side,
    type: String(body.type),
    // What is beyond nine places is cut, and nobody is told.
    qty: asset.class === 'crypto' ? qty.round(9, 0) : qty,
    limit_price: text('limit_price'),
    stop_price: text('stop_price'),
    trail_price: text('trail_price'),
    trail_percent: text('trail_percent'),
    time_in_force: String(body.time_in_force),
    extended_hours: body.extended_hours === true,
    client_order_id: typeof body.client_order_id === 'string' ? body.client_order_id : randomUUID(),
  }
  judgePrices(ask)
  return ask
}

function judgePrices({ type, limit_price, stop_price, trail_price, trail_percent }: Ask): void {
  const wants = (value: string | null, name: string, isWanted: boolean) => {
    if (isWanted && value === null) throw badField(`${type} orders require ${name.replaceAll('_', ' ')}`)
    if (!isWanted && value !== null) throw badField(`${type} orders must not have ${name.replaceAll('_', ' ')}`)
  }
  wants(limit_price, 'limit_price', type === 'limit' || type === 'stop_limit')
  wants(stop_price, 'stop_price', type === 'stop' || type === 'stop_limit')
  const trails = type === 'trailing_stop'
  if (trails && (trail_price === null) === (trail_percent === null)) {
    throw badField('trailing_stop orders require one of trail price and trail percent')
  }
  if (!trails && (trail_price !== null || trail_percent !== null))
    throw badField(`${type} orders must not have a trail`)
}

function judgeClientOrderId(book: Book, { client_order_id }: Ask): void {
  if (client_order_id.length > LONGEST_CLIENT_ORDER_ID) {
    throw badField(`client_order_id must be no more than ${LONGEST_CLIENT_ORDER_ID} characters`)
  }
  // For ever: also when the first one has long ended.
  if (book.orders.some((order) => order.client_order_id === client_order_id)) {
    throw badField('client_order_id must be unique')
  }
}

function judgeCrypto(ask: Ask): void {
  const { type, time_in_force: time, extended_hours, asset, qty, limit_price, stop_price } = ask
  if (!['market', 'limit', 'stop_limit'].includes(type)) throw badField('invalid order type for crypto order')
  if (time !== 'gtc' && time !== 'ioc') throw badParameter('invalid crypto time_in_force')
  if (type === 'stop_limit' && time !== 'gtc') throw badParameter('invalid crypto time_in_force')
  if (extended_hours) throw badParameter('extended hours order must be DAY limit orders')
  // That quantities have a least one and a grid is documented, the words are not.
  const { min_order_size: least = '0', min_trade_increment: increment = '0.000000001' } = asset
  if (qty.lt(least)) throw notAllowed(`minimal qty of order is ${least}`)
  if (!qty.mod(increment).eq(ZERO)) throw badParameter(`qty increment must be ${increment}`)
  for (const [name, price] of Object.entries({ limit_price, stop_price })) {
    if (price !== null && !new Decimal(price).mod(asset.price_increment ?? '0.000000001').eq(ZERO)) {
      throw subPenny(name, price)
    }
  }
}

const subPenny = (name: string, price: string) =>
  badParameter(`invalid ${name} ${price}. sub-penny increment does not fulfill minimum pricing criteria`)

function judgeEquity(ask: Ask): void {
  const { type, time_in_force: time, extended_hours, qty, asset } = ask
  if (!qty.mod(1).eq(ZERO)) {
    if (!asset.fractionable) throw notAllowed('requested asset is not fractionable')
    if (time !== 'day') throw badParameter('fractional orders must be DAY orders')
    if (type === 'trailing_stop')
      throw badParameter('fractional orders must be market, limit, stop or stop_limit orders')
    if (!qty.times(1e9).mod(1).eq(ZERO)) throw badField('qty increment must not be finer than 0.000000001')
  }
  if (extended_hours && (type !== 'limit' || time !== 'day')) {
    throw badParameter('extended hours order must be DAY limit orders')
  }
  if (['stop', 'trailing_stop'].includes(type) && time !== 'day' && time !== 'gtc') {
    throw badParameter(`invalid time_in_force for ${type} order`)
  }
  for (const name of ['limit_price', 'stop_price'] as const) {
    const price = ask[name]
    if (price === null) continue
    const increment = new Decimal(price).lt(1) ? '0.0001' : '0.01'
    if (!new Decimal(price).mod(increment).eq(ZERO)) throw subPenny(name, price)
  }
}

/** A stop that the price has gone through is refused, not met. */
function judgeStop(book: Book, { symbol, side, stop_price }: Ask): void {
  const price = book.prices.get(symbol)
  if (stop_price === null || price === undefined) return
  const beyond = new Decimal(stop_price).minus(price)
  if (side === 'sell' ? beyond.lt(ZERO) : beyond.gt(ZERO)) return
  throw badParameter(`stop price must be ${side === 'sell' ? 'less' : 'greater'} than current price`)
}

/** The hours are documented, the words are not. */
function judgeAuction({ time_in_force: time }: Ask, market: Market): void {
  if ((time !== 'opg' && time !== 'cls') || market.takesAuction(time)) return
  const from = time === 'opg' ? '9:28am' : '3:50pm'
  throw badParameter(`${time} orders are not accepted between ${from} and 7:00pm`)
}

/** A market buy is counted at so much above the price. */
const CUSHION = new Decimal('1.04')

function judgeMoney(book: Book, ask: Ask): void {
  const price = ask.limit_price ?? ask.stop_price ?? book.prices.get(ask.symbol) ?? '100'
  const basis = ask.qty.times(price)
  const least = ask.asset.class === 'crypto' ? 10 : 1
  if (basis.lt(least) && (ask.side === 'buy' || ask.asset.class === 'crypto')) {
    const words = `cost basis must be >= minimal amount of order ${least}`
    throw ask.asset.class === 'crypto' ? notAllowed(words) : badParameter(words)
  }
  judgeWashTrade(book, ask)
  if (ask.side === 'sell') judgeHolding(book, ask)
  else judgeBuyingPower(book, ask, ask.type === 'market' ? basis.times(CUSHION) : basis)
}

function judgeWashTrade(book: Book, ask: Ask): void {
  const other = book.orders.find(
    (order) => isOpen(order) && order.symbol === ask.symbol && order.side !== ask.side && crosses(order, ask),
  )
  if (!other) return
  throw notAllowed('potential wash trade detected. use complex orders', {
    existing_order_id: other.id,
    reject_reason: `opposite side ${other.type} order exists`,
  })
}

/** A market or stop order on the other side, or a limit that this one would meet. */
function crosses(order: EmulatedOrder, ask: Ask): boolean {
  if (order.type !== 'limit' || ask.limit_price === null || order.limit_price === null) return true
  const [buy, sell] = ask.side === 'buy' ? [ask.limit_price, order.limit_price] : [order.limit_price, ask.limit_price]
  return new Decimal(buy).gte(sell)
}

function judgeHolding(book: Book, { symbol, asset, qty }: Ask): void {
  const held = book.position(symbol)
  const selling = book.orders.filter((order) => isOpen(order) && order.symbol === symbol && order.side === 'sell')
  const kept = selling.reduce((sum, order) => sum.plus(leaves(order)), ZERO)
  const available = held.minus(kept)
  if (qty.lte(available)) return
  const asked = `(requested: ${qty}, available: ${available})`
  if (asset.class === 'crypto') {
    const [coin] = symbol.split('/')
    throw notAllowed(`insufficient balance for ${coin} ${asked}`, {
      available: available.toString(),
      balance: held.toString(),
      symbol: coin,
    })
  }
  if (held.gt(ZERO)) {
    throw notAllowed(`insufficient qty available for order ${asked}`, {
      available: available.toString(),
      existing_qty: held.toString(),
      held_for_orders: kept.toString(),
      related_orders: selling.map(({ id }) => id),
      symbol,
    })
  }
  if (!asset.shortable) throw notAllowed('account is not allowed to short')
  if (!qty.mod(1).eq(ZERO)) throw badParameter('fractional orders cannot be sold short')
}

export function buyingPower(book: Book): Decimal {
  const kept = book.orders
    .filter((order) => isOpen(order) && order.side === 'buy')
    .reduce(
      (sum, order) => sum.plus(leaves(order).times(order.limit_price ?? book.prices.get(order.symbol) ?? '100')),
      ZERO,
    )
  return book.cash.minus(kept)
}

function judgeBuyingPower(book: Book, { symbol, qty }: Ask, basis: Decimal): void {
  const covers = book.position(symbol).lt(ZERO) && qty.lte(book.position(symbol).abs())
  const power = buyingPower(book)
  if (covers || basis.lte(power)) return
  throw notAllowed('insufficient buying power', { buying_power: power.toString(), cost_basis: basis.toString() })
}
