/**
 * The workers that a process keeps for paper and live runs. A venue that does not answer keeps those who wait for it; so
 * what leaves has pools of its own, and of each only some workers wait for the same account at a time: whatever hangs, the
 * orders and the cancels of another account go out.
 */
import { tasksOf } from '../../db/events/tasks.ts'
import { accountOfRun } from '../../db/walle/queries/live_runs.ts'
import type { PoolOptions } from '../runner.ts'
import type { Live } from './live.ts'

/** Kept free for ticks and orders, however many backtests there are. */
export const LIVE_POOLS = (['live', 'orders', 'cancels'] as const).map((name): PoolOptions => {
  return { name, concurrency: { live: 4, orders: 7, cancels: 7 }[name], tasks: tasksOf(name) }
})

/** Of a pool's workers, those that may wait for one account: one that hangs leaves some, and a hundred orders at once go out in three seconds. */
export const MOST_OF_AN_ACCOUNT = { starts: 1, orders: 5, cancels: 2 } as const

const BUSY_MS = 400

interface Waitable {
  signal: AbortSignal
  putBack(delayMs: number): Promise<never>
}

/** The handler of jobs that wait for a venue: at most so many of one account at a time, the others come again. */
export function fewOfAnAccount<Payload extends { run_id: string }, Job extends Waitable>(
  { db }: Pick<Live, 'db'>,
  most: number,
  handler: (payload: Payload, job: Job) => Promise<void>,
): (payload: Payload, job: Job) => Promise<void> {
  const taken = new Map<string, number>()
  const add = (account: string, change: number) => taken.set(account, (taken.get(account) ?? 0) + change)
  return async (payload, job) => {
    const account = await accountOfRun(db.reader, payload.run_id)
    if ((taken.get(account) ?? 0) >= most) await job.putBack(BUSY_MS)
    add(account, 1)
    // Who is left to itself keeps no place: it may never come back.
    const gone = new Promise<void>((resolve) => {
      job.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const done = handler(payload, job)
    try {
      await Promise.race([done, gone])
    } finally {
      add(account, -1)
    }
    await done
  }
}
