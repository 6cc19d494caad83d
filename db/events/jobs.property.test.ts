/** The queue against a model of it: whatever happens in whatever order, every job is in one place, and fences hold. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun } from '../../tests/support/log.ts'
import { openQueue, type Queue } from '../../tests/support/queue.ts'
import type { WriteTx } from '../database.ts'
import { cancelJob, deadLetter, discardDeadJob, pauseJobs, resumeJobs, retryDeadJob } from './job_control.ts'
import { buryJob, failJob, finishJob, type Lease, takeFailedJobs, takeOverDeadPools, unregisterPool } from './leases.ts'

let database: TestDatabase
let queue: Queue
let runs: string[]
beforeAll(async () => {
  database = await createTestDatabase()
  queue = await openQueue(database)
  runs = [await insertRun(database.db), await insertRun(database.db)]
})
afterAll(async () => {
  await queue.close()
  await database.drop()
})

const MAX_ATTEMPTS = 5
const CRASH_LIMIT = 3

interface ModelJob {
  id: string
  run: string
  attempts: number
  crashes: number
  /** Who runs it now. */
  lease: Lease | null
}

interface Model {
  jobs: Map<string, ModelJob>
  letters: Map<string, 'dead' | 'retried' | 'discarded'>
  runOfLetter: Map<string, string>
  paused: Set<string>
  leases: Lease[]
  history: string[]
}

/** `n` picks a run, a job, a lease or a letter. */
const operation = fc.record({
  kind: fc.constantFrom(
    ...(['enqueue', 'fetch', 'fetch', 'fetch', 'finish', 'fail', 'time out', 'crash', 'stop'] as const),
    ...(['bury', 'cancel', 'retry', 'discard', 'pause', 'resume', 'collect'] as const),
  ),
  n: fc.nat(1000),
})
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

const inTx = <T>(work: (tx: WriteTx) => Promise<T>) => database.db.write(work)
const pick = <T>(items: readonly T[], n: number): T | undefined => items[n % items.length]
const same = (a: Lease | null, b: Lease) => a !== null && a.lockedBy === b.lockedBy && a.attempts === b.attempts

/** The job that the lease is still good for. */
function heldBy(model: Model, lease: Lease): ModelJob | undefined {
  const job = model.jobs.get(lease.id)
  return job && same(job.lease, lease) ? job : undefined
}

function bury(model: Model, job: ModelJob): void {
  model.jobs.delete(job.id)
  model.letters.set(job.id, 'dead')
  model.runOfLetter.set(job.id, job.run)
  model.history.push(`${job.id} dead`)
}

async function withLease(
  model: Model,
  n: number,
  act: (lease: Lease) => Promise<boolean>,
  then: (job: ModelJob) => void,
) {
  const lease = pick(model.leases, n)
  if (!lease) return
  const job = heldBy(model, lease)
  expect(await act(lease)).toBe(job !== undefined)
  if (job) then(job)
}

async function fetchJob(model: Model): Promise<void> {
  await queue.asOwner(
    'update graphile_worker._private_jobs set run_at = now() where run_at > now() and not weaver.is_paused(run_at)',
  )
  const busy = new Set([...model.jobs.values()].filter(({ lease }) => lease).map(({ run }) => run))
  const open = [...model.jobs.values()].filter(
    ({ run, lease, attempts }) => !lease && attempts < MAX_ATTEMPTS && !busy.has(run) && !model.paused.has(run),
  )
  const job = await queue.fetch(`pool-${model.leases.length}`)
  expect(job === null).toBe(open.length === 0)
  if (job === null) return
  const taken = open.find(({ id }) => id === job.id)
  if (!taken) throw new Error(`job ${job.id} was not to be had`)
  taken.attempts += 1
  taken.lease = { id: job.id, lockedBy: job.lockedBy, attempts: job.attempts }
  expect(job.attempts).toBe(taken.attempts)
  model.leases.push(taken.lease)
}

/** The worker of the job is gone, by itself or with a farewell. */
async function lose(model: Model, job: ModelJob, crashed: boolean): Promise<void> {
  const { lockedBy } = job.lease as Lease
  job.lease = null
  job.attempts -= 1
  if (!crashed) return unregisterPool(database.db, lockedBy)
  await queue.asOwner(
    `update graphile_worker._private_jobs set locked_at = now() - interval '6 seconds' where locked_by = $1`,
    [lockedBy],
  )
  expect(await takeOverDeadPools(database.db, CRASH_LIMIT)).toBe(1)
  job.crashes += 1
  model.history.push(`${job.id} crashed`)
  if (job.crashes >= CRASH_LIMIT) job.attempts = MAX_ATTEMPTS
}

async function changeJobs(model: Model, { kind, n }: Operation): Promise<void> {
  switch (kind) {
    case 'enqueue': {
      const run = pick(runs, n) as string
      const id = await queue.add(run)
      model.jobs.set(id, { id, run, attempts: 0, crashes: 0, lease: null })
      return
    }
    case 'fetch':
      return fetchJob(model)
    case 'finish':
      return withLease(
        model,
        n,
        (lease) => inTx((tx) => finishJob(tx, lease)),
        (job) => {
          model.jobs.delete(job.id)
          model.history.push(`${job.id} done`)
        },
      )
    case 'fail':
    case 'time out': {
      const outcome = kind === 'fail' ? 'failed' : 'timed_out'
      const failure = { outcome, error: 'x', delayMs: 0 } as const
      return withLease(
        model,
        n,
        (lease) => inTx((tx) => failJob(tx, lease, failure)),
        (job) => {
          Object.assign(job, { lease: null, crashes: 0 })
          model.history.push(`${job.id} ${outcome}`)
        },
      )
    }
    case 'bury':
      return withLease(
        model,
        n,
        (lease) => inTx((tx) => buryJob(tx, lease, 'x')),
        (job) => bury(model, job),
      )
    case 'crash':
    case 'stop': {
      const job = pick(
        [...model.jobs.values()].filter(({ lease }) => lease),
        n,
      )
      if (job) await lose(model, job, kind === 'crash')
      return
    }
    case 'cancel': {
      const job = pick([...model.jobs.values()], n)
      if (!job) return
      expect(await inTx((tx) => cancelJob(tx, job.id, 'x'))).toBe(job.lease ? 'running' : 'waiting')
      model.jobs.delete(job.id)
      model.history.push(`${job.id} cancelled`)
      return
    }
    case 'collect': {
      const taken = await inTx((tx) => takeFailedJobs(tx, 100))
      const spent = [...model.jobs.values()].filter(({ lease, attempts }) => !lease && attempts >= MAX_ATTEMPTS)
      expect(taken.map(({ id }) => id).toSorted()).toEqual(spent.map(({ id }) => id).toSorted())
      for (const job of spent) bury(model, job)
    }
  }
}

async function changeRest(model: Model, { kind, n }: Operation): Promise<void> {
  if (kind === 'pause' || kind === 'resume') {
    const run = pick(runs, n) as string
    await inTx((tx) => (kind === 'pause' ? pauseJobs : resumeJobs)(tx, 'queue', `run:${run}`))
    if (kind === 'pause') model.paused.add(run)
    else model.paused.delete(run)
    return
  }
  const [id, settled] = pick([...model.letters], n) ?? []
  if (id === undefined) return
  if (kind === 'discard') {
    expect(await inTx((tx) => discardDeadJob(tx, id))).toBe(settled === 'dead')
    if (settled === 'dead') model.letters.set(id, 'discarded')
    return
  }
  const letter = await deadLetter(database.db.reader, id)
  const retriedAs = letter && (await inTx((tx) => retryDeadJob(tx, letter)))
  expect(retriedAs !== null).toBe(settled === 'dead')
  if (retriedAs === null) return
  model.letters.set(id, 'retried')
  const run = model.runOfLetter.get(id) as string
  model.jobs.set(retriedAs, { id: retriedAs, run, attempts: 0, crashes: 0, lease: null })
}

function stateOf(model: Model, { run, lease, attempts }: ModelJob): string {
  if (lease) return 'running'
  if (attempts >= MAX_ATTEMPTS) return 'failed'
  return model.paused.has(run) ? 'paused' : 'waiting'
}

async function compare(model: Model): Promise<void> {
  const rows = await database.db.reader.query<{ job: string }>(
    `select id || ' ' || case state when 'scheduled' then 'waiting' else state end ||
       case when max_attempts is not null and state not in ('dead', 'retried', 'discarded') then ' ' || attempts || ' ' || crashes else '' end as job
     from weaver.job_overview`,
  )
  const jobs = [...model.jobs.values()].map((job) => `${job.id} ${stateOf(model, job)} ${job.attempts} ${job.crashes}`)
  const letters = [...model.letters].map(([id, state]) => `${id} ${state}`)
  expect(rows.map(({ job }) => job).toSorted()).toEqual([...jobs, ...letters].toSorted())
  const history = await database.db.reader.query<{ entry: string }>(
    `select id || ' ' || outcome as entry from weaver.job_history`,
  )
  expect(history.map(({ entry }) => entry).toSorted()).toEqual(model.history.toSorted())
}

const REST = new Set<string>(['pause', 'resume', 'retry', 'discard'])

test('jobs are where the model says, after any operations in any order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 10, maxLength: 40 }), async (operations) => {
      await queue.asOwner(
        `truncate weaver.job_runs, weaver.job_dead_letters, weaver.job_pauses, weaver.job_crashes;
         delete from graphile_worker._private_jobs; update graphile_worker._private_job_queues set locked_by = null, locked_at = null`,
      )
      const model: Model = {
        jobs: new Map(),
        letters: new Map(),
        runOfLetter: new Map(),
        paused: new Set(),
        leases: [],
        history: [],
      }
      for (const one of operations) {
        await (REST.has(one.kind) ? changeRest(model, one) : changeJobs(model, one))
        await compare(model)
      }
    }),
    { numRuns: 20 },
  )
})
