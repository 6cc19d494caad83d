/** The fill's row as its event makes it. Pure. */
import type { LogEvent } from '../../events/envelope.ts'
import type { FillRow } from '../rows.ts'

export type FillEvent = Extract<LogEvent, { type: 'orders.PartiallyFilled' | 'orders.Filled' }>

export function isFillEvent(event: LogEvent): event is FillEvent {
  return event.type === 'orders.PartiallyFilled' || event.type === 'orders.Filled'
}

export function fillOf(event: FillEvent): FillRow {
  const { client_order_id, filled_qty, filled_avg_price, fees, ...fill } = event.payload
  return { ...fill, id: event.id, run_id: event.run_id as string, known_at: event.ts }
}
