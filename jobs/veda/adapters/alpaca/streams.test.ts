import { afterEach, expect, test } from 'vitest'
import type { DataStream } from '../../../../tests/support/alpaca/streams.ts'
import { type AlpacaWorld, type AlpacaWorldOptions, openAlpacaWorld } from '../../../../tests/support/alpaca/world.ts'
import { until } from '../../../../tests/support/until.ts'
import type { Execution, VenueOrder, VenueStream } from '../../venue.ts'

let world: AlpacaWorld
let stream: VenueStream
let updates: { order: VenueOrder; execution: Execution | null }[] = []
let states: string[] = []
let market: string[] = []

async function listen(options: AlpacaWorldOptions = {}): Promise<void> {
  world = await openAlpacaWorld({ speed: 100, ...options })
  updates = []
  states = []
  market = []
  const opened = world.venue.stream({
    onOrder: (order, execution) => void updates.push({ order, execution }),
    onBar: ({ symbol, time, revised, close }) =>
      void market.push(`${revised ? 'revised' : 'bar'} ${symbol} ${new Date(time).toISOString()} ${close}`),
    onQuote: ({ symbol, bid, ask }) => void market.push(`quote ${symbol} ${bid} ${ask}`),
    onTrade: ({ symbol, price, size }) => void market.push(`trade ${symbol} ${price} ${size}`),
    onState: ({ up, reason }) => void states.push(`${up ? 'up' : 'down'}: ${reason}`),
  })
  stream = opened as VenueStream
}
afterEach(() => world.close())

const ups = () => states.filter((state) => state.startsWith('up')).length
const isUp = (count = 1) => until('the stream to be up', async () => ups() >= count)
const control = () => world.emulator.control

test.each(['paper', 'live'] as const)('%s: what becomes of an order is told once it is listened to', async (mode) => {
  await listen({ mode })
  await isUp()
  const id = control().foreignOrder({ symbol: 'AAPL', side: 'buy', qty: '10', limit_price: '100' })
  control().fill(id, '4', '99')
  control().fill(id, '6', '98')
  await until('the last fill', async () => updates.at(-1)?.order.status === 'filled')
  expect(
    updates.map(({ order, execution }) => [order.status, execution?.qty, execution?.cum_qty, execution?.price]),
  ).toEqual([
    ['accepted', undefined, undefined, undefined],
    ['partial', '4', '4', '99'],
    ['filled', '6', '10', '98'],
  ])
})

test('a stream that ends comes again, also when the old one counts for a while, and says each time that it is up', async () => {
  await listen({ ghostMs: 90_000 })
  await isUp()
  control().streams.cut({ ghost: true })
  await isUp(2)
  expect(states).toEqual(['up: subscribed', expect.stringMatching(/^down: /), 'up: subscribed'])
  expect(world.logged.filter((line) => line.includes('a stream of Alpaca ended')).length).toBeGreaterThan(2)
  const id = control().foreignOrder({ symbol: 'AAPL', side: 'buy', qty: '1', limit_price: '1' })
  await until('the update', async () => updates.at(-1)?.order.client_order_id === id)
})

test('a line that somebody takes over again and again is come back to ever more slowly, and a steady one at once', async () => {
  await listen({ ghostMs: 0 })
  const waits = () =>
    world.logged
      .filter((line) => line.includes('a stream of Alpaca ended'))
      .map((line) => Number(/"again_ms":(\d+)/.exec(line)?.[1]))
  for (let times = 1; times <= 5; times += 1) {
    await isUp(times)
    control().streams.steal()
  }
  await isUp(6)
  expect(waits()).toEqual([...waits()].sort((one, other) => one - other))
  expect(waits().at(-1)).toBeGreaterThanOrEqual(15_000)
  const since = world.now()
  await until('a minute', async () => world.now() - since > 61_000)
  control().streams.steal()
  await isUp(7)
  expect(waits().at(-1)).toBeLessThan(1_000)
})

test('a line that says nothing more is found out and left', async () => {
  await listen({ ghostMs: 0 })
  await isUp()
  control().streams.silence(true)
  await until('the stream to be down', async () => states.includes('down: silent'))
  await isUp(2)
})

test('quiet is not silence: what is asked is answered, and the stream stays up', async () => {
  await listen()
  await isUp()
  const since = world.now()
  await until('two minutes', async () => world.now() - since > 120_000)
  expect(states).toEqual(['up: subscribed'])
})

test('keys that are refused are no stream, until they are good again', async () => {
  await listen()
  await isUp()
  control().revokeKeys()
  await until('the refusal', async () => world.logged.some((line) => line.includes('Alpaca refuses the keys')))
  control().restoreKeys()
  await isUp(2)
})

test('a stream that is not given what it asks for is not up', async () => {
  await listen({ ghostMs: 0 })
  await isUp()
  control().streams.trade.withhold(1)
  control().streams.cut()
  await isUp(2)
  expect(states[1]).toMatch(/^down: /)
  const ended = world.logged.filter((line) => line.includes('a stream of Alpaca ended'))
  expect(ended.at(-1)).toContain('Alpaca does not give trade_updates')
})

test('an update that is not understood ends the stream, so that the account is compared anew', async () => {
  await listen({ ghostMs: 0 })
  await isUp()
  control().streams.trade.push({ event: 'fill', order: { id: 'what is this' } })
  await isUp(2)
  expect(states[1]).toMatch(/^down: a message that is not understood/)
})

test('bars, their corrections, quotes and trades of what is watched', async () => {
  await listen()
  stream.watch(['BTC/USD', 'AAPL'], { quotes: ['BTC/USD'], trades: ['BTC/USD'] })
  const data = () => control().streamAt('/v2/iex') as unknown as { subscribed(channel: string): string[] }
  await until('both subscriptions', async () => {
    const coins = control().streamAt('/v1beta3/crypto/us') as unknown as { subscribed(channel: string): string[] }
    return data().subscribed('updatedBars').length === 1 && coins.subscribed('updatedBars').length === 1
  })
  const bar = { t: Date.UTC(2026, 2, 2, 15, 0), o: 1, h: 2, l: 0.5, c: 1.5, v: 10, n: 1 }
  control().streams.bar('AAPL', bar)
  control().streams.bar('AAPL', { ...bar, c: 1.75 }, true)
  control().streams.bar('SPY', bar)
  control().streams.quote('BTC/USD', '0.00000012', '0.00000013')
  control().streams.quote('AAPL', '1', '2')
  control().streams.trades('BTC/USD', '50000.5', '0.1')
  await until('all of it', async () => market.length === 4)
  expect([...market].sort()).toEqual([
    'bar AAPL 2026-03-02T15:00:00.000Z 1.5',
    'quote BTC/USD 0.00000012 0.00000013',
    'revised AAPL 2026-03-02T15:00:00.000Z 1.75',
    'trade BTC/USD 50000.5 0.1',
  ])
  stream.watch(['SPY', 'BTC/USD'])
  await until('the change', async () => data().subscribed('bars').join() === 'SPY')
  const coins = control().streamAt('/v1beta3/crypto/us') as unknown as { subscribed(channel: string): string[] }
  await until('no more quotes', async () => coins.subscribed('quotes').length === 0)
  expect(coins.subscribed('bars')).toEqual(['BTC/USD'])
  expect(states).toEqual(['up: subscribed'])
})

test('several messages of one frame are all heard, and one of them that is not understood harms no other', async () => {
  await listen()
  stream.watch(['AAPL'], { quotes: ['AAPL'], trades: [] })
  const data = control().streamAt('/v2/iex') as DataStream
  await until('the subscription', async () => data.subscribed('quotes').length === 1)
  const at = '2026-03-02T15:00:00.123456789Z'
  data.push([
    { T: 'q', S: 'AAPL', t: at, bp: 1, ap: 2 },
    { T: 'q', S: 'AAPL', t: at },
    { T: 'b', S: 'AAPL', t: '2026-03-02T15:00:00Z', o: 1, h: 2, l: 0.5, c: 1.5, v: 10, n: 1 },
  ])
  await until('both', async () => market.length === 2)
  expect(market).toEqual(['quote AAPL 1 2', 'bar AAPL 2026-03-02T15:00:00.000Z 1.5'])
  expect(world.logged.at(-1)).toContain('market data that is not understood')
})

test.each([
  [407, 'slow client'],
  [500, 'internal error'],
] as const)('data that ends with %i comes again', async (code, words) => {
  await listen({ ghostMs: 0 })
  stream.watch(['AAPL'])
  const data = control().streamAt('/v2/iex') as DataStream
  const isSubscribed = () => until('the subscription', async () => data.subscribed('bars').join() === 'AAPL')
  await isSubscribed()
  control().streams.error(code)
  await until('the end', async () => world.logged.some((line) => line.includes(`${code} ${words}`)))
  await isSubscribed()
})

test('data that keys or the plan do not give is asked for ever more rarely, and orders are heard of beside', async () => {
  await listen({ ghostMs: 0, env: { ALPACA_DATA_FEED: 'sip' } })
  stream.watch(['AAPL'])
  const refusals = () => world.logged.filter((line) => line.includes('409 insufficient subscription'))
  await until('three refusals', async () => refusals().length === 3)
  const waits = refusals().map((line) => Number(/"again_ms":(\d+)/.exec(line)?.[1]))
  expect(waits).toEqual([...waits].sort((one, other) => one - other))
  await isUp()
  control().revokeKeys()
  await until('their refusal', async () => world.logged.some((line) => line.includes('402 auth failed')))
})

test('more symbols than the plan allows are streamed in part, and the stream stays', async () => {
  await listen()
  stream.watch(Array.from({ length: 50 }, (_, index) => `S${index}`))
  const data = () => control().streamAt('/v2/iex') as unknown as { subscribed(channel: string): string[] }
  await until('a subscription', async () => data().subscribed('bars').length === 25)
  expect(world.logged.some((line) => line.includes('no more symbols than that'))).toBe(true)
})

test('what the plan does not allow for, quotes are the first to be done without', async () => {
  await listen()
  const symbols = Array.from({ length: 30 }, (_, index) => `S${index}`)
  stream.watch(symbols, { quotes: ['AAPL'], trades: [] })
  const data = () => control().streamAt('/v2/iex') as unknown as { subscribed(channel: string): string[] }
  await until('a subscription', async () => data().subscribed('bars').length > 0)
  expect(data().subscribed('bars')).toEqual(symbols)
  expect(data().subscribed('quotes')).toEqual([])
})

test('another connection to the same data is waited for', async () => {
  await listen()
  const holder = new WebSocket(`${world.emulator.url.replace('http', 'ws')}/v2/iex`)
  await new Promise((resolve) => {
    holder.onmessage = ({ data }) => {
      if (String(data).includes('connected')) {
        holder.send(JSON.stringify({ action: 'auth', key: world.emulator.key, secret: world.emulator.secret }))
      } else resolve(null)
    }
  })
  stream.watch(['AAPL'])
  await until('the refusal', async () => world.logged.some((line) => line.includes('406 connection limit exceeded')))
  holder.close()
  const data = () => control().streamAt('/v2/iex') as unknown as { subscribed(channel: string): string[] }
  await until('the subscription', async () => data().subscribed('bars').join() === 'AAPL')
})
