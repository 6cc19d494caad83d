/** What is looked at once more when an order leaves: that it can, that there is still what it closes, and whose exits make room. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
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
  await world.pause('AAPL', null)
})

const SHORTS = { fill: { allow_short: true } } as const

/** Filled, its stop loss at the venue. */
async function entered(side: 'buy' | 'sell' = 'buy'): Promise<string> {
  const id = await world.place({ symbol: 'AAPL', side, qty: '10', stop_loss: side === 'buy' ? '90' : '110' })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  world.clock.now += 1_000
  return id
}

const close = (qty = '10', side: 'buy' | 'sell' = 'sell') => world.place({ symbol: 'AAPL', side, qty })

/** One attempt at the job that has waited longest, which then waits again. */
async function attempt(): Promise<void> {
  const job = world.waiting.shift()
  if (!job) throw new Error('no job waits')
  if ((await world.step(job)) !== null) world.waiting.push(job)
}

const openAtVenue = () =>
  venue.book
    .filter(({ status }) => status === 'accepted' || status === 'partial')
    .map(({ side, order_type, qty }) => `${side} ${order_type} ${qty}`)
const sentAtMarket = () => venue.submits.filter(({ order_type }) => order_type === 'market').length
const held = async () =>
  (
    await database.db.reader.query<{ qty: string }>('select qty from weaver.positions where run_id = $1', [
      world.run.id,
    ])
  )[0]?.qty

describe('the stop loss fills while an order that closes waits for it to be gone', () => {
  test.each([
    ['a sale', 'buy', {}],
    ['a sale of a run that may go short', 'buy', SHORTS],
    ['a purchase that covers', 'sell', SHORTS],
  ] as const)('%s: nothing more is traded', async (_what, side, changes) => {
    world = await openOrderWorld(database.db, venue, changes)
    const id = await entered(side)
    const closing = await close('10', side === 'buy' ? 'sell' : 'buy')
    await attempt()
    await world.report(venue.fill(`${id}-sl0`, '10', '90'))
    await world.drain()
    expect([await held(), sentAtMarket(), openAtVenue()]).toEqual(['0', 1, []])
    expect(await world.told(closing)).toEqual(['Created', 'Cancelled'])
    expect(world.waiting).toEqual([])
  })

  test('before the close was looked at for the first time', async () => {
    const id = await entered()
    const closing = await close()
    await world.report(venue.fill(`${id}-sl0`, '10', '90'))
    await world.drain()
    expect([sentAtMarket(), (await world.order(closing)).status]).toEqual([1, 'cancelled'])
  })

  test('in part: the close is refused, and what is left is protected again', async () => {
    const id = await entered()
    const closing = await close()
    await attempt()
    await world.report(venue.fill(`${id}-sl0`, '4', '90'))
    await world.drain()
    expect([await held(), sentAtMarket(), openAtVenue()]).toEqual(['6', 1, ['sell stop 6']])
    expect((await world.order(closing)).reject_reason).toBe(
      'short_not_allowed: of the 10 AAPL that it was to close 6 is left',
    )
  })

  test('of a part of the position, and there is enough left: it is sold', async () => {
    const id = await entered()
    await close('5')
    await attempt()
    await world.report(venue.fill(`${id}-sl0`, '4', '90'))
    await world.drain()
    expect([sentAtMarket(), openAtVenue()]).toEqual([2, ['sell market 5', 'sell stop 1']])
  })
})

test('the older of two sales goes when there is not enough left for both', async () => {
  const id = await entered()
  await world.pause('AAPL', 'positions differ')
  const [older, newer] = [await close('6'), await close('4')]
  await world.report(venue.fill(`${id}-sl0`, '3', '90'))
  await world.pause('AAPL', null)
  await world.drain()
  expect([(await world.order(older)).status, (await world.order(newer)).status]).toEqual(['accepted', 'rejected'])
  await world.report(venue.fill(older, '6', '95'))
  await world.drain()
  expect([await held(), openAtVenue()]).toEqual(['1', ['sell stop 1']])
})

test('an order of a run that may go short, and that no exit took anything from, goes short', async () => {
  world = await openOrderWorld(database.db, venue, SHORTS)
  await close()
  await world.drain()
  expect(openAtVenue()).toEqual(['sell market 10'])
})

test('it is unclear whether the sale is in, and its stop loss has filled: it is not sent again', async () => {
  const id = await entered()
  venue.onSubmit('lose_then_unclear')
  venue.onCancel(...Array(40).fill('accept_silently'))
  const closing = await close()
  while ((await world.send(closing))?.state === 'to_send') {
    await attempt()
    world.clock.now += 1_000
  }
  await world.report(venue.fill(`${id}-sl0`, '10', '90'))
  await world.drain(200)
  expect([sentAtMarket(), venue.taken(closing), (await world.order(closing)).status]).toEqual([2, 0, 'cancelled'])
})

const unready = () => world.account('unknown', 'its stream is down')

describe.each([
  ['its symbol is paused', () => world.pause('AAPL', 'positions differ'), () => world.pause('AAPL', null)],
  ['its account is not ready', unready, () => world.account('ready')],
] as const)('an order that closes and cannot leave: %s', (_why, hinder, free) => {
  test('the stop loss stays, also when it fills in part meanwhile and when the order is too late', async () => {
    const id = await entered()
    await hinder()
    const closing = await close('5')
    await attempt()
    await world.report(venue.fill(`${id}-sl0`, '2', '90'))
    await attempt()
    expect([openAtVenue(), venue.cancels]).toEqual([['sell stop 10'], []])
    world.clock.now += SEND_WITHIN_MS
    await free()
    await world.drain()
    expect((await world.order(closing)).reject_reason).toMatch(/^too_late/)
    expect([openAtVenue(), venue.cancels]).toEqual([['sell stop 10'], []])
  })

  test('when it can, the exits make room, and it goes', async () => {
    await entered()
    await hinder()
    await close()
    await attempt()
    await free()
    await world.drain()
    expect(openAtVenue()).toEqual(['sell market 10'])
  })

  test('what cannot leave any more after the exits were asked: they come back when they can', async () => {
    await entered()
    const closing = await close()
    await attempt()
    await hinder()
    await attempt()
    await attempt()
    expect(openAtVenue()).toEqual([])
    world.clock.now += SEND_WITHIN_MS
    await free()
    await world.drain()
    expect([openAtVenue(), (await world.order(closing)).status]).toEqual([['sell stop 10'], 'rejected'])
  })
})

test('a close does not wait for a take profit, which is not at the venue', async () => {
  const id = await world.place({ symbol: 'AAPL', qty: '10', stop_loss: '90', take_profit: '120' })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  const { now } = world.clock
  await close()
  await world.drain()
  expect([openAtVenue(), world.clock.now - now]).toEqual([['sell market 10'], 1_000])
})

test('a close that is cancelled before it could leave leaves the stop loss alone', async () => {
  await entered()
  await world.pause('AAPL', 'positions differ')
  const closing = await close()
  await attempt()
  await world.cancel(closing)
  await world.pause('AAPL', null)
  await world.drain()
  expect([openAtVenue(), venue.cancels]).toEqual([['sell stop 10'], []])
})
