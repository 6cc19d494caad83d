/** An order of a paper or live run comes into being: its row, `orders.Created`, and the job that sends it. */
import type { NewEvent } from '../../../db/events/envelope.ts'
import type { OrderSendRow, TradingMode } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { evolveOrder, type OrderEvent } from '../../../db/walle/projections/orders.ts'
import type { OrderRow, RunRow } from '../../../db/walle/rows.ts'
import type { PlaceIntent } from '../../../strategies/api.ts'
import { newOrder } from '../../greta/sim_orders.ts'
import { submitJob } from './job_specs.ts'

export interface OrderSeed {
  run: RunRow & { exchange: string; mode: TradingMode }
  intent: PlaceIntent
  id: string
  eventId: string
  ordinal: number
  corrId: string
  cause: string
  parent: OrderRow | null
  barIndex: number | null
  placedAt: string
  /** The newest close that the strategy had seen; null: none, or the order is an exit. */
  decidedClose: string | null
  now: number
}

export interface BornOrder {
  order: OrderRow
  send: OrderSendRow
  /** With the job that sends it. */
  outcome: Outcome
}

export function newOrderOutcome(seed: OrderSeed): BornOrder {
  const { run, intent, id } = seed
  // Reads what a strategy wrote: what is no number becomes null, such a quantity 0.
  const asked = newOrder(intent, {
    id,
    corrId: seed.corrId,
    ordinal: seed.ordinal,
    symbol: run.symbols.indexOf(intent.symbol),
    role: 'own',
    parent: null,
    tick: seed.barIndex ?? 0,
    ts: seed.now,
    waitBars: 0,
  })
  const event = {
    id: seed.eventId,
    type: 'orders.Created',
    run_id: run.id,
    corr_id: seed.corrId,
    causation_id: seed.cause,
    ts: new Date(seed.now).toISOString(),
    producer: 'veda',
    payload: {
      order_id: id,
      client_order_id: intent.client_order_id,
      ordinal: seed.ordinal,
      symbol: intent.symbol,
      side: intent.side,
      order_type: intent.order_type,
      qty: asked.qty,
      price: asked.limit_price,
      stop_price: asked.stop_price,
      trail_price: asked.trail_price,
      trail_percent: asked.trail_percent,
      take_profit: asked.take_profit,
      stop_loss: asked.stop_loss,
      time_in_force: intent.time_in_force,
      extended_hours: intent.extended_hours,
      reason: intent.reason,
      parent_order_id: seed.parent?.id ?? null,
      bar_index: seed.barIndex,
      placed_at: seed.placedAt,
    },
  } satisfies NewEvent
  const order = evolveOrder(null, event as unknown as OrderEvent) as OrderRow
  const send: OrderSendRow = {
    order_id: id,
    run_id: run.id,
    exchange: run.exchange,
    mode: run.mode,
    wanted_at: event.ts,
    state: 'to_send',
    attempts: 0,
    lookups: 0,
    last_sent_at: null,
    last_error: null,
    cancel_requested_at: null,
    cancel_attempts: 0,
    cancel_reason: null,
    decided_close: seed.decidedClose,
    refusals: 0,
    at_market: false,
    ...{ qty_increment: null, replaced_ids: [], filled_before: '0' },
  }
  const writes: Outcome['writes'] = [
    { kind: 'insert_orders', rows: [order] },
    { kind: 'save_order_sends', rows: [send] },
  ]
  return { order, send, outcome: { writes, events: [event], jobs: [submitJob(order)] } }
}
