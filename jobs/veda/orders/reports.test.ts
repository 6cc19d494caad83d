/** What venues say of orders that is not what Weaver believes of them: alive after their end, or another order by the same id. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { append } from '../../../db/events/append.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import type { Heard } from './reports.ts'

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

const limit = { order_type: 'limit', limit_price: '90' } as const
const CANCEL = { task: 'veda.send_cancel' }
const alarms = async () =>
  (await world.events())
    .filter(({ type }) => type === 'system.Error')
    .map(({ payload }) => (payload as { message: string }).message)

/** Cancelled and not found for so long that it counts as never having arrived; the venue has it. */
async function givenUp(): Promise<string> {
  venue.onSubmit('accept_then_unclear')
  venue.hideNext(1_000)
  const id = await world.place(limit)
  const job = world.waiting.shift()
  if (job) await world.step(job)
  await world.cancel(id)
  if (job) world.waiting.push(job)
  await world.drain()
  return id
}

describe('an order that has ended with Weaver and lives at the venue', () => {
  test.each<Heard['source']>(['reconcile', 'poll', 'stream'])(
    'given up as never having arrived, and found by %s: it is cancelled there',
    async (source) => {
      const id = await givenUp()
      expect(await world.order(id)).toMatchObject({ status: 'cancelled', exchange_order_id: null })
      await world.report({ order: venue.snapshot(id) }, source)
      expect(world.waiting).toMatchObject([CANCEL])
    },
  )

  /** Weaver heard of an end that was none. */
  async function wronglyEnded(): Promise<string> {
    const id = await world.place(limit)
    await world.drain()
    await world.report({ order: { ...venue.snapshot(id), status: 'cancelled' } })
    expect((await world.order(id)).status).toBe('cancelled')
    return id
  }

  test.each<Heard['source']>(['reconcile', 'poll'])(
    'known to it, and found by %s: it is cancelled there',
    async (by) => {
      const id = await wronglyEnded()
      await world.report({ order: venue.snapshot(id) }, by)
      expect(world.waiting).toMatchObject([CANCEL])
      await world.drain()
      expect([venue.cancels, venue.snapshot(id).status]).toEqual([['x1'], 'cancelled'])
    },
  )

  test.each<Heard['source']>(['stream', 'answer'])(
    'a word by %s that may be older than its end: nothing',
    async (by) => {
      const id = await wronglyEnded()
      await world.report({ order: venue.snapshot(id) }, by)
      expect(world.waiting).toEqual([])
    },
  )

  test('while a job asks for its cancel, no second one does', async () => {
    const id = await givenUp()
    await world.report({ order: venue.snapshot(id) }, 'poll')
    const jobs = world.waiting.splice(0)
    await database.db.write((tx) => append(tx, [], { jobs }))
    await world.report({ order: venue.snapshot(id) }, 'poll')
    await world.report({ order: venue.snapshot(id) }, 'stream')
    expect([jobs.length, world.waiting]).toEqual([1, []])
  })

  test('cancelled by a person at the venue meanwhile: the job asks once, and is done', async () => {
    const id = await wronglyEnded()
    await world.report({ order: venue.snapshot(id) }, 'reconcile')
    venue.end(id, 'cancelled')
    await world.drain()
    expect([venue.cancels, await world.told(id)]).toEqual([[], ['Created', 'Submitted', 'Accepted', 'Cancelled']])
  })
})

describe('the venue has had the client order id for another order', () => {
  async function taken(): Promise<string> {
    const id = `w-${world.run.id}-0-0`
    venue.pushing = false
    venue.foreignOrder({ client_order_id: id, symbol: 'AAPL', side: 'sell', order_type: 'market', qty: '5' })
    return id
  }

  test('nothing of it is booked, the order is refused in words, and somebody is told once', async () => {
    const id = await taken()
    venue.fill(id, '5', '100')
    await world.place({ client_order_id: id, qty: '10' })
    await world.drain()
    for (const source of ['stream', 'reconcile'] as const) {
      for (const update of venue.updates) await world.report(update, source)
    }
    const words = 'the venue has its client order id for another order, x1: sell 5 AAPL, not buy 10 BTC/USD'
    expect(await world.order(id)).toMatchObject({ status: 'rejected', reject_reason: `venue: ${words}` })
    expect([await world.fills(id), await alarms()]).toEqual([[], [`nothing is booked on ${id}: ${words}`]])
    expect([venue.taken(id), world.waiting]).toEqual([1, []])
  })

  test('and that one is open: it is nobody’s to cancel', async () => {
    const id = await taken()
    await world.place({ client_order_id: id, qty: '10' })
    await world.drain()
    await world.report({ order: venue.snapshot(id) }, 'reconcile')
    await world.drain()
    expect([venue.cancels, venue.snapshot(id).status]).toEqual([[], 'accepted'])
  })
})
