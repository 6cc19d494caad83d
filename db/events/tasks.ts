/**
 * The jobs there are, by name and payload. Payloads are small: ids, never data. `jobs/tasks.ts` holds the handlers.
 * Every handler of an event's job can be run twice and has one effect (I3): it claims `event_id` first.
 */
import { z } from 'zod'

const id = z.uuid()
const caused = z.strictObject({ run_id: id, event_id: id })

export const TASKS = {
  /** A backtest's data is looked at and its first tick set off. */
  'greta.start_run': z.strictObject({ run_id: id }),
  /** A backtest's next few thousand ticks. */
  'greta.run_chunk': z.strictObject({ run_id: id, next_tick: z.int().min(0) }),
  /** Open orders are tested on the bars that closed at the tick. */
  'greta.match_orders': caused,
  /** The strategy hears of its orders and of the tick, and may ask for windows. */
  'marvin.on_tick': caused,
  'greta.fetch_window': caused,
  /** The strategy decides. */
  'marvin.on_window': caused,
  'greta.place_order': caused,
  'greta.cancel_order': caused,
  /** The ticks are done: statistics and result hash from the stored rows. */
  'greta.finish_run': z.strictObject({ run_id: id }),
} as const

export type TaskName = keyof typeof TASKS
export type TaskPayload<T extends TaskName> = z.output<(typeof TASKS)[T]>

export type NewJob = {
  [T in TaskName]: {
    task: T
    payload: TaskPayload<T>
    /** Jobs of one queue run one after the other. A run's jobs share the queue `run:<run_id>`. */
    queue?: string
  }
}[TaskName]
