/** Limits hold for all of a run's open orders together, and none of them holds up what closes a position. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { record } from '../../../db/walle/record.ts'
import type { NewRun } from '../../../db/walle/rows.ts'
import type { Json } from '../../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { newLiveCheckpoint } from '../../live/ticks.ts'

let database: TestDatabase
let venue: ScriptedVenue
let world: OrderWorld

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(() => {
  venue = createScriptedVenue()
})

async function open(changes: Partial<NewRun>): Promise<void> {
  world = await openOrderWorld(database.db, venue, changes)
  const newest = { AAPL: { time: 0, close: 100 }, 'BTC/USD': { time: 0, close: 100 } }
  const state = { ...newLiveCheckpoint(), newest } as unknown as Json
  const save = { kind: 'save_checkpoint', run_id: world.run.id, next_tick: 0, state } as const
  await database.db.write((tx) => record(tx, { writes: [save], events: [] }))
}

/** What became of as many orders, each placed before the venue has said anything of the one before. */
async function placed(count: number, intent: Parameters<OrderWorld['place']>[0]) {
  const ids: string[] = []
  for (let n = 0; n < count; n++) ids.push(await world.place(intent))
  return Promise.all(ids.map(async (id) => rule(id)))
}
const rule = async (id: string) => {
  const { status, reject_rule } = await world.order(id)
  return reject_rule ?? status
}
const bought = async (intent: Parameters<OrderWorld['place']>[0], qty: string) => {
  const id = await world.place({ qty, ...intent })
  await world.drain()
  await world.report(venue.fill(id, qty, '100'))
  await world.drain()
  return id
}

test.each([{ order_type: 'market' }, { order_type: 'limit', limit_price: '90' }] as const)(
  'a position is limited with all that is open: $order_type',
  async (kind) => {
    await open({ risk: { max_position: 2 } })
    expect(await placed(3, { qty: '1', ...kind })).toEqual(['pending', 'pending', 'max_position'])
  },
)

const SHORTS = { fill: { preset: 'weaver', allow_short: true, leverage: 1 } } as const
const SHARES = { symbol: 'AAPL', time_in_force: 'day' } as const

test.each([
  ['a long position', 'buy', 'sell'],
  ['a short position', 'sell', 'buy'],
] as const)('%s is closed once: what would close it again opens, and meets the limits', async (_what, side, back) => {
  await open({ risk: { max_order_notional: 500, max_position: 10 }, ...SHORTS })
  for (const qty of ['5', '5']) await bought({ ...SHARES, side }, qty)
  expect(await placed(3, { ...SHARES, side: back, qty: '10' })).toEqual([
    ...['pending', 'max_order_notional', 'max_order_notional'],
  ])
})

test('a run’s cash is not spent by several orders, nor on a short of what is being sold already', async () => {
  await open({ initial_cash: '1000', ...SHORTS })
  await bought({ ...SHARES }, '10')
  await placed(1, { ...SHARES, side: 'sell', qty: '10' })
  expect(await placed(2, { ...SHARES, side: 'sell', qty: '10' })).toEqual(['pending', 'rejected'])
})

test('what closes leaves however many orders are open or have left within the minute', async () => {
  await open({ risk: { max_open_orders: 1, max_orders_per_minute: 2 } })
  await bought({}, '1')
  await bought({ ...SHARES }, '1')
  expect([
    ...(await placed(1, { side: 'sell', qty: '1' })),
    ...(await placed(1, { ...SHARES, side: 'sell', qty: '1' })),
    ...(await placed(1, { qty: '1' })),
  ]).toEqual(['pending', 'pending', 'max_open_orders'])
})

test('exits are none of the orders that a run may have open', async () => {
  await open({ risk: { max_open_orders: 2 } })
  await bought({ stop_loss: '90', take_profit: '120' }, '1')
  expect(await placed(3, { qty: '1', order_type: 'limit', limit_price: '50' })).toEqual([
    ...['pending', 'pending', 'max_open_orders'],
  ])
  expect(await placed(1, { side: 'sell', qty: '1' })).toEqual(['pending'])
})
