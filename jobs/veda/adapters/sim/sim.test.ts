import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../tests/support/database.ts'
import { openSimWorld, type SimWorld } from '../../../../tests/support/sim_world.ts'
import { pause, until } from '../../../../tests/support/until.ts'
import type { OrderToSend, Venue } from '../../venue.ts'
import definition from './index.ts'
import { readSettings } from './settings.ts'

let database: TestDatabase
let sim: SimWorld
const START = Date.UTC(2026, 2, 2, 15)

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  await sim?.close()
  await database.db.write((tx) => tx.execute('delete from weaver.sim_accounts'))
  sim = openSimWorld(database.db, START)
  return () => sim.close()
})

const buy = (id: string, given: Partial<OrderToSend> = {}): OrderToSend => ({
  client_order_id: id,
  symbol: 'SIM/USD',
  side: 'buy',
  order_type: 'market',
  qty: '10',
  limit_price: null,
  stop_price: null,
  trail_price: null,
  trail_percent: null,
  time_in_force: 'gtc',
  extended_hours: false,
  ...given,
})

const failure = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: { kind?: string }) => error.kind ?? error,
  )
const held = async (venue: Venue) => (await venue.positions()).map(({ symbol, qty }) => ({ symbol, qty }))

test('what it has taken in outlives the process and is shared by all', async () => {
  await sim.venue.submit(buy('a'))
  await sim.venue.submit(buy('b', { order_type: 'limit', limit_price: '1' }))
  const other = sim.another()
  expect(await held(other)).toEqual([{ symbol: 'SIM/USD', qty: '10' }])
  expect((await other.orders({ open: true })).map(({ client_order_id }) => client_order_id)).toEqual(['b'])
  expect(await other.submit(buy('a'))).toEqual({ kind: 'duplicate' })
  expect(await other.cancelAll()).toBe(1)
  expect(await sim.venue.orders({ open: true })).toEqual([])
})

test('an order fills while nobody looks, at the moment that the market got there', async () => {
  const bars = async () => sim.venue.bars({ symbol: 'SIM/USD', timeframe: '1m', start: START, end: sim.time.now() })
  sim.time.move(3_600_000)
  const low = Math.min(...(await bars()).map((bar) => Number(bar.low)))
  const price = Number((await bars()).at(-1)?.close)
  await sim.venue.submit(buy('a', { order_type: 'stop', side: 'buy', stop_price: (price + 0.3).toFixed(2) }))
  sim.time.move(86_400_000)
  const order = await sim.venue.orderByClientId('a')
  expect(order).toMatchObject({ status: 'filled', filled_qty: '10' })
  const [execution] = await sim.venue.executions(START)
  expect(execution?.at).toBe(order?.updated_at)
  expect(execution?.at).toBeLessThan(sim.time.now() - 60_000)
  expect(Number(execution?.price)).toBeGreaterThan(low)
})

test('a lost answer leaves the order there, a time-out before it leaves nothing', async () => {
  await sim.venue.account()
  await sim.exchange.setFaults({ lost_answer: 1 })
  expect(await failure(sim.venue.submit(buy('a')))).toBe('unclear')
  await sim.exchange.setFaults({ timed_out: 1 })
  expect(await failure(sim.venue.submit(buy('b')))).toBe('unclear')
  expect(await failure(sim.venue.account())).toBe('unavailable')
  await sim.exchange.setFaults({ rate_limited: 1 })
  expect(await failure(sim.venue.submit(buy('c')))).toBe('rate_limited')
  await sim.exchange.setFaults({ unavailable: 1 })
  expect(await failure(sim.venue.submit(buy('d')))).toBe('unavailable')
  await sim.exchange.setFaults({})
  expect((await sim.venue.orders({ since: 0 })).map(({ client_order_id }) => client_order_id)).toEqual(['a'])
  expect(await sim.venue.submit(buy('a'))).toEqual({ kind: 'duplicate' })
})

test('orders are refused at once, or taken in and rejected later', async () => {
  await sim.exchange.setFaults({ refused: 1 })
  expect((await sim.venue.submit(buy('a'))).kind).toBe('rejected')
  await sim.exchange.setFaults({ rejected: 1 })
  expect((await sim.venue.submit(buy('b'))).kind).toBe('accepted')
  expect(await sim.venue.orderByClientId('b')).toMatchObject({ status: 'rejected', filled_qty: '0' })
  expect(await sim.venue.orderByClientId('a')).toBeNull()
  expect(await held(sim.venue)).toEqual([])
})

test('what waited through a halt trades at the prices after it', async () => {
  await sim.exchange.setFaults({ halted: ['SIM/USD'] })
  await sim.venue.submit(buy('a'))
  sim.time.move(600_000)
  expect(await sim.venue.orderByClientId('a')).toMatchObject({ status: 'accepted' })
  await sim.exchange.setFaults({})
  sim.time.move(1_000)
  expect(await sim.venue.orderByClientId('a')).toMatchObject({ status: 'filled', updated_at: START + 601_000 })
})

test('a clock that is behind does not turn the market back', async () => {
  sim.time.move(10_000)
  await sim.venue.account()
  const behind = openSimWorld(database.db, START)
  expect(await behind.venue.time()).toBe(START + 10_000)
  await behind.close()
})

test('updates are doubled, delayed, swapped and lost on their way, never in the book', async () => {
  const heard: string[] = []
  const stream = sim.venue.stream({
    onOrder: (order, execution) =>
      heard.push(`${order.client_order_id} ${order.status} ${execution === null ? '' : 'fill'}`),
    onBar: () => {},
    onState: ({ up, reason }) => heard.push(`${up ? 'up' : 'down'}: ${reason}`),
  })
  const hears = (what: string, times: number) =>
    until(`${what} to be heard ${times} times`, async () => {
      sim.time.move(250)
      await pause(1)
      return heard.filter((one) => one === what).length >= times
    })
  await hears('up: subscribed', 1)
  await sim.exchange.setFaults({ update_doubled: 1 })
  await sim.venue.submit(buy('a'))
  await hears('a filled fill', 2)
  await sim.exchange.setFaults({ update_dropped: 1, stream_cut: 1 })
  await sim.venue.submit(buy('b'))
  await sim.venue.orderByClientId('b')
  await hears('down: the simulator cut the stream', 1)
  await sim.exchange.setFaults({})
  await hears('up: subscribed', 2)
  await sim.exchange.setFaults({ update_delayed: 1, update_delay_ms: 60_000 })
  await sim.venue.submit(buy('c'))
  await hears('c filled fill', 1)
  expect(heard.filter((one) => one.startsWith('b'))).toEqual([])
  expect(heard.filter((one) => one.startsWith('a accepted'))).toHaveLength(2)
  expect((await sim.venue.executions(START)).length).toBe(3)
  const closing = stream?.close()
  sim.time.release()
  await closing
})

test('closed bars of watched symbols are told once, and once more when they were corrected', async () => {
  const heard: string[] = []
  const stream = sim.venue.stream({
    onOrder: () => {},
    onBar: ({ symbol, time, revised }) =>
      heard.push(`${symbol} ${(time - START) / 60_000}${revised ? ' revised' : ''}`),
    onState: () => {},
  })
  stream?.watch(['SIM/USD', 'SIM'])
  await sim.exchange.setFaults({ bar_revised: 1 })
  sim.time.move(30_000)
  await until('bars', async () => {
    if (sim.time.now() < START + 180_000) sim.time.move(5_000)
    await pause(5)
    return heard.includes('SIM 2') && heard.includes('SIM 1 revised')
  })
  const closing = stream?.close()
  sim.time.release()
  await closing
  const around = heard.filter((one) => one.startsWith('SIM/USD'))
  expect(around).toEqual([...new Set(around)])
  expect(around).toEqual(expect.arrayContaining(['SIM/USD 0', 'SIM/USD 0 revised', 'SIM/USD 1', 'SIM/USD 2']))
})

test('cash, fees in kind and positions are what the executions amount to', async () => {
  await sim.close()
  await database.db.write((tx) => tx.execute('delete from weaver.sim_accounts'))
  sim = openSimWorld(database.db, START, { commission_bps: 25, fee_in_kind: true, cash: '100000' })
  await sim.venue.submit(buy('a', { qty: '0.1' }))
  expect(await held(sim.venue)).toEqual([{ symbol: 'SIM/USD', qty: '0.09975' }])
  const answer = await sim.venue.submit(buy('b', { side: 'sell', qty: '0.1' }))
  expect(answer).toEqual({
    kind: 'rejected',
    reason: 'insufficient balance for SIM (requested: 0.1, available: 0.09975)',
  })
  await sim.venue.submit(buy('c', { side: 'sell', qty: '0.09975' }))
  expect(await held(sim.venue)).toEqual([])
  const [bought, sold] = await sim.venue.executions(START)
  expect(bought).toMatchObject({ qty: '0.1', fee: '0', fee_qty: '0.00025', cum_qty: '0.1' })
  const cash = 100_000 - 0.1 * Number(bought?.price) + 0.09975 * Number(sold?.price) * 0.9975
  expect(Number((await sim.venue.account()).cash)).toBeCloseTo(cash, 8)
})

test('what is kept for open orders cannot be spent or sold twice', async () => {
  await sim.venue.submit(buy('a', { order_type: 'limit', limit_price: '1', qty: '999990' }))
  expect((await sim.venue.account()).buying_power).toBe('10')
  expect((await sim.venue.submit(buy('b'))).kind).toBe('rejected')
  await sim.venue.cancelAll()
  await sim.venue.submit(buy('c'))
  await sim.venue.submit(buy('d', { side: 'sell', order_type: 'limit', limit_price: '9999' }))
  expect(await sim.venue.submit(buy('e', { side: 'sell' }))).toEqual({
    kind: 'rejected',
    reason: 'insufficient balance for SIM (requested: 10, available: 0)',
  })
})

test('settings come from the environment, and wrong ones are named', async () => {
  expect(definition.settings({ SIM_SEED: '5', SIM_FEE_IN_KIND: 'true' }, 'paper')).toMatchObject({
    seed: 5,
    fee_in_kind: true,
    cash: '1000000',
  })
  expect(() => readSettings({ SIM_SEED: 'x', SIM_CASH: '-1' })).toThrow(
    /SIM_SEED: .*; SIM_CASH: must be an amount of money/,
  )
})
