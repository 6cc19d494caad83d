/** An order that is held up after it is on record as leaving, by the database or the venue's limit, is looked at once more. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { SEND_WITHIN_MS } from './hindrances.ts'

let database: TestDatabase
let venue: ScriptedVenue
let world: OrderWorld

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  await database.db.write((tx) => tx.execute('update weaver.halts set resumed_at = now() where resumed_at is null'))
  venue = createScriptedVenue()
  world = await openOrderWorld(database.db, venue)
})

/** The job that waits, taken. */
function taken() {
  const job = world.waiting.shift()
  if (!job) throw new Error('no job waits')
  return job
}

/** What happens meanwhile; once. */
const meanwhile = (what: () => unknown) => {
  venue.beforeSubmit = async () => {
    venue.beforeSubmit = null
    await what()
  }
}
const haltByFile = () => {
  world.haltFile = true
}
const pass = () => {
  world.clock.now += SEND_WITHIN_MS + 1
}

test.each([
  ['halted', () => world.halt(null), 'halt: the system is halted'],
  ['its run halted', () => world.halt(world.run.id), 'halt: the run is halted'],
  ['a halt file written', haltByFile, 'halt: the system is halted'],
  ['too late', pass, /^too_late: .*: it is too late for it$/],
])('%s: it never leaves', async (_, what, reason) => {
  const id = await world.place()
  const job = taken()
  meanwhile(what)
  expect(await world.step(job)).not.toBeNull()
  expect(await world.send(id)).toMatchObject({ state: 'to_send', attempts: 1 })
  // Whoever finds the file makes a halt of it.
  if (world.haltFile) await world.halt(null)
  world.waiting.push(job)
  await world.drain()
  expect(venue.submits).toEqual([])
  const { status, reject_reason } = await world.order(id)
  expect([status, reject_reason]).toEqual(['rejected', expect.stringMatching(reason)])
})

test('the account to be asked first: it leaves after that, once', async () => {
  const id = await world.place()
  const job = taken()
  meanwhile(() => world.account('unknown', 'it was halted'))
  await world.step(job)
  expect(venue.submits).toEqual([])
  await world.account('ready')
  world.waiting.push(job)
  await world.drain()
  expect([venue.submits.length, venue.taken(id), await world.told(id)]).toEqual([
    1,
    1,
    ['Created', 'Submitted', 'Accepted'],
  ])
})

test('halted before it is sent a second time: it may be in, so the venue is asked', async () => {
  venue.onSubmit('lose_then_unclear')
  const id = await world.place()
  const job = taken()
  let sends = 0
  venue.beforeSubmit = async () => {
    sends += 1
    if (sends === 2) await world.halt(null)
  }
  world.waiting.push(job)
  await world.drain()
  expect([sends, venue.submits.length]).toEqual([2, 1])
  expect(await world.order(id)).toMatchObject({ status: 'cancelled', submitted_at: expect.anything() })
})
