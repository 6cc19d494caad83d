import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Timeframe } from '../../../../strategies/api.ts'
import type { RawBar } from '../../../../tests/support/alpaca/market.ts'
import { type AlpacaWorld, openAlpacaWorld } from '../../../../tests/support/alpaca/world.ts'

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
    message: expect.stringContaining('subscription does not permit querying recent SIP data'),
  })
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
