/** The jobs of orders on their way to a venue. */
import type { NewJob } from '../../../db/events/tasks.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'

type Named = Pick<OrderRow, 'id' | 'run_id'>

export function submitJob({ id, run_id }: Named): NewJob {
  return { task: 'veda.submit_order', payload: { run_id, order_id: id }, queue: `orders:${run_id}` }
}

/** Not in the queue of the submits: a cancel does not wait for a venue that is slow to take an order. */
export function cancelJob({ id, run_id }: Named): NewJob {
  return { task: 'veda.send_cancel', payload: { run_id, order_id: id }, queue: `cancels:${run_id}` }
}
