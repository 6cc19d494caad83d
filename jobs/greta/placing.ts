/** Step 6 of a tick: what the strategy asked for is recorded, checked, and placed with the simulated venue. */

import type { PayloadOf } from '../../db/events/registry.ts'
import { OUTSIDE } from '../../db/walle/calendar/calendar.ts'
import type { Intent, PlaceIntent } from '../../strategies/api.ts'
import { route } from '../glados/router.ts'
import type { Asked } from '../marvin/contract.ts'
import { auctionOf, book, priceFill, slipped } from './booking.ts'
import { Decimal, ZERO } from './decimals.ts'
import { iso } from './iso.ts'
import { accept, createOrder, end, ownIntent } from './order_events.ts'
import { countOrder, lossesOf } from './risk_watch.ts'
import { type EventPlace, isOpen, openOrderOf, type SimOrder } from './sim_orders.ts'
import { corrIdOf, eventId, type Simulation, type SymbolBars, tell } from './simulation.ts'
import { auctionBar } from './trading_hours.ts'

/**
 * Records a decision: `strategy.DecisionMade`, then per intent the request and the command that it is routed to.
 * Gives the commands' places, which are what the orders' events are caused by.
 */
export function tellDecision(simulation: Simulation, asked: Asked, cause: EventPlace): EventPlace[] {
  const { tick, ts } = simulation
  const decision = tell(simulation, cause, null, () => ({
    type: 'strategy.DecisionMade',
    producer: 'marvin',
    payload: { bar_index: tick, ...inlineOf(asked) },
  }))
  noteSkips(simulation, asked)
  if (asked.intents.length + asked.logs.length > 0) {
    const { runId } = simulation.setup
    simulation.produced.decisions.push({
      id: eventId(simulation, decision),
      run_id: runId,
      bar_index: tick,
      part: 0,
      ts: iso(ts),
      corr_id: corrIdOf(simulation),
      intents: asked.intents,
      skips: asked.skips,
      logs: asked.logs,
    })
  }
  return asked.intents.map((intent, ordinal) => tellRequest(simulation, intent, ordinal, decision))
}

/** Keeps why the present tick did nothing, or less than it might have. */
export function noteSkips(simulation: Simulation, { skips }: Asked): void {
  for (let index = 0; index < skips.length; index++) {
    simulation.skips.note(simulation, 'skipped', skips[index] as string)
  }
}

/** Characters of JSON of a decision that its event holds; each may take three bytes of a payload's 100 KB. */
const LONGEST_INLINE = 30_000

/** What a decision asked for where that is short; else how much of it lies in the tables `decisions` and `skips`. */
export function inlineOf({ intents, skips, logs }: Asked): Omit<PayloadOf<'strategy.DecisionMade'>, 'bar_index'> {
  if (JSON.stringify([intents, skips, logs]).length <= LONGEST_INLINE) return { intents, skips, logs }
  const left_out = { intents: intents.length, skips: skips.length, logs: logs.length }
  return { intents: [], skips: [], logs: [], left_out }
}

function tellRequest(simulation: Simulation, intent: Intent, ordinal: number, decision: EventPlace): EventPlace {
  const { tick } = simulation
  if (intent.kind === 'cancel') {
    const payload = { bar_index: tick, ordinal, client_order_id: intent.client_order_id }
    const request = tell(simulation, decision, null, () => ({
      type: 'strategy.CancelRequest',
      producer: 'marvin',
      payload,
    }))
    return tell(simulation, request, null, () => ({
      type: route('strategy.CancelRequest', 'backtest'),
      producer: 'glados',
      payload,
    }))
  }
  const payload = { bar_index: tick, ordinal, intent }
  const request = tell(simulation, decision, null, () => ({
    type: 'strategy.PlaceRequest',
    producer: 'marvin',
    payload,
  }))
  return tell(simulation, request, null, () => ({
    type: route('strategy.PlaceRequest', 'backtest'),
    producer: 'glados',
    payload,
  }))
}

/** Places or cancels. An intent that cannot be placed becomes a rejected order that says why. */
export function carryOut(simulation: Simulation, intent: Intent, cause: EventPlace): void {
  if (intent.kind === 'place') {
    place(simulation, intent, cause)
    return
  }
  const target = simulation.open.find((order) => order.client_order_id === intent.client_order_id && isOpen(order))
  if (!target) return
  end(simulation, target, 'orders.Cancelled', 'asked for by the strategy', { rule: null, detail: null, cause })
  simulation.open = simulation.open.filter(isOpen)
}

function place(simulation: Simulation, intent: PlaceIntent, cause: EventPlace): void {
  const order = createOrder(simulation, intent, 'own', cause)
  const refused = refusalOf(simulation, intent) ?? awaitAuction(simulation, order)
  if (refused) {
    end(simulation, order, 'orders.Rejected', refused.reason, { rule: refused.rule, detail: refused.detail })
    return
  }
  countOrder(simulation.risk, simulation.ts)
  accept(simulation, order)
}

/** An order for an auction waits for the bar that holds it. */
function awaitAuction({ setup, ts }: Simulation, order: SimOrder): PlacingRefusal | null {
  const at = auctionOf(order)
  const bar = at === null ? null : auctionBar(at, setup.timeframe, ts)
  if (bar === OUTSIDE) {
    const detail = `the exchange calendar does not know ${iso(ts).slice(0, 4)}: ${order.time_in_force} needs it`
    return { reason: 'unsupported', rule: null, detail }
  }
  order.only_at = bar
  return null
}

interface PlacingRefusal {
  reason: string
  rule: string | null
  detail: string | null
}

function refusalOf(simulation: Simulation, intent: PlaceIntent): PlacingRefusal | null {
  const { setup } = simulation
  const nonsense = setup.checkIntent(intent, setup.symbols)
  if (nonsense !== null) return { reason: 'invalid_order', rule: null, detail: nonsense }
  const offGrid = offGridPrice(intent, setup.model.price_increment)
  if (offGrid !== null) return { reason: 'invalid_order', rule: null, detail: offGrid }
  const symbol = setup.symbols.indexOf(intent.symbol)
  const risk = setup.checkRisk(intent, {
    symbol: intent.symbol,
    lastClose: simulation.lastClose[symbol] as number,
    held: simulation.ledger.positions[symbol]?.qty.toString() ?? '0',
    open: simulation.open.map(openOrderOf),
    ...lossesOf(simulation.risk, simulation.ts),
  })
  return risk === null ? null : { reason: 'risk', rule: risk.rule, detail: risk.detail }
}

function offGridPrice(intent: PlaceIntent, increment: string | null): string | null {
  if (increment === null) return null
  for (const price of [intent.limit_price, intent.stop_price, intent.take_profit, intent.stop_loss]) {
    if (price !== null && !new Decimal(price).mod(increment).eq(ZERO)) {
      return `the price ${price} is not a multiple of ${increment}`
    }
  }
  return null
}

/** After the last tick: positions stay open unless the fill model closes them, and no order fills any more. */
export function endTicks(simulation: Simulation, cause: EventPlace): void {
  if (simulation.setup.model.close_at_end) closePositions(simulation, cause)
  simulation.trades.endAll()
}

/** `close_at_end`: after the last tick every position is closed at its last close, by a market order of Weaver's own. */
function closePositions(simulation: Simulation, cause: EventPlace): void {
  const { setup, ledger } = simulation
  ledger.positions.forEach((position, symbol) => {
    if (position.qty.eq(ZERO)) return
    const side = position.qty.gt(ZERO) ? 'sell' : 'buy'
    const qty = position.qty.abs()
    const intent = ownIntent({
      client_order_id: `w-${setup.runId}-${simulation.tick}-end${symbol}`,
      symbol: setup.symbols[symbol] as string,
      side,
      order_type: 'market',
      qty: qty.toString(),
      reason: 'close_at_end',
    })
    const order = createOrder(simulation, intent, 'own', cause)
    accept(simulation, order)
    const base = new Decimal(String(simulation.lastClose[symbol]))
    const price = slipped(base, side, setup.model.slippage_bps)
    const { columns, closed } = simulation.bars[symbol] as SymbolBars
    const time = columns.time[closed - 1] as number
    const priced = priceFill(simulation, order, { qty, price, maker: false, time })
    book(simulation, order, { ...priced, slippage: price.minus(base).abs().times(qty), ambiguous: false })
  })
  simulation.open = simulation.open.filter(isOpen)
}
