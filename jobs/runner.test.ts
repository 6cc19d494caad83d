import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectOwner } from '../db/client.ts'
import { DatabaseUnavailable } from '../db/database.ts'
import { append } from '../db/events/append.ts'
import { claim } from '../db/events/claims.ts'
import { cancelJob } from '../db/events/job_control.ts'
import { failJob, registerPool } from '../db/events/leases.ts'
import { TASK_NAMES, type TaskName } from '../db/events/tasks.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import { startLiveRun } from '../tests/support/live_run.ts'
import { insertRun, tick } from '../tests/support/log.ts'
import { pause, until } from '../tests/support/until.ts'
import { type Handlers, type Job, LostLease } from './attempt.ts'
import { type Runner, type RunnerOptions, startRunner } from './runner.ts'

let database: TestDatabase
let run: string
let log: string[]
const runners: Runner[] = []
const children: ChildProcess[] = []

beforeEach(async () => {
  database = await createTestDatabase()
  run = await insertRun(database.db)
  log = []
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const runner of runners.splice(0)) await runner.stop()
  await database.drop()
})

function handlersWith(some: Partial<Handlers>): Handlers {
  const unexpected = async (_payload: unknown, job: Job) => {
    throw new Error(`unexpected job ${job.id}`)
  }
  const all = Object.fromEntries(TASK_NAMES.map((task) => [task, unexpected]))
  return { ...(all as unknown as Handlers), ...some }
}

async function start(handlers: Partial<Handlers>, overrides: Partial<RunnerOptions> = {}): Promise<Runner> {
  const runner = await startRunner({
    url: database.url,
    db: database.db,
    handlers: handlersWith(handlers),
    pools: [{ name: 'test', concurrency: 3, tasks: TASK_NAMES }],
    log: (level, message) => log.push(`${level}: ${message}`),
    onFatal: (error) => log.push(`fatal: ${error.message}`),
    now: () => Date.UTC(2026, 0, 2),
    newId: randomUUID,
    sleep: pause,
    strategyTimeoutMs: 30_000,
    process: { pid: process.pid, host: 'test' },
    ...overrides,
  })
  runners.push(runner)
  return runner
}

const chunk = (next_tick: number) =>
  ({ task: 'greta.run_chunk', payload: { run_id: run, next_tick }, queue: `run:${run}` }) as const

const add = (...ticks: number[]) => database.db.write((tx) => append(tx, [], { jobs: ticks.map(chunk) }))

async function asOwner<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
  const client = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  try {
    return (await client.query<Row>(text, values)).rows
  } finally {
    await client.end()
  }
}

const jobs = () => database.db.reader.query<{ state: string }>('select id, state, attempts from weaver.job_overview')
const noJobsLeft = () => until('there is no job left', async () => (await jobs()).length === 0)

test('jobs of a run go one after the other in the order in which they were added', async () => {
  const seen: number[] = []
  let atWork = 0
  await add(...Array.from({ length: 20 }, (_, n) => n))
  await start({
    'greta.run_chunk': async ({ next_tick }, job) => {
      atWork += 1
      await pause(1)
      expect(atWork).toBe(1)
      seen.push(next_tick)
      atWork -= 1
      await database.db.write((tx) => job.finish(tx))
    },
  })
  await noJobsLeft()
  expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n))
})

test('an appended event wakes its subscribers, one after the other', async () => {
  const seen: string[] = []
  const handler = (task: TaskName) => async (payload: { event_id: string }) => {
    seen.push(`${task} ${payload.event_id}`)
  }
  await start({ 'greta.match_orders': handler('greta.match_orders'), 'marvin.on_tick': handler('marvin.on_tick') })
  const event = tick(run)
  await database.db.write((tx) => append(tx, [event]))
  await until('both ran', async () => seen.length === 2)
  await noJobsLeft()
  expect(seen).toEqual([`greta.match_orders ${event.id}`, `marvin.on_tick ${event.id}`])
})

test('a worker that lost its job rolls back, says nothing of it, and leaves the job to its successor', async () => {
  const eventId = randomUUID()
  const successor = await database.db.session()
  await registerPool(database.db, successor, { id: 'pool-successor', name: 'other', pid: 1, host: 'other' })
  let outcome: unknown
  await add(0)
  await start({
    'greta.run_chunk': async (_, job) => {
      await asOwner(
        `update graphile_worker._private_jobs set locked_by = 'pool-successor', attempts = attempts + 1 where id = $1`,
        [job.id],
      )
      const work = database.db.write(async (tx) => {
        await claim(tx, 'greta', eventId)
        await job.finish(tx)
      })
      outcome = await work.catch((error) => error)
      throw outcome
    },
  })
  await until('the handler is done', async () => outcome)
  await until('its worker heard of it', async () => log.some((line) => line.includes('no longer this worker')))
  expect(outcome).toBeInstanceOf(LostLease)
  const held = await asOwner<object>('select locked_by, attempts::int from graphile_worker._private_jobs')
  expect(held).toEqual([{ locked_by: 'pool-successor', attempts: 2 }])
  expect(await database.db.write((tx) => claim(tx, 'greta', eventId))).toBe(true)
  expect(log.filter((line) => line.startsWith('error'))).toEqual([])
  await successor.close()
})

test('a job that is put back comes again with its attempt', async () => {
  const attempts: number[] = []
  await add(0)
  await start({
    'greta.run_chunk': async (_, job) => {
      attempts.push(job.attempts)
      if (attempts.length < 3) await job.putBack(0)
    },
  })
  await noJobsLeft()
  expect(attempts).toEqual([1, 1, 1])
})

test('a job that fails for good is recorded, told of, handed to who waits for it, and gone', async () => {
  const dead: unknown[] = []
  await add(0)
  await asOwner('update graphile_worker._private_jobs set attempts = max_attempts - 1')
  const failing = {
    'greta.run_chunk': async () => {
      throw new Error('the disk is full')
    },
  }
  await start(failing, { onDeadJob: async (_tx, job) => void dead.push(job) })
  await until('there is a dead letter', async () => (await jobs()).some(({ state }) => state === 'dead'))
  const letters = await asOwner('select task, payload, run_id, error, attempts from weaver.job_dead_letters')
  const letter = { task: 'greta.run_chunk', run_id: run, error: 'the disk is full' }
  expect(letters).toEqual([{ ...letter, payload: { run_id: run, next_tick: 0 }, attempts: 5 }])
  expect(dead).toEqual([{ task: 'greta.run_chunk', runId: run, error: 'the disk is full' }])
  expect(await asOwner('select id from graphile_worker._private_jobs')).toEqual([])
  const [event] = await asOwner<{ payload: { payload: object } }>(
    `select payload from weaver.outbox where type = 'job.Failed'`,
  )
  expect(event?.payload.payload).toMatchObject(letter)
})

test('a job that fails before its last attempt waits for the next one', async () => {
  await add(0)
  await start({
    'greta.run_chunk': async () => {
      throw new Error('not today')
    },
  })
  await until('it waits', async () => (await jobs()).some(({ state }) => state === 'scheduled'))
  const [row] = await asOwner('select attempts::int, last_error from graphile_worker._private_jobs')
  expect(row).toEqual({ attempts: 1, last_error: 'not today' })
})

test('a job that the database left in the lurch has as many attempts as before, and waits no longer than at first', async () => {
  const away = new DatabaseUnavailable('Connection terminated', { code: '08006', cause: null })
  const tooLong = new DatabaseUnavailable('canceling statement', { code: '57014', cause: null })
  const errors = [away, new Error('no bars', { cause: away }), away, away, away, tooLong, new Error('not today')]
  const seen: unknown[] = []
  await add(0)
  await start({
    'greta.run_chunk': async (_, job) => {
      throw errors[job.attempts - 1]
    },
  })
  for (const error of errors) {
    await until(`it waits after ${error.message}`, async () => (await outcomes()).length === seen.length + 1)
    seen.push(
      ...(await asOwner(
        `select attempts::int, max_attempts::int as most, extract(epoch from run_at - updated_at)::int as seconds
         from graphile_worker._private_jobs`,
      )),
    )
    await asOwner('update graphile_worker._private_jobs set run_at = now()')
  }
  expect(seen).toEqual([
    ...[1, 2, 3, 4, 5].map((attempts) => ({ attempts, most: 5 + attempts, seconds: 2 })),
    { attempts: 6, most: 10, seconds: 2 },
    { attempts: 7, most: 10, seconds: 6 },
  ])
})

test('a payload that does not fit ends its job at once', async () => {
  const broken = JSON.stringify([{ task: 'greta.run_chunk', payload: { run_id: run, next_tick: -1 } }])
  await database.db.write((tx) => tx.query('select weaver.enqueue($1::jsonb)', [broken]))
  await start({})
  await until('there is a dead letter', async () => (await jobs()).some(({ state }) => state === 'dead'))
  const [letter] = await asOwner<{ error: string }>('select error from weaver.job_dead_letters')
  expect(letter?.error).toContain('the payload does not fit: next_tick')
})

test('a stop waits for the jobs under way and leaves no lock and no pool behind', async () => {
  const entered = Promise.withResolvers<void>()
  const mayEnd = Promise.withResolvers<void>()
  await add(0, 1)
  const runner = await start({
    'greta.run_chunk': async (_, job) => {
      entered.resolve()
      await mayEnd.promise
      await database.db.write((tx) => job.finish(tx))
    },
  })
  await entered.promise
  const stopped = runner.stop()
  runners.length = 0
  mayEnd.resolve()
  await stopped
  expect(log.filter((line) => line.startsWith('error'))).toEqual([])
  expect(await asOwner(`select 1 from graphile_worker._private_jobs where payload ->> 'next_tick' = '0'`)).toEqual([])
  expect(await asOwner('select 1 from graphile_worker._private_jobs where locked_by is not null')).toEqual([])
  expect(await asOwner('select 1 from graphile_worker._private_job_queues where locked_by is not null')).toEqual([])
  expect(await asOwner('select id from weaver.worker_pools')).toEqual([])
  expect(log.filter((line) => line.startsWith('fatal'))).toEqual([])
})

test('a runner that loses the connection that shows that it lives says that it is of no use any more', async () => {
  await start({})
  await until('the pool is registered', async () => (await asOwner('select id from weaver.worker_pools')).length === 1)
  await asOwner(
    `select pg_terminate_backend(l.pid, 5000) from pg_locks l
     where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())
       and l.objid = ((select advisory_key from weaver.worker_pools) & 4294967295)::oid`,
  )
  await until('it is fatal', async () => log.some((line) => line.startsWith('fatal: the connection that shows')))
})

test('the job of a worker process that is killed runs again on a survivor, with its attempt given back', async () => {
  await add(0)
  const script = fileURLToPath(new URL('../tests/support/job_worker.ts', import.meta.url))
  const child = spawn(process.execPath, [script, database.url], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let said = ''
  child.stdout.on('data', (data) => {
    said += String(data)
  })
  await until('the worker process started the job', async () => said.includes('attempt 1'))
  const attempts: number[] = []
  await start({
    'greta.run_chunk': async (_, job) => {
      attempts.push(job.attempts)
      await database.db.write((tx) => job.finish(tx))
    },
  })
  expect(attempts).toEqual([])
  child.kill('SIGKILL')
  await once(child, 'exit')
  await noJobsLeft()
  expect(attempts).toEqual([1])
})

const outcomes = () =>
  asOwner<{ outcome: string; attempt: number; error: string | null }>(
    'select outcome, attempt, error from weaver.job_history order by finished_at',
  )

test('a job over its time-out is taken from its worker, which goes on with others, and is tried again', async () => {
  const signals: AbortSignal[] = []
  await add(0)
  await start(
    {
      'greta.run_chunk': async (_, job) => {
        signals.push(job.signal)
        if (signals.length === 1) await new Promise(() => {})
      },
    },
    { pools: [{ name: 'test', concurrency: 1, tasks: TASK_NAMES }] },
  )
  await until('it runs', async () => signals.length === 1)
  await asOwner(`update graphile_worker._private_jobs set locked_at = now() - interval '631 seconds'`)
  await until('it is taken away', async () => (await outcomes()).length === 1)
  const error = 'took longer than the 630 seconds that greta.run_chunk may take'
  expect(await outcomes()).toEqual([{ outcome: 'timed_out', attempt: 1, error }])
  await asOwner('update graphile_worker._private_jobs set run_at = now()')
  await noJobsLeft()
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
  expect(await outcomes()).toMatchObject([{ outcome: 'timed_out' }, { outcome: 'done', attempt: 2 }])
})

test('a running job that is cancelled leaves no effect and frees its worker', async () => {
  const other = await insertRun(database.db)
  const eventId = randomUUID()
  const outcome = Promise.withResolvers<unknown>()
  let held = ''
  await add(0)
  await start(
    {
      'greta.run_chunk': async ({ run_id }, job) => {
        if (run_id === other) return
        held = job.id
        await new Promise((resolve) => job.signal.addEventListener('abort', resolve))
        const work = database.db.write(async (tx) => {
          await claim(tx, 'greta', eventId)
          await job.finish(tx)
        })
        outcome.resolve(await work.catch((error) => error))
      },
    },
    { pools: [{ name: 'test', concurrency: 1, tasks: TASK_NAMES }] },
  )
  await until('it runs', async () => held !== '')
  await database.db.write((tx) => cancelJob(tx, held, 'enough'))
  expect(await outcome.promise).toBeInstanceOf(LostLease)
  expect(await database.db.write((tx) => claim(tx, 'greta', eventId))).toBe(true)
  await database.db.write((tx) =>
    append(tx, [], {
      jobs: [{ task: 'greta.run_chunk', payload: { run_id: other, next_tick: 0 }, queue: `run:${other}` }],
    }),
  )
  await noJobsLeft()
  expect(await outcomes()).toMatchObject([{ outcome: 'cancelled', error: 'enough' }, { outcome: 'done' }])
})

test('a job that fails waits as long as its task says, longer each time', async () => {
  await add(0)
  await start({
    'greta.run_chunk': async () => {
      throw new Error('not today')
    },
  })
  for (const [attempts, seconds] of [
    [1, 2],
    [2, 6],
    [3, 18],
  ]) {
    await until('it waits', async () => (await outcomes()).length === attempts)
    const [row] = await asOwner<{ seconds: number }>(
      'select extract(epoch from run_at - updated_at)::int as seconds from graphile_worker._private_jobs',
    )
    expect(row?.seconds).toBe(seconds)
    await asOwner('update graphile_worker._private_jobs set run_at = now()')
  }
})

test('a pool that looks for its jobs in vain locks nobody out of his queue', async () => {
  await asOwner(`select graphile_worker.add_job('greta.finish_run', '{}', 'run:idle', now() + interval '1 hour')`)
  await start({}, { pools: [{ name: 'test', concurrency: 2, tasks: ['greta.finish_run'] }] })
  const fetches = async () => {
    const [row] = await asOwner<{ n: number }>(
      `select (extract(epoch from max(state_change)) * 1000)::float8 as n from pg_stat_activity
       where application_name = 'weaver jobs test' and query ~ 'skip\\s+locked'`,
    )
    return row?.n ?? 0
  }
  const first = await until('it looks', fetches)
  await until('it looks again', async () => (await fetches()) > first)
  // graphile-worker's own statement would have left its lock's transaction here.
  expect(await asOwner('select queue_name, xmax::text from graphile_worker._private_job_queues')).toEqual([
    { queue_name: 'run:idle', xmax: '0' },
  ])
})

test('jobs of an account whose places are taken are passed over, and taken when one is free', async () => {
  const other = await startLiveRun(database.db, 1, { exchange: 'other' })
  const busy = await startLiveRun(database.db, 2, { exchange: 'busy' })
  const full = new Set(['veda.submit_order busy paper'])
  const seen: string[] = []
  const submit = (run_id: string) => {
    return {
      task: 'veda.submit_order',
      payload: { run_id, order_id: randomUUID() },
      queue: `orders:${run_id}`,
    } as const
  }
  await database.db.write((tx) => append(tx, [], { jobs: [submit(busy.id), submit(other.id)] }))
  await start(
    { 'veda.submit_order': async ({ run_id }) => void seen.push(run_id) },
    { pools: [{ name: 'test', concurrency: 1, tasks: TASK_NAMES }], passedOver: () => [...full] },
  )
  await until('one is left', async () => (await jobs()).length === 1)
  expect(seen).toEqual([other.id])
  full.clear()
  await noJobsLeft()
  expect(seen).toEqual([other.id, busy.id])
})

test('two pools share a queue of jobs, each doing its own tasks only', async () => {
  const seen: string[] = []
  const note = (task: TaskName) => async () => void seen.push(task)
  const event = tick(run)
  await start(
    { 'greta.match_orders': note('greta.match_orders'), 'marvin.on_tick': note('marvin.on_tick') },
    {
      pools: [
        { name: 'live', concurrency: 1, tasks: ['greta.match_orders'] },
        { name: 'batch', concurrency: 1, tasks: ['marvin.on_tick'] },
      ],
    },
  )
  await database.db.write((tx) => append(tx, [event]))
  await noJobsLeft()
  const workers = await asOwner<{ task: string; worker: string }>('select task, worker from weaver.job_history')
  const pools = await asOwner<{ id: string; name: string }>('select id, name from weaver.worker_pools')
  const poolOf = (task: string) => pools.find(({ id }) => id === workers.find((one) => one.task === task)?.worker)?.name
  expect(seen.toSorted()).toEqual(['greta.match_orders', 'marvin.on_tick'])
  expect([poolOf('greta.match_orders'), poolOf('marvin.on_tick')]).toEqual(['live', 'batch'])
})

test('the end of an attempt that was taken away does not touch the next one, of the same worker', async () => {
  const second = Promise.withResolvers<void>()
  const mayEnd = Promise.withResolvers<void>()
  const attempts: number[] = []
  await add(0)
  await start({
    'greta.run_chunk': async (_, job) => {
      attempts.push(job.attempts)
      if (job.attempts > 1) {
        second.resolve()
        return mayEnd.promise
      }
      const failure = { outcome: 'timed_out', error: 'too long', delayMs: 0 } as const
      await database.db.write((tx) => failJob(tx, job, failure))
      await second.promise
      throw new Error('too late')
    },
  })
  await until('the first attempt has ended', async () => log.some((line) => line.includes('no longer this worker')))
  mayEnd.resolve()
  await noJobsLeft()
  expect(attempts).toEqual([1, 2])
  expect(await outcomes()).toMatchObject([
    { outcome: 'timed_out', attempt: 1 },
    { outcome: 'done', attempt: 2 },
  ])
})
