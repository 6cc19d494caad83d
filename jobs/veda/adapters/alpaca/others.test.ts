/** What else there is in an account, and nobody here understands. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type AlpacaWorld, openAlpacaWorld } from '../../../../tests/support/alpaca/world.ts'
import { until } from '../../../../tests/support/until.ts'

let world: AlpacaWorld
beforeEach(async () => {
  world = await openAlpacaWorld({ speed: 50, ghostMs: 0 })
})
afterEach(() => world.close())

const control = () => world.emulator.control
const plain = () => control().foreignOrder({ symbol: 'AAPL', side: 'buy', qty: '1', limit_price: '1' })
const legs = () =>
  control().foreignOrder({ symbol: 'SPY', side: 'buy', qty: '1', limit_price: '1', order_class: 'mleg' })
const leftOut = () => world.logged.filter((line) => line.includes('it is left out'))
const answer = (path: string, body: unknown) => control().faults.next('GET', path, { status: 200, body })

test('an order of several legs is left out of lists, whether it is the last of a page or not, and said once', async () => {
  const ids = [plain(), legs(), plain()]
  const listed = async () => (await world.venue.orders({ open: true })).map((order) => order.client_order_id)
  expect(await listed()).toEqual([ids[0], ids[2]])
  expect(leftOut()).toEqual([expect.stringContaining(ids[1] as string)])
  for (let more = 0; more < 497; more += 1) plain()
  // The last one of a page, by which the next page begins.
  legs()
  plain()
  expect(await listed()).toHaveLength(500)
  expect(await world.venue.orders({ since: 0 })).toHaveLength(500)
  expect(leftOut()).toHaveLength(2)
})

test('an order that may be ours is never left out', async () => {
  const id = legs()
  Object.assign(control().book.order(id), { client_order_id: 'w-of-ours-0-0' })
  await expect(world.venue.orders({ open: true })).rejects.toMatchObject({
    kind: 'unavailable',
    message: expect.stringMatching(/^Alpaca, orders: an answer that is not understood: symbol/),
  })
})

test('of fills and positions that are not understood the others are told', async () => {
  const id = plain()
  control().fill(id, '1', '1')
  const [fill] = (await (
    await fetch(`${world.emulator.url}/v2/account/activities/FILL`, {
      headers: { 'APCA-API-KEY-ID': world.emulator.key, 'APCA-API-SECRET-KEY': world.emulator.secret },
    })
  ).json()) as object[]
  answer('/v2/account/activities/FILL', [{ id: '1::odd', activity_type: 'FILL', legs: [] }, fill])
  expect(await world.venue.executions(0)).toMatchObject([{ client_order_id: id }])
  const shares = { symbol: 'AAPL', asset_class: 'us_equity', qty: '1', side: 'long', avg_entry_price: '1' }
  answer('/v2/positions', [{ symbol: 'AAPL270115C00200000', asset_class: 'us_option', qty: null }, shares])
  expect(await world.venue.positions()).toEqual([{ symbol: 'AAPL', qty: '1', avg_price: '1' }])
  answer('/v2/positions', [{ ...shares, qty: null }])
  await expect(world.venue.positions()).rejects.toMatchObject({ kind: 'unavailable' })
  expect(leftOut()).toHaveLength(2)
})

test('a fill of an order of several legs is a fill, and its order is left out', async () => {
  const id = legs()
  control().fill(id, '1', '1')
  control().skew(3_600_000)
  const since = control().now() - 3_601_000
  expect(await world.venue.executions(since)).toMatchObject([{ client_order_id: null, symbol: 'SPY' }])
})

test('what the stream tells of it leaves the stream up', async () => {
  const told: string[] = []
  const states: string[] = []
  world.venue.stream({
    onOrder: (order) => void told.push(order.client_order_id),
    onBar: () => {},
    onState: ({ up, reason }) => void states.push(`${up ? 'up' : 'down'}: ${reason}`),
  })
  await until('the stream to be up', async () => states.length === 1)
  control().cancelAtVenue(legs())
  const id = plain()
  await until('the other order', async () => told.includes(id))
  expect(new Set(told)).toEqual(new Set([id]))
  expect(states).toEqual(['up: subscribed'])
  expect(leftOut()).toHaveLength(1)
})
