import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, progressed, tick } from '../../tests/support/log.ts'
import { connectOwner } from '../client.ts'
import type { WriteTx } from '../database.ts'
import { append } from './append.ts'
import { claim } from './claims.ts'
import {
  excuseJob,
  finishJob,
  livePools,
  putBackJob,
  registerPool,
  removeIdleQueues,
  takeFailedJobs,
  takeOverDeadPools,
  tellDead,
} from './leases.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

async function asOwner<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
  const client = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  try {
    return (await client.query<Row>(text, values)).rows
  } finally {
    await client.end()
  }
}

/** Adds a job to the run's queue; gives its id. */
async function addJob(run: string): Promise<string> {
  const job = { task: 'greta.run_chunk', payload: { run_id: run, next_tick: 0 }, queue: `run:${run}` } as const
  await database.db.write((tx) => append(tx, [], { jobs: [job] }))
  const [row] = await asOwner<{ id: string }>('select max(id)::text as id from graphile_worker._private_jobs')
  return row?.id ?? ''
}

/** What graphile-worker does when a pool fetches the job. */
async function fetchAs(pool: string, id: string): Promise<{ id: string; lockedBy: string; attempts: number }> {
  const [row] = await asOwner<{ attempts: number }>(
    `with j as (
       update graphile_worker._private_jobs set attempts = attempts + 1, locked_by = $2, locked_at = now()
       where id = $1 returning attempts, job_queue_id
     ), q as (
       update graphile_worker._private_job_queues q set locked_by = $2, locked_at = now() from j where q.id = j.job_queue_id
     ) select attempts from j`,
    [id, pool],
  )
  return { id, lockedBy: pool, attempts: row?.attempts ?? 0 }
}

const stateOf = async (id: string) => {
  const [row] = await asOwner(
    `select j.locked_by, j.attempts::int, q.locked_by as queue_locked_by
     from graphile_worker._private_jobs j left join graphile_worker._private_job_queues q on q.id = j.job_queue_id
     where j.id = $1`,
    [id],
  )
  return row
}

const inTx = <T>(work: (tx: WriteTx) => Promise<T>) => database.db.write(work)

test('finishing a job removes it and frees its queue, in the transaction of the effect', async () => {
  const run = await insertRun(database.db)
  const [first, second] = [await addJob(run), await addJob(run)]
  const lease = await fetchAs('pool-a', first)
  const rolledBack = inTx(async (tx) => {
    expect(await finishJob(tx, lease)).toBe(true)
    throw new Error('no')
  })
  await expect(rolledBack).rejects.toThrow('no')
  expect(await stateOf(first)).toEqual({ locked_by: 'pool-a', attempts: 1, queue_locked_by: 'pool-a' })
  expect(await inTx((tx) => finishJob(tx, lease))).toBe(true)
  expect(await stateOf(first)).toBeUndefined()
  expect(await stateOf(second)).toEqual({ locked_by: null, attempts: 0, queue_locked_by: null })
})

test('a worker whose job went to another one can neither finish it nor put it back', async () => {
  const id = await addJob(await insertRun(database.db))
  const zombie = await fetchAs('pool-a', id)
  const successor = await fetchAs('pool-b', id)
  const sameWorkerLater = { ...successor, attempts: 1 }
  for (const lease of [zombie, sameWorkerLater]) {
    expect(await inTx((tx) => finishJob(tx, lease))).toBe(false)
    expect(await inTx((tx) => putBackJob(tx, lease, 0))).toBe(false)
  }
  expect(await stateOf(id)).toEqual({ locked_by: 'pool-b', attempts: 2, queue_locked_by: 'pool-b' })
  expect(await inTx((tx) => finishJob(tx, successor))).toBe(true)
})

test('a job that is put back gets back its attempts, those that failed before too, and frees its queue', async () => {
  const id = await addJob(await insertRun(database.db))
  await fetchAs('pool-a', id)
  const lease = await fetchAs('pool-a', id)
  expect(lease.attempts).toBe(2)
  expect(await inTx((tx) => putBackJob(tx, lease, 60_000))).toBe(true)
  expect(await stateOf(id)).toBeUndefined()
  const [row] = await database.db.reader.query<{ id: number }>('select id, state from weaver.job_overview')
  expect(row).toMatchObject({ state: 'scheduled' })
  expect(await stateOf(String(row?.id))).toEqual({ locked_by: null, attempts: 0, queue_locked_by: null })
})

test('an outage uses up no attempt, however often, and no lease comes twice; at the limit it does', async () => {
  const id = await addJob(await insertRun(database.db))
  const seen: number[] = []
  const excuse = async (most: number) => {
    const lease = await fetchAs('pool-a', id)
    seen.push(lease.attempts)
    expect(await inTx((tx) => excuseJob(tx, lease, { error: 'gone', delayMs: 0 }, most))).toBe(true)
    // The lease has gone with it.
    expect(await inTx((tx) => excuseJob(tx, lease, { error: 'gone', delayMs: 0 }, most))).toBe(false)
  }
  for (let times = 0; times < 6; times++) await excuse(100)
  expect(seen).toEqual([1, 2, 3, 4, 5, 6])
  const attempts = async () => {
    const text = 'select attempts::int, max_attempts::int, last_error from graphile_worker._private_jobs where id = $1'
    const [row] = await asOwner(text, [id])
    return row
  }
  expect(await attempts()).toEqual({ attempts: 6, max_attempts: 11, last_error: 'gone' })
  expect(await stateOf(id)).toMatchObject({ locked_by: null, queue_locked_by: null })
  const outcomes = await asOwner('select distinct outcome from weaver.job_runs where job_id = $1', [id])
  expect(outcomes).toEqual([{ outcome: 'failed' }])
  await excuse(11)
  expect(await attempts()).toMatchObject({ attempts: 7, max_attempts: 11 })
})

test("a living pool's jobs are left alone; a dead one's are free at once, with their attempt", async () => {
  const id = await addJob(await insertRun(database.db))
  const session = await database.db.session()
  await registerPool(database.db, session, { id: 'pool-a', name: 'live', pid: 1, host: 'here' })
  await fetchAs('pool-a', id)
  expect(await takeOverDeadPools(database.db)).toBe(0)
  expect(await livePools(database.db)).toBe(1)
  expect(await stateOf(id)).toEqual({ locked_by: 'pool-a', attempts: 1, queue_locked_by: 'pool-a' })
  await session.close()
  expect(await livePools(database.db)).toBe(0)
  expect(await takeOverDeadPools(database.db)).toBe(1)
  expect(await stateOf(id)).toEqual({ locked_by: null, attempts: 0, queue_locked_by: null })
  expect(await asOwner('select id from weaver.worker_pools')).toEqual([])
})

test('locks of a pool that nobody registered are freed after five seconds, not before', async () => {
  const id = await addJob(await insertRun(database.db))
  await fetchAs('pool-unknown', id)
  expect(await takeOverDeadPools(database.db)).toBe(0)
  await asOwner(`update graphile_worker._private_jobs set locked_at = now() - interval '6 seconds'`)
  expect(await takeOverDeadPools(database.db)).toBe(1)
  expect(await stateOf(id)).toEqual({ locked_by: null, attempts: 0, queue_locked_by: null })
})

test('a job without attempts left is recorded with an event that its cause is known to, and removed', async () => {
  const run = await insertRun(database.db)
  const cause = tick(run)
  await inTx((tx) => append(tx, [cause]))
  await asOwner(`update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'out of memory'
    where task_id = (select id from graphile_worker._private_tasks where identifier = 'greta.match_orders')`)
  await inTx(async (tx) => {
    const jobs = await takeFailedJobs(tx, 10)
    expect(jobs).toMatchObject([{ task: 'greta.match_orders', error: 'out of memory', attempts: 5 }])
    for (const job of jobs) await tellDead(tx, job, { now: Date.UTC(2026, 0, 2), newId: randomUUID })
  })
  expect(await inTx((tx) => takeFailedJobs(tx, 10))).toEqual([])
  const [event] = await asOwner<{ payload: object }>(`select payload from weaver.outbox where type = 'job.Failed'`)
  const [letter] = await asOwner<{ id: string }>(
    'select id::text, task, run_id, error, attempts from weaver.job_dead_letters',
  )
  expect(letter).toMatchObject({ task: 'greta.match_orders', run_id: run, error: 'out of memory', attempts: 5 })
  expect(event?.payload).toMatchObject({
    corr_id: cause.corr_id,
    causation_id: cause.id,
    payload: { task: 'greta.match_orders', job_id: letter?.id, run_id: run, error: 'out of memory' },
  })
})

test('a job that no event set off goes back to the last thing that was told of its run', async () => {
  const run = await insertRun(database.db)
  const last = progressed(run, 7)
  await inTx((tx) => append(tx, [last]))
  await asOwner('update weaver.runs set last_event_id = $1 where id = $2', [last.id, run])
  const job = {
    id: '1',
    task: 'greta.run_chunk',
    payload: { run_id: run, next_tick: 7 },
    error: 'no luck',
    attempts: 5,
  }
  await inTx((tx) => tellDead(tx, job, { now: Date.UTC(2026, 0, 2), newId: randomUUID }))
  expect(
    await asOwner(`select corr_id, causation_id from weaver.outbox where type = 'job.Failed' and run_id = $1`, [run]),
  ).toEqual([{ corr_id: last.corr_id, causation_id: last.id }])
})

test('queues without jobs are removed, and never one that a job is about to join', async () => {
  const [idle, busy] = [await insertRun(database.db), await insertRun(database.db)]
  const done = await fetchAs('pool-a', await addJob(idle))
  await inTx((tx) => finishJob(tx, done))
  const next = { task: 'greta.run_chunk', payload: { run_id: idle, next_tick: 1 }, queue: `run:${idle}` } as const
  const names = () => asOwner('select queue_name from graphile_worker._private_job_queues order by queue_name')
  await inTx(async (tx) => {
    await append(tx, [], { jobs: [next] })
    await removeIdleQueues(database.db)
  })
  expect(await names()).toEqual([{ queue_name: `run:${idle}` }])
  await addJob(busy)
  await inTx(async (tx) => {
    const [job] = await asOwner<{ id: string }>('select min(id)::text as id from graphile_worker._private_jobs')
    await finishJob(tx, await fetchAs('pool-a', job?.id ?? ''))
  })
  await removeIdleQueues(database.db)
  expect(await names()).toEqual([{ queue_name: `run:${busy}` }])
})

test('jobs that a crash alone could end are refused', async () => {
  const job = JSON.stringify([{ task: 'greta.run_chunk', payload: {}, max_attempts: 2 }])
  await expect(inTx((tx) => tx.query('select weaver.enqueue($1::jsonb)', [job]))).rejects.toThrow('at least 3')
})

test('a zombie that finds out at the end of its transaction leaves no effect', async () => {
  const id = await addJob(await insertRun(database.db))
  const zombie = await fetchAs('pool-a', id)
  await fetchAs('pool-b', id)
  const eventId = randomUUID()
  const work = inTx(async (tx) => {
    await claim(tx, 'greta', eventId)
    if (!(await finishJob(tx, zombie))) throw new Error('lost')
  })
  await expect(work).rejects.toThrow('lost')
  expect(await inTx((tx) => claim(tx, 'greta', eventId))).toBe(true)
})

test("graphile-worker is the pinned version, with the private columns that Weaver's functions touch", async () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(manifest.dependencies['graphile-worker']).toBe('0.18.0')
  const columns = await asOwner<{ column: string }>(
    `select table_name || '.' || column_name || ' ' || udt_name || case is_generated when 'ALWAYS' then ' generated' else '' end as column
     from information_schema.columns where table_schema = 'graphile_worker' and table_name like '\\_private\\_%'
       and table_name <> '_private_known_crontabs' order by table_name, column_name`,
  )
  expect(columns.map(({ column }) => column)).toEqual([
    '_private_job_queues.id int4',
    '_private_job_queues.is_available bool generated',
    '_private_job_queues.locked_at timestamptz',
    '_private_job_queues.locked_by text',
    '_private_job_queues.queue_name text',
    '_private_jobs.attempts int2',
    '_private_jobs.created_at timestamptz',
    '_private_jobs.flags jsonb',
    '_private_jobs.id int8',
    '_private_jobs.is_available bool generated',
    '_private_jobs.job_queue_id int4',
    '_private_jobs.key text',
    '_private_jobs.last_error text',
    '_private_jobs.locked_at timestamptz',
    '_private_jobs.locked_by text',
    '_private_jobs.max_attempts int2',
    '_private_jobs.payload json',
    '_private_jobs.priority int2',
    '_private_jobs.revision int4',
    '_private_jobs.run_at timestamptz',
    '_private_jobs.task_id int4',
    '_private_jobs.updated_at timestamptz',
    '_private_tasks.id int4',
    '_private_tasks.identifier text',
  ])
  const spec = await asOwner<{ name: string }>(
    `select attribute_name as name from information_schema.attributes
     where udt_schema = 'graphile_worker' and udt_name = 'job_spec' order by ordinal_position`,
  )
  expect(spec.map(({ name }) => name)).toEqual([
    'identifier',
    'payload',
    'queue_name',
    'run_at',
    'max_attempts',
    'job_key',
    'priority',
    'flags',
  ])
})
