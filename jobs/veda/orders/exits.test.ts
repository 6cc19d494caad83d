/** Exits attached to an entry, at a venue: they protect what is held, never close more of it, and outlive what placed them. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { ALL_FEATURES, createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'

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

const both = { take_profit: '120', stop_loss: '90' } as const

async function entered(qty = '10', exits: object = both): Promise<string> {
  const id = await world.place({ qty, ...exits })
  await world.drain()
  await world.report(venue.fill(id, qty, '100'))
  await world.drain()
  return id
}

/** What lies open at the venue, as text. */
const openAtVenue = () =>
  venue.book
    .filter(({ status }) => status === 'accepted' || status === 'partial')
    .map(
      ({ side, order_type, qty, filled_qty }) =>
        `${side} ${order_type} ${qty}${filled_qty === '0' ? '' : ` -${filled_qty}`}`,
    )

const held = async () =>
  (
    await database.db.reader.query<{ qty: string }>('select qty from weaver.positions where run_id = $1', [
      world.run.id,
    ])
  )[0]?.qty

test('the entry’s fill and its exits are on record together, only the stop loss lies at the venue', async () => {
  const id = await world.place({ qty: '10', ...both })
  await world.drain()
  expect(openAtVenue()).toEqual(['buy market 10'])
  await world.report(venue.fill(id, '10', '100'))
  expect(await world.order(`${id}-sl0`)).toMatchObject({
    status: 'pending',
    qty: '10',
    stop_price: '90',
    time_in_force: 'gtc',
  })
  expect(await world.order(`${id}-tp0`)).toMatchObject({ status: 'pending', qty: '10', price: '120' })
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
  expect((await world.order(`${id}-sl0`)).parent_order_id).toBe((await world.order(id)).id)
})

test('the same report twice makes no second pair', async () => {
  const id = await world.place({ qty: '10', ...both })
  await world.drain()
  const update = venue.fill(id, '10', '100')
  await Promise.all([world.report(update), world.report(update), world.report({ order: update.order })])
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
  expect(await world.told(`${id}-tp0`)).toEqual(['Created'])
})

test('each partial fill is protected at once', async () => {
  const id = await world.place({ qty: '10', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '4', '100'))
  await world.report(venue.fill(id, '6', '100'))
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 4', 'sell stop 6'])
})

/** A minute closes there. */
function closesAt(close: string): void {
  world.clock.now += 60_000
  const prices = { open: close, high: close, low: close, close }
  venue.setBars('BTC/USD', [{ time: world.clock.now - 1, ...prices, volume: '1', trade_count: null }])
}

test('the price reaches the take profit: it takes the place of the stop loss', async () => {
  const id = await entered()
  closesAt('119.99')
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
  closesAt('120')
  venue.whileSubmitting = async (order) => {
    expect(openAtVenue()).toEqual(['sell limit 10'])
    if (order) await world.report(venue.fill(`${id}-tp0`, '10', '120'))
  }
  await world.drain()
  expect(openAtVenue()).toEqual([])
  expect(world.waiting).toEqual([])
  expect(await world.order(`${id}-sl0`)).toMatchObject({ status: 'cancelled' })
  expect(await world.order(`${id}-tp0`)).toMatchObject({ status: 'filled' })
  expect(await held()).toBe('0')
})

test('a take profit that is not filled at once makes way for the stop loss again', async () => {
  const id = await entered()
  closesAt('121')
  venue.whileSubmitting = async (order) => {
    if (order?.client_order_id !== `${id}-tp0`) return
    await world.report(venue.fill(`${id}-tp0`, '4', '120'))
    closesAt('110')
  }
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 6'])
  expect(await world.told(`${id}-tp0r1`)).toEqual(['Created'])
  closesAt('125')
  venue.whileSubmitting = async (order) => {
    if (order?.client_order_id === `${id}-tp0r1`) await world.report(venue.fill(`${id}-tp0r1`, '6', '125'))
  }
  await world.drain()
  expect(openAtVenue()).toEqual([])
  expect(await held()).toBe('0')
})

test('a take profit that the venue refuses leaves the stop loss where it was', async () => {
  await entered()
  closesAt('121')
  venue.onSubmit('reject', 'reject', 'reject')
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('the stop loss fills: nothing is left of the take profit', async () => {
  const id = await entered()
  await world.report(venue.fill(`${id}-sl0`, '10', '90'))
  await world.drain()
  expect(world.waiting).toEqual([])
  expect(await world.told(`${id}-tp0`)).toEqual(['Created', 'Cancelled'])
})

test('the stop loss fills in part: the take profit is for the rest', async () => {
  const id = await entered()
  await world.report(venue.fill(`${id}-sl0`, '4', '90'))
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10 -4'])
  expect(await world.order(`${id}-tp0r1`)).toMatchObject({ qty: '6', status: 'pending' })
})

test('the stop loss is not given up while the take profit could not leave', async () => {
  await entered()
  closesAt('121')
  await world.account('unknown')
  await world.drain()
  await world.account('ready')
  await world.halt(null)
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
  await world.resume()
  venue.whileSubmitting = async () => closesAt('110')
  await world.drain()
  expect(venue.submits.map(({ order_type }) => order_type)).toEqual(['market', 'stop', 'limit', 'stop'])
})

test('a run is halted while its take profit lies in the place of the stop loss: that comes back all the same', async () => {
  const id = await entered()
  closesAt('121')
  venue.whileSubmitting = async (order) => {
    if (order?.client_order_id === `${id}-tp0`) await world.halt(world.run.id)
    closesAt('110')
  }
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('everything is halted while the price is looked at: the stop loss is not given up', async () => {
  await entered()
  closesAt('121')
  const { bars } = venue
  venue.bars = async (request) => {
    await world.halt(null)
    return bars(request)
  }
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('an entry that filled in many parts: the price is asked for once for all of its take profits', async () => {
  const id = await world.place({ qty: '20', ...both })
  await world.drain()
  for (let part = 0; part < 20; part++) await world.report(venue.fill(id, '1', '100'))
  const { bars } = venue
  let asked = 0
  venue.bars = (request) => {
    asked += 1
    return bars(request)
  }
  await world.drain()
  world.clock.now += 60_000
  await world.drain()
  expect([openAtVenue().length, world.waiting.length, asked]).toEqual([20, 20, 2])
  expect(new Set(world.waiting.map(({ queue }) => queue))).toEqual(new Set([`takes:${world.run.id}`]))
})

test('a take profit alone lies at the venue', async () => {
  await entered('10', { take_profit: '120' })
  expect(openAtVenue()).toEqual(['sell limit 10'])
})

test('a market order that closes the position takes the exits’ place, and nothing is sold twice', async () => {
  const id = await entered()
  const close = await world.place({ side: 'sell', qty: '10' })
  const atSubmit: string[][] = []
  venue.whileSubmitting = async () => void atSubmit.push(openAtVenue())
  await world.drain()
  expect(atSubmit).toEqual([['sell market 10']])
  await world.report(venue.fill(close, '10', '101'))
  await world.drain()
  expect(openAtVenue()).toEqual([])
  expect(await world.told(`${id}-sl0`)).toEqual(['Created', 'Submitted', 'Accepted', 'Cancelled'])
})

test('a market order that closes, and is refused: the position is protected again', async () => {
  await entered('10', { stop_loss: '90' })
  venue.onSubmit('reject')
  await world.place({ side: 'sell', qty: '10' })
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('after a close the exits of the next entry are its own', async () => {
  await entered('10', { stop_loss: '90' })
  const close = await world.place({ side: 'sell', qty: '10' })
  await world.drain()
  await world.report(venue.fill(close, '10', '101'))
  await world.drain()
  await entered('3', { stop_loss: '80' })
  expect(openAtVenue()).toEqual(['sell stop 3'])
})

test('what the strategy cancels itself is not placed again', async () => {
  const id = await entered('10', { stop_loss: '90' })
  await world.cancel(`${id}-sl0`)
  await world.drain()
  expect(openAtVenue()).toEqual([])
  expect(world.waiting).toEqual([])
})

test('an exit that expired at the venue is placed again while the position is held', async () => {
  const id = await entered('10', { stop_loss: '90' })
  await world.report(venue.end(`${id}-sl0`, 'expired'))
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('a stop loss that the venue takes and rejects later: somebody is told', async () => {
  const id = await entered('10', { stop_loss: '90' })
  await world.report(venue.end(`${id}-sl0`, 'rejected', 'no borrow'))
  expect((await world.events()).filter(({ type }) => type === 'system.Error')).toHaveLength(1)
})

test('exits of a run that has ended are still kept in step', async () => {
  const id = await entered()
  await database.db.write((tx) => tx.execute(`update weaver.runs set status = 'stopped' where id = $1`, [world.run.id]))
  await world.report(venue.fill(`${id}-sl0`, '10', '90'))
  await world.drain()
  expect(openAtVenue()).toEqual([])
})

test('a trail comes to life with the entry', async () => {
  await entered('10', { trail_percent: '5' })
  expect(openAtVenue()).toEqual(['sell trailing_stop 10'])
  expect(venue.submits.map(({ trail_percent }) => trail_percent)).toEqual([null, '5'])
})

test('a fee in kind: the exits cover what was received', async () => {
  const id = await world.place({ qty: '1', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '1', '100', { fee_qty: '0.0025' }))
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 0.9975'])
})

test('where a venue has no stop orders for it, a stop loss is a stop-limit order with room', async () => {
  const types = ['market', 'limit', 'stop_limit'] as const
  venue = createScriptedVenue({ features: { orderTypes: { ...ALL_FEATURES.orderTypes, crypto: types } } })
  world = await openOrderWorld(database.db, venue)
  await entered('10', { stop_loss: '90' })
  expect(venue.submits.at(-1)).toMatchObject({ order_type: 'stop_limit', stop_price: '90', limit_price: '85.5' })
})

test('a cover with an exit attached brings nothing that needs one', async () => {
  world = await openOrderWorld(database.db, venue, { fill: { allow_short: true } })
  const short = await world.place({ symbol: 'AAPL', side: 'sell', qty: '10', time_in_force: 'day' })
  await world.drain()
  await world.report(venue.fill(short, '10', '100'))
  const cover = await world.place({ symbol: 'AAPL', qty: '10', time_in_force: 'day', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(cover, '10', '100'))
  await world.drain()
  expect(openAtVenue()).toEqual([])
})
