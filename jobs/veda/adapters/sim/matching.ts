/**
 * An order against the market: what becomes of it between two seconds. It depends on nothing but the order and the seed, so
 * that it does not matter who looks when. Pure.
 */
import type { SimOrderRow } from '../../../../db/sim_venue.ts'
import {
  dayOrderEnd,
  OUTSIDE,
  sessionAt,
  sessionEndingAfter,
  tradesAroundTheClock,
} from '../../../../db/walle/calendar/calendar.ts'
import { Decimal } from '../../../greta/decimals.ts'
import { CENTS, type Market, type Minute, priceText } from './market.ts'

const MINUTE_S = 60

export interface Match {
  second: number
  qty: string
  price: string
}

export interface Tested {
  fills: Match[]
  ended: { status: 'filled' | 'cancelled' | 'expired'; second: number } | null
  triggered: boolean
  best_price: string | null
  tested_to: number
}

const cents = (price: string | null): number =>
  price === null ? 0 : Number(new Decimal(price).times(CENTS).toString())

/** Places that a quantity has at the venue. */
export const QTY_PLACES = 9

/** Working copy of an order that is tested. */
interface Working {
  readonly order: SimOrderRow
  readonly market: Market
  readonly buy: boolean
  readonly first: number
  readonly lastSecond: number
  left: Decimal
  triggered: boolean
  best: number
  fills: Match[]
  ended: Tested['ended']
}

/** Tests an open order on the seconds after `tested_to`, up to `to`. While its symbol is halted, nothing trades. */
export function testOrder(order: SimOrderRow, market: Market, to: number, halted: boolean): Tested {
  const submitted = Date.parse(order.submitted_at)
  const work: Working = {
    order,
    market,
    buy: order.side === 'buy',
    first: Math.floor(submitted / 1000),
    lastSecond: lastSecondOf(order, submitted),
    left: new Decimal(order.qty).minus(order.filled_qty),
    triggered: order.triggered,
    best: order.best_price === null ? 0 : cents(order.best_price),
    fills: [],
    ended: null,
  }
  const end = Math.min(to, work.lastSecond)
  if (order.order_type === 'trailing_stop' && work.best === 0) work.best = market.mid(work.first)
  if (!halted) testSpan(work, order.tested_to + 1, end)
  if (work.ended === null && isImmediate(order)) work.ended = { status: 'cancelled', second: work.first }
  if (work.ended === null && to > work.lastSecond) work.ended = { status: 'expired', second: work.lastSecond + 1 }
  return {
    fills: work.fills,
    ended: work.ended,
    triggered: work.triggered,
    best_price: work.best === 0 ? null : priceText(work.best),
    tested_to: Math.max(to, order.tested_to),
  }
}

/** The last second at which it may trade. */
function lastSecondOf(order: SimOrderRow, submitted: number): number {
  const { symbol, time_in_force } = order
  if (time_in_force === 'day' || time_in_force === 'cls') return before(dayOrderEnd(symbol, submitted))
  if (time_in_force === 'opg') return openingAfter(submitted)
  return isImmediate(order) ? Math.floor(submitted / 1000) : Number.MAX_SAFE_INTEGER
}

const before = (moment: number | typeof OUTSIDE) =>
  moment === OUTSIDE ? Number.MAX_SAFE_INTEGER : Math.ceil(moment / 1000) - 1

/** The first second of the session that opens next: what is sent during one is for the next one's opening. */
function openingAfter(submitted: number): number {
  const running = sessionAt(submitted)
  const from = running === null || running === OUTSIDE ? submitted : running.close
  const next = sessionEndingAfter(from)
  return next === OUTSIDE ? Number.MAX_SAFE_INTEGER : next.open / 1000
}

function testSpan(work: Working, from: number, to: number): void {
  const { market, order } = work
  let second = from
  while (second <= to && work.ended === null) {
    const session = sessionOf(order.symbol, second)
    if (session === null) return
    second = Math.max(second, session.open)
    const end = Math.min(to, session.close - 1)
    for (; second <= end && work.ended === null; ) {
      const minute = Math.floor(second / MINUTE_S)
      const last = Math.min(end, minute * MINUTE_S + MINUTE_S - 1)
      // A minute's extremes may lie in those of its seconds that are not tested.
      const whole = second === minute * MINUTE_S && last === second + MINUTE_S - 1
      if (!whole || mayTrade(work, market.minute(minute))) {
        for (; second <= last && work.ended === null; second++) testSecond(work, second)
      } else {
        second = last + 1
      }
    }
  }
}

/** In seconds; `close` is not part of it. */
function sessionOf(symbol: string, second: number): { open: number; close: number } | null {
  if (tradesAroundTheClock(symbol)) return { open: second, close: Number.MAX_SAFE_INTEGER }
  const session = sessionEndingAfter(second * 1000)
  return session === OUTSIDE ? null : { open: session.open / 1000, close: session.close / 1000 }
}

/** Whether anything can happen to the order within a minute; a trailing stop's best price follows when nothing does. */
function mayTrade(work: Working, { high, low }: Minute): boolean {
  const { order, market, buy } = work
  if (order.time_in_force === 'opg' || order.time_in_force === 'cls') return true
  const limit = cents(order.limit_price)
  const limitReached = () => (buy ? market.quoteAt(low).ask <= limit : market.quoteAt(high).bid >= limit)
  if (order.order_type === 'market') return true
  if (order.order_type === 'limit') return limitReached()
  if (work.triggered) return order.order_type === 'stop_limit' ? limitReached() : true
  if (order.order_type !== 'trailing_stop') {
    const stop = cents(order.stop_price)
    return buy ? high >= stop : low <= stop
  }
  const best = buy ? Math.min(work.best, low) : Math.max(work.best, high)
  if (buy ? high >= stopFrom(work, best) : low <= stopFrom(work, best)) return true
  work.best = best
  return false
}

/** Of a trailing stop. */
function stopFrom({ order, buy }: Working, best: number): number {
  const distance = order.trail_price === null ? (best * Number(order.trail_percent)) / 100 : cents(order.trail_price)
  return buy ? Math.ceil(best + distance) : Math.floor(best - distance)
}

function testSecond(work: Working, second: number): void {
  const { order, market, buy } = work
  if (isAuction(order)) {
    testAuction(work, second)
    return
  }
  const mid = market.mid(second)
  if (!work.triggered && order.order_type !== 'market' && order.order_type !== 'limit') {
    if (order.order_type === 'trailing_stop') work.best = buy ? Math.min(work.best, mid) : Math.max(work.best, mid)
    const stop = order.order_type === 'trailing_stop' ? stopFrom(work, work.best) : cents(order.stop_price)
    if (buy ? mid < stop : mid > stop) return
    work.triggered = true
  }
  const { bid, ask } = market.quoteAt(mid)
  const touch = buy ? ask : bid
  const limited = order.order_type === 'limit' || order.order_type === 'stop_limit'
  const limit = cents(order.limit_price)
  if (limited && (buy ? touch > limit : touch < limit)) return
  // Who comes to the market takes its price; who waits there is taken at his own.
  const price = order.order_type === 'limit' && second > work.first ? limit : touch
  fill(work, second, price)
}

function fill(work: Working, second: number, price: number): void {
  const { order, market } = work
  const there = new Decimal(market.depth(second)).div(price).round(order.symbol.includes('/') ? QTY_PLACES : 0, 0)
  if (order.time_in_force === 'fok' && there.lt(work.left)) return
  const qty = there.lt(work.left) ? there : work.left
  if (qty.lte(0)) return
  take(work, second, price, qty)
}

function take(work: Working, second: number, price: number, qty: Decimal): void {
  work.fills.push({ second, qty: qty.toString(), price: priceText(price) })
  work.left = work.left.minus(qty)
  if (work.left.lte(0)) work.ended = { status: 'filled', second }
}

const isImmediate = ({ time_in_force }: SimOrderRow) => time_in_force === 'ioc' || time_in_force === 'fok'
const isAuction = ({ time_in_force }: SimOrderRow) => time_in_force === 'opg' || time_in_force === 'cls'

/** The auctions have one price and as much of it as anybody wants. */
function testAuction(work: Working, second: number): void {
  if (second !== work.lastSecond) return
  const price = work.market.mid(second)
  const limit = cents(work.order.limit_price)
  if (work.order.order_type === 'limit' && (work.buy ? price > limit : price < limit)) return
  take(work, second, price, work.left)
}
