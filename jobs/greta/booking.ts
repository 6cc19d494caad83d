/** A fill is priced, checked against the account and booked. */

import type { Side } from '../../strategies/api.ts'
import { QTY_PLACES } from '../marvin/intents.ts'
import { type Bar, type BarTest, testOnBar } from './bar_test.ts'
import { addVolume, costOf } from './costs.ts'
import { BASIS_POINT, Decimal, ZERO } from './decimals.ts'
import { closableQty, endSpentExits, spawnExits, twinOf } from './exits.ts'
import { iso } from './iso.ts'
import { applyFill } from './ledger.ts'
import { end, tellOrder } from './order_events.ts'
import { isOpen, remaining, type SimOrder } from './sim_orders.ts'
import { eventId, refreshFloats, type Simulation } from './simulation.ts'

const ROUND_DOWN = 0

export interface MatchedBar extends Bar {
  /** Open time. */
  time: number
  /** What the run may still take of the bar's volume; null: as much as it likes. */
  available: Decimal | null
  /** False: only orders for extended hours meet it. */
  regular: boolean
}

export function isEligible(order: SimOrder, bar: MatchedBar): boolean {
  if (!isOpen(order) || order.active_from > bar.time || order.wait_bars > 0) return false
  if (!bar.regular && !order.extended_hours) return false
  return order.only_at === null || order.only_at === bar.time
}

export function testOrder(simulation: Simulation, order: SimOrder, bar: Bar): BarTest {
  const stop = order.type === 'trailing_stop' ? trailingStop(order) : order.stop_price
  return testOnBar(
    {
      side: order.side,
      type: order.type,
      limit: order.limit_price === null ? null : Number(order.limit_price),
      stop: stop === null ? null : Number(stop),
      triggered: order.triggered,
      only: auctionOf(order),
    },
    bar,
    simulation.setup.model,
  )
}

/** Which of a session's two auctions the order is for. */
export function auctionOf({ time_in_force }: SimOrder): 'open' | 'close' | null {
  if (time_in_force === 'opg') return 'open'
  return time_in_force === 'cls' ? 'close' : null
}

/** The level of a trailing stop: its best close so far, less (sell) or plus (buy) the trail. */
function trailingStop(order: SimOrder): string | null {
  if (order.trail_anchor === null) return null
  const anchor = new Decimal(String(order.trail_anchor))
  const trail =
    order.trail_price !== null ? new Decimal(order.trail_price) : anchor.times(order.trail_percent ?? '0').div(100)
  return (order.side === 'sell' ? anchor.minus(trail) : anchor.plus(trail)).toString()
}

export function fillOrder(
  simulation: Simulation,
  order: SimOrder,
  bar: MatchedBar,
  test: BarTest & { fills: true },
): void {
  if (!isOpen(order)) return
  const { model } = simulation.setup
  const base = basePrice(order, bar, test)
  const price = test.slips ? slipped(base, order.side, model.slippage_bps) : base
  const qty = fillableQty(simulation, order, bar)
  if (qty === null) return
  const priced = priceFill(simulation, order, { qty, price, maker: isMaker(order, test), time: bar.time })
  const refused = refusal(simulation, order, priced)
  if (refused) {
    // The venue's transition table: what is filled in part loses its rest, it is not rejected.
    const type = order.status === 'partial' ? 'orders.Cancelled' : 'orders.Rejected'
    end(simulation, order, type, refused.reason, { rule: null, detail: refused.detail })
    return
  }
  if (bar.available !== null) bar.available = bar.available.minus(qty)
  const ambiguous = order.role === 'stop_loss' && isAmbiguous(simulation, order, bar)
  if (ambiguous) simulation.ambiguousBars += 1
  book(simulation, order, { ...priced, slippage: price.minus(base).abs().times(qty), ambiguous })
  order.triggered = true
  spawnExits(simulation, order, { qty: priced.signed.abs(), price, time: bar.time, from: test.from })
  endSpentExits(simulation, order, qty)
}

export interface PricedFill {
  qty: Decimal
  price: Decimal
  /** Commission in the quote currency, and the part of the quantity that was kept for it. */
  fee: Decimal
  feeQty: Decimal
  /** What the position changes by. */
  signed: Decimal
  /** Open time of its bar. */
  time: number
  maker: boolean
}

export function priceFill(
  simulation: Simulation,
  order: SimOrder,
  fill: Pick<PricedFill, 'qty' | 'price' | 'time' | 'maker'>,
): PricedFill {
  const { model } = simulation.setup
  const { fee, feeQty } = costOf(model, { ...fill, ...partyOf(order) }, simulation.volume)
  const received = fill.qty.minus(feeQty)
  return { ...fill, fee, feeQty, signed: order.side === 'buy' ? received : received.neg() }
}

function partyOf({ symbol_name: symbol, side }: SimOrder) {
  return { symbol, side }
}

/** A limit that waited in the book makes the market; whatever trades at once takes it. */
function isMaker(order: SimOrder, test: BarTest & { fills: true }): boolean {
  if (order.limit_price === null || order.time_in_force === 'ioc' || order.time_in_force === 'fok') return false
  return test.from === 'limit' || (test.from === 'open' && order.rests)
}

function basePrice(order: SimOrder, bar: Bar, test: BarTest & { fills: true }): Decimal {
  if (test.from === 'open' || test.from === 'close') return new Decimal(String(bar[test.from]))
  const own =
    test.from === 'limit' ? order.limit_price : order.type === 'trailing_stop' ? trailingStop(order) : order.stop_price
  if (own === null) throw new Error(`The order ${order.client_order_id} has no ${test.from} price to fill at`)
  return new Decimal(own)
}

/** Slippage is always against the order. */
export function slipped(price: Decimal, side: Side, bps: string): Decimal {
  const shift = price.times(bps).times(BASIS_POINT)
  return side === 'buy' ? price.plus(shift) : price.minus(shift)
}

/** How much of the order this bar can fill; null for nothing. An exit never turns the position around. */
function fillableQty(simulation: Simulation, order: SimOrder, bar: MatchedBar): Decimal | null {
  let qty = order.role === 'own' ? remaining(order) : closableQty(simulation, order)
  if (qty.lte(ZERO)) {
    end(simulation, order, 'orders.Cancelled', 'the position is closed')
    return null
  }
  if (bar.available?.lt(qty)) {
    if (order.time_in_force === 'fok') return null
    qty = bar.available.round(QTY_PLACES, ROUND_DOWN)
  }
  return qty.gt(ZERO) ? qty : null
}

/** Why the account does not allow the fill, or null. Closing is always allowed. */
function refusal(
  simulation: Simulation,
  order: SimOrder,
  { signed, price, fee }: PricedFill,
): { reason: string; detail: string } | null {
  const { model, symbols } = simulation.setup
  const held = simulation.ledger.positions[order.symbol]?.qty ?? ZERO
  const after = held.plus(signed)
  if (after.lt(ZERO) && signed.lt(ZERO) && !model.allow_short) {
    const detail = `selling ${signed.abs()} ${symbols[order.symbol]} with ${held} held would go short`
    return { reason: 'short_not_allowed', detail: `${detail}; the fill option allow_short permits it` }
  }
  if (after.abs().lte(held.abs()) && after.s * held.s >= 0) return null
  const cash = simulation.ledger.cash.minus(signed.times(price)).minus(fee)
  // Long only and paid for: whatever the leverage, there is nothing to add up.
  if (cash.s > 0 && !model.allow_short) return null
  let gross = after.abs().times(price)
  let equity = cash.plus(after.times(price))
  simulation.ledger.positions.forEach((position, symbol) => {
    if (symbol === order.symbol || position.qty.eq(ZERO)) return
    const value = position.qty.times(String(simulation.lastClose[symbol]))
    gross = gross.plus(value.abs())
    equity = equity.plus(value)
  })
  if (gross.lte(equity.times(String(model.leverage)))) return null
  const needed = signed.abs().times(price).plus(fee)
  return {
    reason: 'insufficient_buying_power',
    detail: `${needed} needed with ${simulation.ledger.cash} in cash and leverage ${model.leverage}`,
  }
}

/** Both exits of a pair lay within the bar. */
function isAmbiguous(simulation: Simulation, order: SimOrder, bar: MatchedBar): boolean {
  const twin = twinOf(simulation, order)
  return twin !== undefined && isEligible(twin, bar) && testOrder(simulation, twin, bar).fills
}

interface Booked extends PricedFill {
  slippage: Decimal
  ambiguous: boolean
}

/** Writes a fill into the account, the order, the record and the trades. */
export function book(simulation: Simulation, order: SimOrder, fill: Booked): void {
  const { model, runId, symbols } = simulation.setup
  const { qty, price, fee, signed, time } = fill
  applyFill(simulation.ledger, order.symbol, signed, price, fee)
  addVolume(model, { ...fill, ...partyOf(order) }, simulation.volume)
  simulation.slippage = simulation.slippage.plus(fill.slippage)
  refreshFloats(simulation)
  const amounts = { qty: qty.toString(), price: price.toString(), fee: fee.toString() }
  const fee_qty = fill.feeQty.toString()
  addFill(order, fill, amounts)
  order.filled_at = simulation.ts
  const done = order.filled_qty === order.qty
  if (done) order.closed_at = simulation.ts
  const symbol = symbols[order.symbol] as string
  const timestamp = iso(time)
  const { id } = order
  const ordinal = simulation.nextFill++
  const slippage = fill.slippage.toString()
  tellOrder(
    simulation,
    order,
    done ? 'orders.Filled' : 'orders.PartiallyFilled',
    () => ({
      order_id: id,
      client_order_id: order.client_order_id,
      symbol,
      side: order.side,
      ordinal,
      ...amounts,
      fee_qty,
      slippage,
      timestamp,
      filled_qty: order.filled_qty,
      filled_avg_price: order.filled_avg_price,
      fees: order.fees,
      ambiguous: fill.ambiguous,
      execution_id: null,
    }),
    order.last_event,
  )
  simulation.produced.fills.push({
    id: eventId(simulation, order.last_event),
    run_id: runId,
    order_id: id,
    ordinal,
    symbol,
    side: order.side,
    ...amounts,
    fee_qty,
    slippage,
    timestamp,
    known_at: iso(simulation.ts),
    ambiguous: fill.ambiguous,
    execution_id: null,
  })
  const traded = { ...amounts, qty: signed.abs().toString() }
  simulation.trades.onFill({ symbol, side: order.side, ...traded, orderId: id, time, barIndex: simulation.tick })
  if (done) simulation.trades.onOrderEnd(id)
}

function addFill(
  order: SimOrder,
  { qty, price, fee }: Booked,
  text: { qty: string; price: string; fee: string },
): void {
  const notional = qty.times(price)
  if (order.filled_avg_price === null) {
    order.filled_qty = text.qty
    order.filled_notional = notional.toString()
    order.filled_avg_price = text.price
    order.fees = text.fee
    return
  }
  const total = qty.plus(order.filled_qty)
  const paid = notional.plus(order.filled_notional)
  order.filled_qty = total.toString()
  order.filled_notional = paid.toString()
  order.filled_avg_price = paid.div(total).toString()
  order.fees = fee.plus(order.fees).toString()
}
