/** What becomes of jobs: history, failures, time-outs, crashes, cancelling, retries, pauses. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, tick } from '../../tests/support/log.ts'
import { chunkOf, openQueue, type Queue } from '../../tests/support/queue.ts'
import { until } from '../../tests/support/until.ts'
import type { WriteTx } from '../database.ts'
import { append } from './append.ts'
import {
  cancelJob,
  deadLetter,
  discardDeadJob,
  listPauses,
  type PauseKind,
  pauseJobs,
  resumeJobs,
  retryDeadJob,
} from './job_control.ts'
import {
  buryJob,
  failJob,
  finishJob,
  type Lease,
  lostLeases,
  overdueJobs,
  putBackJob,
  takeFailedJobs,
  takeOverDeadPools,
  tidyJobs,
} from './leases.ts'

let database: TestDatabase
let queue: Queue
let run: string
beforeEach(async () => {
  database = await createTestDatabase()
  queue = await openQueue(database)
  run = await insertRun(database.db)
})
afterEach(async () => {
  await queue.close()
  await database.drop()
})

const inTx = <T>(work: (tx: WriteTx) => Promise<T>) => database.db.write(work)
const fetched = async (pool = 'pool-a') => (await queue.fetch(pool)) as Lease
const history = () =>
  database.db.reader.query(
    'select id, task, queue, run_id, outcome, attempt, error, worker from weaver.job_history order by finished_at',
  )
const states = async () => {
  const rows = await database.db.reader.query<{ state: string }>('select state from weaver.job_overview order by id')
  return rows.map(({ state }) => state)
}
const entry = (id: string, outcome: string, rest: object = {}) => ({
  id: Number(id),
  task: 'greta.run_chunk',
  queue: `run:${run}`,
  run_id: run,
  outcome,
  attempt: 1,
  error: null,
  worker: 'pool-a',
  ...rest,
})

test('jobs of a run come in the order of its lock, whichever transaction began first', async () => {
  const order: string[] = []
  await inTx(async (first) => {
    await first.query('select 1')
    order.push(await queue.add(run))
    await append(first, [], { jobs: [chunkOf(run, 0)] })
  })
  const [late] = await database.db.reader.query<{ id: string }>(
    'select id::text from weaver.job_overview where id <> $1',
    [order[0]],
  )
  const lease = await fetched()
  expect(lease.id).toBe(order[0])
  await inTx((tx) => finishJob(tx, lease))
  expect((await fetched()).id).toBe(late?.id)
})

test('a finished job is in the history by the transaction that finished it, with its times', async () => {
  const id = await queue.add(run)
  const lease = await fetched()
  const rolledBack = inTx(async (tx) => {
    await finishJob(tx, lease)
    throw new Error('no')
  })
  await expect(rolledBack).rejects.toThrow('no')
  expect(await history()).toEqual([])
  await inTx((tx) => finishJob(tx, lease))
  expect(await history()).toEqual([entry(id, 'done')])
  const [times] = await queue.asOwner(
    `select due_at >= created_at as due_at_once, started_at > due_at as then_started, finished_at > started_at as then_finished,
       wait = started_at - due_at as wait, duration = finished_at - started_at as duration from weaver.job_history`,
  )
  expect(times).toEqual({ due_at_once: true, then_started: true, then_finished: true, wait: true, duration: true })
})

test("a job's correlation is its event's", async () => {
  const event = tick(run)
  await inTx((tx) => append(tx, [event]))
  const lease = await fetched()
  const corr = (view: string) =>
    database.db.reader.query(`select task, corr_id from weaver.${view} where id = ${lease.id}`)
  expect(await corr('job_overview')).toEqual([{ task: 'greta.match_orders', corr_id: event.corr_id }])
  await inTx((tx) => finishJob(tx, lease))
  expect(await corr('job_history')).toEqual([{ task: 'greta.match_orders', corr_id: event.corr_id }])
})

test('a failed attempt keeps the id of its job, is told, and comes again when its delay is over', async () => {
  const id = await queue.add(run)
  const lease = await fetched()
  const failure = { outcome: 'failed', error: 'no space', delayMs: 7_000 } as const
  expect(await inTx((tx) => failJob(tx, { ...lease, attempts: 2 }, failure))).toBe(false)
  expect(await inTx((tx) => failJob(tx, lease, failure))).toBe(true)
  expect(await history()).toEqual([entry(id, 'failed', { error: 'no space' })])
  const [job] = await queue.asOwner(
    `select j.id::text, attempts::int, last_error, run_at - j.updated_at = interval '7 seconds' as in_7_s, q.locked_by
     from graphile_worker._private_jobs j join graphile_worker._private_job_queues q on q.id = j.job_queue_id`,
  )
  expect(job).toEqual({ id, attempts: 1, last_error: 'no space', in_7_s: true, locked_by: null })
})

test('a job that runs for too long is found by whoever looks, and its late commit fails', async () => {
  const id = await queue.add(run)
  const lease = await fetched()
  const limits = [{ task: 'greta.run_chunk', ms: 60_000 }]
  expect(await overdueJobs(database.db, limits)).toEqual([])
  await queue.asOwner(`update graphile_worker._private_jobs set locked_at = now() - interval '61 seconds'`)
  const payload = { run_id: run, next_tick: 0 }
  const held = { id, lockedBy: 'pool-a', attempts: 1 }
  expect(await overdueJobs(database.db, limits)).toEqual([
    { lease: held, maxAttempts: 5, task: 'greta.run_chunk', payload, limitMs: 60_000 },
  ])
  expect(await overdueJobs(database.db, [{ task: 'greta.run_chunk', ms: 62_000 }])).toEqual([])
  const session = await database.db.session()
  expect(await lostLeases(session, [held])).toEqual([])
  await inTx((tx) => failJob(tx, held, { outcome: 'timed_out', error: 'took too long', delayMs: 0 }))
  expect(await lostLeases(session, [held])).toEqual([held])
  await session.close()
  expect(await inTx((tx) => finishJob(tx, lease))).toBe(false)
  expect(await history()).toEqual([entry(id, 'timed_out', { error: 'took too long' })])
})

test('of a time-out and a commit at the same time one wins, and the other finds out', async () => {
  await queue.add(run)
  const lease = await fetched()
  const mayCommit = Promise.withResolvers<void>()
  const finished = Promise.withResolvers<void>()
  const commit = inTx(async (tx) => {
    expect(await finishJob(tx, lease)).toBe(true)
    finished.resolve()
    await mayCommit.promise
  })
  await finished.promise
  const timeOut = inTx((tx) => failJob(tx, lease, { outcome: 'timed_out', error: 'too long', delayMs: 0 }))
  await until('the time-out waits for the commit', async () => {
    const [row] = await queue.asOwner<{ waiting: boolean }>(
      `select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%fail_job%') as waiting`,
    )
    return row?.waiting
  })
  mayCommit.resolve()
  await commit
  expect(await timeOut).toBe(false)
  expect(await states()).toEqual([])
})

async function crash(times: number, crashLimit: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    await queue.asOwner('update graphile_worker._private_jobs set run_at = now() where not weaver.is_paused(run_at)')
    expect(await queue.fetch('pool-gone')).not.toBeNull()
    await queue.asOwner(`update graphile_worker._private_jobs set locked_at = now() - interval '6 seconds'`)
    expect(await takeOverDeadPools(database.db, crashLimit)).toBe(1)
  }
}

test('a job that kills its worker each time is buried at the limit, with a message that says so', async () => {
  const id = await queue.add(run)
  await crash(3, 4)
  expect(await database.db.reader.query('select state, attempts, crashes from weaver.job_overview')).toMatchObject([
    { attempts: 0, crashes: 3 },
  ])
  expect(await inTx((tx) => takeFailedJobs(tx, 10))).toEqual([])
  await crash(1, 4)
  const [dead] = await inTx((tx) => takeFailedJobs(tx, 10))
  expect(dead).toMatchObject({ id, task: 'greta.run_chunk', payload: { run_id: run, next_tick: 0 } })
  expect(dead?.error).toContain('the worker process died 4 times in a row while it ran this job')
  expect(await states()).toEqual(['dead'])
  const died = entry(id, 'crashed', { worker: 'pool-gone', error: 'the worker process died' })
  expect(await history()).toEqual([
    died,
    died,
    died,
    died,
    entry(id, 'dead', { attempt: 5, error: dead?.error, worker: null }),
  ])
})

test('crashes count in a row only: a failure of its own, an hour, or another job starts the count anew', async () => {
  const crashes = async () => {
    const [row] = await database.db.reader.query<{ crashes: number }>('select crashes from weaver.job_overview')
    return row?.crashes
  }
  const id = await queue.add(run)
  await crash(2, 4)
  await queue.asOwner('update graphile_worker._private_jobs set run_at = now()')
  await inTx(async (tx) => failJob(tx, await fetched(), { outcome: 'failed', error: 'x', delayMs: 0 }))
  expect(await crashes()).toBe(0)
  await crash(2, 4)
  expect(await crashes()).toBe(2)
  await queue.asOwner(`update weaver.job_crashes set last_at = now() - interval '61 minutes'`)
  await crash(1, 4)
  expect(await crashes()).toBe(1)
  await inTx((tx) => cancelJob(tx, id, 'enough'))
  await queue.add(run)
  await crash(1, 4)
  expect(await crashes()).toBe(1)
  await tidyJobs(database.db, 1)
  expect(await queue.asOwner('select crashes from weaver.job_crashes')).toEqual([{ crashes: 1 }])
})

test('a dead letter is retried once, however often and at the same time it is asked for', async () => {
  const id = await queue.add(run, 7)
  const lease = await fetched()
  expect(await inTx((tx) => buryJob(tx, { ...lease, lockedBy: 'pool-b' }, 'broken'))).toBe(false)
  expect(await inTx((tx) => buryJob(tx, lease, 'broken'))).toBe(true)
  const letter = await deadLetter(database.db.reader, id)
  if (letter === null) throw new Error('no dead letter')
  const tries = await Promise.all([1, 2, 3, 4].map(() => inTx((tx) => retryDeadJob(tx, letter))))
  const [retriedAs, ...others] = tries.filter((one) => one !== null)
  expect(others).toEqual([])
  expect(await inTx((tx) => discardDeadJob(tx, id))).toBe(false)
  expect(await deadLetter(database.db.reader, id)).toMatchObject({ settled: 'retried', retried_as: retriedAs })
  expect(await states()).toEqual(['retried', 'waiting'])
  const again = await queue.fetch('pool-b')
  expect(again).toMatchObject({ id: retriedAs, attempts: 1, payload: { run_id: run, next_tick: 7 } })
  const [job] = await queue.asOwner('select max_attempts::int, priority::int from graphile_worker._private_jobs')
  expect(job).toEqual({ max_attempts: 5, priority: 10 })
})

test('a dead letter that is discarded is not retried', async () => {
  const id = await queue.add(run)
  await inTx(async (tx) => buryJob(tx, await fetched(), 'broken'))
  const letter = await deadLetter(database.db.reader, id)
  expect(await inTx((tx) => discardDeadJob(tx, id))).toBe(true)
  expect(letter && (await inTx((tx) => retryDeadJob(tx, letter)))).toBeNull()
  expect(await states()).toEqual(['discarded'])
})

test('a job is cancelled while it waits and while it runs, and its queue goes on', async () => {
  const [first, second, third] = [await queue.add(run), await queue.add(run), await queue.add(run)]
  const lease = await fetched()
  expect(await inTx((tx) => cancelJob(tx, first, 'by me'))).toBe('running')
  expect(await inTx((tx) => finishJob(tx, lease))).toBe(false)
  expect(await inTx((tx) => cancelJob(tx, second, 'by me'))).toBe('waiting')
  expect(await inTx((tx) => cancelJob(tx, second, 'by me'))).toBeNull()
  expect(await fetched('pool-b')).toMatchObject({ id: third })
  expect(await history()).toEqual([
    entry(first, 'cancelled', { error: 'by me' }),
    entry(second, 'cancelled', { error: 'by me', attempt: 0, worker: null }),
  ])
})

test('a job that is just being fetched cannot be cancelled at the same time', async () => {
  const id = await queue.add(run)
  const other = await openQueue(database)
  await other.asOwner('begin')
  expect(await other.fetch('pool-a')).toMatchObject({ id })
  expect(await inTx((tx) => cancelJob(tx, id, 'by me'))).toBe('busy')
  await other.asOwner('commit')
  expect(await inTx((tx) => cancelJob(tx, id, 'by me'))).toBe('running')
  await other.close()
})

test.each<[PauseKind, () => string]>([
  ['queue', () => `run:${run}`],
  ['task', () => 'greta.run_chunk'],
])('a paused %s holds back its jobs, old and new, in their order, and nothing else', async (kind, nameOf) => {
  const other = await insertRun(database.db)
  const event = tick(other)
  const [first, second] = [await queue.add(run), await queue.add(run)]
  const before = await queue.asOwner('select id, run_at::text from graphile_worker._private_jobs order by id')
  expect(await inTx((tx) => pauseJobs(tx, kind, nameOf()))).toBe(2)
  expect(await inTx((tx) => pauseJobs(tx, kind, nameOf()))).toBe(0)
  const third = await queue.add(run)
  await inTx((tx) => append(tx, [event]))
  expect(await states()).toEqual(['paused', 'paused', 'paused', 'waiting', 'waiting'])
  expect(await listPauses(database.db.reader)).toMatchObject([{ kind, name: nameOf(), jobs: 3 }])
  const hop = await fetched()
  expect(hop).toMatchObject({ payload: { event_id: event.id } })
  await inTx((tx) => finishJob(tx, hop))
  await inTx(async (tx) => finishJob(tx, await fetched()))
  expect(await queue.fetch('pool-a')).toBeNull()
  expect(await inTx((tx) => resumeJobs(tx, kind, nameOf()))).toBe(3)
  expect(await queue.asOwner('select id, run_at::text from graphile_worker._private_jobs order by id limit 2')).toEqual(
    before,
  )
  expect(await listPauses(database.db.reader)).toEqual([])
  for (const id of [first, second, third]) {
    const lease = await fetched()
    expect(lease).toMatchObject({ id })
    await inTx((tx) => finishJob(tx, lease))
  }
})

test('what is paused twice goes on when both are resumed; what was running and comes back waits', async () => {
  await queue.add(run)
  await queue.add(run)
  const lease = await fetched()
  await inTx((tx) => pauseJobs(tx, 'queue', `run:${run}`))
  await inTx((tx) => pauseJobs(tx, 'task', 'greta.run_chunk'))
  expect(await states()).toEqual(['running', 'paused'])
  await inTx((tx) => failJob(tx, lease, { outcome: 'failed', error: 'x', delayMs: 0 }))
  expect(await states()).toEqual(['paused', 'paused'])
  expect(await inTx((tx) => resumeJobs(tx, 'queue', `run:${run}`))).toBe(0)
  expect(await states()).toEqual(['paused', 'paused'])
  expect(await inTx((tx) => resumeJobs(tx, 'task', 'greta.run_chunk'))).toBe(2)
  expect((await states()).toSorted()).toEqual(['waiting', 'waiting'])
})

test('a job that was put back, or that its dead worker left, waits when its queue was paused meanwhile', async () => {
  await queue.add(run)
  const lease = await fetched()
  await inTx((tx) => pauseJobs(tx, 'queue', `run:${run}`))
  await inTx((tx) => putBackJob(tx, lease, 0))
  expect(await states()).toEqual(['paused'])
  await inTx((tx) => resumeJobs(tx, 'queue', `run:${run}`))
  await fetched('pool-gone')
  await inTx((tx) => pauseJobs(tx, 'queue', `run:${run}`))
  await queue.asOwner(`update graphile_worker._private_jobs set locked_at = now() - interval '6 seconds'`)
  await takeOverDeadPools(database.db)
  expect(await states()).toEqual(['paused'])
})

test('a pause misses no job of a transaction that was adding it meanwhile', async () => {
  const mayCommit = Promise.withResolvers<void>()
  const added = Promise.withResolvers<void>()
  const adding = inTx(async (tx) => {
    await append(tx, [], { jobs: [chunkOf(run, 0)] })
    added.resolve()
    await mayCommit.promise
  })
  await added.promise
  const pausing = inTx((tx) => pauseJobs(tx, 'task', 'greta.run_chunk'))
  await until('the pause waits', async () => {
    const [row] = await queue.asOwner<{ waiting: boolean }>(
      `select exists (select from pg_stat_activity where wait_event = 'advisory' and query like '%pause_jobs%') as waiting`,
    )
    return row?.waiting
  })
  mayCommit.resolve()
  await adding
  expect(await pausing).toBe(1)
  expect(await states()).toEqual(['paused'])
})

test('the history of older days goes, of the newer stays', async () => {
  await queue.asOwner(
    `insert into weaver.job_runs (job_id, attempt, outcome, task, created_at, due_at, finished_at)
     select n, 1, 'done', 'greta.run_chunk', t, t, t from (values (1, now() - interval '16 days'), (2, now() - interval '13 days')) as v (n, t)`,
  )
  await queue.asOwner(
    `create table weaver.job_runs_20200101 partition of weaver.job_runs for values from ('2020-01-01 00:00+00') to ('2020-01-02 00:00+00')`,
  )
  await tidyJobs(database.db, 7)
  expect(await database.db.reader.query('select id from weaver.job_history')).toEqual([{ id: 2 }])
  expect(await queue.asOwner(`select to_regclass('weaver.job_runs_20200101') as gone`)).toEqual([{ gone: null }])
})

test('jobs go by priority, then by age: hops before chunks', async () => {
  await queue.add(run)
  const hopsOf = await insertRun(database.db)
  await inTx((tx) => append(tx, [tick(hopsOf)]))
  expect(await queue.fetch('pool-a')).toMatchObject({ payload: { run_id: hopsOf } })
  expect(await queue.fetch('pool-b')).toMatchObject({ payload: { run_id: run } })
  expect(await queue.fetch('pool-c')).toBeNull()
})
