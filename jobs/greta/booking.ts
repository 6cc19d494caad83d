/** A fill is priced, checked against the account and booked; the exits attached to an entry come to life and end. */

import type { PlaceIntent, Side } from '../../strategies/api.ts'
import { QTY_PLACES } from '../marvin/intents.ts'
import { type Bar, type BarTest, testOnBar } from './bar_test.ts'
import { commissionOf } from './costs.ts'
import { BASIS_POINT, Decimal, ZERO } from './decimals.ts'
import { iso } from './iso.ts'
import { applyFill } from './ledger.ts'
import { accept, createOrder, end, tellOrder } from './order_events.ts'
import { type EventPlace, isOpen, remaining, type SimOrder } from './sim_orders.ts'
import { eventId, refreshFloats, type Simulation } from './simulation.ts'

const ROUND_DOWN = 0

export interface MatchedBar extends Bar {
  /** Open time. */
  time: number
  /** What the run may still take of the bar's volume; null: as much as it likes. */
  available: Decimal | null
}

export function isEligible(order: SimOrder, bar: MatchedBar): boolean {
  if (!isOpen(order) || order.active_from > bar.time) return false
  return order.wait_bars === 0
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
    },
    bar,
    simulation.setup.model,
  )
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
  const signed = order.side === 'buy' ? qty : qty.neg()
  const fee = commissionOf(model, qty, price)
  const refused = refusal(simulation, order, signed, price, fee)
  if (refused) {
    // The venue's transition table: what is filled in part loses its rest, it is not rejected.
    const type = order.status === 'partial' ? 'orders.Cancelled' : 'orders.Rejected'
    end(simulation, order, type, refused.reason, { rule: null, detail: refused.detail })
    return
  }
  if (bar.available !== null) bar.available = bar.available.minus(qty)
  const ambiguous = order.role === 'stop_loss' && isAmbiguous(simulation, order, bar)
  if (ambiguous) simulation.ambiguousBars += 1
  const slippage = price.minus(base).abs().times(qty)
  simulation.slippage = simulation.slippage.plus(slippage)
  applyFill(simulation.ledger, order.symbol, signed, price, fee)
  refreshFloats(simulation)
  book(simulation, order, bar.time, { qty, price, fee, slippage, ambiguous })
  spawnExits(simulation, order, qty, test.from === 'open' ? bar.time : simulation.ts, test.from)
  endSiblings(simulation, order)
}

function basePrice(order: SimOrder, bar: Bar, test: BarTest & { fills: true }): Decimal {
  if (test.from === 'open') return new Decimal(String(bar.open))
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
  let qty = remaining(order)
  if (order.role !== 'own') {
    const held = simulation.ledger.positions[order.symbol]?.qty ?? ZERO
    const closable = order.side === 'sell' ? held : held.neg()
    if (closable.lt(qty)) qty = closable
    if (qty.lte(ZERO)) {
      end(simulation, order, 'orders.Cancelled', 'the position is closed')
      return null
    }
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
  signed: Decimal,
  price: Decimal,
  fee: Decimal,
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
  const twin = siblingOf(simulation, order)
  return twin !== undefined && isEligible(twin, bar) && testOrder(simulation, twin, bar).fills
}

function siblingOf(simulation: Simulation, order: SimOrder): SimOrder | undefined {
  return simulation.open.find(
    (other) => other !== order && isOpen(other) && other.pair !== null && other.pair === order.pair,
  )
}

interface Booked {
  qty: Decimal
  price: Decimal
  fee: Decimal
  slippage: Decimal
  ambiguous: boolean
}

/** Writes a fill into the order, the record and the trades. `time` is the open time of its bar. */
export function book(simulation: Simulation, order: SimOrder, time: number, fill: Booked): void {
  const { runId, symbols } = simulation.setup
  const { qty, price, fee } = fill
  const amounts = { qty: qty.toString(), price: price.toString(), fee: fee.toString() }
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
    slippage,
    timestamp,
    known_at: iso(simulation.ts),
    ambiguous: fill.ambiguous,
    execution_id: null,
  })
  simulation.trades.onFill({ symbol, side: order.side, ...amounts, orderId: id, time, barIndex: simulation.tick })
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

/** An entry's fill brings its attached exits to life, for the quantity filled. */
function spawnExits(simulation: Simulation, entry: SimOrder, qty: Decimal, entryTime: number, from: string): void {
  if (entry.role !== 'own' || (entry.take_profit === null && entry.stop_loss === null)) return
  const rule = simulation.setup.model.attached_from
  const sameBar = rule === 'entry_at_open' ? from === 'open' : rule === 'market_entry' && entry.type === 'market'
  const pair = simulation.nextOrder
  const cause = entry.last_event
  const activeFrom = sameBar ? entryTime : simulation.ts
  if (entry.stop_loss !== null) spawnExit(simulation, entry, 'stop_loss', qty, pair, activeFrom, cause)
  if (entry.take_profit !== null) spawnExit(simulation, entry, 'take_profit', qty, pair, activeFrom, cause)
}

function spawnExit(
  simulation: Simulation,
  entry: SimOrder,
  role: 'take_profit' | 'stop_loss',
  qty: Decimal,
  pair: number,
  activeFrom: number,
  cause: EventPlace,
): void {
  const stop = role === 'stop_loss'
  const intent: PlaceIntent = {
    kind: 'place',
    client_order_id: `${entry.client_order_id}-${stop ? 'sl' : 'tp'}${pair}`,
    symbol: simulation.setup.symbols[entry.symbol] as string,
    side: entry.side === 'buy' ? 'sell' : 'buy',
    order_type: stop ? 'stop' : 'limit',
    qty: qty.toString(),
    limit_price: stop ? null : entry.take_profit,
    stop_price: stop ? entry.stop_loss : null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'gtc',
    extended_hours: false,
    take_profit: null,
    stop_loss: null,
    reason: stop ? 'stop loss' : 'take profit',
  }
  const exit = createOrder(simulation, intent, role, cause, {
    id: entry.id,
    ordinal: entry.ordinal,
    client_order_id: entry.client_order_id,
  })
  exit.active_from = activeFrom
  exit.pair = pair
  accept(simulation, exit)
}

/** One exit filled ends the other; a closed position ends all its exits. */
function endSiblings(simulation: Simulation, order: SimOrder): void {
  if (order.role !== 'own' && order.status === 'filled') {
    const twin = siblingOf(simulation, order)
    if (twin) end(simulation, twin, 'orders.Cancelled', 'the other exit of the pair filled')
  }
  if (simulation.qtyFloat[order.symbol] !== 0) return
  for (const other of simulation.open) {
    if (other !== order && other.symbol === order.symbol && other.role !== 'own' && isOpen(other)) {
      end(simulation, other, 'orders.Cancelled', 'the position is closed')
    }
  }
}
