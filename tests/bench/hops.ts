/**
 * How long it takes from an event's commit to the start of the job that it sets off, on an idle system with the queues of
 * other runs in it. The reference is graphile-worker alone: a job without a queue, added by hand. All are measured in
 * turns, so that a machine that has other work has it for all: read the ratios.
 */
import { randomUUID } from 'node:crypto'
import { openDatabase, openOwnerPool } from '../../db/client.ts'
import type { Database } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import { pauseJobs } from '../../db/events/job_control.ts'
import { TASK_NAMES, tasksOf } from '../../db/events/tasks.ts'
import { migrate } from '../../db/migrate.ts'
import type { Handlers } from '../../jobs/attempt.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { LIVE_POOLS } from '../../jobs/live/pools.ts'
import { migrateJobs, type PoolOptions, startRunner } from '../../jobs/runner.ts'
import { insertRun, tick } from '../support/log.ts'
import { startOwnPostgres } from '../support/own_postgres.ts'
import { pause } from '../support/until.ts'
import { printMachine, printTable, quantile } from './table.ts'

const ROUNDS = 6
const HOPS = 250
const IDLE_RUNS = 50
const QUIET_MS = 5
const WARM_UP_MS = 300

const hop = 'marvin.on_live_window'
const ONE_POOL: PoolOptions[] = [{ name: 'batch', concurrency: 4, tasks: TASK_NAMES }]
const ALL_POOLS: PoolOptions[] = [...LIVE_POOLS, { name: 'batch', concurrency: 4, tasks: tasksOf('batch') }]

/** Adds one job and commits. */
type Add = (n: number) => Promise<unknown>

/** One job at a time, each when all is quiet again: milliseconds from commit to start. */
async function measure(url: string, db: Database, pools: PoolOptions[], add: Add): Promise<number[]> {
  const latencies: number[] = []
  let begun = Promise.withResolvers<number>()
  const handler = async () => begun.resolve(performance.now())
  const runner = await startRunner({
    url,
    db,
    handlers: Object.fromEntries(TASK_NAMES.map((task) => [task, handler])) as unknown as Handlers,
    pools,
    log: () => {},
    onFatal: (error) => {
      throw error
    },
    ...wallClock,
    strategyTimeoutMs: 0,
    process: { pid: process.pid, host: 'bench' },
  })
  try {
    await pause(WARM_UP_MS)
    for (let n = 0; n < HOPS; n++) {
      begun = Promise.withResolvers()
      await add(n)
      const committed = performance.now()
      // A start may be seen before the commit's own answer.
      latencies.push(Math.max(0, (await begun.promise) - committed))
      await pause(QUIET_MS)
    }
  } finally {
    await runner.stop()
  }
  return latencies
}

async function prepare(url: string): Promise<Database> {
  const owner = openOwnerPool(url)
  await migrate(owner, { before: migrateJobs })
  await owner.end()
  const db = await openDatabase({ url, applicationName: 'weaver bench' })
  for (let n = 0; n < IDLE_RUNS; n++) {
    const run_id = await insertRun(db)
    await db.write((tx) =>
      append(tx, [], { jobs: [{ task: 'greta.finish_run', payload: { run_id }, queue: `run:${run_id}` }] }),
    )
  }
  await db.write((tx) => pauseJobs(tx, 'task', 'greta.finish_run'))
  return db
}

const postgres = await startOwnPostgres({})
try {
  const url = postgres.url('postgres')
  const db = await prepare(url)
  const owner = openOwnerPool(url, { maxConnections: 1 })
  const run_id = await insertRun(db)
  const bare = () => owner.query(`select graphile_worker.add_job($1, $2)`, [hop, { run_id, event_id: randomUUID() }])
  const event = (n: number) =>
    db.write(async (tx) => {
      const told = tick(run_id, n)
      const job = { task: hop, payload: { run_id, event_id: told.id }, queue: `run:${run_id}` } as const
      await append(tx, [told], { route: false, jobs: [job] })
    })
  const measured: Record<string, number[]> = { 'reference: add_job': [], 'one pool': [], 'as in a worker': [] }
  for (let round = 0; round < ROUNDS; round++) {
    measured['reference: add_job']?.push(...(await measure(url, db, ONE_POOL, bare)))
    measured['one pool']?.push(...(await measure(url, db, ONE_POOL, event)))
    measured['as in a worker']?.push(...(await measure(url, db, ALL_POOLS, event)))
  }
  const reference = Object.values(measured)[0] ?? []
  const quantiles = [0.5, 0.95, 0.99]
  process.stdout.write('commit to start in ms, and times the reference; budget: p50 5, p99 20\n')
  printTable(
    [
      { title: '' },
      ...quantiles.flatMap((q) => [
        { title: `p${q * 100}`, digits: 1 },
        { title: 'times', digits: 2 },
      ]),
    ],
    Object.entries(measured).map(([name, latencies]) => [
      name,
      ...quantiles.flatMap((q) => [quantile(latencies, q), quantile(latencies, q) / quantile(reference, q)]),
    ]),
  )
  printMachine()
  await owner.end()
  await db.close()
} finally {
  await postgres.remove()
}
