import { expect, test } from 'vitest'
import type { Database } from '../../../db/database.ts'
import type { FetchRequest } from '../../../strategies/api.ts'
import { openAlpacaWorld } from '../../../tests/support/alpaca/world.ts'
import { until } from '../../../tests/support/until.ts'
import { wallClock } from '../../glados/clock.ts'
import { createBarCache } from './bar_cache.ts'

const MINUTE = 60_000

/** One in which nothing is stored. */
const nothing = { reader: { query: async () => [] } } as unknown as Database

test('a bar of five minutes is there when the last of its minutes is in it, at a venue that serves it before', async () => {
  const boundary = Date.UTC(2026, 2, 2, 15, 5)
  const world = await openAlpacaWorld({ start: boundary + 50, speed: 1 })
  // Of each minute one, so that a bar tells of how many it is made.
  world.emulator.control.market.serveLate('BTC/USD', 1_000, (t) => ({ t, o: 1, h: 1, l: 1, c: 1, v: 1, n: 1 }))
  const bars = createBarCache({ ...wallClock, db: nothing, record: async () => {}, now: world.now, log: () => {} })
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
