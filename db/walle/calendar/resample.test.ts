import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TIMEFRAME_MS, TIMEFRAMES, type Timeframe } from '../../../strategies/api.ts'
import { emptyColumns, mergeColumns } from '../candle_columns.ts'
import type { CandleColumns } from '../rows.ts'
import { barsOfSession, type Session, sessionsBetween } from './calendar.ts'
import { OutsideCalendarError, resample } from './resample.ts'

const at = (text: string): number => Date.parse(text)
const iso = (time: number): string => new Date(time).toISOString().slice(0, 16)

/** Bars at these times; the n-th opens at n, with a high of n + 2, a low of n - 1 and a close of n + 1. */
function barsAt(times: readonly number[]): CandleColumns {
  const columns = emptyColumns(times.length)
  times.forEach((time, index) => {
    columns.time[index] = time
    columns.open[index] = index
    columns.high[index] = index + 2
    columns.low[index] = index - 1
    columns.close[index] = index + 1
    columns.volume[index] = 1
  })
  return columns
}

function grid(timeframe: Timeframe, from: string, to: string): number[] {
  const times: number[] = []
  for (let time = at(from); time < at(to); time += TIMEFRAME_MS[timeframe]) times.push(time)
  return times
}

function regular(timeframe: Timeframe, from: string, to: string): number[] {
  const sessions = sessionsBetween(at(from), at(to)) as readonly Session[]
  return sessions.flatMap((session) => barsOfSession(session, timeframe))
}

const rows = ({ time, open, high, low, close, volume }: CandleColumns) =>
  Array.from(time, (moment, i) => [iso(moment), open[i], high[i], low[i], close[i], volume[i]])

test('first open, highest high, lowest low, last close, all of the volume', () => {
  const minutes = barsAt(grid('1m', '2024-01-01T00:00Z', '2024-01-01T00:12Z'))
  expect(rows(resample(minutes, { symbol: 'BTC/USD', from: '1m', to: '5m' }))).toEqual([
    ['2024-01-01T00:00', 0, 6, -1, 5, 5],
    ['2024-01-01T00:05', 5, 11, 4, 10, 5],
    ['2024-01-01T00:10', 10, 13, 9, 12, 2],
  ])
})

test('where nothing traded there is no bar', () => {
  const times = grid('1m', '2024-01-01T00:00Z', '2024-01-01T00:20Z').filter((_, index) => index < 4 || index > 11)
  expect(rows(resample(barsAt(times), { symbol: 'BTC/USD', from: '1m', to: '5m' })).map(([time]) => time)).toEqual([
    '2024-01-01T00:00',
    '2024-01-01T00:10',
    '2024-01-01T00:15',
  ])
})

test('a bar that the data begin in the middle of is left out', () => {
  const times = grid('1m', '2024-01-01T00:02Z', '2024-01-01T00:10Z')
  expect(rows(resample(barsAt(times), { symbol: 'BTC/USD', from: '1m', to: '5m' }))).toEqual([
    ['2024-01-01T00:05', 3, 9, 2, 8, 5],
  ])
})

test('months and leap days end where UTC has them end', () => {
  const hours = barsAt(grid('1h', '2024-02-27T00:00Z', '2024-03-02T00:00Z'))
  const days = resample(hours, { symbol: 'BTC/USD', from: '1h', to: '1d' })
  expect(Array.from(days.time, iso)).toEqual([
    '2024-02-27T00:00',
    '2024-02-28T00:00',
    '2024-02-29T00:00',
    '2024-03-01T00:00',
  ])
  expect([...days.volume]).toEqual([24, 24, 24, 24])
})

test('only the first bar can be cut: a hole at the start of a later one is a hole', () => {
  const times = grid('1m', '2024-01-01T00:02Z', '2024-01-01T00:15Z').filter((time) => time !== at('2024-01-01T00:05Z'))
  expect(rows(resample(barsAt(times), { symbol: 'BTC/USD', from: '1m', to: '5m' })).map(([time]) => time)).toEqual([
    '2024-01-01T00:05',
    '2024-01-01T00:10',
  ])
})

describe('an equity', () => {
  test("has day bars of its regular sessions, at 00:00 UTC of the session's date", () => {
    // Friday in winter time, Monday in summer time.
    const times = regular('1m', '2024-03-08', '2024-03-12')
    const days = resample(barsAt(times), { symbol: 'SPY', from: '1m', to: '1d' })
    expect(rows(days)).toEqual([
      ['2024-03-08T00:00', 0, 391, -1, 390, 390],
      ['2024-03-11T00:00', 390, 781, 389, 780, 390],
    ])
  })

  test('has a short day bar on a half day and none on a holiday', () => {
    const days = resample(barsAt(regular('30m', '2024-07-02', '2024-07-06')), { symbol: 'SPY', from: '30m', to: '1d' })
    expect(Array.from(days.time, iso)).toEqual(['2024-07-02T00:00', '2024-07-03T00:00', '2024-07-05T00:00'])
    expect([...days.volume]).toEqual([13, 7, 13])
  })

  test('has no extended hours in its day bars, and all bars in shorter ones', () => {
    const times = [at('2024-07-03T12:00Z'), ...regular('1h', '2024-07-03', '2024-07-04'), at('2024-07-03T17:00Z')]
    expect(rows(resample(barsAt(times), { symbol: 'SPY', from: '1h', to: '1d' }))).toEqual([
      ['2024-07-03T00:00', 1, 6, 0, 5, 4],
    ])
    expect([...resample(barsAt(times), { symbol: 'SPY', from: '1h', to: '4h' }).volume]).toEqual([4, 2])
  })

  test('is whole from the first bar of its session on, not before', () => {
    const times = regular('1m', '2024-01-02', '2024-01-03')
    const hours = (from: number) => resample(barsAt(times.slice(from)), { symbol: 'SPY', from: '1m', to: '1h' })
    expect(iso(hours(0).time[0] as number)).toBe('2024-01-02T14:00')
    expect(iso(hours(1).time[0] as number)).toBe('2024-01-02T15:00')
    expect(resample(barsAt(times.slice(1)), { symbol: 'SPY', from: '1m', to: '1d' }).time).toHaveLength(0)
  })

  test('has no day bars where the calendar knows no sessions', () => {
    const old = barsAt(grid('1h', '1989-12-29T14:00Z', '1989-12-29T21:00Z'))
    expect(() => resample(old, { symbol: 'IBM', from: '1h', to: '1d' })).toThrow(OutsideCalendarError)
    expect(Array.from(resample(old, { symbol: 'IBM', from: '1h', to: '4h' }).time, iso)).toEqual([
      '1989-12-29T16:00',
      '1989-12-29T20:00',
    ])
  })
})

test('bars of one timeframe are not made of longer or equal ones', () => {
  const hours = barsAt(grid('1h', '2024-01-01T00:00Z', '2024-01-01T04:00Z'))
  for (const to of ['1m', '1h'] as const) {
    expect(() => resample(hours, { symbol: 'BTC/USD', from: '1h', to })).toThrow(`bars of ${to} cannot be made of`)
  }
})

const pairs = TIMEFRAMES.flatMap((from, i) => TIMEFRAMES.slice(i + 1).map((to) => ({ from, to })))

/** Bars of a market with holes, from the start of a whole bar of any timeframe. */
const market = fc
  .record({
    symbol: fc.constantFrom('BTC/USD', 'SPY'),
    pair: fc.constantFrom(...pairs.filter(({ from }) => from !== '1m')),
    holes: fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 200 }),
    prices: fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 5, maxLength: 40 }),
  })
  .map(({ symbol, pair, holes, prices }) => {
    const gone = new Set(holes)
    const whole =
      symbol === 'SPY' ? regular(pair.from, '2024-10-28', '2024-12-03') : grid(pair.from, '2024-02-26', '2024-03-05')
    const columns = barsAt(whole.slice(0, 400).filter((_, index) => !gone.has(index)))
    columns.time.forEach((_, index) => {
      const [a, b, c, d] = [0, 1, 2, 3].map((n) => prices[(index + n * 7) % prices.length] as number) as [
        number,
        number,
        number,
        number,
      ]
      columns.open[index] = a
      columns.close[index] = b
      columns.high[index] = Math.max(a, b, c, d)
      columns.low[index] = Math.min(a, b, c, d)
      columns.volume[index] = a * d
    })
    return { symbol, ...pair, columns }
  })

test('no volume is lost, and no high or low', () => {
  fc.assert(
    fc.property(market, ({ symbol, from, to, columns }) => {
      const made = resample(columns, { symbol, from, to })
      const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)
      expect(sum(made.volume)).toBe(sum(columns.volume))
      expect(Math.max(...made.high)).toBe(Math.max(...columns.high))
      expect(Math.min(...made.low)).toBe(Math.min(...columns.low))
      expect(made.open[0]).toBe(columns.open[0])
      expect(made.close.at(-1)).toBe(columns.close.at(-1))
    }),
  )
})

test('in two steps it gives what it gives in one', () => {
  fc.assert(
    fc.property(market, fc.constantFrom(...TIMEFRAMES), ({ symbol, from, to, columns }, between) => {
      fc.pre(TIMEFRAME_MS[between] > TIMEFRAME_MS[from] && TIMEFRAME_MS[between] < TIMEFRAME_MS[to])
      const steps = resample(resample(columns, { symbol, from, to: between }), { symbol, from: between, to })
      expect(steps).toEqual(resample(columns, { symbol, from, to }))
    }),
  )
})

test('later bars change nothing of those that were closed before them', () => {
  fc.assert(
    fc.property(market, fc.nat(400), ({ symbol, from, to, columns }, cut) => {
      const until = columns.time[Math.min(cut, columns.time.length - 1)] as number
      const known = columns.time.filter((time) => time + TIMEFRAME_MS[from] <= until)
      const part = Object.fromEntries(
        Object.entries(columns).map(([name, values]) => [name, values.subarray(0, known.length)]),
      ) as unknown as CandleColumns
      const closed = (made: CandleColumns) => rows(made).filter(([time]) => at(`${time}Z`) + TIMEFRAME_MS[to] <= until)
      expect(closed(resample(part, { symbol, from, to }))).toEqual(closed(resample(columns, { symbol, from, to })))
    }),
  )
})

test('bars put together from two halves are those of the whole', () => {
  const hours = barsAt(grid('1h', '2024-01-01T00:00Z', '2024-01-04T00:00Z'))
  const half = (first: number, end: number) =>
    Object.fromEntries(
      Object.entries(hours).map(([name, values]) => [name, values.slice(first, end)]),
    ) as unknown as CandleColumns
  const all = { symbol: 'BTC/USD', from: '1h', to: '1d' } as const
  expect(mergeColumns(resample(half(0, 48), all), resample(half(48, 72), all))).toEqual(resample(hours, all))
})
