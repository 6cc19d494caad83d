/** An order inside the simulation: its exact texts, the floats that bars are tested against, and what became of it. */

import { tickEventId } from '../../db/events/ids.ts'
import { type OrderEventType, transition } from '../../db/events/order_state.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import type { OrderStatus, OrderType, OrderView, PlaceIntent, Side, TimeInForce } from '../../strategies/api.ts'
import type { RiskPicture } from '../glados/risk.ts'
import { Decimal } from './decimals.ts'
import { iso } from './iso.ts'

export type Role = 'own' | 'take_profit' | 'stop_loss'

/** Where an event sits: gives its id, which is kept where it was needed already. */
export interface EventPlace {
  tick: number
  ordinal: number
  id?: string
}

/** JSON, as it lies in a checkpoint. */
export interface SimOrder {
  id: string
  /** Of the tick that placed it: everything that befalls the order carries it. */
  corr_id: string
  ordinal: number
  client_order_id: string
  parent: { id: string; ordinal: number; client_order_id: string } | null
  role: Role
  /** Index in the run's symbols; -1 for one that the run does not trade. */
  symbol: number
  symbol_name: string
  side: Side
  type: OrderType
  qty: string
  limit_price: string | null
  stop_price: string | null
  trail_price: string | null
  trail_percent: string | null
  take_profit: string | null
  stop_loss: string | null
  time_in_force: TimeInForce
  extended_hours: boolean
  reason: string | null
  status: OrderStatus
  filled_qty: string
  /** Sum of qty * price of its fills. */
  filled_notional: string
  /** To 12 places. */
  filled_avg_price: string | null
  fees: string
  reject_reason: string | null
  reject_rule: string | null
  placed: { tick: number; ts: number }
  submitted_at: number | null
  filled_at: number | null
  closed_at: number | null
  last_event: EventPlace
  /** Bars still to wait for latency. */
  wait_bars: number
  /** Tested on bars that open at or after this time. */
  active_from: number
  /** Open time of the one bar that holds its auction; null for an order for any bar. */
  only_at: number | null
  /** Its stop was reached on an earlier bar: a stop is a market order since, a stop-limit a limit order. */
  triggered: boolean
  /** It lay in the book as a limit order when an earlier bar had been tested. */
  rests: boolean
  /** Best close since a trailing stop was placed. */
  trail_anchor: number | null
  /** Exits that were born together: one filled ends the other. */
  pair: number | null
  /** What the other exit of the pair has filled; null for nothing. */
  twin_filled: string | null
}

export interface OrderSeed {
  id: string
  corrId: string
  ordinal: number
  symbol: number
  role: Role
  parent: SimOrder['parent']
  tick: number
  ts: number
  waitBars: number
}

/** Text of a decimal, or null where it is none. */
function decimalOrNull(text: string | null): string | null {
  if (text === null) return null
  return /^-?\d+(\.\d+)?$/.test(text) ? new Decimal(text).toString() : null
}

/** An order as it is born: pending, nothing filled. Prices that are no numbers become null, such a quantity 0. */
export function newOrder(intent: PlaceIntent, seed: OrderSeed): SimOrder {
  return {
    id: seed.id,
    corr_id: seed.corrId,
    ordinal: seed.ordinal,
    client_order_id: intent.client_order_id,
    parent: seed.parent,
    role: seed.role,
    symbol: seed.symbol,
    symbol_name: intent.symbol,
    side: intent.side,
    type: intent.order_type,
    qty: decimalOrNull(intent.qty) ?? '0',
    limit_price: decimalOrNull(intent.limit_price),
    stop_price: decimalOrNull(intent.stop_price),
    trail_price: decimalOrNull(intent.trail_price),
    trail_percent: decimalOrNull(intent.trail_percent),
    take_profit: decimalOrNull(intent.take_profit),
    stop_loss: decimalOrNull(intent.stop_loss),
    time_in_force: intent.time_in_force,
    extended_hours: intent.extended_hours,
    reason: intent.reason,
    status: 'pending',
    filled_qty: '0',
    filled_notional: '0',
    filled_avg_price: null,
    fees: '0',
    reject_reason: null,
    reject_rule: null,
    placed: { tick: seed.tick, ts: seed.ts },
    submitted_at: null,
    filled_at: null,
    closed_at: null,
    last_event: { tick: seed.tick, ordinal: 0 },
    wait_bars: seed.waitBars,
    active_from: seed.ts,
    only_at: null,
    triggered: false,
    rests: false,
    trail_anchor: null,
    pair: null,
    twin_filled: null,
  }
}

/** Moves the status by the one transition table. Greta only makes events that fit: a misfit is a fault of ours. */
export function advance(order: SimOrder, event: OrderEventType): void {
  const next = transition(order.status, event)
  if (next === 'ignored')
    throw new Error(`The order ${order.client_order_id} is ${order.status}: ${event} does not fit`)
  order.status = next
}

export function isOpen(order: SimOrder): boolean {
  return order.status === 'accepted' || order.status === 'partial'
}

export function remaining(order: SimOrder): Decimal {
  return new Decimal(order.qty).minus(order.filled_qty)
}

/** As the risk gate sees it. */
export function openOrderOf({
  symbol_name: symbol,
  side,
  qty,
  filled_qty,
  parent,
}: SimOrder): RiskPicture['open'][number] {
  return { symbol, side, qty, filled_qty, parent_order_id: parent?.id ?? null }
}

export function viewOf(order: SimOrder): OrderView {
  return {
    id: order.client_order_id,
    symbol: order.symbol_name,
    side: order.side,
    type: order.type,
    qty: order.qty,
    limit_price: order.limit_price,
    stop_price: order.stop_price,
    time_in_force: order.time_in_force,
    status: order.status,
    filled_qty: order.filled_qty,
    filled_avg_price: order.filled_avg_price,
    parent_id: order.parent?.client_order_id ?? null,
    reject_reason: order.reject_reason,
  }
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms)
}

/** The row of weaver.orders. */
export function rowOf(order: SimOrder, runId: string): OrderRow {
  return {
    id: order.id,
    run_id: runId,
    ordinal: order.ordinal,
    client_order_id: order.client_order_id,
    exchange_order_id: null,
    parent_order_id: order.parent?.id ?? null,
    symbol: order.symbol_name,
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
    status: order.status,
    filled_qty: order.filled_qty,
    filled_avg_price: order.filled_avg_price,
    fees: order.fees,
    reason: order.reason,
    reject_reason: order.reject_reason,
    reject_rule: order.reject_rule,
    bar_index: order.placed.tick,
    placed_at: iso(order.placed.ts),
    submitted_at: isoOrNull(order.submitted_at),
    filled_at: isoOrNull(order.filled_at),
    closed_at: isoOrNull(order.closed_at),
    corr_id: order.corr_id,
    last_event_id: order.last_event.id ?? tickEventId(runId, order.last_event.tick, order.last_event.ordinal),
  }
}
