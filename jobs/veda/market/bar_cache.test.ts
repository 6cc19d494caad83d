import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Database } from '../../../db/database.ts'
import { listCandles } from '../../../db/walle/queries/candles.ts'
import { record } from '../../../db/walle/record.ts'
import type { FetchRequest } from '../../../strategies/api.ts'
import { openAlpacaWorld } from '../../../tests/support/alpaca/world.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { LIVE_START } from '../../../tests/support/live_run.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { until } from '../../../tests/support/until.ts'
import { wallClock } from '../../glados/clock.ts'
import { type BarRequest, type VenueBar, VenueError } from '../venue.ts'
import { type BarCache, type BarCacheOptions, createBarCache } from './bar_cache.ts'

const MINUTE = 60_000

let database: TestDatabase
let symbols = 0
/** A series of its own for each test. */
let S = ''
let now = 0
let venue: ScriptedVenue
/** The minutes that there are. */
let market: number[]
let bars: BarCache

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(() => {
  S = `S${++symbols}/USD`
  now = LIVE_START
  market = [-2, -1].map((minute) => LIVE_START + minute * MINUTE)
  const answer = async ({ start, end }: BarRequest) =>
    market.filter((time) => time >= start && time <= end && time + MINUTE <= now).map((time) => bar(time, '1'))
  venue = { ...createScriptedVenue({ now: () => now }), bars: answer }
  bars = freshCache()
})

const bar = (time: number, price: string): VenueBar => {
  return { time, open: price, high: price, low: price, close: price, volume: '1', trade_count: null }
}

function freshCache(): BarCache {
  const recorded: BarCacheOptions['record'] = async (tx, outcome) => {
    await record(tx, outcome)
  }
  return createBarCache({ ...wallClock, db: database.db, record: recorded, now: () => now, log: () => {} })
}

/** One in which nothing is stored. */
const nothing = { reader: { query: async () => [] } } as unknown as Database

test('a bar of five minutes is there when the last of its minutes is in it, at a venue that serves it before', async () => {
  const boundary = Date.UTC(2026, 2, 2, 15, 5)
  const world = await openAlpacaWorld({ start: boundary + 50, speed: 1 })
  // Of each minute one, so that a bar tells of how many it is made.
  world.emulator.control.market.serveLate('BTC/USD', 1_000, (t) => ({ t, o: 1, h: 1, l: 1, c: 1, v: 1, n: 1 }))
  bars = createBarCache({ ...wallClock, db: nothing, record: async () => {}, now: world.now, log: () => {} })
  const requests: FetchRequest[] = [{ symbol: 'BTC/USD', timeframe: '5m', bars: 1 }]
  const look = () => bars.gather(world.venue, requests, boundary)
  const early = await look()
  expect(early.missing).toEqual(['BTC/USD 5m'])
  expect([...(early.windows[0]?.volume ?? [])]).toEqual([4])
  const whole = await until('the bar', async () => {
    const { missing, windows } = await look()
    return missing.length === 0 ? windows[0] : null
  })
  expect([...(whole?.time ?? [])]).toEqual([boundary - 5 * MINUTE])
  expect([...(whole?.volume ?? [])]).toEqual([5])
  await world.close()
})

test('an answer that never comes holds up nobody for ever', async () => {
  const { bars: answers } = venue
  const hangs = Promise.withResolvers<void>()
  venue.bars = () => {
    hangs.resolve()
    return new Promise<never>(() => {})
  }
  const requests: FetchRequest[] = [{ symbol: S, timeframe: '1m', bars: 2 }]
  void bars.gather(venue, requests, LIVE_START)
  await hangs.promise
  venue.bars = answers
  now += 31_000
  expect((await bars.gather(venue, requests, LIVE_START)).missing).toEqual([])
})

test('bars are asked for by the keys that work, whoever asked first', async () => {
  const revoked = createScriptedVenue({ mode: 'paper', now: () => now })
  revoked.bars = async () => {
    throw new VenueError('unauthorised', 'revoked')
  }
  const live: ScriptedVenue = { ...venue, mode: 'live' }
  const requests: FetchRequest[] = [{ symbol: S, timeframe: '1m', bars: 2 }]
  expect((await bars.gather(revoked, requests, LIVE_START)).missing).toEqual([`${S} 1m`])
  expect((await bars.gather(live, requests, LIVE_START)).missing).toEqual([])
  // And the other has them by the way of its neighbour.
  market.push(LIVE_START)
  now = LIVE_START + MINUTE
  expect((await bars.gather(revoked, requests, now)).missing).toEqual([])
})

test('after a split all that is stored is fetched anew, and the window is of one piece', async () => {
  const symbol = `SPLIT${symbols}`
  const [close, open] = [Date.parse('2026-03-02T21:00:00Z'), Date.parse('2026-03-03T14:30:00Z')]
  const times = [...Array.from({ length: 10 }, (_, n) => close - (10 - n) * MINUTE), open, open + MINUTE]
  venue.bars = async ({ start, end }) => {
    return times.filter((time) => time >= start && time <= end).map((time) => bar(time, now < open ? '400' : '100'))
  }
  const request = (wanted: number): FetchRequest[] => [{ symbol, timeframe: '1m', bars: wanted }]
  now = close
  await bars.gather(venue, request(10), close)
  await bars.store(venue, request(10))
  bars = freshCache()
  now = open + 2 * MINUTE
  const { windows } = await bars.gather(venue, request(4), now)
  expect([...(windows[0]?.close ?? [])]).toEqual([100, 100, 100, 100])
  await bars.storeDue()
  const fetches = await database.db.reader.query('select * from weaver.candle_fetches where symbol = $1', [symbol])
  const iso = (time: number) => new Date(time).toISOString()
  expect(fetches).toMatchObject([
    {
      ...{ exchange: 'scripted', mode: 'paper', timeframe: '1m', adjustment: 'split', status: 'running' },
      ...{ start_time: iso(close - 10 * MINUTE), end_time: iso(close - 3 * MINUTE) },
    },
  ])
  const stored = await listCandles(database.db.reader, {
    symbol,
    timeframe: '1m',
    start: iso(close - 2 * MINUTE),
    limit: 9,
  })
  expect(stored.map((candle) => candle.close)).toEqual(['100', '100', '100', '100'])
})

test('a series that nobody asks for any more is let go, and read again when somebody does', async () => {
  const requests: FetchRequest[] = [{ symbol: S, timeframe: '1m', bars: 2 }]
  const newest = LIVE_START - MINUTE
  await bars.gather(venue, requests, LIVE_START)
  now += 3_600_000 + 3 * MINUTE
  await bars.storeDue()
  expect(bars.has(venue, S, '1m', newest)).toBe(true)
  now += 1
  await bars.storeDue()
  expect(bars.has(venue, S, '1m', newest)).toBe(false)
  venue.bars = async () => {
    throw new VenueError('unavailable', 'nobody is to ask')
  }
  const { windows, missing } = await bars.gather(venue, requests, LIVE_START)
  expect([missing, [...(windows[0]?.time ?? [])]]).toEqual([[], market])
})
