import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DAY_MS } from '../../db/walle/calendar/days.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { absorb, type BarSeries, hear, newestClosed, startOf, THIN_MS, toAsk, windowAt } from './market_data.ts'
import type { VenueBar } from './venue.ts'

const MINUTE = 60_000
const at = (text: string) => Date.parse(text)
const isoOf = (time: number) => new Date(time).toISOString().slice(0, 16)
const closedAt = (symbol: string, timeframe: Timeframe, ts: string) => isoOf(newestClosed(symbol, timeframe, at(ts)))

function bar(time: number, close = '100', changes: Partial<VenueBar> = {}): VenueBar {
  return { time, open: '100', high: '101', low: '99', close, volume: '5', trade_count: null, ...changes }
}

test('the newest closed bar of what trades around the clock is that of the grid', () => {
  expect(closedAt('BTC/USD', '1m', '2026-03-02T00:05:00Z')).toBe('2026-03-02T00:04')
  expect(closedAt('BTC/USD', '1m', '2026-03-02T00:05:59.999Z')).toBe('2026-03-02T00:04')
  expect(closedAt('BTC/USD', '1h', '2026-03-02T00:05:00Z')).toBe('2026-03-01T23:00')
  expect(closedAt('BTC/USD', '1d', '2026-03-02T00:00:00Z')).toBe('2026-03-01T00:00')
})

test.each([
  ['in winter', '1m', '2026-03-06T14:31:00Z', '2026-03-06T14:30'],
  ['before its first bar closed', '1m', '2026-03-06T14:30:30Z', '2026-03-05T20:59'],
  ['on the Monday after New York changed its clocks', '1m', '2026-03-09T13:31:00Z', '2026-03-09T13:30'],
  ['at the end of the session', '5m', '2026-03-09T20:00:00Z', '2026-03-09T19:55'],
  ['at night', '5m', '2026-03-10T03:00:00Z', '2026-03-09T19:55'],
  ['on a Sunday', '15m', '2026-03-08T12:00:00Z', '2026-03-06T20:45'],
  ['after a half day', '1m', '2026-11-27T19:00:00Z', '2026-11-27T17:59'],
  ['an hour that begins before the session does', '1h', '2026-03-09T14:00:00Z', '2026-03-09T13:00'],
  ['a day, once it is over', '1d', '2026-03-10T00:00:00Z', '2026-03-09T00:00'],
  ['a day that is not over', '1d', '2026-03-09T20:30:00Z', '2026-03-06T00:00'],
] as const)('the newest closed bar of an equity: %s', (_, timeframe, ts, expected) => {
  expect(closedAt('AAPL', timeframe, ts)).toBe(expected)
})

test('so many bars of an equity go back over nights, weekends and holidays', () => {
  const newest = at('2026-03-09T13:31:00Z')
  const start = (bars: number, timeframe: Timeframe = '1m') =>
    isoOf(startOf({ symbol: 'AAPL', timeframe, bars, newest }))
  expect(start(1)).toBe('2026-03-09T13:31')
  expect(start(2)).toBe('2026-03-09T13:30')
  expect(start(3)).toBe('2026-03-06T20:59')
  expect(start(2 + 390)).toBe('2026-03-06T14:30')
  expect(startOf({ symbol: 'BTC/USD', timeframe: '1m', bars: 3, newest })).toBe(newest - 2 * MINUTE)
})

const T = at('2026-03-02T00:00:00Z')
const wanted = (newest: number, bars = 3) => ({ symbol: 'BTC/USD', timeframe: '1m', bars, newest }) as const

test('a series is asked for whole, then from its newest bars on, and not at all when it is there', () => {
  const first = toAsk(null, wanted(T))
  expect(first).toEqual({ start: T - 2 * MINUTE, end: T, anew: true })
  const bars = [-2, -1, 0].map((n) => bar(T + n * MINUTE))
  const { series, changed } = absorb(null, first as never, bars, {
    symbol: 'BTC/USD',
    timeframe: '1m',
    now: T + MINUTE,
  })
  expect(series).toEqual({ bars, first: T - 2 * MINUTE, last: T, asked_at: T + MINUTE })
  expect(changed).toEqual(bars)
  expect(toAsk(series, wanted(T))).toBeNull()
  expect(toAsk(series, wanted(T + MINUTE))).toEqual({ start: T - 2 * MINUTE, end: T + MINUTE, anew: false })
})

test('what is corrected counts as changed, what is not does not, and what the venue leaves out stays', () => {
  const series: BarSeries = { bars: [bar(T), bar(T + MINUTE)], first: T, last: T + MINUTE, asked_at: T }
  const asked = { start: T, end: T + 2 * MINUTE, anew: false }
  const answer = [bar(T, '100.0'), bar(T + 2 * MINUTE, '103')]
  const after = absorb(series, asked, answer, { symbol: 'BTC/USD', timeframe: '1m', now: T + 3 * MINUTE })
  expect(after.changed).toEqual([bar(T + 2 * MINUTE, '103')])
  expect(after.series.bars.map(({ time }) => time)).toEqual([T, T + MINUTE, T + 2 * MINUTE])
  const again = absorb(after.series, asked, [bar(T + MINUTE, '99')], {
    symbol: 'BTC/USD',
    timeframe: '1m',
    now: T + 3 * MINUTE,
  })
  expect(again.changed).toEqual([bar(T + MINUTE, '99')])
  expect(again.series.bars[1]?.close).toBe('99')
})

test('a minute in which nothing was traded is waited for, until the venue can have no more of it', () => {
  const series: BarSeries = { bars: [bar(T)], first: T, last: T, asked_at: T }
  const asked = { start: T, end: T + MINUTE, anew: false }
  const soon = absorb(series, asked, [bar(T)], { symbol: 'BTC/USD', timeframe: '1m', now: T + 2 * MINUTE + 4_000 })
  expect(soon.series.last).toBe(T)
  const later = absorb(series, asked, [bar(T)], { symbol: 'BTC/USD', timeframe: '1m', now: T + 3 * MINUTE })
  expect(later.series.last).toBe(T + MINUTE)
})

test('where little was traded more time is looked at, up to a year, and that ends', () => {
  let series: BarSeries | null = null
  const starts: number[] = []
  for (let asked = toAsk(series, wanted(T)); asked !== null; asked = toAsk(series, wanted(T))) {
    starts.push((T - asked.start) / MINUTE)
    series = absorb(series, asked, [bar(T)], { symbol: 'BTC/USD', timeframe: '1m', now: T + MINUTE }).series
  }
  expect(starts).toEqual([2, 5, 11, 23, 191, 1535, 12_287, 98_303, THIN_MS / MINUTE])
  // Later a year begins later, and what was looked at is not looked at again.
  expect(toAsk(series, wanted(T + MINUTE))).toMatchObject({ anew: false })
})

test('of days eight times the span is looked at though that is more than a year', () => {
  const days = { symbol: 'BTC/USD', timeframe: '1d', bars: 200, newest: T } as const
  const first = T - 1_599 * DAY_MS
  const series: BarSeries = { bars: [bar(T)], first: first + DAY_MS, last: T, asked_at: T }
  expect(toAsk(series, days)).toEqual({ start: first, end: T, anew: true })
  expect(toAsk({ ...series, first }, days)).toBeNull()
})

test('for a tick of long ago only bars that were closed then count', () => {
  const bars = [0, 1, 2, 3].map((n) => bar(T + n * MINUTE))
  const series: BarSeries = { bars, first: T, last: T + 3 * MINUTE, asked_at: T }
  expect(toAsk(series, wanted(T + 2 * MINUTE))).toBeNull()
  expect(toAsk(series, wanted(T + MINUTE))).toEqual({ start: T - MINUTE, end: T + MINUTE, anew: true })
})

test('an equity is asked for anew once a session, for a split between two changes all prices', () => {
  const open = at('2026-03-09T13:30:00Z')
  const want = { symbol: 'AAPL', timeframe: '1m', bars: 2, newest: open + MINUTE } as const
  const series = { bars: [bar(open - 1), bar(open)], first: open - 1, last: open + MINUTE, asked_at: open - 1 }
  expect(toAsk(series, want)).toEqual({ start: open, end: open + MINUTE, anew: true })
  expect(toAsk({ ...series, asked_at: open }, want)).toBeNull()
})

// Known since Friday night; on the Monday a split takes effect at 13:30Z. The session's first bar may begin before it opens.
test.each([
  ['1d', '2026-03-10T00:00:00Z'],
  ['4h', '2026-03-09T16:00:00Z'],
  ['1h', '2026-03-09T14:00:00Z'],
  ['30m', '2026-03-09T14:00:00Z'],
  ['1m', '2026-03-09T13:31:00Z'],
] as const)('the first %s bar of a session asks for all prices anew', (timeframe, ts) => {
  const friday = { '1d': '2026-03-06T00:00:00Z', '4h': '2026-03-06T20:00:00Z', '1h': '2026-03-06T20:00:00Z' }
  const before = at({ '30m': '2026-03-06T20:30:00Z', '1m': '2026-03-06T20:59:00Z', ...friday }[timeframe])
  const newest = newestClosed('AAPL', timeframe, at(ts))
  const want = { symbol: 'AAPL', timeframe, bars: 1, newest }
  const asked_at = at('2026-03-07T00:00:01Z')
  const series: BarSeries = { bars: [bar(before)], first: before, last: before, asked_at }
  expect(toAsk(series, want)).toMatchObject({ anew: true })
  expect(toAsk({ ...series, asked_at: at(ts) }, want)).toMatchObject({ anew: false })
  expect(toAsk(series, { ...want, newest: before })).toBeNull()
})

test('a split that shows in the newest bars makes all that is known outdated; a correction does not', () => {
  const [T0, T1] = [at('2026-03-09T14:30:00Z'), at('2026-03-09T14:31:00Z')]
  const series: BarSeries = { bars: [bar(T0, '400'), bar(T1, '404')], first: T0, last: T1, asked_at: T1 }
  const asked = { start: T0, end: T1 + MINUTE, anew: false }
  const told = (...closes: string[]) => {
    const answer = closes.map((close, n) => bar(T0 + n * MINUTE, close))
    return absorb(series, asked, answer, { symbol: 'AAPL', timeframe: '1m', now: T1 + 2 * MINUTE })
  }
  const want = { symbol: 'AAPL', timeframe: '1m', bars: 2, newest: T1 + MINUTE } as const
  expect(told('100', '101', '102').rescaled).toBe(true)
  expect(toAsk(told('100', '101', '102').series, want)).toMatchObject({ anew: true })
  for (const closes of [['400', '101', '102'], ['400', '404'], ['401', '405', '406'], []]) {
    expect(told(...closes)).toMatchObject({ rescaled: false, series: { asked_at: T1 } })
  }
})

test('a long bar is not the newest for good until its venue has all of it', () => {
  const FIVE = 5 * MINUTE
  const asked = { start: T, end: T + FIVE, anew: true }
  const about = { symbol: 'BTC/USD', timeframe: '5m', settleMs: 2_000 } as const
  const soon = absorb(null, asked, [bar(T), bar(T + FIVE, '1')], { ...about, now: T + 2 * FIVE + 100 }).series
  expect(soon).toMatchObject({ last: T })
  expect(soon.bars).toHaveLength(2)
  const then = absorb(soon, { ...asked, anew: false }, [bar(T + FIVE, '2')], { ...about, now: T + 2 * FIVE + 2_000 })
  expect(then.series).toMatchObject({ last: T + FIVE, bars: [{}, { close: '2' }] })
})

test('a pushed bar makes a series longer only where no other can be between, and never before it closes', () => {
  const series: BarSeries = { bars: [bar(T)], first: T, last: T, asked_at: T }
  const push = (one: VenueBar, now: number) => hear(series, 'BTC/USD', '1m', { bar: one, now })
  expect(push(bar(T + MINUTE, '7'), T + 2 * MINUTE).series.last).toBe(T + MINUTE)
  expect(push(bar(T + MINUTE, '7'), T + 2 * MINUTE - 1)).toEqual({ series, changed: [] })
  expect(push(bar(T + 2 * MINUTE), T + 3 * MINUTE)).toEqual({ series, changed: [] })
  const revised = push(bar(T, '8'), T + 2 * MINUTE)
  expect(revised.series.bars).toEqual([bar(T, '8')])
  expect(revised.changed).toEqual([bar(T, '8')])
})

test('a pushed bar follows the one before it over a night', () => {
  const [close, open] = [at('2026-03-06T20:59:00Z'), at('2026-03-09T13:30:00Z')]
  const series: BarSeries = { bars: [bar(close)], first: close, last: close, asked_at: close }
  expect(hear(series, 'AAPL', '1m', { bar: bar(open), now: open + MINUTE }).series.last).toBe(open)
})

test('no window ever shows a bar that is not closed, whatever a venue gives and whenever it is looked at', () => {
  const bars = fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 1 })
  fc.assert(
    fc.property(bars, fc.integer({ min: -40, max: 40 }), fc.integer({ min: 1, max: 20 }), (minutes, tick, count) => {
      const ts = T + tick * MINUTE
      const answer = minutes.map((n) => bar(T + n * MINUTE))
      const asked = { start: T - 100 * MINUTE, end: T + 100 * MINUTE, anew: true }
      const { series } = absorb(null, asked, answer, { symbol: 'BTC/USD', timeframe: '1m', now: ts })
      const { time } = windowAt(series, { timeframe: '1m', bars: count, ts })
      const closed = minutes.map((n) => T + n * MINUTE).filter((open) => open + TIMEFRAME_MS['1m'] <= ts)
      expect([...time]).toEqual(closed.sort((a, b) => a - b).slice(-count))
    }),
  )
})
