/** The venue limits how often it is asked, and in what parts a share is traded: two hundred requests a minute, and no more. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let at: WeaverAtAlpaca
beforeAll(async () => {
  at = await openWeaverAtAlpaca('paper', { rateLimit: 200 })
  await at.paper.leap(Date.UTC(2025, 2, 3, 14, 30, 30) - at.paper.time.now())
})
afterEach(() => at.reset())
afterAll(() => at.close())

const limited = () => at.emulator.received.filter(({ status }) => status === 429).length

test('a run of fifty coins and one of fifty shares start, and the account stays ready beside', async () => {
  const { control } = at.emulator
  const names = Array.from({ length: 50 }, (_, i) => `${String.fromCharCode(65 + Math.floor(i / 26), 65 + (i % 26))}Q`)
  for (const [like, symbols] of [
    ['BTC/USD', names.map((name) => `${name}/USD`)],
    ['AAPL', names],
  ] as const) {
    const asset = control.book.asset(like)
    if (asset === undefined) throw new Error(`no ${like}`)
    control.book.assets.push(...symbols.map((symbol) => ({ ...asset, symbol, id: `id of ${symbol}` })))
  }
  await at.resting({ type: 'limit', limit_price: '50' })
  const before = at.emulator.count('GET', /^\/v2\/assets/)
  const start = (symbols: string[]) =>
    at.paper.start({
      ...{ strategy_id: 'asks', exchange: 'alpaca', symbols, timeframe: '1h', config: { at_bar: 99 } },
    })
  const runs = [await start(names.map((name) => `${name}/USD`)), await start(names)]
  const states = new Set<string>()
  for (const { id } of runs) {
    await at.until('the run to be open', async () => {
      states.add((await at.account()).state)
      expect((await at.paper.run(id)).status).toBe('running')
      const ledgers = await at.paper.query('select 1 from weaver.run_ledgers where run_id = $1', [id])
      return ledgers.length === 1
    })
  }
  await at.settle()
  states.add((await at.account()).state)
  expect([...states]).toEqual(['ready'])
  expect(at.emulator.count('GET', /^\/v2\/assets/) - before).toBeLessThan(10)
  expect(limited()).toBe(0)
  for (const { id } of runs) await at.paper.stop(id)
})

test('parts of a share that are bought for the day are closed, though closing is no order for the day', async () => {
  at.emulator.control.autoFill(true)
  await at.trade({ symbol: 'AAPL', qty: '1.5', time_in_force: 'day', close_after: 2 })
  await at.until('both orders to be filled', async () => {
    const orders = await at.orders()
    return orders.length === 2 && orders.every(({ status }) => status === 'filled')
  })
  expect(at.emulator.control.book.position('AAPL').toString()).toBe('0')
})

test('an exit whose price is off the grid lies at the venue, on it', async () => {
  at.emulator.control.autoFill(true)
  await at.trade({ symbol: 'AAPL', qty: '2', stop_loss: '90.0001', time_in_force: 'day' })
  await at.until('the stop loss to be there', async () => (await at.orders())[1]?.status === 'accepted')
  const [, exit] = at.emulator.control.book.orders.filter(({ symbol }) => symbol === 'AAPL').slice(-2)
  expect([exit?.type, exit?.stop_price, exit?.time_in_force]).toEqual(['stop', '90.01', 'gtc'])
})

test('what the owner has forbidden at the venue ends the order in the venue’s words, and nothing is sent again', async () => {
  const { control } = at.emulator
  await at.trade({ symbol: 'BTC/USD' })
  await at.paper.pass(1_000)
  control.block('trade_suspended_by_user')
  await at.ends('rejected')
  const { sent, events } = await at.outcome()
  expect([sent, events]).toEqual([
    [1, 0],
    ['Created', 'Submitted', 'Rejected'],
  ])
  expect((await at.order()).reject_reason).toBe('venue: new orders are rejected by user request')
  control.block('trade_suspended_by_user', false)
})
