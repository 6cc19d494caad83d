/** What retention takes, what it leaves, and that whoever reads or writes meanwhile loses nothing. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, systemStarted } from '../../tests/support/log.ts'
import { pause } from '../../tests/support/until.ts'
import { connectOwner } from '../client.ts'
import { append } from './append.ts'
import { claim } from './claims.ts'
import { premakePartitions, tidyJobs } from './leases.ts'
import { consume } from './offsets.ts'
import { getEvent, head, horizon, pageOfRun, readAfter } from './read.ts'
import { auditHorizon, type Retained, retainOnce } from './retention.ts'
import { createSequencer } from './sequencer.ts'

const DAY = 86_400_000
const NOW = Date.UTC(2026, 5, 15, 12)
const RETENTION_DAYS = 30

let database: TestDatabase
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

async function asOwner(text: string, values: unknown[] = []): Promise<void> {
  const owner = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  try {
    await owner.query(text, values)
  } finally {
    await owner.end()
  }
}

interface Old {
  /** Days before NOW. */
  age: number
  run: string | null
  type: 'run.Progressed' | 'system.Started'
}

/** Events as they were appended long ago, in their order; gives their ids. */
async function longAgo(events: readonly Old[], { partitions = true } = {}): Promise<string[]> {
  const rows = events.map(({ age, run, type }) => {
    const id = randomUUID()
    const payload =
      type === 'run.Progressed'
        ? { run_id: run ?? randomUUID(), progress: 0, next_tick: 1, ticks_total: 9 }
        : { version: '1' }
    const at = new Date(NOW - age * DAY).toISOString()
    return {
      at,
      envelope: {
        id,
        kind: 'evt',
        type,
        version: 1,
        run_id: run,
        corr_id: id,
        causation_id: null,
        ts: at,
        producer: 'greta',
        payload,
      },
    }
  })
  const days = new Set(partitions ? rows.map(({ at }) => at.slice(0, 10)) : [])
  for (const day of days) {
    const name = `weaver.outbox_${day.replaceAll('-', '')}`
    const next = new Date(Date.parse(day) + DAY).toISOString()
    await asOwner(
      `create table if not exists ${name} partition of weaver.outbox for values from ('${day}T00:00:00Z') to ('${next}')`,
    )
  }
  await asOwner(
    `insert into weaver.outbox (event_id, type, run_id, corr_id, payload, created_at)
     select (e -> 'envelope' ->> 'id')::uuid, e -> 'envelope' ->> 'type', (e -> 'envelope' ->> 'run_id')::uuid,
       (e -> 'envelope' ->> 'corr_id')::uuid, e -> 'envelope', (e ->> 'at')::timestamptz
     from jsonb_array_elements($1::jsonb) with ordinality as list (e, n) order by n`,
    [JSON.stringify(rows)],
  )
  await sequence()
  return rows.map(({ envelope }) => envelope.id)
}

async function sequence(): Promise<void> {
  await createSequencer({ db: database.db, sleep: pause, onError: () => {} }).runOnce()
}

async function runOf(mode: string, audit: string): Promise<string> {
  const id = await insertRun(database.db)
  await asOwner('update weaver.runs set mode = $2, audit = $3 where id = $1', [id, mode, audit])
  return id
}

function retain(options: { auditDays?: number; replayEvents?: number; now?: number } = {}): Promise<Retained> {
  const { auditDays = null, replayEvents = 0, now = NOW } = options
  return retainOnce({ db: database.db, now: () => now, retentionDays: RETENTION_DAYS, auditDays, replayEvents })
}

const seqsLeft = async () => (await readAfter(database.db.reader, -1, 10_000)).map(({ seq }) => seq)

test('what survives is what is young, audited or of the system, with its id and its seq', async () => {
  const runs = {
    live: await runOf('live', 'summary'),
    paper: await runOf('paper', 'summary'),
    full: await runOf('backtest', 'full'),
    summary: await runOf('backtest', 'summary'),
    acted: await runOf('backtest', 'acted'),
    deleted: randomUUID(),
  }
  type Kind = keyof typeof runs | 'none' | 'system'
  const kinds: Kind[] = ['live', 'paper', 'full', 'summary', 'acted', 'deleted', 'none', 'system']
  const [written] = fc.sample(
    fc.array(fc.record({ age: fc.integer({ min: 25, max: 40 }), kind: fc.constantFrom(...kinds) }), {
      minLength: 250,
      maxLength: 250,
    }),
    { numRuns: 1, seed: 11 },
  )
  const events = (written ?? []).toSorted((a, b) => b.age - a.age)
  await longAgo(
    events.map(({ age, kind }) => ({
      age,
      run: kind === 'none' || kind === 'system' ? null : runs[kind],
      type: kind === 'system' ? 'system.Started' : 'run.Progressed',
    })),
  )
  const before = await readAfter(database.db.reader, -1, 10_000)
  // At noon: a day is over `age` days ago when it ended at the midnight after.
  const isOld = (age: number) => age > RETENTION_DAYS
  const isAudited = (kind: Kind) => ['live', 'paper', 'full', 'system'].includes(kind)
  const expected = before.filter((_, n) => {
    const { age, kind } = events[n] as { age: number; kind: Kind }
    return !isOld(age) || isAudited(kind)
  })

  const { days } = await retain()
  expect(days.every(({ outcome }) => outcome === 'done')).toBe(true)
  expect(days.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(before.length - expected.length)
  expect(await readAfter(database.db.reader, -1, 10_000)).toEqual(expected)
  const lastDropped = before.findLastIndex(({ seq }) => !expected.some((kept) => kept.seq === seq))
  expect(await horizon(database.db.reader)).toBe(lastDropped + 1)
  expect(await horizon(database.db.reader, runs.summary)).toBe(lastDropped + 1)
  expect(await horizon(database.db.reader, runs.live)).toBe(0)
  const ofLive = before.filter(({ envelope }) => envelope.run_id === runs.live)
  const page = await pageOfRun(database.db.reader, runs.live, { page: 1, page_size: 100, countTo: 1_000 })
  expect(page).toEqual({ items: ofLive, total: ofLive.length })
  expect(await getEvent(database.db.reader, before[0]?.envelope.id ?? '')).toEqual(
    expected.find(({ seq }) => seq === 0)?.envelope ?? null,
  )

  // Over each day once; a consumer that begins now reads what is left, and finds no hole.
  expect((await retain()).days).toEqual([])
  const seen: number[] = []
  const handle = async (_tx: unknown, batch: readonly { seq: number }[]) =>
    void seen.push(...batch.map(({ seq }) => seq))
  await consume({ db: database.db, consumerId: 'late', limit: 1_000, handle })
  expect(seen).toEqual(expected.map(({ seq }) => seq))

  // The audit ends too; whoever follows a kept run is then told.
  await asOwner(`update weaver.consumer_offsets set last_offset = ${before.length - 1}`)
  await retain({ auditDays: 35 })
  const young = expected.filter(({ seq }) => (events[seq]?.age ?? 0) <= 35)
  expect(await readAfter(database.db.reader, -1, 10_000)).toEqual(young)
  expect(await horizon(database.db.reader, runs.live)).toBeGreaterThan(0)
})

test('the guard of the log stands on what retention has built', async () => {
  await longAgo([
    { age: 40, run: null, type: 'system.Started' },
    { age: 40, run: null, type: 'run.Progressed' },
  ])
  expect((await retain()).days).toEqual([{ day: '2026-05-06', outcome: 'done', kept: 1, dropped: 1 }])
  for (const statement of [
    'delete from weaver.outbox_20260506',
    'update weaver.outbox_20260506 set type = type',
    'truncate weaver.outbox_20260506',
    'delete from weaver.outbox',
  ]) {
    await expect(asOwner(statement), statement).rejects.toMatchObject({ code: '42501' })
  }
  await expect(database.db.write((tx) => tx.execute('delete from weaver.outbox_seq'))).rejects.toMatchObject({
    code: '42501',
  })
})

test('a consumer that is behind, and the newest events, hold a day back', async () => {
  const old = { run: null, type: 'run.Progressed' } as const
  await longAgo([
    { ...old, age: 40 },
    { ...old, age: 40 },
    { ...old, age: 39 },
    { ...old, age: 1 },
  ])
  await asOwner(`insert into weaver.consumer_offsets (consumer_id, last_offset) values ('slow', 0), ('fast', 3)`)
  expect((await retain()).days).toEqual([{ day: '2026-05-06', outcome: 'waiting', kept: 0, dropped: 0 }])
  expect(await seqsLeft()).toEqual([0, 1, 2, 3])
  await asOwner(`update weaver.consumer_offsets set last_offset = 1 where consumer_id = 'slow'`)
  expect((await retain({ replayEvents: 3 })).days.map(({ outcome }) => outcome)).toEqual(['waiting'])
  expect((await retain({ replayEvents: 2 })).days.map(({ outcome }) => outcome)).toEqual(['done', 'waiting'])
  expect(await seqsLeft()).toEqual([2, 3])
})

test('an event that has no seq yet holds its day back', async () => {
  await longAgo([{ age: 40, run: null, type: 'run.Progressed' }])
  await asOwner(
    `insert into weaver.outbox (event_id, type, corr_id, payload, created_at)
     select gen_random_uuid(), type, corr_id, payload, created_at from weaver.outbox`,
  )
  expect((await retain()).days.map(({ outcome }) => outcome)).toEqual(['waiting'])
  await sequence()
  expect((await retain()).days.map(({ outcome, dropped }) => [outcome, dropped])).toEqual([['done', 2]])
})

test('days for which no partition was made grow old too', async () => {
  const live = await runOf('live', 'summary')
  await longAgo(
    [
      { age: 41, run: null, type: 'run.Progressed' },
      { age: 40, run: live, type: 'run.Progressed' },
      { age: 40, run: null, type: 'run.Progressed' },
      { age: 2, run: null, type: 'run.Progressed' },
    ],
    { partitions: false },
  )
  const { days } = await retain()
  expect(days.map(({ outcome, kept, dropped }) => ({ outcome, kept, dropped }))).toEqual([
    { outcome: 'done', kept: 0, dropped: 1 },
    { outcome: 'done', kept: 1, dropped: 1 },
  ])
  expect(await seqsLeft()).toEqual([1, 3])
  expect((await retain()).days).toEqual([])
})

test('who appends, numbers and reads while days are dropped loses nothing', async () => {
  const { db } = database
  const old = { run: null, type: 'run.Progressed' } as const
  await longAgo(
    Array.from({ length: 400 }, (_, n) => ({
      ...old,
      age: 45 - Math.floor(n / 40),
      ...(n % 10 === 0 && { type: 'system.Started' as const }),
    })),
  )
  const sequencer = createSequencer({ db, sleep: pause, onError: () => {} })
  sequencer.start()
  let dropping = true
  const written: string[] = []
  const write = async () => {
    while (dropping) {
      const events = [systemStarted(), systemStarted()]
      await db.write(async (tx) => {
        await append(tx, events)
        await pause(3)
      })
      written.push(...events.map(({ id }) => id))
    }
  }
  let missed = 0
  const read = async () => {
    // The first event is kept: there is no moment without it.
    while (dropping) if ((await readAfter(db.reader, -1, 1))[0]?.seq !== 0) missed++
  }
  const others = Promise.all([write(), write(), read()])
  const { days } = await retain()
  dropping = false
  await others
  await sequencer.stop()
  await sequencer.runOnce()
  expect(days).toHaveLength(10)
  expect(days.every(({ outcome, kept, dropped }) => outcome === 'done' && kept === 4 && dropped === 36)).toBe(true)
  const left = await readAfter(db.reader, 399, 10_000)
  expect(left.map(({ seq }) => seq)).toEqual(left.map((_, n) => 400 + n))
  expect(left.map(({ envelope }) => envelope.id).toSorted()).toEqual(written.toSorted())
  expect(await head(db.reader)).toBe(399 + written.length)
  expect(missed).toBe(0)
})

test('a transaction that reads in one snapshot is not taken by surprise', async () => {
  await longAgo([
    { age: 40, run: null, type: 'system.Started' },
    { age: 40, run: null, type: 'run.Progressed' },
  ])
  const inside = Promise.withResolvers<void>()
  const mayEnd = Promise.withResolvers<void>()
  const reading = database.db.read(async (reader) => {
    await reader.query('select count(*) from weaver.runs')
    inside.resolve()
    await mayEnd.promise
    return readAfter(reader, -1, 10)
  })
  await inside.promise
  expect((await retain()).days.map(({ outcome }) => outcome)).toEqual(['busy'])
  mayEnd.resolve()
  expect(await reading).toHaveLength(2)
  expect((await retain()).days.map(({ outcome }) => outcome)).toEqual(['done'])
})

test('claims go when their jobs are gone', async () => {
  const { db } = database
  const [waiting, done, young] = [randomUUID(), randomUUID(), randomUUID()]
  const run = await insertRun(db)
  await db.write(async (tx) => {
    for (const id of [waiting, done]) await claim(tx, 'marvin.on_tick', id)
    await append(tx, [], { jobs: [{ task: 'marvin.on_tick', payload: { run_id: run, event_id: waiting } }] })
  })
  await asOwner(`update weaver.event_claims set created_at = $1`, [new Date(NOW - 31 * DAY)])
  await db.write((tx) => claim(tx, 'marvin.on_tick', young))
  await asOwner(`update weaver.event_claims set created_at = $1 where event_id = $2`, [new Date(NOW), young])
  expect((await retain()).claims).toBe(1)
  const left = await db.reader.query<{ event_id: string }>('select event_id from weaver.event_claims')
  expect(left.map(({ event_id }) => event_id).toSorted()).toEqual([waiting, young].toSorted())
})

/** Of the log, as they are named; those made for days to come are left out. */
async function oldPartitions(): Promise<string[]> {
  const rows = await database.db.reader.query<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'weaver.outbox'::regclass and c.relname < 'outbox_202606' order by 1`,
  )
  return rows.map(({ name }) => name)
}

test('what is kept of a month that is over becomes one partition, and leaves it day by day when its audit is over', async () => {
  const live = await runOf('live', 'summary')
  const kept = { run: live, type: 'run.Progressed' } as const
  await longAgo([
    { ...kept, age: 97 },
    { ...kept, age: 97, run: null },
    { ...kept, age: 90 },
    { ...kept, age: 90, type: 'system.Started', run: null },
    { ...kept, age: 60 },
    { ...kept, age: 40 },
    { ...kept, age: 25 },
  ])
  const before = await readAfter(database.db.reader, -1, 100)
  const expected = before.filter(({ seq }) => seq !== 1)
  const first = await retain()
  expect(first.days.map(({ day, outcome, kept }) => [day, outcome, kept])).toEqual([
    ['2026-03-10', 'done', 1],
    ['2026-03-17', 'done', 2],
    ['2026-04-16', 'done', 1],
    ['2026-05-06', 'done', 1],
  ])
  expect(first.folded).toEqual({ month: '2026-03', outcome: 'done' })
  expect((await retain()).folded).toEqual({ month: '2026-04', outcome: 'done' })
  // May is not over: some of its days are as young as what is kept of everything.
  expect((await retain()).folded).toBeNull()
  expect(await oldPartitions()).toEqual(['outbox_202603', 'outbox_202604', 'outbox_20260506', 'outbox_20260521'])
  expect(await readAfter(database.db.reader, -1, 100)).toEqual(expected)
  expect(await getEvent(database.db.reader, before[3]?.envelope.id ?? '')).toEqual(before[3]?.envelope)
  await expect(asOwner('delete from weaver.outbox_202603')).rejects.toMatchObject({ code: '42501' })
  expect(await createSequencer({ db: database.db, sleep: pause, onError: () => {} }).runOnce()).toEqual({ numbered: 0 })
  expect(await auditHorizon(database.db.reader)).toBeNull()

  expect((await retain({ auditDays: 92 })).days).toEqual([{ day: '2026-03-10', outcome: 'done', kept: 0, dropped: 1 }])
  expect(await seqsLeft()).toEqual([2, 3, 4, 5, 6])
  expect(await oldPartitions()).toContain('outbox_202603')
  expect(await auditHorizon(database.db.reader)).toBe('2026-03-17T12:00:00.000Z')
  expect((await retain({ auditDays: 85 })).days).toEqual([{ day: '2026-03-17', outcome: 'done', kept: 0, dropped: 2 }])
  expect(await seqsLeft()).toEqual([4, 5, 6])
  expect(await oldPartitions()).toEqual(['outbox_202604', 'outbox_20260506', 'outbox_20260521'])
})

test('a month is copied in steps, and anew when it has changed meanwhile', async () => {
  const live = await runOf('live', 'summary')
  const old = { run: live, type: 'run.Progressed' } as const
  await longAgo([
    { ...old, age: 97 },
    { ...old, age: 97 },
    { ...old, age: 90 },
    { ...old, age: 1 },
  ])
  await asOwner(`insert into weaver.outbox_days (day, kept, dropped) values ('2026-03-10', 2, 0), ('2026-03-17', 1, 0)`)
  const before = await readAfter(database.db.reader, -1, 100)
  const copy = async (atMost: number) => {
    const [row] = await database.db.write((tx) =>
      tx.query<{ copied: number }>(`select weaver.copy_outbox_month('2026-03-01', $1) as copied`, [atMost]),
    )
    return row?.copied
  }
  expect([await copy(2), await copy(2), await copy(2)]).toEqual([2, 1, 0])
  expect(await readAfter(database.db.reader, -1, 100)).toEqual(before)
  await asOwner(
    `insert into weaver.outbox (event_id, type, run_id, corr_id, payload, created_at)
     select gen_random_uuid(), type, run_id, corr_id, payload, created_at from weaver.outbox order by id limit 1`,
  )
  await sequence()
  const stored = () =>
    database.db.reader.query(`select s.seq, o.event_id, o.created_at, o.payload
      from weaver.outbox_seq s join weaver.outbox o on (o.created_at, o.id) = (s.created_at, s.outbox_id) order by s.seq`)
  const changed = await stored()
  expect(changed).toHaveLength(5)
  expect((await retain()).folded).toEqual({ month: '2026-03', outcome: 'again' })
  expect((await retain()).folded).toEqual({ month: '2026-03', outcome: 'done' })
  expect(await stored()).toEqual(changed)
  expect(await oldPartitions()).toEqual(['outbox_202603'])
})

test('nobody who appends or ends a job waits until a backup has read the log', async () => {
  const { db } = database
  const day = new Date(Date.now() + 7 * DAY).toISOString().slice(0, 10).replaceAll('-', '')
  const isThere = async (table: string) => {
    const [row] = await db.reader.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
      `weaver.${table}_${day}`,
    ])
    return row?.there
  }
  await premakePartitions(db, 7)
  await tidyJobs(db, 7)
  await asOwner(`drop table weaver.outbox_${day}, weaver.job_runs_${day}`)
  const backup = await connectOwner({ url: database.url, applicationName: 'weaver test backup' })
  try {
    await backup.query('begin; lock table weaver.outbox, weaver.job_runs in access share mode')
    await premakePartitions(db, 7)
    await tidyJobs(db, 7)
    await db.write((tx) => append(tx, [systemStarted()]))
    expect([await isThere('outbox'), await isThere('job_runs')]).toEqual([false, false])
    await backup.query('commit')
  } finally {
    await backup.end()
  }
  await premakePartitions(db, 7)
  await tidyJobs(db, 7)
  expect([await isThere('outbox'), await isThere('job_runs')]).toEqual([true, true])
})

test('dead letters go when somebody has decided about them long ago', async () => {
  await asOwner(
    `insert into weaver.job_dead_letters (id, task, payload, error, attempts, failed_at, settled, settled_at) values
       (1, 'greta.run_chunk', '{}', 'broken', 5, $1::timestamptz, 'retried', $1::timestamptz),
       (2, 'greta.run_chunk', '{}', 'broken', 5, $1::timestamptz, null, null),
       (3, 'greta.run_chunk', '{}', 'broken', 5, $1::timestamptz, 'discarded', $2::timestamptz)`,
    [new Date(NOW - 31 * DAY), new Date(NOW - 29 * DAY)],
  )
  expect((await retain()).letters).toBe(1)
  const left = await database.db.reader.query<{ id: number }>('select id from weaver.job_dead_letters order by id')
  expect(left.map(({ id }) => Number(id))).toEqual([2, 3])
})
