/** One order as the shell keeps it, and what a venue says of it, in as few words as a test needs. */
import fc from 'fast-check'
import { orderId } from '../../db/events/ids.ts'
import { evolveOrder, type OrderEvent } from '../../db/walle/projections/orders.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../../jobs/greta/decimals.ts'
import {
  applyReport,
  type KnownFill,
  type KnownOrder,
  type OrderBody,
  type OrderReport,
} from '../../jobs/veda/reports.ts'
import type { Execution, VenueOrder, VenueStatus } from '../../jobs/veda/venue.ts'

export const RUN = '0f0e0d0c-0b0a-4908-8706-050403020100'
export const NOW = '2026-01-05T15:00:00.000Z'

export function row(qty: string): OrderRow {
  return {
    id: orderId(RUN, 'o1'),
    run_id: RUN,
    ordinal: 0,
    client_order_id: 'o1',
    exchange_order_id: null,
    parent_order_id: null,
    symbol: 'AAPL',
    side: 'buy',
    order_type: 'market',
    qty,
    price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    take_profit: null,
    stop_loss: null,
    time_in_force: 'day',
    extended_hours: false,
    status: 'submitted',
    filled_qty: '0',
    filled_avg_price: null,
    fees: '0',
    reason: null,
    reject_reason: null,
    reject_rule: null,
    bar_index: 0,
    placed_at: NOW,
    submitted_at: NOW,
    filled_at: null,
    closed_at: null,
    corr_id: RUN,
    last_event_id: RUN,
  }
}

export interface Record {
  known: KnownOrder
  events: OrderBody[]
  gaps: number
}

export const open = (qty: string): Record => ({
  known: { row: row(qty), fills: [], decidedClose: '100', replacedIds: [], filledBefore: '0' },
  events: [],
  gaps: 0,
})

/** As the shell does: the row by its projection, the fills by their events. */
export function hear(record: Record, report: OrderReport): void {
  const { events, gap, replacedIds, filledBefore } = applyReport(record.known, report, record.known.fills.length)
  if (gap) record.gaps++
  for (const body of events) {
    record.events.push(body)
    const event = { ...body, run_id: RUN, corr_id: RUN, ts: NOW } as unknown as OrderEvent
    const fills: KnownFill[] = 'execution_id' in body.payload ? [body.payload as KnownFill] : []
    record.known = {
      ...record.known,
      row: evolveOrder(record.known.row, event) as OrderRow,
      fills: [...record.known.fills, ...fills],
    }
  }
  record.known = { ...record.known, replacedIds, filledBefore }
}

export interface Filled {
  qty: string
  price: string
  /** Charged in money, and kept of the quantity. */
  fee?: string
  fee_qty?: string
}

export const amount = (fills: readonly Filled[], of: 'fee' | 'fee_qty') =>
  fills.some((fill) => fill[of] !== undefined)
    ? fills.reduce((sum, fill) => sum.plus(fill[of] ?? ZERO), ZERO).toString()
    : null

export function snapshot(qty: string, fills: readonly Filled[], changes: Partial<VenueOrder> = {}): VenueOrder {
  const total = fills.reduce((sum, fill) => sum.plus(fill.qty), ZERO)
  const paid = fills.reduce((sum, fill) => sum.plus(new Decimal(fill.qty).times(fill.price)), ZERO)
  const status: VenueStatus = total.eq(ZERO) ? 'accepted' : total.gte(qty) ? 'filled' : 'partial'
  return {
    exchange_order_id: 'x1',
    client_order_id: 'o1',
    symbol: 'AAPL',
    side: 'buy',
    order_type: 'market',
    qty,
    limit_price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'day',
    status,
    filled_qty: total.toString(),
    filled_avg_price: total.eq(ZERO) ? null : paid.div(total).toString(),
    fee: amount(fills, 'fee'),
    fee_qty: amount(fills, 'fee_qty'),
    reject_reason: null,
    replaced_by: null,
    replaces: null,
    submitted_at: 1,
    updated_at: 1,
    ...changes,
  }
}

export function execution(fills: readonly Filled[], index: number, changes: Partial<Execution> = {}): Execution {
  const { qty, price, fee = null, fee_qty = null } = fills[index] as Filled
  const cum = fills.slice(0, index + 1).reduce((sum, fill) => sum.plus(fill.qty), ZERO)
  return {
    execution_id: `e${index}`,
    exchange_order_id: 'x1',
    client_order_id: 'o1',
    symbol: 'AAPL',
    side: 'buy',
    qty,
    price,
    cum_qty: cum.toString(),
    fee,
    fee_qty,
    at: 1,
    ...changes,
  }
}

export const TWO: Filled[] = [
  { qty: '4', price: '100' },
  { qty: '6', price: '110' },
]
export const types = (record: Record) => record.events.map(({ type }) => type)
export const fillsOf = (record: Record) =>
  record.known.fills.map(({ execution_id, qty, price }) => [execution_id, qty, price])

export const filledArbitrary = fc.record({
  qty: fc.integer({ min: 1, max: 50 }).map((n) => new Decimal(n).div(4).toString()),
  price: fc.integer({ min: 100, max: 20_000 }).map((n) => new Decimal(n).div(100).toString()),
  fee: fc.integer({ min: 0, max: 50 }).map((n) => new Decimal(n).div(1_000).toString()),
  fee_qty: fc.integer({ min: 0, max: 200 }).map((n) => new Decimal(n).div(1_000).toString()),
})
