/** Orders over a split of what a run holds: nothing is sold by a price that means another thing, and exits come back right. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { DAY_MS } from '../../../db/walle/calendar/days.ts'
import { getPosition } from '../../../db/walle/queries/live_orders.ts'
import { createRecorder, record } from '../../../db/walle/record.ts'
import type { PlaceIntent } from '../../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { createAccountCommands } from '../../glados/account_commands.ts'
import { wallClock } from '../../glados/clock.ts'
import { fitExits, fitSymbol } from './fit_exits.ts'

const NAME = { exchange: 'scripted', mode: 'paper' } as const
const FINISH = { finish: async () => {} }

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
  await position('10', {})
})

/** What the account holds of it as its keeper has found it. */
async function position(
  runs_qty: string,
  { equalAt, paused = null }: { equalAt?: number; paused?: string | null },
): Promise<void> {
  const row = { ...NAME, symbol: 'AAPL', venue_qty: runs_qty, runs_qty, unattributed_qty: '0', fee_adjustment: '0' }
  const why = { paused_reason: paused && `it looks like a ${paused}`, paused_class: paused }
  const equal_at = equalAt === undefined ? null : new Date(equalAt).toISOString()
  const rows = [{ ...row, ...why, equal_at }]
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_account_positions', rows }], events: [] }))
}

const compared = () => position('10', { equalAt: world.clock.now })
const asked = async () =>
  (await database.db.reader.query<{ at: string | null }>('select reconcile_requested_at as at from weaver.accounts'))[0]
    ?.at

async function entered(exits: Partial<PlaceIntent> = { stop_loss: '160' }): Promise<string> {
  const id = await world.place({ symbol: 'AAPL', qty: '10', ...exits })
  await world.drain()
  await world.report(venue.fill(id, '10', '200'))
  await world.drain()
  return id
}

/** Each waiting job once. */
async function step(): Promise<void> {
  for (const job of world.waiting.splice(0)) {
    const again = await world.step(job)
    if (again !== null) world.waiting.push(job)
  }
}

/** By the exchange's data of 4 for 1, after the session of so many days ago. */
function splitIsShown(daysAgo: number): void {
  const time = (Math.floor(world.clock.now / DAY_MS) - daysAgo) * DAY_MS
  const bar = (close: string) => ({ time, open: close, high: close, low: close, close, volume: '1', trade_count: null })
  const { bars } = venue
  venue.bars = async (asked) =>
    asked.timeframe === '1d' ? [bar(asked.adjustment === 'raw' ? '200' : '50')] : bars(asked)
}

const fitted = () => fitSymbol(world.jobs, { run_id: world.run.id, symbol: 'AAPL' }, FINISH)

/** A person's word, and what it sets off. */
async function split(ratio: string): Promise<void> {
  const { splitPosition } = createAccountCommands({ recorder: createRecorder(database.db), ...wallClock })
  await splitPosition(NAME, { symbol: 'AAPL', ratio }, { corrId: randomUUID() })
  const told = (await world.events()).findLast(({ type }) => type === 'account.PositionAttributed')
  for (let times = 0; times < 2; times++) {
    await fitExits(world.jobs, { run_id: world.run.id, event_id: told?.id as string }, FINISH)
  }
}

/** What the venue has to say of all that has ended there. */
async function heard(): Promise<void> {
  for (let times = 0; times < 3; times++) await step()
  for (const { client_order_id, status } of venue.book) {
    if ((await world.order(client_order_id)).status !== status) {
      await world.report({ order: venue.snapshot(client_order_id), execution: null }, 'poll')
    }
  }
}

const sent = () =>
  venue.submits.map((one) => [one.side, one.order_type, one.qty, one.stop_price ?? one.limit_price].join(' '))
const openAtVenue = () =>
  venue.book
    .filter(({ status }) => status === 'accepted')
    .map((one) => [one.side, one.qty, one.stop_price ?? one.limit_price].join(' '))
const alarms = async () =>
  (await world.events())
    .filter(({ type }) => type === 'system.Error')
    .map(({ payload }) => (payload as { message: string }).message)

test('a stop that the venue has cancelled comes back when the account was compared after that, and found in order', async () => {
  const id = await entered()
  await compared()
  world.clock.now += 1_000
  await world.report(venue.end(`${id}-sl0`, 'cancelled', 'corporate action'))
  await step()
  await step()
  expect(sent()).toEqual(['buy market 10 ', 'sell stop 10 160'])
  expect(Date.parse((await asked()) ?? '')).toBe(world.clock.now)
  world.clock.now += 1_000
  await compared()
  await step()
  expect(sent().slice(2)).toEqual(['sell stop 10 160'])
  expect(await alarms()).toEqual([expect.stringMatching(/-sl0 .*corporate action. Another takes its place$/)])
})

test('where the exchange’s data tell of a split that the position has not had yet, a stop does not come back by comparing', async () => {
  const id = await entered()
  splitIsShown(0)
  await world.report(venue.end(`${id}-sl0`, 'cancelled', 'corporate action'))
  world.clock.now += 1_000
  await compared()
  await step()
  await step()
  expect(sent().length).toBe(2)
  await position('40', { paused: 'split' })
  await fitted()
  await step()
  await split('4:1')
  world.clock.now += 1_000
  await position('40', { equalAt: world.clock.now })
  await step()
  expect(sent().slice(2)).toEqual(['sell stop 40 40'])
})

test('what was bought after the split is not left without its stop for a session by it', async () => {
  const id = await entered()
  // With a session that has opened since, whichever days are holidays.
  splitIsShown(7)
  await world.report(venue.end(`${id}-sl0`, 'cancelled', 'by hand'))
  world.clock.now += 1_000
  await compared()
  await step()
  await step()
  expect(sent().slice(2)).toEqual(['sell stop 10 160'])
})

test('one that expired there waits as well, and one that made way for an order of the run does not', async () => {
  const id = await entered()
  await world.report(venue.end(`${id}-sl0`, 'expired'))
  await step()
  expect(sent().length).toBe(2)
  world.clock.now += 1_000
  await compared()
  await step()
  expect(openAtVenue()).toEqual(['sell 10 160'])
  const small = await world.place({ symbol: 'AAPL', side: 'sell', qty: '4' })
  world.clock.now += 1_000
  await heard()
  await world.drain()
  await world.report(venue.fill(small, '4', '200'))
  await heard()
  expect(openAtVenue()).toEqual(['sell 6 160'])
})

test('over a split of 4 for 1 nothing is sold, whatever the venue cancelled, and all comes back as it makes it', async () => {
  const id = await entered({ stop_loss: '160', take_profit: '240' })
  const limit = await world.place({ symbol: 'AAPL', qty: '1', order_type: 'limit', limit_price: '180' })
  await world.drain()
  await world.report(venue.end(`${id}-sl0`, 'cancelled', 'corporate action'))
  await step()
  await position('40', { paused: 'split' })
  for (let times = 0; times < 2; times++) await fitted()
  await heard()
  expect([openAtVenue(), sent().length]).toEqual([[], 3])
  expect((await world.order(limit)).status).toBe('cancelled')
  await split('4:1')
  expect(await getPosition(database.db.reader, world.run.id, 'AAPL')).toMatchObject({ qty: '40', avg_price: '50' })
  await step()
  expect(sent().length).toBe(3)
  world.clock.now += 1_000
  await position('40', { equalAt: world.clock.now })
  await step()
  expect(sent().slice(3)).toEqual(['sell stop 40 40'])
  const takes = (await world.events()).flatMap(({ type, payload }) =>
    type === 'orders.Created' && payload.reason === 'take profit' ? [[payload.qty, payload.price]] : [],
  )
  expect(takes).toEqual([
    ['10', '240'],
    ['40', '60'],
  ])
})

test('a stop and a limit that the venue left as they were are cancelled there before they can trade', async () => {
  await entered()
  await world.place({ symbol: 'AAPL', qty: '1', order_type: 'limit', limit_price: '180' })
  await world.drain()
  await position('40', { paused: 'split' })
  await fitted()
  await heard()
  expect(openAtVenue()).toEqual([])
  await split('4:1')
  world.clock.now += 1_000
  await position('40', { equalAt: world.clock.now })
  await world.drain()
  expect(openAtVenue()).toEqual(['sell 40 40'])
  expect(await alarms()).toEqual([])
})

test('where no comparison took it for a split, the person’s word cancels what is of before', async () => {
  await entered()
  await world.place({ symbol: 'AAPL', qty: '1', order_type: 'limit', limit_price: '180' })
  await world.drain()
  await position('1', { paused: 'position_mismatch' })
  await split('1:10')
  await heard()
  world.clock.now += 1_000
  await position('1', { equalAt: world.clock.now })
  await world.drain()
  expect(openAtVenue()).toEqual(['sell 1 1600'])
})

test('said twice before its account was compared again, a split is applied once', async () => {
  await entered()
  await position('40', { paused: 'split' })
  await split('4:1')
  await expect(split('4:1')).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(await getPosition(database.db.reader, world.run.id, 'AAPL')).toMatchObject({ qty: '40', avg_price: '50' })
})

test('it was no split: exits come back as they were', async () => {
  await entered()
  await position('20', { paused: 'split' })
  await fitted()
  await heard()
  expect(openAtVenue()).toEqual([])
  world.clock.now += 1_000
  await compared()
  await fitted()
  await world.drain()
  expect(openAtVenue()).toEqual(['sell 10 160'])
})

test('an order from before a split never leaves after it', async () => {
  await entered({})
  await position('10', { paused: 'position_mismatch' })
  const id = await world.place({ symbol: 'AAPL', side: 'sell', qty: '10', order_type: 'limit', limit_price: '210' })
  await step()
  await split('4:1')
  await position('40', { equalAt: world.clock.now })
  await world.drain()
  expect([sent().length, (await world.order(id)).status]).toEqual([1, 'cancelled'])
})

test('a stop that the price has gone through is sold at the market when the account was compared after that', async () => {
  const { submit } = venue
  venue.submit = async (asked) => {
    if (asked.order_type !== 'stop') return submit(asked)
    venue.submits.push(asked)
    return { kind: 'rejected', reason: 'stop price must be less than current price', passed: true }
  }
  const id = await world.place({ symbol: 'AAPL', qty: '10', stop_loss: '160' })
  await world.drain()
  await world.report(venue.fill(id, '10', '200'))
  world.clock.now += 1_000
  for (let times = 0; times < 3; times++) await step()
  expect(sent()).toEqual(['buy market 10 ', 'sell stop 10 160'])
  world.clock.now += 1_000
  await compared()
  await step()
  expect(sent().slice(2)).toEqual(['sell market 10 '])
})

test('an order that the venue has made as large as the split makes it is cancelled, and its exit comes back once', async () => {
  const id = await entered()
  const theirs = venue.book.find(({ client_order_id }) => client_order_id === `${id}-sl0`)
  Object.assign(theirs ?? {}, { qty: '40', stop_price: '40' })
  await world.report({ order: venue.snapshot(`${id}-sl0`), execution: null }, 'poll')
  await heard()
  expect(openAtVenue()).toEqual([])
  await step()
  expect(sent().length).toBe(2)
  await position('40', { paused: 'split' })
  await fitted()
  await heard()
  await split('4:1')
  world.clock.now += 1_000
  await position('40', { equalAt: world.clock.now })
  await world.drain()
  expect(sent().slice(2)).toEqual(['sell stop 40 40'])
})

test('a price that is of other shares by the exchange’s data reaches no take profit, though the position is as it was', async () => {
  await entered({ stop_loss: '160', take_profit: '240' })
  const prices = { open: '2000', high: '2000', low: '2000', close: '2000', volume: '1', trade_count: null }
  world.clock.now += 60_000
  venue.setBars('AAPL', [{ time: world.clock.now, ...prices }])
  world.clock.now += 60_000
  await compared()
  splitIsShown(0)
  for (let times = 0; times < 3; times++) await step()
  expect([venue.cancels, openAtVenue()]).toEqual([[], ['sell 10 160']])
})

test('a price that has reached a take profit gives its stop loss up when the account was compared after that', async () => {
  await entered({ stop_loss: '160', take_profit: '240' })
  const prices = { open: '2000', high: '2000', low: '2000', close: '2000', volume: '1', trade_count: null }
  world.clock.now += 60_000
  const minute = world.clock.now
  venue.setBars('AAPL', [{ time: minute, ...prices }])
  world.clock.now += 60_000
  await step()
  await step()
  expect(venue.cancels).toEqual([])
  await position('10', { equalAt: minute + 60_000 })
  await step()
  await heard()
  expect(sent().slice(2)).toEqual(['sell limit 10 240'])
})
