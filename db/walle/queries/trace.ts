/** How an order came about and what became of it, as hops: from the log, or from events that were derived again. */
import type { Reader } from '../../database.ts'
import type { NewEvent } from '../../events/envelope.ts'
import { ORDERS, selectList } from '../columns.ts'
import type { OrderRow } from '../rows.ts'
import { isUuid } from './page.ts'

export interface Hop {
  /** From 1. */
  n: number
  type: string
  /** The event's time; in a backtest the run's. */
  at: string
  /** When it was written down; null for one that was derived. */
  created_at: string | null
  /** Since the hop before. */
  latency_ms: number | null
  event_id: string
  causation_id: string | null
  corr_id: string
  producer: string
  /** In words. */
  summary: string
  payload: Record<string, unknown>
}

export interface OrderTrace {
  order: OrderRow
  /** The run left no such events in the log: it was played again for them. */
  derived: boolean
  hops: Hop[]
}

/** By id or client_order_id. */
export async function findOrder(reader: Reader, order: string): Promise<OrderRow | null> {
  if (order.includes('\0')) return null
  const [found] = await reader.query<OrderRow>(
    `select ${selectList(ORDERS)} from weaver.orders where ${isUuid(order) ? 'id = $1::uuid' : 'client_order_id = $1'}`,
    [order],
  )
  return found ?? null
}

/** The order and the exits that are attached to it. */
export function listFamily(reader: Reader, order: Pick<OrderRow, 'id' | 'run_id'>): Promise<OrderRow[]> {
  return reader.query<OrderRow>(
    `select ${selectList(ORDERS)} from weaver.orders
     where run_id = $1 and (id = $2 or parent_order_id = $2) order by ordinal`,
    [order.run_id, order.id],
  )
}

/** What the log tells of an order; empty when its run left no such events, or they are gone. */
export function loggedHops(reader: Reader, orderId: string): Promise<Hop[]> {
  return reader.query<Hop>('select * from weaver.order_trace($1)', [orderId])
}

/** Of events that are not in the log those that the order's life consists of. */
export function hopsOf(reader: Reader, events: readonly NewEvent[], orderId: string): Promise<Hop[]> {
  const given = JSON.stringify(events.map((event) => ({ event })))
  return reader.query<Hop>('select * from weaver.causal_chain($1::jsonb, $2::uuid)', [given, orderId])
}

/** What events say, in words, one for each. */
export async function summariesOf(reader: Reader, events: readonly { envelope: object }[]): Promise<string[]> {
  const rows = await reader.query<{ summary: string | null }>(
    `select weaver.event_summary(e) as summary from jsonb_array_elements($1::jsonb) with ordinality as list (e, n) order by n`,
    [JSON.stringify(events.map(({ envelope }) => envelope))],
  )
  return rows.map(({ summary }) => summary ?? '')
}
