/**
 * One attempt at a job: the payload is checked, the handler runs, and what came of it is recorded in one transaction. A
 * handler whose job was taken away (cancelled, overdue, given to another worker) is left to itself: it cannot commit.
 */
import type { Database, WriteTx } from '../db/database.ts'
import {
  buryJob,
  excuseJob,
  type FailedJob,
  failJob,
  finishJob,
  type Lease,
  MOST_EXCUSED,
  putBackJob,
  runOf,
  tellDead,
} from '../db/events/leases.ts'
import { retryDelayMs, TASKS, type TaskName, type TaskPayload } from '../db/events/tasks.ts'
import { redactError } from '../db/secrets.ts'
import { isOutage } from '../db/unavailable.ts'

/** The job was given to another worker meanwhile: whatever was done in its transaction must not be kept. */
export class LostLease extends Error {
  override name = 'LostLease'
}

/** The handler gave the job back; nothing failed. */
class PutBack extends Error {
  override name = 'PutBack'
}

export interface Job extends Lease {
  /** Aborted when the job is no longer this worker's. */
  signal: AbortSignal
  /** The last statement of the business transaction. Throws LostLease: let it through, so that all is rolled back. */
  finish(tx: WriteTx): Promise<void>
  /**
   * Instead of finish: the job is not due yet and comes again after `delayMs`, with all its attempts. Never returns; let
   * what it throws through.
   */
  putBack(delayMs: number): Promise<never>
}

/** A handler that returns without having called `finish` has its job finished for it. */
export type Handlers = { [T in TaskName]: (payload: TaskPayload<T>, job: Job) => Promise<void> }

export interface DeadJob {
  task: string
  runId: string | null
  error: string
}

export interface AttemptOptions {
  db: Database
  handlers: Handlers
  log: (level: 'error' | 'warning' | 'info' | 'debug', message: string) => void
  /** In the transaction that records a job as failed for good: whatever waits for it must not wait for ever. */
  onDeadJob?: (tx: WriteTx, job: DeadJob) => Promise<void>
  now: () => number
  newId: () => string
  sleep: (ms: number) => Promise<void>
}

/** A failure that cannot be recorded, because the database is away, is tried for a minute; then the time-out has the job. */
const RECORDING = { times: 60, ms: 1_000 }

export interface Attempt {
  lease: Lease
  maxAttempts: number
  /** Aborted when the job is seen to be no longer this worker's. */
  signal: AbortSignal
}

/**
 * Returns only when the job is gone from the queue: graphile-worker then deletes it by id alone, which would hit the same
 * job in another worker's hands. About what is thrown instead it does nothing: see db/events/fetch.ts.
 */
export async function attempt<T extends TaskName>(
  options: AttemptOptions,
  task: T,
  payload: unknown,
  { lease, maxAttempts, signal }: Attempt,
): Promise<void> {
  const failed = (error: string) => ({ ...lease, task, payload, error })
  const checked = TASKS[task].payload.safeParse(payload)
  if (!checked.success) {
    const problems = checked.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    return buryHeld(options, lease, failed(`the payload does not fit: ${problems.join('; ')}`))
  }
  try {
    await perform(options, task, checked.data as TaskPayload<T>, lease, signal)
  } catch (cause) {
    if (cause instanceof PutBack) return
    const error = redactError(cause)
    if (cause instanceof LostLease) throw error
    const excused = isOutage(cause) && maxAttempts < MOST_EXCUSED
    const record = (job: FailedJob) =>
      excused ? excuseFailure(options, lease, job) : settleFailure(options, lease, maxAttempts, 'failed', job)
    if (!(await recordFailure(options, signal, record, failed(messageOf(error))))) throw error
  }
}

async function recordFailure(
  options: AttemptOptions,
  signal: AbortSignal,
  record: (job: FailedJob) => Promise<boolean>,
  job: FailedJob,
): Promise<boolean> {
  for (let tries = 0; tries < RECORDING.times && !signal.aborted; tries++) {
    try {
      return await record(job)
    } catch (trouble) {
      if (trouble instanceof LostLease) throw trouble
      options.log('error', `job ${job.id} (${job.task}): its failure cannot be recorded: ${messageOf(trouble)}`)
      await options.sleep(RECORDING.ms)
    }
  }
  return false
}

/** The job comes again, or is buried when it has no attempt left. Gives whether it is gone from the queue. */
export async function settleFailure(
  options: AttemptOptions,
  lease: Lease,
  maxAttempts: number,
  outcome: 'failed' | 'timed_out',
  job: FailedJob,
): Promise<boolean> {
  if (lease.attempts >= maxAttempts) {
    await buryHeld(options, lease, job)
    return true
  }
  const policy = TASKS[job.task as TaskName]
  const excused = Math.max(0, maxAttempts - policy.maxAttempts)
  const delayMs = retryDelayMs(policy.backoff, Math.max(1, lease.attempts - excused))
  if (!(await options.db.write((tx) => failJob(tx, lease, { outcome, error: job.error, delayMs })))) throw lost(job)
  return false
}

/** The database was away, which is not the job's doing: it comes again, with as many attempts as it had. */
async function excuseFailure({ db }: AttemptOptions, lease: Lease, job: FailedJob): Promise<boolean> {
  const delayMs = retryDelayMs(TASKS[job.task as TaskName].backoff, 1)
  if (!(await db.write((tx) => excuseJob(tx, lease, { error: job.error, delayMs })))) throw lost(job)
  return false
}

async function perform<T extends TaskName>(
  { db, handlers }: AttemptOptions,
  task: T,
  payload: TaskPayload<T>,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> {
  const name = { id: lease.id, task }
  let finished = false
  const job: Job = {
    ...lease,
    signal,
    async finish(tx) {
      if (!(await finishJob(tx, lease))) throw lost(name)
      finished = true
    },
    async putBack(delayMs) {
      if (!(await db.write((tx) => putBackJob(tx, lease, delayMs)))) throw lost(name)
      throw new PutBack(`job ${lease.id} (${task}) comes again in ${delayMs} ms`)
    },
  }
  const work = async () => {
    await handlers[task](payload, job)
    if (!finished) await db.write((tx) => job.finish(tx))
  }
  const taken = Promise.withResolvers<never>()
  const onAbort = () => {
    if (!finished) taken.reject(lost(name))
  }
  signal.addEventListener('abort', onAbort)
  try {
    await Promise.race([work(), taken.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

const lost = ({ id, task }: { id: string; task: string }) =>
  new LostLease(`job ${id} (${task}) is no longer this worker's`)

/** Records the job and takes it out of the queue, if it is still this worker's. */
async function buryHeld(options: AttemptOptions, lease: Lease, job: FailedJob): Promise<void> {
  await options.db.write(async (tx) => {
    await tellOfDead(options, tx, job)
    if (!(await buryJob(tx, lease, job.error))) throw lost(job)
  })
}

export async function tellOfDead(
  { now, newId, log, onDeadJob }: AttemptOptions,
  tx: WriteTx,
  job: FailedJob,
): Promise<void> {
  log('error', `job ${job.id} (${job.task}) failed for good after ${job.attempts} attempts: ${job.error}`)
  await tellDead(tx, job, { now: now(), newId })
  await onDeadJob?.(tx, { task: job.task, runId: runOf(job.payload), error: job.error })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
