/**
 * The worker process's engine: graphile-worker (its only import) with what it lacks: pools that are seen to be dead within
 * a quarter of a second, jobs that end in their business transaction, failures that are recorded.
 */
import { type Runner as GraphileRunner, Logger, run, runMigrations, type Task } from 'graphile-worker'
import { openOwnerPool, type Pool, type PoolClient } from '../db/client.ts'
import { STATEMENTS } from '../db/events/fetch.ts'
import { type Lease, registerPool, runOf, unregisterPool } from '../db/events/leases.ts'
import type { TaskName } from '../db/events/tasks.ts'
import { attempt, LostLease, messageOf } from './attempt.ts'
import { withLogContext } from './log.ts'
import { type ActiveJobs, createActiveJobs, prepareQueue, type WatchOptions, watchQueue } from './queue_watch.ts'

export interface PoolOptions {
  name: string
  concurrency: number
  tasks: readonly TaskName[]
}

export interface RunnerOptions extends WatchOptions {
  url: string
  pools: readonly PoolOptions[]
  /** Asked before each fetch: jobs that carry one of these flags are passed over. */
  passedOver?: () => string[]
  /** The runner is of no use any more: end the process with an error and start again. */
  onFatal: (error: Error) => void
  process: { pid: number; host: string }
}

export interface Runner {
  /** Waits for the jobs under way, at most `STOP_TIMEOUT_MS`; after that they are free for others. */
  stop(): Promise<void>
}

/** Jobs are announced; this finds those that are due later: retries, and what was put back. */
const POLL_MS = 250
const STOP_TIMEOUT_MS = 10_000
/** Connections of a pool beside one a worker: one that listens, one to spare. */
export const BESIDE_WORKERS = 2
/** Short, because a process cannot end while it sleeps. */
const STOP_STEP_MS = 50

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
  const active = createActiveJobs()
  const release = async () => {
    // Frees what is still locked; a handler that is still at work can no longer commit.
    for (const id of poolIds) await unregisterPool(db, id)
    await session.close()
    await Promise.all(started.map(({ pool }) => pool.end()))
  }
  try {
    await prepareQueue(options)
    for (const pool of options.pools) started.push(await startPool(options, pool, active, register, fail))
  } catch (error) {
    stopping = true
    await stopPools(options, started)
    await release()
    throw error
  }
  const watch = watchQueue(options, session, active, stop.promise, fail)
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

async function startPool(
  options: RunnerOptions,
  { name, concurrency, tasks }: PoolOptions,
  active: ActiveJobs,
  register: (id: string, name: string) => Promise<void>,
  fail: (cause: unknown) => void,
): Promise<StartedPool> {
  const connections = { applicationName: `weaver jobs ${name}`, maxConnections: concurrency + BESIDE_WORKERS }
  // That a job was taken need not outlive the server: what is done in it does, and that proves it.
  const pool = openOwnerPool(options.url, { ...connections, flush: false })
  pool.on('connect', useOurStatements)
  let registered: Promise<void> | undefined
  const runner = await run({
    pgPool: pool,
    noHandleSignals: true,
    concurrency,
    pollInterval: POLL_MS,
    forbiddenFlags: options.passedOver ?? null,
    parsedCronItems: [],
    taskList: Object.fromEntries(tasks.map((task) => [task, inLogContext(task, taskOf(options, active, task))])),
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

/** graphile-worker has no setting for its statements: its connections put ours in their place. */
function useOurStatements(client: PoolClient): void {
  const query = client.query.bind(client) as (...given: unknown[]) => unknown
  const replaced = (statement: { name?: string } | string, ...rest: unknown[]) => {
    const ours = typeof statement === 'object' ? STATEMENTS[statement.name ?? ''] : undefined
    return query(ours === undefined ? statement : { ...(statement as object), text: ours }, ...rest)
  }
  client.query = replaced as PoolClient['query']
}

/** Every line of the log that a job causes tells which job. */
function inLogContext(name: TaskName, task: Task): Task {
  return (payload, helpers) =>
    withLogContext({ job_id: helpers.job.id, task: name, run_id: runOf(payload) }, () => task(payload, helpers))
}

function taskOf(options: RunnerOptions, active: ActiveJobs, name: TaskName): Task {
  return async (payload, { job: { id, locked_by, attempts, max_attempts } }) => {
    const lease: Lease = { id, lockedBy: locked_by ?? '', attempts }
    const signal = active.begin(lease)
    try {
      await attempt(options, name, payload, { lease, maxAttempts: max_attempts, signal })
    } finally {
      active.end(lease)
    }
  }
}

/** What graphile-worker says of every job is of interest to debuggers only; a lost lease is no error. */
function quietLogger(log: RunnerOptions['log']): Logger {
  return new Logger(() => (level, message, meta) => {
    log(meta?.error instanceof LostLease || level === 'info' ? 'debug' : level, message)
  })
}
