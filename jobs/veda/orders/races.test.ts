/** What is sent twice: two who send the same order, as after a process that slept, and an order that goes again. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue, type SubmitScript } from '../../../tests/support/scripted_venue.ts'
import { RESEND_AFTER_MS } from './leaving.ts'

let database: TestDatabase
let venue: ScriptedVenue
let world: OrderWorld

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  venue = createScriptedVenue()
  world = await openOrderWorld(database.db, venue)
})

/** The job that waits, taken. */
function taken() {
  const job = world.waiting.shift()
  if (!job) throw new Error('no job waits')
  return job
}

test.each<SubmitScript>(['rate_limited', 'unavailable', 'reject', 'unauthorised', 'refused'])(
  'answered %s to a process that slept while another sent it again, and that one is in: the late answer says nothing',
  async (late) => {
    venue.onSubmit(late, 'accept_then_unclear')
    venue.pushing = false
    const id = await world.place({ order_type: 'limit', limit_price: '90' })
    const job = taken()
    venue.whileSubmitting = async () => {
      venue.whileSubmitting = null
      while (venue.submits.length < 2) {
        world.clock.now += 4_000
        await world.step(job)
      }
    }
    await world.step(job)
    expect(await world.send(id)).toMatchObject({ state: 'unclear', attempts: 2 })
    await world.cancel(id)
    world.waiting.push(job)
    await world.drain()
    expect([venue.taken(id), venue.submits.length, venue.cancels.length]).toEqual([1, 2, 1])
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted', 'Cancelled'])
  },
)

test('sent by a process that had found it unsent, while another had sent it and was not answered: a refusal is no end', async () => {
  venue.onSubmit('accept_then_unclear', 'reject')
  venue.hideNext(3)
  venue.pushing = false
  const id = await world.place({ order_type: 'limit', limit_price: '90' })
  const job = taken()
  const { asset } = venue
  // The first has looked and is about to send.
  venue.asset = async (symbol) => {
    venue.asset = asset
    await world.step(job)
    for (let looks = 0; looks < 3; looks++) {
      world.clock.now += 4_000
      await world.step(job)
    }
    return asset(symbol)
  }
  await world.step(job)
  expect([venue.taken(id), venue.submits.length]).toEqual([1, 2])
  expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
})

test.each([
  ['the account is not ready', () => world.account('unknown'), () => world.account('ready')],
  ['the symbol is paused', () => world.pause('BTC/USD', 'positions differ'), () => world.pause('BTC/USD', null)],
])('an order of unknown fate is looked up, and not sent again while %s', async (_, hinder, free) => {
  venue.onSubmit('lose_then_unclear')
  const id = await world.place()
  const job = taken()
  expect(await world.step(job)).not.toBeNull()
  await hinder()
  for (let looks = 0; looks < 6; looks++) {
    world.clock.now += RESEND_AFTER_MS
    expect(await world.step(job)).not.toBeNull()
  }
  expect([venue.submits.length, venue.lookups.length]).toEqual([1, 6])
  await free()
  expect(await world.step(job)).toBeNull()
  expect([venue.taken(id), venue.submits.length]).toEqual([1, 2])
})

test('an order to cancel that the venue does not know any more is asked for less and less often, and has ended after minutes', async () => {
  const id = await world.place({ order_type: 'limit', limit_price: '90' })
  await world.drain()
  await world.cancel(id)
  const job = taken()
  venue.orderByClientId = async () => null
  const waits: (number | null)[] = []
  do {
    waits.push(await world.step(job))
    world.clock.now += waits.at(-1) ?? 0
  } while (waits.at(-1) !== null)
  expect(waits).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27].map((seconds) => seconds * 1_000).concat([null as never]))
  expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted', 'Cancelled'])
})

test('one that the venue shows again meanwhile is cancelled there', async () => {
  const id = await world.place({ order_type: 'limit', limit_price: '90' })
  await world.drain()
  await world.cancel(id)
  const job = taken()
  const { orderByClientId } = venue
  venue.orderByClientId = async () => null
  for (let looks = 0; looks < 5; looks++) world.clock.now += (await world.step(job)) ?? 0
  venue.orderByClientId = orderByClientId
  await world.step(job)
  expect(venue.cancels).toHaveLength(1)
})
