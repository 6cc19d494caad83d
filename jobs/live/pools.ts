/**
 * The workers that a process keeps for paper and live runs. A venue that does not answer keeps those who wait for it; so
 * what leaves has pools of its own, and of each only some workers wait for the same account at a time: whatever hangs, the
 * orders and the cancels of another account go out.
 */
import { accountFlag, TASKS, type TaskPayload, tasksOf } from '../../db/events/tasks.ts'
import { accountOfRun } from '../../db/walle/queries/live_runs.ts'
import type { PoolOptions } from '../runner.ts'
import type { Live } from './live.ts'

/** Kept free for ticks and orders, however many backtests there are. */
export const LIVE_POOLS = (['live', 'orders', 'cancels'] as const).map((name): PoolOptions => {
  return { name, concurrency: { live: 4, orders: 7, cancels: 7 }[name], tasks: tasksOf(name) }
})

/** Several workers may have looked at the same moment at what is free; who finds no place comes again so soon. */
const BUSY_MS = 100

interface Waitable {
  signal: AbortSignal
  putBack(delayMs: number): Promise<never>
}

type LimitedTask = 'veda.start_run' | 'veda.submit_order' | 'veda.send_cancel'

/** Which places of a process's workers are taken, by task and account. */
export interface AccountPlaces {
  /** The handler of a task that has `mostOfAccount`. */
  handler<T extends LimitedTask, Job extends Waitable>(
    task: T,
    handler: (payload: TaskPayload<T>, job: Job) => Promise<void>,
  ): (payload: TaskPayload<T>, job: Job) => Promise<void>
  /** Flags of the jobs that find no place now. */
  full(): string[]
}

export function createAccountPlaces({ db }: Pick<Live, 'db'>): AccountPlaces {
  /** By the flag of its jobs. */
  const places = new Map<string, { taken: number; most: number }>()
  return {
    handler: (task, handler) => async (payload, job) => {
      const flag = accountFlag(task, await accountOfRun(db.reader, payload.run_id))
      const place = places.get(flag) ?? { taken: 0, most: TASKS[task].mostOfAccount }
      places.set(flag, place)
      if (place.taken >= place.most) await job.putBack(BUSY_MS)
      place.taken += 1
      // Who is left to itself keeps no place: it may never come back.
      const gone = new Promise<void>((resolve) => {
        job.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      const done = handler(payload, job)
      try {
        await Promise.race([done, gone])
      } finally {
        place.taken -= 1
      }
      await done
    },
    full: () => [...places].flatMap(([flag, { taken, most }]) => (taken >= most ? [flag] : [])),
  }
}
