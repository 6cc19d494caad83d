import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, progressed, systemStarted, tick } from '../../tests/support/log.ts'
import { until } from '../../tests/support/until.ts'
import { connectOwner } from '../client.ts'
import { append } from './append.ts'
import { claim } from './claims.ts'
import type { NewEvent } from './envelope.ts'
import { getEvent, head, readAfter } from './read.ts'

let database: TestDatabase
let run: string

beforeAll(async () => {
  database = await createTestDatabase()
  run = await insertRun(database.db)
})
afterAll(() => database.drop())

async function counts() {
  const [row] = await database.db.reader.query<{ events: number; jobs: number }>(
    'select (select count(*) from weaver.outbox) as events, (select count(*) from weaver.job_overview) as jobs',
  )
  return row
}

async function asOwner(text: string): Promise<unknown> {
  const client = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  try {
    return await client.query(text)
  } finally {
    await client.end()
  }
}

async function waitingInserts(): Promise<{ n: number }[]> {
  const { rows } = (await asOwner(
    `select count(*)::int as n from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into weaver.outbox%'`,
  )) as { rows: { n: number }[] }
  return rows
}

const sequence = () => database.db.write((tx) => tx.query('select weaver.sequence_outbox()'))

let before: Awaited<ReturnType<typeof counts>>
beforeEach(async () => {
  before = await counts()
})

test('text that jsonb refuses is stored with U+FFFD in its place', async () => {
  const failed: NewEvent = {
    ...progressed(run, 6),
    type: 'run.Error',
    payload: { run_id: run, message: 'a\0b', stack: 'half \ud83e', bar_index: null, ts: null },
  }
  await database.db.write((tx) => append(tx, [failed]))
  expect((await getEvent(database.db.reader, failed.id))?.payload).toEqual({
    ...failed.payload,
    message: 'a\uFFFDb',
    stack: 'half \uFFFD',
  })
})

test('an event is stored as its whole envelope and found by its id', async () => {
  const event = progressed(run, 5)
  await database.db.write((tx) => append(tx, [event]))
  expect(await getEvent(database.db.reader, event.id)).toEqual({
    ...event,
    kind: 'evt',
    version: 1,
    trace_id: null,
    headers: {},
  })
  const [row] = await database.db.reader.query(
    'select type, run_id, corr_id, causation_id from weaver.outbox where event_id = $1',
    [event.id],
  )
  expect(row).toEqual({ type: 'run.Progressed', run_id: run, corr_id: event.corr_id, causation_id: null })
  expect(await getEvent(database.db.reader, randomUUID())).toBeNull()
})

test('the jobs that events set off and those of the caller are added in order', async () => {
  const event = tick(run, 7)
  const chunk = { task: 'greta.run_chunk', payload: { run_id: run, next_tick: 9 }, queue: `run:${run}` } as const
  await database.db.write((tx) => append(tx, [event], { jobs: [chunk] }))
  const jobs = await database.db.reader.query(
    'select task, queue, state, run_id, attempts, max_attempts from weaver.job_overview order by run_at, id',
  )
  const waiting = { queue: `run:${run}`, state: 'waiting', run_id: run, attempts: 0, max_attempts: 5 }
  expect(jobs).toEqual([
    { task: 'greta.match_orders', ...waiting },
    { task: 'marvin.on_tick', ...waiting },
    { task: 'greta.run_chunk', ...waiting },
  ])
})

test('events for the record set off no jobs', async () => {
  await database.db.write((tx) => append(tx, [tick(run, 8)], { route: false }))
  expect((await counts())?.jobs).toBe(before?.jobs)
})

test.each<[string, unknown, string]>([
  ['an unregistered type', { type: 'run.Exploded' }, "event 1: the type 'run.Exploded' is not registered"],
  [
    'a missing field',
    { payload: { run_id: randomUUID() } },
    'run.Progressed does not fit its schema: payload.progress',
  ],
  [
    'a field too many',
    { payload: { run_id: randomUUID(), progress: 0, next_tick: 1, ticks_total: 2, mood: 'fine' } },
    'run.Progressed does not fit its schema: payload: Unrecognized key: "mood"',
  ],
  ['an id that is none', { corr_id: 'tick-1' }, 'run.Progressed does not fit its schema: envelope.corr_id'],
  ['a time without zone', { ts: '2026-01-02T03:04:00' }, 'run.Progressed does not fit its schema: envelope.ts'],
])('%s is refused by name and leaves nothing behind, no row and no job', async (_, wrong, message) => {
  const bad = { ...progressed(run, 6), ...(wrong as object) } as NewEvent
  await expect(database.db.write((tx) => append(tx, [tick(run, 9), bad, systemStarted()]))).rejects.toThrow(message)
  expect(await counts()).toEqual(before)
})

test('a refused event spoils nothing that the caller does instead, in the same transaction', async () => {
  const good = systemStarted()
  await database.db.write(async (tx) => {
    const bad = { ...systemStarted(), payload: { version: 4 } } as unknown as NewEvent
    await expect(append(tx, [good, bad])).rejects.toThrow('payload.version')
    await append(tx, [good])
  })
  expect(await counts()).toEqual({ events: Number(before?.events) + 1, jobs: before?.jobs })
})

test('decimals that are not in plain notation are refused', async () => {
  const completed = (final_equity: string): NewEvent => {
    const payload = { run_id: run, result_hash: 'a'.repeat(64), final_equity }
    return { ...progressed(run, 0), type: 'run.Completed', payload }
  }
  for (const text of ['1e5', '01', '1.50', '-0', '1.', '.5', 'NaN', '']) {
    await expect(database.db.write((tx) => append(tx, [completed(text)]))).rejects.toThrow('payload.final_equity')
  }
  await database.db.write((tx) => append(tx, ['0', '-1.05', '100000'].map(completed)))
})

test('a payload above the limit is refused', async () => {
  const long = systemStarted('x'.repeat(200_000))
  await expect(database.db.write((tx) => append(tx, [long]))).rejects.toThrow(
    'system.Started: its payload has 200014 bytes',
  )
})

test('an append that is rolled back leaves no row and no job', async () => {
  const work = database.db.write(async (tx) => {
    await append(tx, [tick(run, 10)])
    throw new Error('changed my mind')
  })
  await expect(work).rejects.toThrow('changed my mind')
  expect(await counts()).toEqual(before)
})

test('thousands of events in one append keep their order', async () => {
  await sequence()
  const last = await head(database.db.reader)
  const events = Array.from({ length: 2_500 }, (_, n) => progressed(run, n))
  await database.db.write((tx) => append(tx, events))
  expect(await readAfter(database.db.reader, last, 10)).toEqual([])
  await sequence()
  const read = await readAfter(database.db.reader, last, 5_000)
  expect(read.map(({ envelope }) => envelope.id)).toEqual(events.map(({ id }) => id))
  expect(read.map(({ seq }) => seq)).toEqual(events.map((_, n) => last + 1 + n))
  expect(await head(database.db.reader)).toBe(last + 2_500)
})

test('appends of one run go one transaction after the other, and so do their ids', async () => {
  const { db } = database
  const run = await insertRun(db)
  const appended = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const first = db.write(async (tx) => {
    await append(tx, [progressed(run, 1)])
    appended.resolve()
    await goOn.promise
    await append(tx, [progressed(run, 2)])
  })
  await appended.promise
  const second = db.write((tx) => append(tx, [progressed(run, 3), progressed(run, 4)]))
  await until('the second to wait', async () => {
    const [waiting] = await waitingInserts()
    return waiting?.n === 1
  }).finally(goOn.resolve)
  await Promise.all([first, second])
  const rows = await db.reader.query<{ next: number }>(
    `select (payload -> 'payload' ->> 'next_tick')::int as next from weaver.outbox where run_id = $1 order by id`,
    [run],
  )
  expect(rows.map(({ next }) => next)).toEqual([1, 2, 3, 4])
})

test('the log is read by run and by type', async () => {
  const other = await insertRun(database.db)
  const [started, ticked] = [systemStarted(), tick(other, 1, false)]
  await database.db.write((tx) => append(tx, [progressed(other, 1), started, ticked]))
  await sequence()
  const ofRun = await readAfter(database.db.reader, -1, 10, { runId: other })
  expect(ofRun.map(({ envelope }) => envelope.type)).toEqual(['run.Progressed', 'clock.Tick'])
  const ticks = await readAfter(database.db.reader, -1, 10, { runId: other, types: ['clock.Tick'] })
  expect(ticks.map(({ envelope }) => envelope.id)).toEqual([ticked.id])
})

test('an event is claimed once per consumer, and a rolled back claim is none', async () => {
  const id = randomUUID()
  const failing = database.db.write(async (tx) => {
    expect(await claim(tx, 'greta', id)).toBe(true)
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  const both = await Promise.all([1, 2].map(() => database.db.write((tx) => claim(tx, 'greta', id))))
  expect(both.sort()).toEqual([false, true])
  expect(await database.db.write((tx) => claim(tx, 'marvin', id))).toBe(true)
})

test.each([
  'update weaver.outbox set type = type',
  'delete from weaver.outbox',
  'truncate weaver.outbox',
  'delete from weaver.outbox where false',
  'update weaver.outbox_seq set seq = seq + 1',
  'delete from weaver.outbox_seq',
  'truncate weaver.outbox_seq',
  'delete from weaver.outbox_default',
  `do $$ begin execute format('delete from weaver.outbox_%s', to_char(now() at time zone 'UTC', 'YYYYMMDD')); end $$`,
  `do $$ begin execute format('truncate weaver.outbox_%s', to_char(now() at time zone 'UTC', 'YYYYMMDD')); end $$`,
])('even the owner may not: %s', async (text) => {
  await expect(asOwner(text)).rejects.toMatchObject({ code: '42501' })
})

test('the owner may drop a partition', async () => {
  await asOwner(
    `do $$ begin execute format('drop table weaver.outbox_%s', to_char((now() + interval '7 days') at time zone 'UTC', 'YYYYMMDD')); end $$`,
  )
  await database.db.write(async (tx) => {
    const [made] = await tx.query('select weaver.premake_outbox_partitions(7) as made')
    expect(made).toEqual({ made: 1 })
  })
})

test.each([
  `insert into weaver.outbox (event_id, type, corr_id, payload) values (gen_random_uuid(), 'x', gen_random_uuid(), '{}')`,
  'insert into weaver.outbox_seq values (999999, 1, now(), $$x$$)',
  `insert into weaver.consumer_offsets values ('x')`,
  `insert into weaver.event_claims values ('x', gen_random_uuid())`,
  `update weaver.runs set status = 'completed'`,
  'delete from weaver.job_dead_letters',
  'select weaver.sequence_outbox()',
  `select weaver.enqueue('[]')`,
  `select weaver.finish_job(1, 'pool', 1)`,
  'select * from graphile_worker._private_jobs',
])('a reader may not: %s', async (text) => {
  const work = async () => {
    const client = await connectOwner({ url: database.url, applicationName: 'weaver test reader' })
    try {
      await client.query('set role weaver_reader')
      await client.query(text)
    } finally {
      await client.end()
    }
  }
  await expect(work()).rejects.toMatchObject({ code: '42501' })
})

test.each([
  'insert into weaver.outbox_seq values (999999, 1, now(), $$x$$)',
  'delete from weaver.outbox',
  'delete from graphile_worker._private_jobs',
])('not even WallE may: %s', async (text) => {
  await expect(database.db.write((tx) => tx.execute(text))).rejects.toMatchObject({ code: '42501' })
})
