/** Orders that somebody replaces at the venue: Weaver's go on as what took their place, and nothing is sent beside them. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { askVenue } from './asking.ts'

let database: TestDatabase
let venue: ScriptedVenue
let world: OrderWorld
let venues = 0

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  // Its ids are those of an account: no two tests share one.
  const exchange = `venue${++venues}`
  venue = createScriptedVenue({ exchange })
  world = await openOrderWorld(database.db, venue, { exchange })
})

const LIMIT = { order_type: 'limit', limit_price: '90', qty: '10' } as const

async function resting(changes: object = LIMIT): Promise<string> {
  const id = await world.place(changes)
  await world.drain()
  return id
}

/** As whoever hears of it asks. */
async function follow(id: string): Promise<void> {
  const { id: orderId } = await world.order(id)
  const report = await askVenue(database.db.reader, venue, orderId, world.clock.now)
  if (report !== null) await world.report(report, 'poll')
}

async function entered(exits: object): Promise<string> {
  const id = await world.place({ qty: '10', ...exits })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  return id
}

const openAtVenue = () =>
  venue.book
    .filter(({ status }) => status === 'accepted' || status === 'partial')
    .map(({ side, order_type, qty, stop_price, limit_price }) =>
      [side, order_type, qty, stop_price ?? limit_price].join(' '),
    )

const alarms = async () =>
  (await world.events())
    .filter(({ type }) => type === 'system.Error')
    .map(({ payload }) => (payload as { message: string }).message)

test('what took its place is heard of by the venue’s ids alone, and what it was says nothing more', async () => {
  const id = await resting()
  const first = venue.fill(id, '2', '90')
  await world.report(first)
  const next = venue.replace(id, { qty: '5', limit_price: '91' })
  expect(await world.report({ order: venue.snapshot(id) })).toMatchObject({ kind: 'known', gap: true, told: [] })
  expect(await world.report({ order: venue.snapshot(next) })).toMatchObject({ kind: 'known', gap: true, told: [] })
  await follow(id)
  expect(await world.order(id)).toMatchObject({ status: 'partial', exchange_order_id: 'x2', qty: '7', price: '91' })
  const { execution } = venue.fill(next, '5', '91')
  await world.report({ execution: execution && { ...execution, client_order_id: null } })
  for (const source of ['stream', 'reconcile'] as const) {
    await world.report(first, source)
    await world.report({ order: venue.snapshot(id) }, source)
    await world.report({ execution }, source)
  }
  expect(await world.order(id)).toMatchObject({
    status: 'filled',
    filled_qty: '7',
    filled_avg_price: '90.714285714286',
  })
  expect((await world.fills(id)).map(({ qty, price }) => `${qty}@${price}`)).toEqual(['2@90', '5@91'])
  expect(await world.told(id)).toEqual([
    ...['Created', 'Submitted', 'Accepted', 'PartiallyFilled', 'Replaced', 'Filled'],
  ])
  expect([venue.submits.length, world.waiting, await alarms()]).toEqual([1, [], []])
})

test('an order that only takes the place of nobody’s of ours is foreign', async () => {
  const id = await resting()
  const next = venue.replace(id)
  const strange = { ...venue.snapshot(next), exchange_order_id: 'x8', replaces: 'x7' }
  expect(await world.report({ order: strange })).toEqual({ kind: 'foreign' })
})

test('replaced before the answer to its submit: it is followed, and never sent again', async () => {
  venue.onSubmit('accept_then_unclear')
  venue.whileSubmitting = async (order) => {
    if (order !== null) venue.replace(order.client_order_id, { qty: '4' })
  }
  const id = await resting()
  expect(await world.order(id)).toMatchObject({ status: 'accepted', exchange_order_id: 'x2', qty: '4' })
  expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted', 'Replaced'])
  expect(venue.submits.length).toBe(1)
})

test('a cancel reaches what it is now, however often it was replaced unheard', async () => {
  const id = await resting()
  const second = venue.replace(id, { qty: '8' })
  venue.fill(second, '3', '90')
  venue.replace(second, { qty: '6' })
  await world.cancel(id)
  await world.drain()
  expect([venue.cancels, openAtVenue(), venue.submits.length]).toEqual([['x3'], [], 1])
  expect(await world.order(id)).toMatchObject({
    status: 'cancelled',
    filled_qty: '3',
    qty: '9',
    exchange_order_id: 'x3',
  })
  expect(await world.told(id)).toEqual([
    ...['Created', 'Submitted', 'Accepted', 'Replaced', 'PartiallyFilled', 'Replaced', 'Cancelled'],
  ])
})

test('replaced while its cancel is on the way: what took its place is cancelled too', async () => {
  const id = await resting()
  await world.cancel(id)
  const { cancel } = venue
  venue.cancel = async (order) => {
    venue.cancel = cancel
    venue.replace(id, { qty: '8' })
    return cancel(order)
  }
  await world.drain()
  expect([venue.cancels, openAtVenue()]).toEqual([['x1', 'x2'], []])
  expect((await world.order(id)).status).toBe('cancelled')
})

test('a cancel waits for what took its place, and ends the order when the venue does not come to know it', async () => {
  const id = await resting()
  venue.replace(id)
  venue.orderById = async () => null
  await world.cancel(id)
  const [job] = world.waiting
  expect(job && (await world.step(job))).toBeGreaterThan(0)
  expect((await world.order(id)).status).toBe('accepted')
  world.clock.now += 300_000
  await world.drain()
  expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted', 'Cancelled'])
})

test('a stop loss that somebody drags stays the exit, also when it has to make room and comes back', async () => {
  const id = await entered({ stop_loss: '90' })
  const exit = `${id}-sl0`
  venue.replace(exit, { stop_price: '95' })
  await follow(exit)
  await world.drain()
  expect(await world.order(exit)).toMatchObject({ status: 'accepted', stop_price: '95', qty: '10' })
  expect([openAtVenue(), venue.submits.length]).toEqual([['sell stop 10 95'], 2])
  // A part is sold at the market: the exit makes way, and what comes back is where it was dragged to.
  const part = await world.place({ side: 'sell', qty: '4' })
  await world.drain()
  await world.report(venue.fill(part, '4', '99'))
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 6 95'])
  expect(await alarms()).toEqual([])
})

test('a stop loss that somebody makes smaller stays so, and it is said what is without it', async () => {
  const id = await entered({ stop_loss: '90' })
  const exit = `${id}-sl0`
  const smaller = venue.replace(exit, { qty: '6' })
  await follow(exit)
  await world.drain()
  expect([openAtVenue(), venue.submits.length]).toEqual([['sell stop 6 90'], 2])
  expect(await alarms()).toEqual([
    `the exit ${exit} (stop loss, sell 10 BTC/USD) was made smaller at the venue: it closes 6, and 4 are without it`,
  ])
  await world.report({ execution: venue.fill(smaller, '6', '90').execution })
  await world.drain()
  expect([openAtVenue(), (await world.order(exit)).status, venue.submits.length]).toEqual([[], 'filled', 2])
})

test('a stop loss that somebody makes larger than what is held closes no more than that', async () => {
  const id = await entered({ stop_loss: '90' })
  venue.replace(`${id}-sl0`, { qty: '12', stop_price: '95' })
  await follow(`${id}-sl0`)
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10 95'])
  expect(await alarms()).toEqual([])
})

test('a dragged stop loss makes way for its take profit, and comes back where it was dragged to', async () => {
  const id = await entered({ stop_loss: '90', take_profit: '120' })
  venue.replace(`${id}-sl0`, { stop_price: '95' })
  await follow(`${id}-sl0`)
  await world.drain()
  world.clock.now += 120_000
  const bar = { open: '121', high: '121', low: '121', close: '121', volume: '1', trade_count: null }
  venue.setBars('BTC/USD', [{ time: world.clock.now - 60_000, ...bar }])
  // Not filled within its time.
  await world.drain()
  expect(venue.submits.map(({ order_type }) => order_type)).toEqual(['market', 'stop', 'limit', 'stop'])
  expect(openAtVenue()).toEqual(['sell stop 10 95'])
})
