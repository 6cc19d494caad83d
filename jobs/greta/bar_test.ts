/**
 * One order against one bar: does it fill, at what price, and was it at the bar's open? Pure; prices are float64, and a
 * price that comes from the order itself is told by `from: 'limit' | 'stop'` so that the caller can use its exact text.
 * The rules in words, preset by preset, are in docs/fills.md.
 */
import type { OrderType, Side } from '../../strategies/api.ts'
import type { FillModel } from './fill_model.ts'

export interface Bar {
  open: number
  high: number
  low: number
  close: number
}

/** What of an order decides its fill. A trailing stop comes as a stop at its present level. */
export interface Testable {
  side: Side
  type: OrderType
  limit: number | null
  stop: number | null
  /** Its stop was reached on an earlier bar. */
  triggered: boolean
  /** At the open or at the close of the bar alone: an order for an auction. */
  only: 'open' | 'close' | null
}

export type BarTest =
  | { fills: true; from: 'open' | 'limit' | 'stop' | 'close'; slips: boolean }
  | { fills: false; triggers: boolean }

const AT_OPEN: BarTest = { fills: true, from: 'open', slips: true }
const AT_OPEN_NO_SLIP: BarTest = { fills: true, from: 'open', slips: false }
const AT_LIMIT: BarTest = { fills: true, from: 'limit', slips: false }
const AT_STOP: BarTest = { fills: true, from: 'stop', slips: true }
const AT_CLOSE: BarTest = { fills: true, from: 'close', slips: true }
const AT_CLOSE_NO_SLIP: BarTest = { fills: true, from: 'close', slips: false }
const AT_STOP_NO_SLIP: BarTest = { fills: true, from: 'stop', slips: false }
const NO_FILL: BarTest = { fills: false, triggers: false }
const TRIGGERED_ONLY: BarTest = { fills: false, triggers: true }

/** Sells are buys in a mirror: negate prices, and high and low change places. */
function mirrored(bar: Bar): Bar {
  return { open: -bar.open, high: -bar.low, low: -bar.high, close: -bar.close }
}

function negated(price: number | null): number | null {
  return price === null ? null : -price
}

export function testOnBar(order: Testable, bar: Bar, model: FillModel): BarTest {
  if (order.only !== null) return testInAuction(order, order.only, bar)
  if (order.type === 'market' && model.market_fill === 'next_close') return AT_CLOSE
  if (order.type === 'market' || (order.triggered && order.limit === null)) return AT_OPEN
  if (order.side === 'buy') return testBuy(order, order.limit, order.stop, bar, model)
  return testBuy(order, negated(order.limit), negated(order.stop), mirrored(bar), model)
}

/** A market order takes the auction's price, a limit order takes it when it is no worse than the limit. */
function testInAuction({ side, limit }: Testable, at: 'open' | 'close', bar: Bar): BarTest {
  if (limit === null) return at === 'open' ? AT_OPEN : AT_CLOSE
  const within = side === 'buy' ? bar[at] <= limit : bar[at] >= limit
  if (!within) return NO_FILL
  return at === 'open' ? AT_OPEN_NO_SLIP : AT_CLOSE_NO_SLIP
}

function testBuy(order: Testable, limit: number | null, stop: number | null, bar: Bar, model: FillModel): BarTest {
  if (order.type === 'limit' || (order.type === 'stop_limit' && order.triggered)) {
    return limit === null ? NO_FILL : testBuyLimit(limit, bar, model)
  }
  if (stop === null) return NO_FILL
  if (order.type === 'stop_limit') return limit === null ? NO_FILL : testBuyStopLimit(limit, stop, bar, model)
  if (bar.open >= stop) return AT_OPEN
  return bar.high >= stop ? AT_STOP : NO_FILL
}

function testBuyLimit(limit: number, bar: Bar, model: FillModel): BarTest {
  if (bar.open <= limit) return AT_OPEN_NO_SLIP
  const reached = model.limit_fill === 'touch' ? bar.low <= limit : bar.low < limit
  return reached ? AT_LIMIT : NO_FILL
}

function testBuyStopLimit(limit: number, stop: number, bar: Bar, model: FillModel): BarTest {
  if (bar.high < stop) return NO_FILL
  if (model.stop_limit === 'backtesting_py') {
    if (bar.low > limit || limit <= stop) return TRIGGERED_ONLY
    return AT_STOP_NO_SLIP
  }
  if (bar.open >= stop) {
    const atLimit = testBuyLimit(limit, bar, model)
    return atLimit.fills ? atLimit : TRIGGERED_ONLY
  }
  if (limit >= stop) return AT_STOP_NO_SLIP
  const closesWithin = bar.close <= limit
  if (model.stop_limit === 'backtrader') return bar.open > bar.close && closesWithin ? AT_LIMIT : TRIGGERED_ONLY
  return closesWithin ? AT_LIMIT : TRIGGERED_ONLY
}
