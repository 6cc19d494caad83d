/** The queue as the worker process needs it: leases on jobs, pools that live and die, jobs that failed for good. */
import type { Database, Session, WriteTx } from '../database.ts'
import { append } from './append.ts'
import { getEvent } from './read.ts'

/** A job as one worker holds it: every fetch of the job is another attempt, so nobody else has all three. */
export interface Lease {
  id: string
  lockedBy: string
  attempts: number
}

/** False: the job is no longer this worker's, and its transaction must be rolled back. */
export async function finishJob(tx: WriteTx, { id, lockedBy, attempts }: Lease): Promise<boolean> {
  const [row] = await tx.query<{ done: boolean }>('select weaver.finish_job($1::bigint, $2, $3) as done', [
    id,
    lockedBy,
    attempts,
  ])
  return row?.done === true
}

/** Back into the queue without using up an attempt; false as in finishJob. */
export async function putBackJob(tx: WriteTx, { id, lockedBy, attempts }: Lease, delayMs: number): Promise<boolean> {
  const [row] = await tx.query<{ done: boolean }>(
    `select weaver.put_back_job($1::bigint, $2, $3, $4 * interval '1 millisecond') as done`,
    [id, lockedBy, attempts, delayMs],
  )
  return row?.done === true
}

export interface PoolIdentity {
  id: string
  name: string
  pid: number
  host: string
}

/** The pool counts as alive from here on until the session ends. */
export async function registerPool(db: Database, session: Session, pool: PoolIdentity): Promise<void> {
  await session.query('select pg_advisory_lock(weaver.pool_key($1))', [pool.id])
  const { id, name, pid, host } = pool
  await db.write((tx) => tx.query('select weaver.register_pool($1, $2, $3, $4)', [id, name, pid, host]))
}

/** Also frees the jobs that the pool still holds. */
export async function unregisterPool(db: Database, poolId: string): Promise<void> {
  await db.write((tx) => tx.query('select weaver.unregister_pool($1)', [poolId]))
}

/** Gives the number of jobs that are free again. */
export async function takeOverDeadPools(db: Database): Promise<number> {
  return db.write(async (tx) => {
    const [row] = await tx.query<{ freed: number }>('select weaver.take_over_dead_pools() as freed')
    return row?.freed ?? 0
  })
}

export async function removeIdleQueues(db: Database): Promise<void> {
  await db.write((tx) => tx.query('select weaver.remove_idle_queues()'))
}

export async function premakePartitions(db: Database, days: number): Promise<void> {
  await db.write((tx) => tx.query('select weaver.premake_outbox_partitions($1)', [days]))
}

export interface FailedJob {
  id: string
  task: string
  payload: unknown
  error: string
  attempts: number
}

/** Takes jobs that have no attempt left out of the queue; the caller buries them in the same transaction. */
export async function takeFailedJobs(tx: WriteTx, atMost: number): Promise<FailedJob[]> {
  return tx.query<FailedJob>('select id::text, task, payload, error, attempts from weaver.take_failed_jobs($1)', [
    atMost,
  ])
}

const MAX_ERROR_LENGTH = 2_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

function uuidIn(payload: unknown, key: string): string | null {
  if (typeof payload !== 'object' || payload === null) return null
  const value: unknown = (payload as Record<string, unknown>)[key]
  return typeof value === 'string' && UUID.test(value) ? value : null
}

export function runOf(payload: unknown): string | null {
  return uuidIn(payload, 'run_id')
}

/** Records a job that failed for good: a dead letter and an event. */
export async function bury(tx: WriteTx, job: FailedJob, { now, newId }: { now: number; newId: () => string }) {
  const { id, task, payload, attempts } = job
  const error = job.error.slice(0, MAX_ERROR_LENGTH)
  const run = runOf(payload)
  const at = new Date(now).toISOString()
  await tx.execute(
    `insert into weaver.job_dead_letters (id, task, payload, run_id, error, attempts, failed_at)
     values ($1::bigint, $2, $3::jsonb, $4::uuid, $5, $6, $7::timestamptz)`,
    [id, task, JSON.stringify(payload), run, error, attempts, at],
  )
  const causeId = uuidIn(payload, 'event_id')
  const cause = causeId === null ? null : await getEvent(tx, causeId)
  await append(tx, [
    {
      id: newId(),
      type: 'job.Failed',
      run_id: run,
      corr_id: cause?.corr_id ?? newId(),
      causation_id: cause?.id ?? null,
      ts: at,
      producer: 'glados',
      payload: { task, job_id: id, run_id: run, error },
    },
  ])
}

/** How many worker pools hold their lock now. */
export async function livePools(db: Database): Promise<number> {
  const [row] = await db.reader.query<{ live: number }>(
    `select count(*)::integer as live from weaver.worker_pools p where exists (
       select from pg_locks l
       where l.locktype = 'advisory' and l.granted and l.objsubid = 1
         and l.database = (select oid from pg_database where datname = current_database())
         and (l.classid::bigint << 32) | l.objid::bigint = p.advisory_key
     )`,
  )
  return row?.live ?? 0
}
