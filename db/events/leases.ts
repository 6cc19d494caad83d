/** The queue as the worker process needs it: leases on jobs, pools that live and die, jobs that failed for good. */
import type { Database, Reader, Session, WriteTx } from '../database.ts'
import { redact } from '../secrets.ts'
import { append } from './append.ts'
import type { Envelope } from './envelope.ts'
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

export interface Failure {
  outcome: 'failed' | 'timed_out'
  error: string
  /** Until the job comes again. */
  delayMs: number
}

/**
 * Records that this attempt failed; false as in finishJob. Whoever runs the task must then end it with an error: after a
 * task that ends well graphile-worker deletes its job.
 */
export async function failJob(tx: WriteTx, lease: Lease, { outcome, error, delayMs }: Failure): Promise<boolean> {
  const { id, lockedBy, attempts } = lease
  const [row] = await tx.query<{ done: boolean }>(
    `select weaver.fail_job($1::bigint, $2, $3, $4, $5, $6 * interval '1 millisecond') as done`,
    [id, lockedBy, attempts, outcome, redact(error), delayMs],
  )
  return row?.done === true
}

/** A job is excused at most until it was tried so often: some hours of a database that answers now and then. */
export const MOST_EXCUSED = 10_000

/** Records that this attempt failed for want of the database: the job may be tried once more for it. Otherwise as failJob. */
export async function excuseJob(
  tx: WriteTx,
  { id, lockedBy, attempts }: Lease,
  { error, delayMs }: Omit<Failure, 'outcome'>,
  mostAttempts = MOST_EXCUSED,
): Promise<boolean> {
  const [row] = await tx.query<{ done: boolean }>(
    `select weaver.excuse_job($1::bigint, $2, $3, $4, $5 * interval '1 millisecond', $6) as done`,
    [id, lockedBy, attempts, redact(error), delayMs, mostAttempts],
  )
  return row?.done === true
}

/** Back into the queue with all its attempts; false as in finishJob. */
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

/**
 * A job whose worker died so often in a row is what kills it. Far more than a person, a deployment or a test that kills
 * at random needs: each of these hits the same job again only while it cannot end between two kills.
 */
export const CRASH_LIMIT = 20

/** Gives the number of jobs that are free again. */
export async function takeOverDeadPools(db: Database, crashLimit = CRASH_LIMIT): Promise<number> {
  return db.write(async (tx) => {
    const [row] = await tx.query<{ freed: number }>('select weaver.take_over_dead_pools($1) as freed', [crashLimit])
    return row?.freed ?? 0
  })
}

export async function removeIdleQueues(db: Database): Promise<void> {
  await db.write((tx) => tx.query('select weaver.remove_idle_queues()'))
}

export async function premakePartitions(db: Database, days: number): Promise<void> {
  await db.write((tx) => tx.query('select weaver.premake_outbox_partitions($1)', [days]))
}

/** Finished jobs are known for so long. */
export const HISTORY_DAYS = 14

/** Makes the history's partitions for `days` to come and drops those that are too old. */
export async function tidyJobs(db: Database, days: number): Promise<void> {
  await db.write((tx) => tx.query('select weaver.tidy_jobs($1, $2)', [days, HISTORY_DAYS]))
}

export interface FailedJob {
  id: string
  task: string
  payload: unknown
  error: string
  attempts: number
}

/** Makes dead letters of jobs that have no attempt left; the caller tells of them in the same transaction. */
export async function takeFailedJobs(tx: WriteTx, atMost: number): Promise<FailedJob[]> {
  return tx.query<FailedJob>('select id::text, task, payload, error, attempts from weaver.take_failed_jobs($1)', [
    atMost,
  ])
}

/** Makes a dead letter of a job that this worker holds; false as in finishJob. */
export async function buryJob(tx: WriteTx, { id, lockedBy, attempts }: Lease, error: string): Promise<boolean> {
  const [row] = await tx.query<{ done: boolean }>('select weaver.bury_job($1::bigint, $2, $3, $4) as done', [
    id,
    lockedBy,
    attempts,
    redact(error),
  ])
  return row?.done === true
}

export interface OverdueJob {
  lease: Lease
  maxAttempts: number
  task: string
  payload: unknown
  limitMs: number
}

export async function overdueJobs(db: Database, limits: { task: string; ms: number }[]): Promise<OverdueJob[]> {
  const rows = await db.write((tx) =>
    tx.query<{ lease: Lease; max_attempts: number; task: string; payload: unknown; limit_ms: number }>(
      `select json_build_object('id', id::text, 'lockedBy', locked_by, 'attempts', attempts) as lease, max_attempts,
         task, payload, limit_ms
       from weaver.overdue_jobs($1::jsonb)`,
      [JSON.stringify(limits)],
    ),
  )
  return rows.map(({ max_attempts, limit_ms, ...job }) => ({ ...job, maxAttempts: max_attempts, limitMs: limit_ms }))
}

/** Those of the leases that their worker does not hold any more. */
export async function lostLeases(session: Session, leases: readonly Lease[]): Promise<Lease[]> {
  return session.query<Lease>(
    `select held.id::text, held.locked_by as "lockedBy", held.attempts
     from jsonb_to_recordset($1::jsonb) as held (id bigint, locked_by text, attempts integer)
     where not exists (
       select from weaver.job_overview j
       where j.id = held.id and j.locked_by = held.locked_by and j.attempts = held.attempts and j.state = 'running'
     )`,
    [JSON.stringify(leases.map(({ id, lockedBy, attempts }) => ({ id, locked_by: lockedBy, attempts })))],
  )
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

/** Tells of a job that failed for good, beside its dead letter. */
export async function tellDead(tx: WriteTx, job: FailedJob, { now, newId }: { now: number; newId: () => string }) {
  const { id, task, payload } = job
  const run = runOf(payload)
  const causeId = uuidIn(payload, 'event_id')
  const cause = causeId === null ? await lastEventOf(tx, run) : await getEvent(tx, causeId)
  await append(tx, [
    {
      id: newId(),
      type: 'job.Failed',
      run_id: run,
      corr_id: cause?.corr_id ?? newId(),
      causation_id: cause?.id ?? null,
      ts: new Date(now).toISOString(),
      producer: 'glados',
      payload: { task, job_id: id, run_id: run, error: redact(job.error).slice(0, MAX_ERROR_LENGTH) },
    },
  ])
}

/** What a job that no event set off goes back to: the last thing that was told of its run. */
async function lastEventOf(reader: Reader, runId: string | null): Promise<Envelope | null> {
  const [run] = await reader.query<{ last_event_id: string | null }>(
    'select last_event_id from weaver.runs where id = $1::uuid',
    [runId],
  )
  return run?.last_event_id ? getEvent(reader, run.last_event_id) : null
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
