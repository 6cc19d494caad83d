/** The jobs of orders on their way to a venue. */
import type { NewJob } from '../../../db/events/tasks.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import { roleOf } from '../exits.ts'

type Named = Pick<OrderRow, 'id' | 'run_id'>

/** Take profits have a queue of their own: they look at the price again and again, and no order waits for that. */
export function submitJob({ id, run_id, client_order_id }: Named & Pick<OrderRow, 'client_order_id'>): NewJob {
  const queue = roleOf(client_order_id) === 'tp' ? `takes:${run_id}` : `orders:${run_id}`
  return { task: 'veda.submit_order', payload: { run_id, order_id: id }, queue }
}

/** Of runs with orders in a symbol that has begun to look like a split, or is in order again. */
export function fitJob({ run_id, symbol }: { run_id: string; symbol: string }): NewJob {
  return { task: 'veda.fit_symbol', payload: { run_id, symbol }, queue: `run:${run_id}` }
}

/** Not in the queue of the submits: a cancel does not wait for a venue that is slow to take an order. */
export function cancelJob({ id, run_id }: Named): NewJob {
  return { task: 'veda.send_cancel', payload: { run_id, order_id: id }, queue: `cancels:${run_id}` }
}
