/** The adapter against the emulator: what each thing that goes wrong between the two means to Weaver. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Fault } from '../../../../tests/support/alpaca/faults.ts'
import { type AlpacaWorld, openAlpacaWorld, openVenue } from '../../../../tests/support/alpaca/world.ts'
import type { OrderToSend, VenueError } from '../../venue.ts'

let world: AlpacaWorld
beforeEach(async () => {
  world = await openAlpacaWorld({ speed: 1 })
})
afterEach(() => world.close())

let ids = 0
function order(changes: Partial<OrderToSend> = {}): OrderToSend {
  ids += 1
  return {
    client_order_id: `order-${ids}`,
    symbol: 'AAPL',
    side: 'buy',
    order_type: 'limit',
    qty: '10',
    limit_price: '100.5',
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'gtc',
    extended_hours: false,
    ...changes,
  }
}

const failing = (call: Promise<unknown>): Promise<VenueError> =>
  call.then(
    (value) => {
      throw new Error(`it was to fail, and gave ${JSON.stringify(value)}`)
    },
    (error) => error as VenueError,
  )
const posts = () => world.emulator.count('POST', '/v2/orders')
const inBook = (id: string) => world.emulator.control.book.orders.filter((each) => each.client_order_id === id).length

test('an order leaves as decimal text, under the id that it was given', async () => {
  const sent = order({ qty: '10.0', limit_price: '1E+2' })
  expect(await world.venue.submit(sent)).toMatchObject({ kind: 'accepted', order: { status: 'pending', qty: '10' } })
  expect(world.emulator.received.at(-1)?.body).toEqual({
    client_order_id: sent.client_order_id,
    symbol: 'AAPL',
    side: 'buy',
    type: 'limit',
    qty: '10',
    limit_price: '100',
    time_in_force: 'gtc',
  })
  const later = order({ time_in_force: 'day', extended_hours: true })
  await world.venue.submit(later)
  expect(world.emulator.received.at(-1)?.body).toMatchObject({ extended_hours: true })
})

test.each<[Fault, number]>([
  ['accept_then_504', 1],
  ['accept_then_500', 1],
  ['accept_then_reset', 1],
  ['accept_then_cut', 1],
  ['504', 0],
  ['503_html', 0],
  ['500', 0],
  ['reset', 0],
  [{ status: 422, body: '<html>' }, 0],
])('a submit that is answered by %j is unclear, and nothing is sent again', async (fault, taken) => {
  world.emulator.control.faults.next('POST', '/v2/orders', fault)
  const sent = order()
  const error = await failing(world.venue.submit(sent))
  expect(error).toMatchObject({ name: 'VenueError', kind: 'unclear' })
  expect([posts(), inBook(sent.client_order_id)]).toEqual([1, taken])
  expect((await world.venue.orderByClientId(sent.client_order_id))?.client_order_id).toBe(
    taken === 1 ? sent.client_order_id : undefined,
  )
})

test('an order that is in is a duplicate, also after its end', async () => {
  const sent = order()
  await world.venue.submit(sent)
  expect(await world.venue.submit(sent)).toEqual({ kind: 'duplicate' })
  world.emulator.control.cancelAtVenue(sent.client_order_id)
  expect(await world.venue.submit(sent)).toEqual({ kind: 'duplicate' })
  world.emulator.control.faults.next('POST', '/v2/orders', {
    status: 409,
    body: { code: 40010001, message: 'client order id must be unique' },
  })
  expect(await world.venue.submit(order())).toEqual({ kind: 'duplicate' })
})

test.each<[string, Partial<OrderToSend>, string]>([
  ['too dear', { qty: '100000' }, 'insufficient buying power; buying power: 100000; cost basis: 10050000'],
  [
    'off the grid',
    { limit_price: '100.123' },
    'invalid limit_price 100.123. sub-penny increment does not fulfill minimum pricing criteria',
  ],
  ['of a coin for a day', { symbol: 'BTC/USD', time_in_force: 'day' }, 'invalid crypto time_in_force'],
  [
    'a stop of a coin',
    { symbol: 'BTC/USD', order_type: 'stop', limit_price: null, stop_price: '90' },
    'invalid order type for crypto order',
  ],
  [
    'too small',
    { symbol: 'BTC/USD', qty: '0.001', limit_price: '100' },
    'cost basis must be >= minimal amount of order 10',
  ],
  [
    'of coins off their grid',
    { symbol: 'BTC/USD', qty: '1.00005', limit_price: '100' },
    'qty increment must be 0.0001',
  ],
  ['a part of a share', { qty: '0.5' }, 'fractional orders must be DAY orders'],
  ['for nothing that there is', { symbol: 'NOPE' }, 'asset "NOPE" not found'],
  [
    'of coins that are not there',
    { symbol: 'BTC/USD', side: 'sell', limit_price: '50000' },
    'insufficient balance for BTC (requested: 10, available: 0); balance: 0',
  ],
])('an order %s is rejected in the words of the venue', async (_name, changes, reason) => {
  const sent = order(changes)
  expect(await world.venue.submit(sent)).toEqual({ kind: 'rejected', reason })
  expect([posts(), inBook(sent.client_order_id)]).toEqual([1, 0])
})

test('what stands beside a refusal’s message is told too, and its number is in the log', async () => {
  const resting = order({ side: 'buy', qty: '1', limit_price: '100' })
  world.emulator.control.setPosition('AAPL', '5')
  await world.venue.submit(resting)
  const { id } = world.emulator.control.book.order(resting.client_order_id)
  expect(await world.venue.submit(order({ side: 'sell', qty: '1', limit_price: '99' }))).toEqual({
    kind: 'rejected',
    reason: `potential wash trade detected. use complex orders; reject reason: opposite side limit order exists; existing order id: ${id}`,
  })
  expect(world.logged.at(-1)).toMatch(
    /^warn Alpaca, submit order-\d+: potential wash trade .* {"exchange":"alpaca","mode":"paper","status":403,"request_id":"[0-9a-f-]+"}/,
  )
  const selling = order({ side: 'sell', qty: '3', limit_price: '200' })
  await world.venue.submit(selling)
  const held = world.emulator.control.book.order(selling.client_order_id).id
  expect(await world.venue.submit(order({ side: 'sell', qty: '4', limit_price: '201' }))).toEqual({
    kind: 'rejected',
    reason: `insufficient qty available for order (requested: 4, available: 2); existing qty: 5; held for orders: 3; related orders: ${held}`,
  })
  world.emulator.control.block('trade_suspended_by_user')
  expect(await world.venue.submit(order())).toEqual({
    kind: 'rejected',
    reason: 'new orders are rejected by user request',
  })
  world.emulator.control.block('trade_suspended_by_user', false)
  world.emulator.control.block('account_blocked')
  expect(await world.venue.submit(order())).toEqual({
    kind: 'rejected',
    reason: 'account is not allowed to trade',
  })
})

test.each(['buy', 'sell'] as const)('a stop to %s that the price has gone through is said to be that', async (side) => {
  world.emulator.control.setPrice('AAPL', '100')
  const sent = order({ symbol: 'AAPL', side, order_type: 'stop', limit_price: null, stop_price: '100' })
  const reason = `stop price must be ${side === 'sell' ? 'less' : 'greater'} than current price`
  expect(await world.venue.submit(sent)).toEqual({ kind: 'rejected', reason, passed: true })
})

test('too many requests did nothing: the bucket is emptied, and the order is not sent again by itself', async () => {
  world.emulator.control.faults.rateLimit(2)
  expect(await failing(world.venue.submit(order()))).toMatchObject({
    kind: 'rate_limited',
    retryAfterMs: expect.any(Number),
  })
  expect(await failing(world.venue.account())).toMatchObject({ kind: 'rate_limited' })
  expect(world.emptied.map((line) => line.split(' ')[0])).toEqual(['alpaca:paper:trading', 'alpaca:paper:trading'])
  expect([posts(), world.emulator.control.book.orders.length]).toEqual([1, 0])
})

test('a bucket that is empty lets nothing through', async () => {
  const { VenueError } = await import('../../venue.ts')
  const { emulator } = world
  const held = await openVenue(emulator.env, 'paper', {
    ...world.world,
    takeToken: async () => {
      throw new VenueError('rate_limited', 'used up', { retryAfterMs: 7 })
    },
  })
  expect(await failing(held.submit(order()))).toMatchObject({ kind: 'rate_limited', retryAfterMs: 7 })
  const away = await openVenue(emulator.env, 'paper', {
    ...world.world,
    takeToken: async () => {
      throw new Error('Postgres is away')
    },
  })
  expect(await failing(away.submit(order()))).toMatchObject({ kind: 'unavailable' })
  expect(emulator.received).toEqual([])
  expect(await away.cancelAll()).toBe(0)
})

test('wrong and revoked keys are named, without a secret', async () => {
  const { emulator } = world
  const wrong = await openVenue({ ...emulator.env, ALPACA_PAPER_API_SECRET: 'wrong secret' }, 'paper', world.world)
  const error = await failing(wrong.account())
  expect(error).toMatchObject({
    kind: 'unauthorised',
    message:
      'Alpaca, account: 403 forbidden.: keys of paper accounts work at the paper host only, live ones at the live host',
  })
  expect(await failing(wrong.submit(order()))).toMatchObject({ kind: 'unauthorised' })
  emulator.control.revokeKeys()
  const calls = [
    () => world.venue.account(),
    () => world.venue.submit(order()),
    () => world.venue.cancelAll(),
    () => world.venue.orders({ open: true }),
  ]
  for (const call of calls) expect(await failing(call())).toMatchObject({ kind: 'unauthorised' })
  expect(JSON.stringify([error, error.cause, String(error.stack)])).not.toContain('wrong secret')
})

test('a venue that is not there is unavailable, and an order surely not sent', async () => {
  await world.emulator.close()
  for (const call of [() => world.venue.submit(order()), () => world.venue.account()]) {
    expect(await failing(call())).toMatchObject({ kind: 'unavailable' })
  }
  world = await openAlpacaWorld()
})

test('a cancel: requested, ended, not found, refused for now, unclear', async () => {
  const { control } = world.emulator
  const taken = async () => {
    const answer = await world.venue.submit(order())
    if (answer.kind !== 'accepted') throw new Error('not accepted')
    return answer.order
  }
  const [one, two, three, four] = [await taken(), await taken(), await taken(), await taken()]
  expect(await world.venue.cancel(one)).toBe('requested')
  control.fill(two.client_order_id, '10', '100')
  expect(await world.venue.cancel(two)).toBe('ended')
  expect(await world.venue.cancel({ exchange_order_id: '00000000-0000-4000-8000-000000000000' })).toBe('not_found')
  const message = "order can't be cancelled, a replacement is pending"
  control.faults.next('DELETE', /.*/, { status: 422, body: { code: 42210000, message } }, 'accept_then_504')
  expect(await failing(world.venue.cancel(three))).toMatchObject({ kind: 'unavailable' })
  expect(await failing(world.venue.cancel(four))).toMatchObject({ kind: 'unclear' })
  expect((await world.venue.orderByClientId(four.client_order_id))?.status).toBe('cancelled')
  expect(await world.venue.cancel({ exchange_order_id: '' })).toBe('not_found')
  expect(await world.venue.cancelAll()).toBe(1)
})

test('a kill switch that could not cancel everything says so', async () => {
  const sent = order()
  await world.venue.submit(sent)
  await world.venue.submit(order())
  const third = order()
  await world.venue.submit(third)
  world.emulator.control.setStatus(third.client_order_id, 'pending_replace')
  expect(await failing(world.venue.cancelAll())).toMatchObject({
    kind: 'unclear',
    message: expect.stringContaining('1 of 3 orders were not cancelled'),
  })
  world.emulator.control.cancelAtVenue(third.client_order_id)
  const ids = { id: 'of an order', body: { code: 42210000, message: 'order is already in "filled" state' } }
  world.emulator.control.faults.next('DELETE', '/v2/orders', {
    status: 207,
    body: [
      { ...ids, status: 422 },
      { id: 'of another', status: 200, body: {} },
    ],
  })
  expect(await world.venue.cancelAll()).toBe(1)
  const held = order()
  await world.venue.submit(held)
  await world.venue.submit(order())
  world.emulator.control.setStatus(held.client_order_id, 'held')
  expect(await failing(world.venue.cancelAll())).toMatchObject({
    kind: 'unclear',
    message: expect.stringContaining('1 of 2 orders were not cancelled'),
  })
})

test('more orders and executions than fit a page are all there, each once', async () => {
  const { control } = world.emulator
  for (let number = 0; number < 1_050; number += 1) {
    const id = control.foreignOrder({ symbol: 'AAPL', side: 'buy', qty: '1', limit_price: '1' })
    if (number < 250) control.fill(id, '1', '1')
  }
  const all = await world.venue.orders({ since: 0 })
  expect([all.length, new Set(all.map(({ exchange_order_id }) => exchange_order_id)).size]).toEqual([1_050, 1_050])
  expect(await world.venue.orders({ open: true })).toHaveLength(800)
  const executions = await world.venue.executions(0)
  expect(new Set(executions.map(({ execution_id }) => execution_id)).size).toBe(250)
  expect(executions.every(({ client_order_id }) => client_order_id !== null)).toBe(true)
})

test('an old order that filled since is among what changed since', async () => {
  const { control } = world.emulator
  const old = control.foreignOrder({ symbol: 'AAPL', side: 'buy', qty: '1', limit_price: '1' })
  control.skew(3_600_000)
  const since = control.now()
  expect(await world.venue.orders({ since })).toEqual([])
  control.skew(3_601_000)
  control.fill(old, '1', '1')
  expect((await world.venue.orders({ since })).map(({ client_order_id }) => client_order_id)).toEqual([old])
  expect(await world.venue.executions(since)).toMatchObject([{ client_order_id: old, cum_qty: '1' }])
})

test('coins are BTC/USD everywhere, what is held is what the fee left', async () => {
  const { control } = world.emulator
  const sent = order({ symbol: 'BTC/USD', qty: '0.1', order_type: 'market', limit_price: null })
  control.setPrice('BTC/USD', '50000')
  await world.venue.submit(sent)
  control.fill(sent.client_order_id, '0.1', '50000')
  expect(await world.venue.positions()).toMatchObject([{ symbol: 'BTC/USD', qty: '0.09975' }])
  expect(await world.venue.executions(0)).toMatchObject([
    { symbol: 'BTC/USD', qty: '0.1', fee_qty: '0.00025', fee: null },
  ])
  expect(await world.venue.asset('BTC/USD')).toMatchObject({ symbol: 'BTC/USD', asset_class: 'crypto' })
  expect(await world.venue.asset('BTCUSD')).toBeNull()
})

test('the account cannot be taken for a real one, and every answer says what gave it', async () => {
  expect((await world.venue.account()).account_number).toBe('EMULATOR-PAPER-1')
  const { headers } = await fetch(`${world.emulator.url}/v2/clock`)
  expect(headers.get('x-emulator')).toBe('weaver test emulator of Alpaca, no real venue')
  expect(world.logged[0]).toMatch(/^warn orders of alpaca paper go to 127\.0\.0\.1:\d+, which is not Alpaca's/)
  world.emulator.control.skew(60_000)
  expect((await world.venue.time()) - world.now()).toBeGreaterThan(59_000)
})

test('its control is reached by HTTP too', async () => {
  const call = async (path: string, ...args: unknown[]) => {
    const init = { method: 'POST', body: JSON.stringify({ path, args }) }
    return (await fetch(`${world.emulator.url}/_control`, init)).json()
  }
  await call('setPosition', 'AAPL', '7', '99')
  await call('faults.rateLimit', 1)
  expect(await failing(world.venue.positions())).toMatchObject({ kind: 'rate_limited' })
  expect(await world.venue.positions()).toEqual([{ symbol: 'AAPL', qty: '7', avg_price: '99' }])
  expect(await call('nothing')).toEqual({ message: 'no control nothing' })
})
