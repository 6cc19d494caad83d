/** The queue as its owner sees it, and what graphile-worker does to it. */
import { connectOwner } from '../../db/client.ts'
import { append } from '../../db/events/append.ts'
import { FETCH_TEXT } from '../../db/events/fetch.ts'
import type { Lease } from '../../db/events/leases.ts'
import type { NewJob } from '../../db/events/tasks.ts'
import type { TestDatabase } from './database.ts'

export interface Queue {
  asOwner<Row extends object>(text: string, values?: unknown[]): Promise<Row[]>
  /** A chunk job of the run; gives its id. */
  add(run: string, nextTick?: number): Promise<string>
  /** The next job as a pool gets it. */
  fetch(pool: string): Promise<(Lease & { payload: { run_id: string; next_tick: number } }) | null>
  close(): Promise<void>
}

export const chunkOf = (run: string, next_tick: number): NewJob => ({
  task: 'greta.run_chunk',
  payload: { run_id: run, next_tick },
  queue: `run:${run}`,
})

export async function openQueue(database: TestDatabase): Promise<Queue> {
  const client = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  const asOwner = async <Row extends object>(text: string, values: unknown[] = []) =>
    (await client.query<Row>(text, values)).rows
  return {
    asOwner,
    async add(run, nextTick = 0) {
      await database.db.write((tx) => append(tx, [], { jobs: [chunkOf(run, nextTick)] }))
      const [row] = await asOwner<{ id: string }>('select max(id)::text as id from graphile_worker._private_jobs')
      return row?.id ?? ''
    },
    async fetch(pool) {
      const tasks = await asOwner<{ ids: number[] }>('select array_agg(id) as ids from graphile_worker._private_tasks')
      const [job] = await asOwner<{ id: string; attempts: number; payload: { run_id: string; next_tick: number } }>(
        FETCH_TEXT,
        [pool, tasks[0]?.ids ?? []],
      )
      return job ? { id: String(job.id), lockedBy: pool, attempts: job.attempts, payload: job.payload } : null
    },
    close: () => client.end(),
  }
}
