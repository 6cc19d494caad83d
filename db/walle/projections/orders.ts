/** The order's row as its events make it. Pure. */
import type { LogEvent } from '../../events/envelope.ts'
import { isOpen, type OrderEventType, transition } from '../../events/order_state.ts'
import type { OrderRow } from '../rows.ts'

export type OrderEvent = Extract<LogEvent, { type: OrderEventType }>

export function isOrderEvent(event: LogEvent): event is OrderEvent {
  return event.type.startsWith('orders.')
}

/**
 * What would lead backward is recorded and ignored, but for amounts: what a venue filled after its order had ended was paid
 * for all the same. Null: an event of an order that was never created.
 */
export function evolveOrder(row: OrderRow | null, event: OrderEvent): OrderRow | null {
  if (event.type === 'orders.Created') return row ?? born(event)
  if (row === null) return null
  const status = transition(row.status, event.type)
  if (status === 'ignored') return isFill(event) ? { ...row, ...filledBy(event), last_event_id: event.id } : row
  const moved: OrderRow = {
    ...row,
    status,
    last_event_id: event.id,
    ...(isOpen(status) ? {} : { closed_at: event.ts }),
  }
  switch (event.type) {
    case 'orders.Accepted':
      return { ...moved, exchange_order_id: event.payload.exchange_order_id ?? row.exchange_order_id }
    case 'orders.Replaced': {
      const { exchange_order_id, qty, price, stop_price, trail_price, trail_percent, time_in_force } = event.payload
      return { ...moved, exchange_order_id, qty, price, stop_price, trail_price, trail_percent, time_in_force }
    }
    case 'orders.Submitted':
      return { ...moved, submitted_at: event.ts }
    case 'orders.PartiallyFilled':
    case 'orders.Filled':
      return { ...moved, ...filledBy(event) }
    case 'orders.Rejected': {
      const { reason, rule, detail } = event.payload
      return { ...moved, reject_reason: detail === null ? reason : `${reason}: ${detail}`, reject_rule: rule }
    }
    default:
      return moved
  }
}

type Fill = Extract<OrderEvent, { type: 'orders.PartiallyFilled' | 'orders.Filled' }>

function isFill(event: OrderEvent): event is Fill {
  return event.type === 'orders.PartiallyFilled' || event.type === 'orders.Filled'
}

function filledBy({ payload: { filled_qty, filled_avg_price, fees }, ts }: Fill) {
  return { filled_qty, filled_avg_price, fees, filled_at: ts }
}

function born(event: Extract<OrderEvent, { type: 'orders.Created' }>): OrderRow {
  const { order_id, ...asked } = event.payload
  return {
    ...(asked as Omit<typeof asked, 'order_type' | 'time_in_force'> & Pick<OrderRow, 'order_type' | 'time_in_force'>),
    id: order_id,
    run_id: event.run_id as string,
    exchange_order_id: null,
    status: 'pending',
    filled_qty: '0',
    filled_avg_price: null,
    fees: '0',
    reject_reason: null,
    reject_rule: null,
    submitted_at: null,
    filled_at: null,
    closed_at: null,
    corr_id: event.corr_id,
    last_event_id: event.id,
  }
}
