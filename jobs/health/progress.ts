/**
 * Whether paper and live runs get on. The clock that ticks and accounts that are ready say nothing of a run that stands still: a
 * hop that was lost, a task that somebody paused and forgot, workers that have too much to do.
 */
import type { Reader } from '../../db/database.ts'
import { type DueJob, oldestDueJob } from '../../db/walle/queries/jobs.ts'
import { type OpenTick, openTicks } from '../../db/walle/queries/live_runs.ts'
import { DEFAULT_BAR_WAIT_MS } from '../live/fetch.ts'
import { LIVE_POOLS } from '../live/pools.ts'

export interface Progress {
  ticks: OpenTick[]
  job: DueJob | null
}

/** Beyond what a tick, or a job of its run before, may take of its own: for retries, and for the queue. */
export const PATIENCE_MS = 60_000

export async function progressOf(reader: Reader): Promise<Progress> {
  const ticks = await openTicks(reader)
  const tasks = LIVE_POOLS.flatMap((pool) => pool.tasks)
  return { ticks, job: await oldestDueJob(reader, tasks) }
}

/** Empty: all get on. */
export function standstills({ ticks, job }: Progress, strategyTimeoutMs: number, now: number): string[] {
  const patience = strategyTimeoutMs + PATIENCE_MS
  const hung = ticks.filter(
    ({ opened_at, bar_wait_ms }) => now - Date.parse(opened_at) > patience + (bar_wait_ms ?? DEFAULT_BAR_WAIT_MS),
  )
  const [first] = hung
  const found: string[] = []
  if (first) {
    found.push(
      `a tick of ${hung.length} runs has not come to its end, such as of ${first.run_id} since ${first.opened_at}`,
    )
  }
  if (job && job.seconds * 1000 > patience) {
    const where = job.run_id === null ? '' : ` of ${job.run_id}`
    const why = job.state === 'paused' ? 'it is paused' : 'no worker took it'
    found.push(`${job.task}${where} has been due for ${Math.round(job.seconds)} s: ${why}`)
  }
  return found
}
