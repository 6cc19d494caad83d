/** Invariant I4: nothing is skipped, nothing comes twice, nothing out of order within a run. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, progressed, systemStarted } from '../../tests/support/log.ts'
import { pause, until } from '../../tests/support/until.ts'
import { connectOwner, openDatabase } from '../client.ts'
import type { Database } from '../database.ts'
import { append } from './append.ts'
import { consume } from './offsets.ts'
import { head, type LoggedEvent, readAfter } from './read.ts'
import { createSequencer, type Sequencer } from './sequencer.ts'

let database: TestDatabase
const open: { stop(): Promise<void> }[] = []

beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(async () => {
  for (const service of open.splice(0).reverse()) await service.stop()
  await database.drop()
})

function sequencerOn(db: Database): Sequencer {
  const sequencer = createSequencer({ db, sleep: pause, onError: (error) => errors.push(error) })
  open.push(sequencer)
  return sequencer
}
let errors: unknown[] = []
beforeEach(() => {
  errors = []
})

/** Small, seeded: a failing interleaving can be tried again. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const WRITERS = 8
const EVENTS_PER_WRITER = 1_250

test('of 10,000 events of eight concurrent writers every consumer gets each committed one once, in order', async () => {
  const wide = await openDatabase({ url: database.url, applicationName: 'weaver test writers', maxConnections: 14 })
  open.push({ stop: () => wide.close() })
  const runs = await Promise.all(Array.from({ length: 5 }, () => insertRun(wide)))
  const committed = new Map<string, number>()
  const nextTick = new Map(runs.map((run) => [run, 0]))
  let writing = true

  /** Transactions of one to thirty events for one run, or for none; some wait with their ids taken, some roll back. */
  async function write(writer: number): Promise<void> {
    const random = randomFrom(writer + 1)
    let left = EVENTS_PER_WRITER
    while (left > 0) {
      const size = Math.min(left, 1 + Math.floor(random() * 30))
      const run = random() < 0.7 ? (runs[Math.floor(random() * runs.length)] ?? null) : null
      const delay = random() < 0.3 ? random() * 12 : 0
      const rollBack = random() < 0.15
      left -= size
      const ids: string[] = []
      const work = wide.write(async (tx) => {
        // The order within a run is the order in which its lock was held.
        if (run !== null) await tx.query('select id from weaver.runs where id = $1 for no key update', [run])
        for (const part of [size - Math.floor(size / 2), Math.floor(size / 2)]) {
          const events = Array.from({ length: part }, () => {
            if (run === null) return systemStarted()
            const tick = nextTick.get(run) ?? 0
            nextTick.set(run, tick + 1)
            return progressed(run, tick)
          })
          await append(tx, events)
          ids.push(...events.map(({ id }) => id))
          await pause(delay)
        }
        if (rollBack) throw new Error('rolled back')
      })
      const kept = await work.then(
        () => true,
        (error: Error) => {
          if (error.message !== 'rolled back') throw error
          return false
        },
      )
      if (kept) for (const id of ids) committed.set(id, (committed.get(id) ?? 0) + 1)
    }
  }

  const received: LoggedEvent[][] = [[], []]
  async function follow(consumer: number): Promise<void> {
    const random = randomFrom(100 + consumer)
    const mine = received[consumer] ?? []
    for (;;) {
      const limit = 1 + Math.floor(random() * 400)
      let batch: readonly LoggedEvent[] = []
      const handled = await consume({
        db: wide,
        consumerId: `consumer-${consumer}`,
        limit,
        handle: async (_tx, events) => {
          batch = events
          if (random() < 0.1) throw new Error('the consumer failed')
        },
      }).then(
        ({ events }) => events,
        (error: Error) => {
          if (error.cause instanceof Error && error.cause.message === 'the consumer failed') return -1
          throw error
        },
      )
      if (handled > 0) mine.push(...batch)
      else if (handled === 0 && !writing && mine.length >= committed.size) return
      else if (handled === 0) await pause(5)
    }
  }

  for (const _ of [1, 2]) sequencerOn(wide).start()
  const competing = sequencerOn(wide)
  const consumers = Promise.all([follow(0), follow(1)])
  const writers = Promise.all(Array.from({ length: WRITERS }, (_, n) => write(n)))
  const rival = (async () => {
    while (writing) {
      await competing.runOnce()
      await pause(7)
    }
  })()
  await writers
  writing = false
  await Promise.all([rival, consumers])

  expect(committed.size).toBeGreaterThan(5_000)
  for (const events of received) {
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, n) => n))
    expect(new Set(events.map(({ envelope }) => envelope.id))).toEqual(new Set(committed.keys()))
    expect(events.length).toBe(committed.size)
    for (const run of runs) {
      const ticks = events.flatMap(({ envelope }) => {
        const { run_id, payload } = envelope
        return run_id === run && 'next_tick' in payload ? [payload.next_tick] : []
      })
      expect(ticks).toEqual([...ticks].sort((a, b) => a - b))
    }
  }
  expect(await head(wide.reader)).toBe(committed.size - 1)
  expect(errors).toEqual([])
})

test('an event whose transaction began first and committed last is not skipped', async () => {
  const { db } = database
  const sequencer = sequencerOn(db)
  const [early, late] = [systemStarted('began first'), systemStarted('committed first')]
  const appended = Promise.withResolvers<void>()
  const mayCommit = Promise.withResolvers<void>()
  const slow = db.write(async (tx) => {
    await append(tx, [early])
    appended.resolve()
    await mayCommit.promise
  })
  await appended.promise
  await db.write((tx) => append(tx, [late]))
  expect(await sequencer.runOnce()).toEqual({ numbered: 1 })
  mayCommit.resolve()
  await slow
  expect(await sequencer.runOnce()).toEqual({ numbered: 1 })
  expect(await sequencer.runOnce()).toEqual({ numbered: 0 })
  const read = await readAfter(db.reader, -1, 10)
  expect(read.map(({ seq, envelope }) => [seq, envelope.id])).toEqual([
    [0, late.id],
    [1, early.id],
  ])
})

test('numbering in a transaction that has written already is refused', async () => {
  const work = database.db.write(async (tx) => {
    await append(tx, [systemStarted()])
    await tx.query('select weaver.sequence_outbox()')
  })
  await expect(work).rejects.toThrow('must be called before anything is written')
})

test('a second sequencer takes over when the leader stops', async () => {
  const { db } = database
  const [first, second] = [sequencerOn(db), sequencerOn(db)]
  first.start()
  await db.write((tx) => append(tx, [systemStarted()]))
  await until('the first event has its seq', async () => (await head(db.reader)) === 0)
  second.start()
  await first.stop()
  await db.write((tx) => append(tx, [systemStarted()]))
  await until('the second event has its seq', async () => (await head(db.reader)) === 1)
  expect(errors).toEqual([])
})

test('a sequencer that loses its connection comes back', async () => {
  const { db } = database
  sequencerOn(db).start()
  await db.write((tx) => append(tx, [systemStarted()]))
  await until('the first event has its seq', async () => (await head(db.reader)) === 0)
  const owner = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  const ended = await owner.query(
    `select pg_terminate_backend(pid, 5000) as ended from pg_locks
     where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
  )
  await owner.end()
  expect(ended.rows).toEqual([{ ended: true }])
  await db.write((tx) => append(tx, [systemStarted()]))
  await until('the second event has its seq', async () => (await head(db.reader)) === 1)
})

test('only one instance of a consumer is at work at a time', async () => {
  const { db } = database
  await db.write((tx) => append(tx, [systemStarted()]))
  await sequencerOn(db).runOnce()
  const entered = Promise.withResolvers<void>()
  const mayEnd = Promise.withResolvers<void>()
  const consumer = { db, consumerId: randomUUID(), limit: 10 }
  const first = consume({
    ...consumer,
    handle: async () => {
      entered.resolve()
      await mayEnd.promise
    },
  })
  await entered.promise
  const unexpected = async () => {
    throw new Error('two at once')
  }
  expect(await consume({ ...consumer, handle: unexpected })).toMatchObject({ events: 0 })
  mayEnd.resolve()
  expect(await first).toMatchObject({ events: 1, from: -1, to: 0 })
  expect(await consume({ ...consumer, handle: unexpected })).toMatchObject({ events: 0, from: 0, to: 0 })
})
