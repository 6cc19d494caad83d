/**
 * The worker process's engine: graphile-worker (its only import) with what it lacks: pools that are seen to be dead within
 * a quarter of a second, jobs that end in their business transaction, failures that are recorded.
 */
import { type Runner as GraphileRunner, Logger, run, runMigrations, type Task } from 'graphile-worker'
import { openOwnerPool, type Pool } from '../db/client.ts'
import type { Database, Session, WriteTx } from '../db/database.ts'
import {
  bury,
  type FailedJob,
  finishJob,
  type Lease,
  premakePartitions,
  putBackJob,
  registerPool,
  removeIdleQueues,
  runOf,
  takeFailedJobs,
  takeOverDeadPools,
  unregisterPool,
} from '../db/events/leases.ts'
import { TASKS, type TaskName, type TaskPayload } from '../db/events/tasks.ts'

/** The job was given to another worker meanwhile: whatever was done in its transaction must not be kept. */
export class LostLease extends Error {
  override name = 'LostLease'
}

/** The handler gave the job back; nothing failed. */
class PutBack extends Error {
  override name = 'PutBack'
}

export interface Job extends Lease {
  /** The last statement of the business transaction. Throws LostLease: let it through, so that all is rolled back. */
  finish(tx: WriteTx): Promise<void>
  /**
   * Instead of finish: the job is not due yet and comes again after `delayMs`, without losing an attempt. Never returns;
   * let what it throws through.
   */
  putBack(delayMs: number): Promise<never>
}

/** A handler that returns without having called `finish` has its job finished for it. */
export type Handlers = { [T in TaskName]: (payload: TaskPayload<T>, job: Job) => Promise<void> }

export interface PoolOptions {
  name: string
  concurrency: number
  tasks: readonly TaskName[]
}

export interface DeadJob {
  task: string
  runId: string | null
  error: string
}

export interface RunnerOptions {
  url: string
  db: Database
  handlers: Handlers
  pools: readonly PoolOptions[]
  log: (level: 'error' | 'warning' | 'info' | 'debug', message: string) => void
  /** The runner is of no use any more: end the process with an error and start again. */
  onFatal: (error: Error) => void
  /** In the transaction that records a job as failed for good: whatever waits for it must not wait for ever. */
  onDeadJob?: (tx: WriteTx, job: DeadJob) => Promise<void>
  now: () => number
  newId: () => string
  sleep: (ms: number) => Promise<void>
  process: { pid: number; host: string }
}

export interface Runner {
  /** Waits for the jobs under way, at most `STOP_TIMEOUT_MS`; after that they are free for others. */
  stop(): Promise<void>
}

/**
 * Jobs are announced; this finds retries, and what no worker saw: a fetch locks every idle queue for a moment, and one
 * that comes just then skips the job that it was woken for (at one second, every tenth hop of a chain waited it out).
 */
const POLL_MS = 100
const LIVENESS_MS = 250
const STOP_TIMEOUT_MS = 10_000
/** Short, because a process cannot end while it sleeps. */
const STOP_STEP_MS = 50
const BURY_AT_MOST = 20
const PARTITION_DAYS = 7
/** In rounds of LIVENESS_MS. */
const EVERY = { bury: 20, removeQueues: 240, premake: 14_400 }

/** graphile-worker's schema, before our migrations, which refer to it. */
export async function migrateJobs(pool: Pool): Promise<void> {
  await runMigrations({ pgPool: pool, logger: quietLogger(() => {}) })
}

export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const { db, log, onFatal } = options
  const session = await db.session()
  const stop = Promise.withResolvers<void>()
  let stopping = false
  const fail = (cause: unknown) => {
    if (stopping) return
    stopping = true
    stop.resolve()
    onFatal(cause instanceof Error ? cause : new Error(String(cause)))
  }
  session.lost.then((error) =>
    fail(new Error('the connection that shows that the workers live is lost', { cause: error })),
  )
  const poolIds: string[] = []
  const register = async (id: string, name: string) => {
    await registerPool(db, session, { id, name, ...options.process })
    poolIds.push(id)
  }
  const started: StartedPool[] = []
  const release = async () => {
    // Frees what is still locked; a handler that is still at work can no longer commit.
    for (const id of poolIds) await unregisterPool(db, id)
    await session.close()
    await Promise.all(started.map(({ pool }) => pool.end()))
  }
  try {
    await premakePartitions(db, PARTITION_DAYS)
    const freed = await takeOverDeadPools(db)
    if (freed > 0) log('warning', `${freed} jobs of workers that are gone are free again`)
    for (const pool of options.pools) started.push(await startPool(options, pool, register, fail))
  } catch (error) {
    stopping = true
    await stopPools(options, started)
    await release()
    throw error
  }
  const watch = watchLiveness(options, session, stop.promise, fail)
  return {
    async stop() {
      stopping = true
      stop.resolve()
      await Promise.all([stopPools(options, started), watch])
      await release().catch((error) => log('error', `releasing the workers' jobs: ${messageOf(error)}`))
    },
  }
}

interface StartedPool {
  runner: GraphileRunner
  pool: Pool
}

async function stopPools({ log, sleep }: RunnerOptions, started: readonly StartedPool[]): Promise<void> {
  let done = false
  const stopped = Promise.all(started.map(({ runner }) => runner.stop()))
    .catch((error) => log('error', `stopping the workers: ${messageOf(error)}`))
    .finally(() => {
      done = true
    })
  for (let waited = 0; !done && waited < STOP_TIMEOUT_MS; waited += STOP_STEP_MS) {
    await Promise.race([stopped, sleep(STOP_STEP_MS)])
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

async function startPool(
  options: RunnerOptions,
  { name, concurrency, tasks }: PoolOptions,
  register: (id: string, name: string) => Promise<void>,
  fail: (cause: unknown) => void,
): Promise<StartedPool> {
  // One connection a worker, one that listens, one to spare.
  const pool = openOwnerPool(options.url, { applicationName: `weaver jobs ${name}`, maxConnections: concurrency + 2 })
  let registered: Promise<void> | undefined
  const runner = await run({
    pgPool: pool,
    noHandleSignals: true,
    concurrency,
    pollInterval: POLL_MS,
    parsedCronItems: [],
    taskList: Object.fromEntries(tasks.map((task) => [task, taskOf(options, task)])),
    logger: quietLogger(options.log),
    preset: {
      // Unbatched, graphile-worker does not await its own deletes: a stop would leave finished jobs locked for 4 hours.
      worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 },
      plugins: [
        {
          name: 'weaver-liveness',
          worker: {
            hooks: {
              // Awaited before a worker's first fetch: no job is ever locked by a pool that nobody can see die.
              async startWorker(_info, { worker }) {
                registered ??= register(worker.workerPool.id, name)
                await registered.catch((error) => {
                  fail(error)
                  // An error would make the worker go on without this hook; so it waits for the end of the process.
                  return new Promise<never>(() => {})
                })
              },
            },
          },
        },
      ],
    },
  })
  runner.promise.then(
    () => fail(new Error(`the worker pool ${name} ended by itself`)),
    (error: unknown) => fail(new Error(`the worker pool ${name} failed: ${String(error)}`, { cause: error })),
  )
  return { runner, pool }
}

function taskOf<T extends TaskName>(options: RunnerOptions, name: T): Task {
  return async (payload, { job: { id, locked_by, attempts, max_attempts } }) => {
    const lease = { id, lockedBy: locked_by ?? '', attempts }
    const failed = (error: string) => ({ ...lease, task: name, payload, error })
    const checked = TASKS[name].safeParse(payload)
    if (!checked.success) {
      const problems = checked.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
      return buryHeld(options, lease, failed(`the payload does not fit: ${problems.join('; ')}`))
    }
    try {
      await perform(options, name, checked.data as TaskPayload<T>, lease)
    } catch (error) {
      if (error instanceof PutBack) return
      if (error instanceof LostLease || attempts < max_attempts) throw error
      await buryHeld(options, lease, failed(messageOf(error)))
    }
  }
}

/**
 * Returns only when the job is gone from the queue: graphile-worker then deletes it by id alone, which would hit the same
 * job in another worker's hands. What is thrown instead, it records for jobs that this pool holds only.
 */
async function perform<T extends TaskName>(
  { db, handlers }: RunnerOptions,
  name: T,
  payload: TaskPayload<T>,
  lease: Lease,
): Promise<void> {
  let finished = false
  const job: Job = {
    ...lease,
    async finish(tx) {
      if (!(await finishJob(tx, lease))) throw new LostLease(`job ${lease.id} (${name}) is no longer this worker's`)
      finished = true
    },
    async putBack(delayMs) {
      if (!(await db.write((tx) => putBackJob(tx, lease, delayMs)))) throw new LostLease(`job ${lease.id} (${name})`)
      throw new PutBack(`job ${lease.id} (${name}) comes again in ${delayMs} ms`)
    },
  }
  await handlers[name](payload, job)
  if (!finished) await db.write((tx) => job.finish(tx))
}

/** Records the job and takes it out of the queue, if it is still this worker's. */
async function buryHeld(options: RunnerOptions, lease: Lease, job: FailedJob): Promise<void> {
  await options.db.write(async (tx) => {
    await buryOne(options, tx, job)
    if (!(await finishJob(tx, lease))) throw new LostLease(`job ${job.id} (${job.task}) is no longer this worker's`)
  })
}

async function buryOne({ now, newId, log, onDeadJob }: RunnerOptions, tx: WriteTx, job: FailedJob): Promise<void> {
  log('error', `job ${job.id} (${job.task}) failed for good after ${job.attempts} attempts: ${job.error}`)
  await bury(tx, job, { now: now(), newId })
  await onDeadJob?.(tx, { task: job.task, runId: runOf(job.payload), error: job.error })
}

async function watchLiveness(
  options: RunnerOptions,
  session: Session,
  stop: Promise<void>,
  fail: (cause: unknown) => void,
): Promise<void> {
  const { db, log, sleep } = options
  let stopped = false
  stop.then(() => {
    stopped = true
  })
  for (let round = 1; ; round++) {
    await Promise.race([stop, sleep(LIVENESS_MS)])
    if (stopped) return
    try {
      await session.query('select 1')
    } catch (error) {
      fail(error)
      return
    }
    try {
      const freed = await takeOverDeadPools(db)
      if (freed > 0) log('warning', `${freed} jobs of workers that are gone are free again`)
      if (round % EVERY.bury === 0) await buryFailed(options)
      if (round % EVERY.removeQueues === 0) await removeIdleQueues(db)
      if (round % EVERY.premake === 0) await premakePartitions(db, PARTITION_DAYS)
    } catch (error) {
      log('error', `looking after the queue: ${messageOf(error)}`)
    }
  }
}

/** Jobs that ran out of attempts without their worker's being able to record it. */
async function buryFailed(options: RunnerOptions): Promise<void> {
  await options.db.write(async (tx) => {
    for (const job of await takeFailedJobs(tx, BURY_AT_MOST)) await buryOne(options, tx, job)
  })
}

/** What graphile-worker says of every job is of interest to debuggers only; a lost lease is no error. */
function quietLogger(log: RunnerOptions['log']): Logger {
  return new Logger(() => (level, message, meta) => {
    log(meta?.error instanceof LostLease || level === 'info' ? 'debug' : level, message)
  })
}
