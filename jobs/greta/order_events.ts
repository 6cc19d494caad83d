/** What befalls an order, told as events: it is created, accepted, ended. */

import { orderId } from '../../db/events/ids.ts'
import type { OrderEventType } from '../../db/events/order_state.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import { iso } from './iso.ts'
import { advance, type EventPlace, newOrder, type OrderSeed, type SimOrder } from './sim_orders.ts'
import { corrIdOf, type Simulation, tell } from './simulation.ts'

/** Ends an order with `orders.Cancelled`, `orders.Expired` or, where the account does not allow it, `orders.Rejected`. */
export function end(
  simulation: Simulation,
  order: SimOrder,
  type: 'orders.Cancelled' | 'orders.Expired' | 'orders.Rejected',
  reason: string,
  refusal: { rule: string | null; detail: string | null; cause?: EventPlace } = { rule: null, detail: null },
): void {
  order.closed_at = simulation.ts
  simulation.trades.onOrderEnd(order.id)
  if (type === 'orders.Rejected') {
    order.reject_reason = refusal.detail === null ? reason : `${reason}: ${refusal.detail}`
    order.reject_rule = refusal.rule
    simulation.skips.note(simulation, refusal.rule === null ? 'rejected' : 'risk', refusal.rule ?? reason, refusal.rule)
  }
  const common = {
    order_id: order.id,
    client_order_id: order.client_order_id,
  }
  const payload = () =>
    type === 'orders.Rejected'
      ? { ...common, reason, rule: refusal.rule, detail: refusal.detail }
      : { ...common, reason }
  tellOrder(simulation, order, type, payload, refusal.cause ?? order.last_event)
}

/** Records an event of an order and moves its status along. */
export function tellOrder(
  simulation: Simulation,
  order: SimOrder,
  type: OrderEventType,
  /** Only called where events are kept. */
  payload: () => object,
  cause: EventPlace,
): void {
  if (type !== 'orders.Created') advance(order, type)
  order.last_event = tell(
    simulation,
    cause,
    order.corr_id,
    () => ({ type, producer: 'greta', payload: payload() }) as never,
  )
  simulation.produced.touched.set(order.ordinal, order)
  if (!simulation.changed.includes(order)) simulation.changed.push(order)
}

type OwnIntent = Pick<PlaceIntent, 'client_order_id' | 'symbol' | 'side' | 'order_type' | 'qty' | 'reason'> &
  Partial<PlaceIntent>

/** An order of Weaver's own making, such as an attached exit: good till cancelled, nothing attached to it. */
export function ownIntent(own: OwnIntent): PlaceIntent {
  return {
    kind: 'place',
    limit_price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'gtc',
    extended_hours: false,
    take_profit: null,
    stop_loss: null,
    ...own,
  }
}

/** Brings an order into being: `orders.Created`. Its corr_id is that of the tick that placed it, or its entry. */
export function createOrder(
  simulation: Simulation,
  intent: PlaceIntent,
  role: SimOrder['role'],
  cause: EventPlace,
  parent: SimOrder['parent'] = null,
): SimOrder {
  const { symbols, model, runId } = simulation.setup
  const entry = parent === null ? undefined : simulation.open.find((order) => order.ordinal === parent.ordinal)
  const seed: OrderSeed = {
    id: orderId(runId, intent.client_order_id),
    corrId: entry?.corr_id ?? corrIdOf(simulation),
    ordinal: simulation.nextOrder++,
    symbol: symbols.indexOf(intent.symbol),
    role,
    parent,
    tick: entry?.placed.tick ?? simulation.tick,
    ts: entry?.placed.ts ?? simulation.ts,
    waitBars: role === 'own' ? model.latency_bars : 0,
  }
  const order = newOrder(intent, seed)
  tellOrder(
    simulation,
    order,
    'orders.Created',
    () => ({
      order_id: order.id,
      client_order_id: order.client_order_id,
      ordinal: order.ordinal,
      symbol: intent.symbol,
      side: order.side,
      order_type: order.type,
      qty: order.qty,
      price: order.limit_price,
      stop_price: order.stop_price,
      trail_price: order.trail_price,
      trail_percent: order.trail_percent,
      take_profit: order.take_profit,
      stop_loss: order.stop_loss,
      time_in_force: order.time_in_force,
      extended_hours: order.extended_hours,
      reason: order.reason,
      parent_order_id: parent?.id ?? null,
      bar_index: order.placed.tick,
      placed_at: iso(order.placed.ts),
    }),
    cause,
  )
  return order
}

/** The simulated venue takes every well-formed order: `orders.Submitted`, `orders.Accepted`. */
export function accept(simulation: Simulation, order: SimOrder): void {
  const payload = () => ({ order_id: order.id, client_order_id: order.client_order_id })
  order.submitted_at = simulation.ts
  tellOrder(simulation, order, 'orders.Submitted', payload, order.last_event)
  tellOrder(simulation, order, 'orders.Accepted', payload, order.last_event)
  if (order.type === 'trailing_stop') order.trail_anchor = simulation.lastClose[order.symbol] ?? null
  simulation.open.push(order)
}
