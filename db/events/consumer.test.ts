/** Consumers as a service: one works, all is handed over, what fails shows and recovers. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, progressed, systemStarted } from '../../tests/support/log.ts'
import { pause, until } from '../../tests/support/until.ts'
import { connectOwner, openDatabase } from '../client.ts'
import type { Database } from '../database.ts'
import { append } from './append.ts'
import { type Consumer, type ConsumerDefinition, createConsumer } from './consumer.ts'
import { listConsumers, removeConsumer, rewindToHead, skipEvent } from './consumer_admin.ts'
import type { NewEvent } from './envelope.ts'
import { createSequencer } from './sequencer.ts'

let database: TestDatabase
let logged: { level: string; message: string }[]
const open: { stop(): Promise<void> }[] = []

beforeEach(async () => {
  database = await createTestDatabase()
  logged = []
})
afterEach(async () => {
  for (const service of open.splice(0).reverse()) await service.stop()
  await database.drop()
})

function consumerOn(db: Database, definition: Partial<ConsumerDefinition>, holder = 'test'): Consumer {
  const consumer = createConsumer(
    {
      id: 'tester',
      pollMs: 250,
      standByMs: 50,
      backoffMinMs: 20,
      backoffMaxMs: 100,
      handle: async () => {},
      ...definition,
    },
    {
      db,
      sleep: pause,
      lagLimit: 1_000,
      holder,
      log: {
        info: (_fields, message) => logged.push({ level: 'info', message }),
        error: (_fields, message) => logged.push({ level: 'error', message }),
      },
    },
  )
  open.push(consumer)
  return consumer
}

async function log(...events: NewEvent[]): Promise<void> {
  const { db } = database
  await db.write((tx) => append(tx, events))
  const sequencer = createSequencer({ db, sleep: pause, onError: () => {} })
  await sequencer.runOnce()
}

interface Overview {
  consumer_id: string
  last_offset: number
  head: number
  lag: number
  state: string
  failing_seq: number | null
  failures: number
  last_error: string | null
  holder: string | null
}

async function overview(id = 'tester'): Promise<Overview | undefined> {
  const [row] = await database.db.reader.query<Overview>(
    `select consumer_id, last_offset::float8, head::float8, lag::float8, state, failing_seq::float8, failures, last_error, holder
     from weaver.consumer_overview where consumer_id = $1`,
    [id],
  )
  return row
}

const offsetIs = (seq: number) => async () => (await overview())?.last_offset === seq

/** As its owner, past every check. */
async function asOwner(text: string, values: unknown[] = []): Promise<void> {
  const owner = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  try {
    await owner.query(text, values)
  } finally {
    await owner.end()
  }
}

test('settings that make no sense are refused, all at once', () => {
  const attempt = () => consumerOn(database.db, { id: 'Bad Name', batchSize: 0, pollMs: 10 })
  expect(attempt).toThrow(/id must be lower case.*batchSize.*pollMs/)
  expect(() => consumerOn(database.db, { types: ['no.Type' as never] })).toThrow('types.0 is no type of the registry')
})

test('of two instances one works; when its process is gone the other one takes over and nothing is missed', async () => {
  const seen: { by: string; seq: number }[] = []
  const handleAs = (by: string) => ({
    handle: async (_tx: unknown, events: readonly { seq: number }[]) => {
      for (const { seq } of events) seen.push({ by, seq })
    },
  })
  const other = await openDatabase({ url: database.url, applicationName: 'weaver other process', maxConnections: 3 })
  try {
    await log(systemStarted(), systemStarted())
    const first = consumerOn(database.db, handleAs('first'), 'first')
    first.start()
    await until('the first has the lead', offsetIs(1))
    const second = consumerOn(other, handleAs('second'), 'second')
    second.start()
    await log(systemStarted())
    await until('the third event is done', offsetIs(2))
    expect(seen).toEqual([0, 1, 2].map((seq) => ({ by: 'first', seq })))
    expect(await overview()).toMatchObject({ state: 'ok', holder: 'first', lag: 0 })

    // The process of the first is gone as the server sees it: all its connections end.
    await asOwner(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity
       where datname = current_database() and application_name = 'weaver test'`,
    )
    await until('the second has the lead', async () => (await overview())?.holder === 'second')
    await first.stop()
    await log(systemStarted())
    await until('the fourth event is done', offsetIs(3))
    expect(seen.at(-1)).toEqual({ by: 'second', seq: 3 })
    expect(seen.map(({ seq }) => seq)).toEqual([0, 1, 2, 3])
    await second.stop()
    expect((await overview())?.state).toBe('stopped')
  } finally {
    await Promise.all(open.splice(0).map((service) => service.stop()))
    await other.close()
  }
})

test('an event that cannot be handled is found within its batch, named, tried again, and blocks nobody else', async () => {
  const run = await insertRun(database.db)
  const events = Array.from({ length: 9 }, (_, n) => progressed(run, n))
  await log(...events)
  let broken = true
  const done: number[] = []
  consumerOn(database.db, {
    handle: async (_tx, batch) => {
      for (const { seq } of batch) if (broken && seq === 6) throw new Error('no room for it')
      done.push(...batch.map(({ seq }) => seq))
    },
  }).start()
  consumerOn(database.db, { id: 'neighbour' }).start()
  await until('it has failed three times', async () => ((await overview())?.failures ?? 0) >= 3)
  expect(await overview()).toMatchObject({ state: 'failing', last_offset: 5, failing_seq: 6 })
  expect((await overview())?.last_error).toBe(`seq 6, run.Progressed ${events[6]?.id}: no room for it`)
  await until('the neighbour is done', async () => (await overview('neighbour'))?.last_offset === 8)
  expect((await overview('neighbour'))?.state).toBe('ok')
  expect(logged.some(({ level, message }) => level === 'error' && message.includes('seq 6'))).toBe(true)

  broken = false
  await until('it is done', offsetIs(8))
  expect(await overview()).toMatchObject({ state: 'ok', failing_seq: null, failures: 0, last_error: null })
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  await until('it says so', async () => logged.some(({ message }) => message === 'consumer tester works again'))
})

test('what a handler wrote before it failed is not kept', async () => {
  await log(systemStarted())
  const consumer = consumerOn(database.db, {
    handle: async (tx) => {
      await tx.execute('insert into weaver.event_claims (consumer, event_id) values ($1, $2)', ['tester', randomUUID()])
      throw new Error('failed after the effect')
    },
  })
  await expect(consumer.runOnce()).rejects.toThrow('failed after the effect')
  expect(await database.db.reader.query('select from weaver.event_claims')).toEqual([])
  expect((await overview())?.last_offset ?? -1).toBe(-1)
})

test('a handler that does not come back has failed', async () => {
  await log(systemStarted())
  consumerOn(database.db, { handlerTimeoutMs: 50, handle: () => new Promise(() => {}) }).start()
  await until('it fails', async () => (await overview())?.state === 'failing')
  expect((await overview())?.last_error).toContain('the handler took longer than 50 ms')
})

test('with types the offset moves over the other events without handing them over', async () => {
  const run = await insertRun(database.db)
  await log(systemStarted('1'), progressed(run, 1), progressed(run, 2), systemStarted('2'), progressed(run, 3))
  const seen: number[] = []
  const consumer = consumerOn(database.db, {
    types: ['system.Started'],
    batchSize: 1,
    handle: async (_tx, events) => {
      seen.push(...events.map(({ seq }) => seq))
    },
  })
  expect(await consumer.runOnce()).toMatchObject({ events: 1, from: -1, to: 0 })
  expect(await consumer.runOnce()).toMatchObject({ events: 1, from: 0, to: 3 })
  expect(await consumer.runOnce()).toMatchObject({ events: 0, from: 3, to: 4 })
  expect(await consumer.runOnce()).toMatchObject({ events: 0, from: 4, to: 4 })
  expect(seen).toEqual([0, 3])
})

test('a row that is no event stops the consumers that would have to pass over it, by name', async () => {
  const run = await insertRun(database.db)
  await log(systemStarted())
  const [bad, unfit] = [randomUUID(), randomUUID()]
  const row = `insert into weaver.outbox (event_id, type, corr_id, payload) values ($1, $2, $1, $3)`
  const envelope = { kind: 'evt', version: 1, run_id: null, causation_id: null, ts: '2026-01-02T03:04:00.000Z' }
  const stored = (id: string, type: string, payload: unknown) =>
    JSON.stringify({ ...envelope, id, corr_id: id, type, producer: 'greta', payload })
  await asOwner(row, [bad, 'venue.Burned', stored(bad, 'venue.Burned', {})])
  await asOwner(row, [unfit, 'run.Progressed', stored(unfit, 'run.Progressed', { run_id: run })])
  await log(systemStarted())

  const all = consumerOn(database.db, {})
  all.start()
  await until('it fails', async () => (await overview())?.state === 'failing')
  expect(await overview()).toMatchObject({ last_offset: 0, failing_seq: 1 })
  expect((await overview())?.last_error).toBe(
    `the event ${bad} (seq 1, venue.Burned) cannot be read: this version of Weaver has no event type venue.Burned: a newer one may have written it`,
  )
  const some = consumerOn(database.db, { id: 'other', types: ['run.Progressed'] })
  await expect(some.runOnce()).rejects.toThrow(
    new RegExp(`${unfit} \\(seq 2, run.Progressed\\) cannot be read: payload.progress: `),
  )
  const none = consumerOn(database.db, { id: 'untouched', types: ['system.Started'] })
  expect(await none.runOnce()).toMatchObject({ events: 2, from: -1, to: 3 })
})

test('a person can have a consumer leave out the event that it is stuck at, and no other; it is recorded', async () => {
  const { db } = database
  const run = await insertRun(db)
  const events = [systemStarted(), progressed(run, 1), systemStarted(), progressed(run, 2)]
  await log(...events)
  const done: number[] = []
  const consumer = consumerOn(db, {
    types: ['run.Progressed'],
    handle: async (_tx, batch) => {
      for (const { seq } of batch) if (seq === 1) throw new Error('not this one')
      done.push(...batch.map(({ seq }) => seq))
    },
  })
  const skip = (seq: number, consumerId = 'tester') =>
    skipEvent(db, { consumerId, seq, reason: 'a run of last year', skippedBy: 'ann on desk' })
  await expect(skip(1)).rejects.toThrow('there is no consumer tester; there is none')
  consumer.start()
  await until('it fails', async () => (await overview())?.failing_seq === 1)
  await expect(skip(3)).rejects.toThrow('consumer tester is stuck at seq 1, not at 3: only that one can be skipped')
  await expect(skip(1, 'other')).rejects.toThrow('there is no consumer other; there are: tester')
  await skip(1)
  await until('it goes on', offsetIs(3))
  expect(done).toEqual([3])
  await expect(skip(1)).rejects.toThrow('consumer tester is not stuck at an event')
  expect(
    await db.reader.query(
      'select consumer_id, seq, event_id, type, error, reason, skipped_by from weaver.consumer_skips',
    ),
  ).toEqual([
    {
      consumer_id: 'tester',
      seq: 1,
      event_id: events[1]?.id,
      type: 'run.Progressed',
      error: `seq 1, run.Progressed ${events[1]?.id}: not this one`,
      reason: 'a run of last year',
      skipped_by: 'ann on desk',
    },
  ])

  await expect(removeConsumer(db, 'tester')).rejects.toThrow('consumer tester is at work')
  await consumer.stop()
  await removeConsumer(db, 'tester')
  expect(await listConsumers(db.reader)).toEqual([])
})

test('an offset ahead of the log is an error that says what to do', async () => {
  await log(systemStarted())
  await asOwner(`insert into weaver.consumer_offsets (consumer_id, last_offset) values ('tester', 41)`)
  const consumer = consumerOn(database.db, {})
  await expect(consumer.runOnce()).rejects.toThrow(
    'consumer tester is done with seq 41, but the log ends at 0: it was restored to an older state',
  )
  expect((await overview())?.state).toBe('ahead')
  consumer.start()
  await until('it fails', async () => (await overview())?.state === 'failing')
  expect((await overview())?.last_error).toContain('weaver consumers rewind tester')
  expect(await rewindToHead(database.db, 'tester')).toBe(0)
  await log(systemStarted())
  await until('it goes on', offsetIs(1))
  await expect(rewindToHead(database.db, 'tester')).rejects.toThrow(
    'consumer tester is not ahead of the log: it is at 1 of 1',
  )
})

test('a hole in the log that retention did not make stops a consumer', async () => {
  await log(systemStarted(), systemStarted(), systemStarted())
  await asOwner(`set weaver.retention = 'on'; delete from weaver.outbox_seq where seq = 1`)
  await expect(consumerOn(database.db, {}).runOnce()).rejects.toThrow(
    '1 events between seq 0 and 2 are missing from the log',
  )
  await asOwner('update weaver.outbox_horizon set seq = 2')
  expect(await consumerOn(database.db, {}).runOnce()).toMatchObject({ events: 2, from: -1, to: 2 })
})
