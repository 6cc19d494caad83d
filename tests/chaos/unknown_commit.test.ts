/**
 * A connection that is lost after COMMIT was sent tells nothing: it was committed, or it was not. Whoever is told so may do
 * the same again, and it must come out once. Also what Postgres itself says to end a transaction.
 */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openDatabase } from '../../db/client.ts'
import { type Database, DatabaseUnavailable } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import { claim } from '../../db/events/claims.ts'
import { consume } from '../../db/events/offsets.ts'
import { createSequencer } from '../../db/events/sequencer.ts'
import { TASK_NAMES } from '../../db/events/tasks.ts'
import { generateCandles, mulberry32 } from '../../db/walle/generate.ts'
import { record } from '../../db/walle/record.ts'
import type { Handlers } from '../../jobs/attempt.ts'
import { type Runner, startRunner } from '../../jobs/runner.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertRun, systemStarted } from '../support/log.ts'
import { type CommitFate, type PgProxy, startPgProxy } from '../support/pg_proxy.ts'
import { openQueue } from '../support/queue.ts'
import { pause, until } from '../support/until.ts'

vi.setConfig({ testTimeout: 120_000 })
/** On a machine that does other things too. */
const WAIT_MS = 60_000
const FATES = ['lose_answer', 'lose_commit'] as const

let database: TestDatabase
let proxy: PgProxy
let proxiedUrl: string
/** Through the proxy; `database.db` goes past it. */
let db: Database
const runners: Runner[] = []

beforeEach(async () => {
  database = await createTestDatabase()
  const target = new URL(database.url)
  proxy = await startPgProxy({ host: target.hostname, port: Number(target.port) })
  target.port = String(proxy.port)
  proxiedUrl = target.href
  db = await openDatabase({ url: proxiedUrl, applicationName: 'weaver test', maxConnections: 4 })
})
afterEach(async () => {
  proxy.onCommit = () => 'pass'
  for (const runner of runners.splice(0)) await runner.stop()
  await db.close()
  await proxy.close()
  await database.drop()
})

/** The next COMMIT meets its fate, those after it pass. */
function next(fate: CommitFate): void {
  proxy.onCommit = () => {
    proxy.onCommit = () => 'pass'
    return fate
  }
}

async function counted(sql: string): Promise<number> {
  const [row] = await database.db.reader.query<{ count: string }>(sql)
  return Number(row?.count)
}

const events = () => counted('select count(*) from weaver.outbox')

/** A backend goes on for a moment after its client is gone. */
const settled = (expected: number) => until(`${expected} events`, async () => (await events()) === expected, WAIT_MS)

test.each(FATES)(
  '%s: whoever appends is told that the database is away, and either all of it is there or nothing',
  async (fate) => {
    const before = await events()
    next(fate)
    const written = db.write((tx) => append(tx, [systemStarted(), systemStarted()]))
    await expect(written).rejects.toBeInstanceOf(DatabaseUnavailable)
    await settled(before + (fate === 'lose_answer' ? 2 : 0))
    await db.write((tx) => append(tx, [systemStarted()]))
    await settled(before + (fate === 'lose_answer' ? 3 : 1))
  },
)

test.each(FATES)('%s: a file of candles that is imported again leaves what one import leaves', async (fate) => {
  const candles = generateCandles({ timeframe: '1m', start: 0, bars: 50, seed: 1, startPrice: 9, volatility: 0.01 })
  const store = () =>
    db.write((tx) =>
      record(tx, { writes: [{ kind: 'store_candles', symbol: 'TWICE/USD', timeframe: '1m', candles }], events: [] }),
    )
  next(fate)
  await expect(store()).rejects.toBeInstanceOf(DatabaseUnavailable)
  await store()
  expect(await counted('select count(*) from weaver.candles')).toBe(50)
  expect(await counted('select sum(bars) as count from weaver.candle_blocks')).toBe(50)
  expect(await counted(`select count(*) from weaver.outbox where type = 'data.CandlesImported'`)).toBe(1)
})

test('a consumer whose commits are lost now and then has each effect once', async () => {
  await database.db.write((tx) =>
    append(
      tx,
      Array.from({ length: 40 }, () => systemStarted()),
    ),
  )
  await createSequencer({ db: database.db, sleep: pause, onError: () => {} }).runOnce()
  const random = mulberry32(5)
  proxy.onCommit = () => (random() < 0.4 ? (FATES[Math.floor(random() * 2)] as CommitFate) : 'pass')
  const had: string[] = []
  const consumeOne = () =>
    consume({
      db,
      consumerId: 'unlucky',
      limit: 3,
      async handle(tx, seen) {
        for (const { envelope } of seen) if (!(await claim(tx, 'unlucky', envelope.id))) had.push(envelope.id)
      },
    })
  await until(
    'the consumer to be at the end',
    async () => {
      const batch = await consumeOne().catch((error: unknown) => {
        expect(error).toBeInstanceOf(DatabaseUnavailable)
        return null
      })
      return batch !== null && batch.to === batch.from && batch.to >= 39
    },
    WAIT_MS,
  )
  expect(had).toEqual([])
  expect(await counted('select count(*) from weaver.event_claims')).toBe(40)
  expect(proxy.lostCommits).toBeGreaterThan(0)
})

const ENDINGS = {
  'a lost answer': 'lose_answer',
  'a lost commit': 'lose_commit',
  '40001': `do $$ begin raise exception using errcode = '40001', message = 'serialization'; end $$`,
  '40P01': `do $$ begin raise exception using errcode = '40P01', message = 'deadlock'; end $$`,
  '57P01': 'select pg_terminate_backend(pg_backend_pid())',
} as const

test.each(Object.keys(ENDINGS) as (keyof typeof ENDINGS)[])(
  'a job that meets %s has its effect once, and its run goes on',
  async (ending) => {
    const run = await insertRun(database.db)
    let tries = 0
    const handler: Handlers['greta.run_chunk'] = async ({ next_tick }, job) => {
      tries += 1
      const first = tries === 1
      const how = ENDINGS[ending]
      if (first && (how === 'lose_answer' || how === 'lose_commit')) next(how)
      await db.write(async (tx) => {
        await claim(tx, `tick ${next_tick} ${randomUUID()}`, job.id.padStart(32, '0'))
        if (first && how !== 'lose_answer' && how !== 'lose_commit') await tx.query(how)
        await job.finish(tx)
      })
    }
    const never = async () => {}
    const handlers = { ...Object.fromEntries(TASK_NAMES.map((task) => [task, never])), 'greta.run_chunk': handler }
    const jobs = [0, 1].map(
      (next_tick) => ({ task: 'greta.run_chunk', payload: { run_id: run, next_tick }, queue: `run:${run}` }) as const,
    )
    await database.db.write((tx) => append(tx, [], { jobs }))
    const fatal: Error[] = []
    runners.push(
      await startRunner({
        url: proxiedUrl,
        db,
        handlers: handlers as unknown as Handlers,
        pools: [{ name: 'test', concurrency: 1, tasks: TASK_NAMES }],
        log: () => {},
        onFatal: (error) => fatal.push(error),
        now: Date.now,
        newId: randomUUID,
        sleep: pause,
        strategyTimeoutMs: 30_000,
        process: { pid: process.pid, host: 'test' },
      }),
    )
    const queue = await openQueue(database)
    await until(
      'both jobs to be done',
      async () => {
        // What failed is due later: not here.
        await queue.asOwner(`with due as (update graphile_worker._private_jobs set run_at = now() where run_at > now() returning 1)
          select pg_notify('jobs:insert', '{"count":1}') from due`)
        return (await counted('select count(*) from weaver.job_overview')) === 0
      },
      WAIT_MS,
    )
    await queue.close()
    expect(await counted('select count(*) from weaver.event_claims')).toBe(2)
    expect(fatal).toEqual([])
  },
)
