import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'
import { barsOfSession, type Session, sessionsBetween } from './calendar.ts'
import { countGaps } from './gaps.ts'
import { inspectSeries } from './inspect.ts'
import { warningsOf } from './warnings.ts'

const at = (text: string): number => Date.parse(text)
const iso = (time: number): string => new Date(time).toISOString().slice(0, 16)

function gapsOf(symbol: string, timeframe: Timeframe, times: readonly number[]) {
  const counter = countGaps(symbol, timeframe)
  for (const time of times) counter.add(time)
  const { count, missing, longest, unknown } = counter.finish()
  return [count, missing, longest && `${iso(longest.first)}..${iso(longest.last)}`, unknown]
}

/** Every bar of the sessions in a range. */
function bars(timeframe: Timeframe, from: string, to: string): number[] {
  const sessions = sessionsBetween(at(from), at(to)) as readonly Session[]
  return sessions.flatMap((session) => barsOfSession(session, timeframe))
}

test.each<Timeframe>(['1m', '30m', '1h', '4h', '1d'])('whole sessions in %s have no gaps', (timeframe) => {
  // Over new year, two changes of the clocks, half days and holidays.
  expect(gapsOf('AAPL', timeframe, bars(timeframe, '2023-11-01', '2024-03-20'))).toEqual([0, 0, null, 0])
})

test('of a 24/7 symbol every bar that is not there is missing', () => {
  const times = ['00', '01', '04', '05', '09'].map((hour) => at(`2024-01-06T${hour}:00Z`))
  expect(gapsOf('BTC/USD', '1h', times)).toEqual([2, 5, '2024-01-06T06:00..2024-01-06T08:00', 0])
})

test('a missing day of an equity is a gap, a holiday is none', () => {
  const days = ['2024-07-02', '2024-07-03', '2024-07-05', '2024-07-09'].map(at)
  expect(gapsOf('AAPL', '1d', days)).toEqual([1, 1, '2024-07-08T00:00..2024-07-08T00:00', 0])
})

test('a gap goes on over the night and over bars of extended hours', () => {
  const day = bars('1h', '2024-01-02', '2024-01-04')
  const afterHours = at('2024-01-02T22:00Z')
  const times = [...day.slice(0, 5), afterHours, ...day.slice(9)]
  expect(gapsOf('AAPL', '1h', times)).toEqual([1, 4, '2024-01-02T19:00..2024-01-03T15:00', 0])
})

test('extended hours are neither missing nor expected', () => {
  const premarket = [at('2024-01-02T09:00Z'), at('2024-01-02T11:00Z')]
  expect(gapsOf('AAPL', '1h', [...premarket, ...bars('1h', '2024-01-02', '2024-01-03')])).toEqual([0, 0, null, 0])
})

test('beyond the calendar nothing is said to be missing', () => {
  const days = ['1989-12-20', '1989-12-28', '1990-01-02', '1990-01-04'].map(at)
  expect(gapsOf('IBM', '1d', days)).toEqual([1, 1, '1990-01-03T00:00..1990-01-03T00:00', 2])
  expect(gapsOf('BTC/USD', '1d', [at('2040-01-01'), at('2040-01-03')])).toEqual([
    1,
    1,
    '2040-01-02T00:00..2040-01-02T00:00',
    0,
  ])
})

test('what is taken out of whole sessions is what is found to be missing', () => {
  const timeframes = fc.constantFrom<Timeframe>('5m', '1h', '4h', '1d')
  fc.assert(
    fc.property(timeframes, fc.uniqueArray(fc.nat(10_000), { maxLength: 30 }), (timeframe, places) => {
      const whole = bars(timeframe, '2024-10-28', '2024-12-06')
      const gone = new Set(places.map((place) => 1 + (place % (whole.length - 2))))
      const left = whole.filter((_, index) => !gone.has(index))
      const runs = [...gone].filter((index) => !gone.has(index - 1)).length
      expect(gapsOf('AAPL', timeframe, left).slice(0, 2)).toEqual([runs, gone.size])
    }),
  )
})

type Bar = [open: number, high: number, low: number, close: number, volume?: number]

function inspect(symbol: string, timeframe: Timeframe, times: readonly number[], barAt: (index: number) => Bar) {
  const inspector = inspectSeries(symbol, timeframe)
  times.forEach((time, index) => {
    const [open, high, low, close, volume = 1] = barAt(index)
    inspector.add(time, open, high, low, close, volume)
  })
  return inspector.finish()
}

const hours = (count: number): number[] =>
  Array.from({ length: count }, (_, index) => at('2024-01-01T00:00Z') + index * TIMEFRAME_MS['1h'])

test('a bar alone is a series without findings', () => {
  const report = inspect('BTC/USD', '1h', hours(1), () => [1, 1, 1, 1])
  expect(report).toMatchObject({ bars: 1, gaps: { count: 0 }, jumps: { count: 0 }, zeroVolume: { count: 0 } })
  expect(warningsOf('BTC/USD 1h', report, 'raw')).toEqual([])
})

test('bars without volume are counted and the first of them listed', () => {
  const report = inspect('BTC/USD', '1h', hours(40), (index) => [1, 1, 1, 1, index % 2])
  expect(report.zeroVolume.count).toBe(20)
  expect(report.zeroVolume.listed).toHaveLength(10)
  expect(warningsOf('BTC/USD 1h', report, 'raw')[0]).toMatch(
    /^BTC\/USD 1h: 20 bars without volume, 2024-01-01T00:00:00\.000Z, 2024-01-01T02:00.*, and 10 more$/,
  )
})

test('a move by more than half is absurd, and so is a tenth where bars move by a thousandth', () => {
  const calm: Bar = [100, 100.1, 100, 100]
  const spike = (bar: Bar) =>
    inspect('BTC/USD', '1h', hours(60), (index) => (index === 50 ? bar : calm)).jumps.listed.map(({ what }) => what)
  expect(spike([100, 151, 100, 100])).toEqual(['51 %'])
  expect(spike([100, 112, 100, 100])).toEqual(['12 %'])
  expect(spike([100, 109, 100, 100])).toEqual([])
  expect(spike([100, 100, 0, 100])).toEqual(['a price of 0'])
  const wild = inspect('BTC/USD', '1h', hours(60), (index) => [100, index === 50 ? 140 : 105, 100, 100])
  expect(wild.jumps.count).toBe(0)
})

test('bars on days without a session are found, those of extended hours are none', () => {
  const closed = (symbol: string, timeframe: Timeframe, times: string[]) =>
    inspect(symbol, timeframe, times.map(at), () => [1, 1, 1, 1]).closedDays.listed.map(({ time }) => iso(time))
  // Friday, Saturday, Monday, which was a holiday, and Tuesday.
  const days = ['2024-01-12', '2024-01-13', '2024-01-15', '2024-01-16']
  expect(closed('AAPL', '1d', days)).toEqual(['2024-01-13T00:00', '2024-01-15T00:00'])
  expect(closed('AAA/USD', '1d', days)).toEqual([])
  expect(closed('IBM', '1d', ['1985-01-05'])).toEqual([])
  // From 04:00 on Friday to 19:00, which in winter is midnight in UTC, and 21:00.
  const hours = ['2024-01-12T09:00Z', '2024-01-12T23:00Z', '2024-01-13T00:00Z', '2024-01-13T14:00Z']
  expect(closed('AAPL', '1h', hours)).toEqual(['2024-01-13T14:00'])
  expect(closed('AAPL', '1h', ['2024-07-05T08:00Z', '2024-07-05T23:00Z', '2024-07-06T15:00Z'])).toEqual([
    '2024-07-06T15:00',
  ])
  const report = inspect('AAPL', '1d', [at('2024-01-13')], () => [1, 1, 1, 1])
  expect(warningsOf('AAPL 1d', report, 'raw')).toEqual([
    'AAPL 1d: 1 bar on days on which the exchange was closed, 2024-01-13T00:00:00.000Z: is it an equity, and are its times those of the right zone?',
  ])
})

const DAYS = bars('1d', '2024-01-02', '2024-04-01')
const stepAt = (index: number, before: number, after: number): Bar => {
  const price = index < 40 ? before : after
  return [price, price * 1.01, price, price * 1.005]
}
const splitsOf = (symbol: string, before: number, after: number) => {
  const { splits, jumps } = inspect(symbol, '1d', DAYS, (index) => stepAt(index, before, after))
  return { splits: splits.listed.map(({ what }) => what), jumps: jumps.count }
}

test.each([
  [700, 100, '7:1'],
  [499, 127, '4:1'],
  [100, 50.4, '2:1'],
  [150, 100, '3:2'],
  [100, 1000, '1:10'],
])('an overnight step from %d to %d looks like a split of %s', (before, after, split) => {
  expect(splitsOf('AAPL', before, after)).toEqual({ splits: [split], jumps: 0 })
})

test('a crash is no split, nor is a step inside a day or of a 24/7 symbol', () => {
  expect(splitsOf('AAPL', 100, 56)).toEqual({ splits: [], jumps: 1 })
  expect(splitsOf('AAPL', 100, 80)).toEqual({ splits: [], jumps: 0 })
  expect(splitsOf('BTC/USD', 100, 50)).toEqual({ splits: [], jumps: 1 })
  const minutes = bars('1m', '2024-01-02', '2024-01-03')
  const inside = inspect('AAPL', '1m', minutes, (index) => stepAt(index, 100, 50))
  expect([inside.splits.count, inside.jumps.count]).toEqual([0, 1])
})

test('a person is told of every kind of finding once, with times', () => {
  const report = inspect('AAPL', '1d', [...DAYS.slice(0, 20), ...DAYS.slice(22)], (index) => stepAt(index, 700, 100))
  expect(warningsOf('AAPL 1d', report, 'raw')).toEqual([
    'AAPL 1d: 2 bars missing in 1 gap, the longest 2 bars from 2024-01-31T00:00:00.000Z to 2024-02-01T00:00:00.000Z',
    expect.stringMatching(
      /^AAPL 1d: 1 overnight jump like a split in candles that are said to be raw, .* \(7:1\): a pos/,
    ),
  ])
})
