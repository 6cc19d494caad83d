/** What a person may do with jobs, each in the caller's transaction: cancel, retry, discard, pause and resume. */
import type { Reader, WriteTx } from '../database.ts'
import { isTask, TASKS, type TaskName } from './tasks.ts'

/** `busy`: it is just being fetched or recorded, ask again. Null: there is no such job in the queue. */
export async function cancelJob(
  tx: WriteTx,
  id: string,
  reason: string,
): Promise<'waiting' | 'running' | 'busy' | null> {
  const [row] = await tx.query<{ was: 'waiting' | 'running' | 'busy' | null }>(
    'select weaver.cancel_job($1::bigint, $2) as was',
    [id, reason],
  )
  return row?.was ?? null
}

export interface DeadLetter {
  id: string
  task: TaskName
  payload: unknown
  run_id: string | null
  settled: 'retried' | 'discarded' | null
  retried_as: string | null
}

export async function deadLetter(reader: Reader, id: string): Promise<DeadLetter | null> {
  const [letter] = await reader.query<DeadLetter & { task: string }>(
    `select id::text, task, payload, run_id, settled, retried_as::text from weaver.job_dead_letters where id = $1::bigint`,
    [id],
  )
  return letter ?? null
}

/** The id of the job that it becomes; null when somebody else has settled it. */
export async function retryDeadJob(tx: WriteTx, { id, task }: DeadLetter): Promise<string | null> {
  const { maxAttempts, priority } = TASKS[task]
  const [row] = await tx.query<{ id: string | null }>('select weaver.retry_dead_job($1::bigint, $2, $3)::text as id', [
    id,
    maxAttempts,
    priority,
  ])
  return row?.id ?? null
}

/** False: somebody else has settled it. */
export async function discardDeadJob(tx: WriteTx, id: string): Promise<boolean> {
  const rows = await tx.execute(
    `update weaver.job_dead_letters set settled = 'discarded', settled_at = clock_timestamp()
     where id = $1::bigint and settled is null`,
    [id],
  )
  return rows === 1
}

export type PauseKind = 'queue' | 'task'

/** A name is a task's when there is such a task. */
export function pauseKindOf(name: string): PauseKind {
  return isTask(name) ? 'task' : 'queue'
}

/** Gives how many jobs wait from now on. Jobs under way go on; those that come later wait, too. */
export async function pauseJobs(tx: WriteTx, kind: PauseKind, name: string): Promise<number> {
  const [row] = await tx.query<{ jobs: number }>('select weaver.pause_jobs($1, $2) as jobs', [kind, name])
  return row?.jobs ?? 0
}

/** Gives how many jobs go on. */
export async function resumeJobs(tx: WriteTx, kind: PauseKind, name: string): Promise<number> {
  const [row] = await tx.query<{ jobs: number }>('select weaver.resume_jobs($1, $2) as jobs', [kind, name])
  return row?.jobs ?? 0
}

export interface Pause {
  name: string
  kind: PauseKind
  /** ISO 8601 UTC. */
  since: string
  /** Jobs that it holds back now. */
  jobs: number
}

export async function listPauses(reader: Reader): Promise<Pause[]> {
  return reader.query<Pause>(
    `select p.name, p.kind, p.created_at as since, count(j.id) as jobs
     from weaver.job_pauses p left join weaver.job_overview j
       on j.state = 'paused' and case p.kind when 'queue' then j.queue else j.task end = p.name
     group by p.kind, p.name, p.created_at order by p.created_at`,
  )
}
