import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Timeframe } from '../../../../strategies/api.ts'
import type { RawBar } from '../../../../tests/support/alpaca/market.ts'
import { type AlpacaWorld, openAlpacaWorld, openVenue } from '../../../../tests/support/alpaca/world.ts'

/** A Tuesday in summer, in the middle of a minute, an hour and a session. */
const NOW = Date.UTC(2026, 6, 14, 15, 30, 30)

let world: AlpacaWorld
beforeEach(async () => {
  world = await openAlpacaWorld({ start: NOW, speed: 1 })
})
afterEach(() => world.close())

const raw = (t: number, changes: Partial<RawBar> = {}): RawBar => ({
  t,
  o: 10,
  h: 12,
  l: 9,
  c: 11,
  v: 100,
  n: 3,
  ...changes,
})
const at = (text: string) => Date.parse(text)
async function bars(symbol: string, timeframe: Timeframe, start: string, end: string) {
  const list = await world.venue.bars({ symbol, timeframe, start: at(start), end: at(end) })
  return list.map(({ time, ...rest }) => ({ at: new Date(time).toISOString(), ...rest }))
}
const times = async (...asked: Parameters<typeof bars>) => (await bars(...asked)).map((bar) => bar.at)

test('a forming bar is no bar, a minute without trades is none, a coin’s without trades is one', async () => {
  const { market } = world.emulator.control
  const minutes = ['15:26', '15:27', '15:29', '15:30'].map((time) => raw(at(`2026-07-14T${time}:00Z`)))
  market.setBars('AAPL', '1Min', minutes)
  market.setBars('BTC/USD', '1Min', [raw(at('2026-07-14T15:29:00Z'), { v: 0, n: 0, o: 0.0000123 })])
  expect(await times('AAPL', '1m', '2026-07-14T15:27:00Z', '2026-07-14T15:40:00Z')).toEqual([
    '2026-07-14T15:27:00.000Z',
    '2026-07-14T15:29:00.000Z',
  ])
  expect(await bars('BTC/USD', '1m', '2026-07-14T15:00:00Z', '2026-07-14T15:40:00Z')).toEqual([
    {
      at: '2026-07-14T15:29:00.000Z',
      open: '0.0000123',
      high: '12',
      low: '9',
      close: '11',
      volume: '0',
      trade_count: '0',
    },
  ])
  // By the venue's clock, not by ours.
  world.emulator.control.skew(60_000)
  expect(await times('AAPL', '1m', '2026-07-14T15:30:00Z', '2026-07-14T15:40:00Z')).toEqual([
    '2026-07-14T15:30:00.000Z',
  ])
})

test('a day bar of a share is its session’s date, in winter and in summer, and closed when its day is', async () => {
  const stamps = ['2026-03-06T05:00:00Z', '2026-03-09T04:00:00Z', '2026-07-13T04:00:00Z', '2026-07-14T04:00:00Z']
  world.emulator.control.market.setBars(
    'AAPL',
    '1Day',
    stamps.map((time) => raw(at(time))),
  )
  expect(await times('AAPL', '1d', '2026-03-06T00:00:00Z', '2026-07-20T00:00:00Z')).toEqual([
    '2026-03-06T00:00:00.000Z',
    '2026-03-09T00:00:00.000Z',
    '2026-07-13T00:00:00.000Z',
  ])
  expect(await times('AAPL', '1d', '2026-03-09T00:00:00Z', '2026-03-09T00:00:00Z')).toEqual([
    '2026-03-09T00:00:00.000Z',
  ])
})

test('a day bar of a coin is a day of UTC; one that is not is left out', async () => {
  const stamps = ['2026-07-11T05:00:00Z', '2026-07-12T00:00:00Z', '2026-07-13T00:00:00Z', '2026-07-14T00:00:00Z']
  world.emulator.control.market.setBars(
    'BTC/USD',
    '1Day',
    stamps.map((time) => raw(at(time))),
  )
  expect(await times('BTC/USD', '1d', '2026-07-11T00:00:00Z', '2026-07-14T00:00:00Z')).toEqual([
    '2026-07-12T00:00:00.000Z',
    '2026-07-13T00:00:00.000Z',
  ])
})

test('four hours are made of hours, for Alpaca’s begin by New York’s clock', async () => {
  const hour = (time: string, changes: Partial<RawBar>) => raw(at(`2026-07-14T${time}:00Z`), changes)
  world.emulator.control.market.setBars('AAPL', '1Hour', [
    hour('08:00', { o: 1, h: 5, l: 1, c: 2, v: 10 }),
    hour('09:00', { o: 2, h: 9, l: 2, c: 3, v: 20 }),
    hour('11:00', { o: 3, h: 4, l: 0.5, c: 4, v: 30.5 }),
    hour('12:00', { o: 4, h: 4, l: 4, c: 4, v: 1 }),
  ])
  expect(await bars('AAPL', '4h', '2026-07-14T08:00:00Z', '2026-07-14T12:00:00Z')).toEqual([
    { at: '2026-07-14T08:00:00.000Z', open: '1', high: '9', low: '0.5', close: '4', volume: '60.5', trade_count: '9' },
  ])
})

test('what the plan does not give is refused in words that help', async () => {
  const sip = await openAlpacaWorld({ start: NOW, speed: 1, env: { ALPACA_DATA_FEED: 'sip' } })
  const request = { symbol: 'AAPL', timeframe: '1m', start: NOW - 60_000, end: NOW } as const
  await expect(sip.venue.bars(request)).rejects.toMatchObject({
    kind: 'refused',
    message: expect.stringMatching(/subscription does not permit querying recent SIP data\b.* ALPACA_DATA_FEED=iex$/),
  })
  // Coins are what they are.
  expect(['AAPL', 'BTC/USD'].map(sip.venue.feedOf)).toEqual(['sip', 'crypto_us'])
  expect(['AAPL', 'BTC/USD'].map(world.venue.feedOf)).toEqual(['iex', 'crypto_us'])
  await sip.close()
})

test('pages that do not come to an end are an error, not a part', async () => {
  const { faults } = world.emulator.control
  const page = { status: 200, body: { bars: {}, next_page_token: 'the same' } }
  faults.next('GET', '/v2/stocks/bars', page, page)
  const request = { symbol: 'AAPL', timeframe: '1m', start: NOW - 60_000, end: NOW } as const
  await expect(world.venue.bars(request)).rejects.toMatchObject({ kind: 'unavailable' })
  faults.next('GET', '/v2/stocks/bars', { status: 200, body: { bars: null, next_page_token: null } })
  expect(await world.venue.bars(request)).toEqual([])
})

test('a run’s symbols are asked for together, and before what nobody waits for', async () => {
  const taken: string[] = []
  const venue = await openVenue(world.emulator.env, 'paper', {
    ...world.world,
    takeToken: async (bucket, urgent) => void taken.push(`${bucket} ${urgent ? 'urgent' : 'read'}`),
  })
  const { market } = world.emulator.control
  const symbols = ['AAPL', 'SPY', 'BRK.A', 'BTC/USD', 'ETH/USD']
  symbols.forEach((symbol, index) => {
    market.setBars(
      symbol,
      '1Min',
      [0, 1].map((minute) => raw(at('2026-07-14T15:20:00Z') + minute * 60_000, { c: 10 + index })),
    )
  })
  const range = { timeframe: '1m', start: at('2026-07-14T15:20:00Z'), end: at('2026-07-14T15:21:00Z') } as const
  const closes = await Promise.all(
    symbols.map(async (symbol) => (await venue.bars({ symbol, ...range, urgent: true })).map(({ close }) => close)),
  )
  expect(closes).toEqual([0, 1, 2, 3, 4].map((index) => [String(10 + index), String(10 + index)]))
  await venue.bars({ symbol: 'AAPL', ...range })
  expect(taken).toEqual(['alpaca:paper:data urgent', 'alpaca:paper:data urgent', 'alpaca:paper:data read'])
  expect(world.emulator.received).toHaveLength(3)
})

test('of symbols that are asked for together a wrong one fails alone, and pages go on', async () => {
  const { market } = world.emulator.control
  const minutes = (count: number) =>
    Array.from({ length: count }, (_, index) => raw(NOW - 30_000 - (count - index) * 60_000))
  market.setBars('BTC/USD', '1Min', minutes(6_000))
  market.setBars('ETH/USD', '1Min', minutes(7_000))
  const range = { timeframe: '1m', start: NOW - 8_000 * 60_000, end: NOW } as const
  const ask = (symbol: string) =>
    world.venue.bars({ symbol, ...range }).then(
      (list) => list.length,
      (error: Error) => error.message,
    )
  expect(await Promise.all([ask('BTC/USD'), ask('ETH/USD')])).toEqual([6_000, 7_000])
  expect(world.emulator.received).toHaveLength(2)
  expect(await Promise.all([ask('BTC/USD'), ask('no/pair'), ask('ETH/USD')])).toEqual([
    6_000,
    expect.stringMatching(/^Alpaca, bars of no\/pair: 400 invalid symbol/),
    7_000,
  ])
})
