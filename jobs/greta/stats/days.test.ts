import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sessionOf } from '../sessions.ts'
import { dailyEnds, dailyReturns, periodReturns } from './days.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Ticks of bars that open at these times. */
const ticks = (opens: string[], frame: number) => Float64Array.from(opens, (open) => Date.parse(open) + frame)

const dates = (days: Int32Array) => Array.from(days, (day) => new Date(day * DAY).toISOString().slice(0, 10))

test('the bar that closes at midnight belongs to the day that ends there', () => {
  const ts = ticks(['2024-01-01T22:00Z', '2024-01-01T23:00Z', '2024-01-02T00:00Z'], HOUR)
  const ends = dailyEnds(ts, HOUR, 'utc_days')
  expect(dates(ends.days)).toEqual(['2024-01-01', '2024-01-02'])
  expect([...ends.last]).toEqual([1, 2])
})

test('a 24/7 market has every UTC day from the first bar to the last, one without a bar at the value before', () => {
  const ts = ticks(['2024-02-27T12:00Z', '2024-03-01T00:00Z'], HOUR)
  const ends = dailyEnds(ts, HOUR, 'utc_days')
  expect(dates(ends.days)).toEqual(['2024-02-27', '2024-02-28', '2024-02-29', '2024-03-01'])
  expect([...ends.last]).toEqual([0, 0, 0, 1])
  expect([...(dailyReturns(Float64Array.of(110, 121), ends, 100) ?? [])]).toEqual([110 / 100 - 1, 0, 0, 121 / 110 - 1])
})

test('an equity has the session dates with a bar, and after-hours bars belong to the session before', () => {
  // Friday's regular and after hours (19:30 in New York is Saturday 00:30 UTC), then Monday's pre-market.
  const ts = ticks(['2024-01-05T20:30Z', '2024-01-06T00:30Z', '2024-01-08T09:00Z'], HOUR / 2)
  const ends = dailyEnds(ts, HOUR / 2, 'sessions')
  expect(dates(ends.days)).toEqual(['2024-01-05', '2024-01-08'])
  expect([...ends.last]).toEqual([1, 2])
})

test('summer time moves the session with New York', () => {
  // 23:30 in New York: 04:30 UTC in winter, 03:30 UTC in summer; half an hour later it is the next date.
  const winter = dailyEnds(ticks(['2024-03-08T04:30Z', '2024-03-08T05:00Z'], HOUR / 2), HOUR / 2, 'sessions')
  const summer = dailyEnds(ticks(['2024-03-12T03:30Z', '2024-03-12T04:00Z'], HOUR / 2), HOUR / 2, 'sessions')
  expect(dates(winter.days)).toEqual(['2024-03-07', '2024-03-08'])
  expect(dates(summer.days)).toEqual(['2024-03-11', '2024-03-12'])
})

test('a day bar of an equity lies at 00:00Z of its session date', () => {
  const ts = ticks(['2024-01-05T00:00Z', '2024-01-08T00:00Z'], DAY)
  expect(dates(dailyEnds(ts, DAY, 'sessions').days)).toEqual(['2024-01-05', '2024-01-08'])
})

test('no ticks, no days', () => {
  const ends = dailyEnds(new Float64Array(0), HOUR, 'utc_days')
  expect(ends.days).toHaveLength(0)
  expect(dailyReturns(new Float64Array(0), ends, 100)).toHaveLength(0)
  expect(periodReturns(new Float64Array(0), ends, 100, 7)).toEqual([])
})

test('from an account at zero there is no return', () => {
  const ends = dailyEnds(ticks(['2024-01-01T00:00Z', '2024-01-02T00:00Z'], DAY), DAY, 'utc_days')
  expect(dailyReturns(Float64Array.of(0, 10), ends, 100)).toBeNull()
  expect(dailyReturns(Float64Array.of(10, 0), ends, 0)).toBeNull()
})

test('months and years are compounded from the initial cash on', () => {
  const ts = ticks(['2023-12-30T00:00Z', '2023-12-31T00:00Z', '2024-01-01T00:00Z', '2024-02-01T00:00Z'], DAY)
  const ends = dailyEnds(ts, DAY, 'sessions')
  const values = Float64Array.of(105, 110, 99, 148.5)
  expect(periodReturns(values, ends, 100, 7)).toEqual([
    { period: '2023-12', return: 110 / 100 - 1 },
    { period: '2024-01', return: 99 / 110 - 1 },
    { period: '2024-02', return: 0.5 },
  ])
  expect(periodReturns(values, ends, 100, 4)).toEqual([
    { period: '2023', return: 110 / 100 - 1 },
    { period: '2024', return: 148.5 / 110 - 1 },
  ])
})

test('the dates of equities are those of the sessions that their bars belong to, across all changes of the clock', () => {
  const frame = HOUR / 2
  const monday = Date.UTC(2010, 0, 4)
  // From pre-market, 04:00 in New York and 08:00 UTC in summer, to the end of after-hours, 20:00 and 01:00 UTC in winter.
  const opening = fc
    .tuple(fc.nat(4000), fc.integer({ min: 0, max: 31 }))
    .map(([day, half]) => monday + (Math.floor(day / 5) * 7 + (day % 5)) * DAY + 9 * HOUR + half * frame)
  fc.assert(
    fc.property(fc.uniqueArray(opening, { minLength: 1, maxLength: 60 }), (opens) => {
      const ts = Float64Array.from(opens, (open) => open + frame).sort()
      const ends = dailyEnds(ts, frame, 'sessions')
      const found = dates(ends.days)
      expect(found).toEqual([...new Set(opens.map((open) => sessionOf('SPY', '30m', open)))].sort())
      expect(Array.from(ends.last, (tick) => sessionOf('SPY', '30m', (ts[tick] as number) - frame))).toEqual(found)
    }),
  )
})
