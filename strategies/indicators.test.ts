import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  atr,
  bollinger,
  compareAverages,
  continueWilder,
  crossOfAverages,
  ema,
  highest,
  isNewBar,
  lowest,
  rateOfChange,
  rsi,
  rsiOf,
  sma,
  startWilder,
  stddev,
} from './indicators.ts'

const shared = process.env.WEAVER_SHARED_DATA

test('an average depends on nothing before its values', () => {
  expect(sma([1e16, 1, 2, 3], 3)).toBe(2)
  expect(sma([1e16, 1, 2, 3], 2, 1)).toBe(1.5)
  expect(sma([1, 2], 3)).toBeNaN()
})

test('a near tie of averages is decided by exact sums', () => {
  expect(compareAverages(Array(30).fill(0.1), 10, 30)).toBe(0)
  expect(compareAverages([1, 2, 3, 4], 2, 4)).toBe(1)
  expect(compareAverages([4, 3, 2, 1], 2, 4)).toBe(-1)
  expect(compareAverages([1], 1, 2)).toBeNaN()
  const values = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1]
  expect(sma(values, 3)).not.toBe(sma(values, 6))
  expect(compareAverages(values, 3, 6)).toBe(0)
})

test('averages of equal values tie for any price', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000_000 }), fc.integer({ min: 1, max: 40 }), (cents, count) => {
      expect(compareAverages(Array(count + 1).fill(cents / 64), count, count + 1)).toBe(0)
    }),
  )
})

test('a cross needs the bar before on the other side or on the line', () => {
  expect(crossOfAverages([1, 1, 1, 2], 1, 3)).toBe(1)
  expect(crossOfAverages([1, 1, 1, 0], 1, 3)).toBe(-1)
  expect(crossOfAverages([1, 1, 2, 3], 1, 3)).toBe(0)
  expect(crossOfAverages([1, 1, 1, 1], 1, 3)).toBe(0)
})

test('a cross is what comparing the averages of both bars gives', () => {
  const prices = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 7, maxLength: 12 })
  fc.assert(
    fc.property(prices, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), (values, fast, slow) => {
      const tenths = values.map((value) => value / 10)
      const [now, before] = [compareAverages(tenths, fast, slow), compareAverages(tenths, fast, slow, 1)]
      expect(crossOfAverages(tenths, fast, slow)).toBe(now > 0 && before <= 0 ? 1 : now < 0 && before >= 0 ? -1 : 0)
    }),
  )
})

test('an exponential average starts with the simple one', () => {
  expect(ema([1, 2, 3], 3)).toBe(2)
  expect(ema([1, 2, 3, 4], 3)).toBe(3)
  expect(ema([1, 2], 3)).toBeNaN()
})

test("Wilder's averages go on from bar to bar as over the whole window", () => {
  const values = [10, 11, 10.5, 12, 11, 11.5]
  const averages = startWilder(values.slice(0, 4), 3)
  expect(averages).toEqual({ gain: 2.5 / 3, loss: 0.5 / 3 })
  continueWilder(averages, -1, 3)
  continueWilder(averages, 0.5, 3)
  expect(rsiOf(averages)).toBe(rsi(values, 3))
  expect(rsi([1, 2, 3, 4], 3)).toBe(100)
  expect(rsi([4, 3, 2, 1], 3)).toBe(0)
  expect(rsi([1, 1, 1, 1], 3)).toBe(50)
  expect(rsi([1, 2, 3], 3)).toBeNaN()
  expect(startWilder([1], 3)).toEqual({ gain: Number.NaN, loss: Number.NaN })
})

test('extremes look at the last values, or at those before', () => {
  expect([highest([9, 1, 3, 2], 3), lowest([0, 1, 3, 2], 3)]).toEqual([3, 1])
  expect([highest([1, 3, 9], 2, 1), lowest([1, 3, 0], 2, 1)]).toEqual([3, 1])
  expect([highest([1], 2), lowest([1], 2)]).toEqual([Number.NaN, Number.NaN])
})

test('a band is population standard deviations around the average', () => {
  expect(stddev([2, 4, 4, 4, 5, 5, 7, 9], 8)).toBe(2)
  expect(bollinger([2, 4, 4, 4, 5, 5, 7, 9], 8, 1.5)).toEqual({ lower: 2, middle: 5, upper: 8 })
  expect(stddev([1], 2)).toBeNaN()
})

test('a true range reaches to the close before', () => {
  expect(atr({ high: [10, 12, 11], low: [9, 11, 8], close: [9.5, 11, 9] }, 2)).toBe(2.75)
  expect(atr({ high: [1], low: [1], close: [1] }, 1)).toBeNaN()
})

test('a rate of change is a fraction', () => {
  expect(rateOfChange([100, 105, 110], 2)).toBeCloseTo(0.1, 15)
  expect(rateOfChange([100], 1)).toBeNaN()
})

test('a bar is new once', () => {
  const seen = {}
  expect([isNewBar(seen, 'A', [1, 2]), isNewBar(seen, 'A', [1, 2]), isNewBar(seen, 'A', [2, 3])]).toEqual([
    true,
    false,
    true,
  ])
})

test.skipIf(!shared)('indicators equal those of another engine bar by bar (needs WEAVER_SHARED_DATA)', () => {
  const read = (path: string): string => readFileSync(join(shared ?? '', path), 'utf8')
  const rows = read('data/goog_1d.csv').trim().split('\n').slice(1)
  const column = (index: number): number[] => rows.map((row) => Number(row.split(',')[index]))
  const [high, low, close] = [column(2), column(3), column(4)]
  const { values } = JSON.parse(read('golden/indicators_goog_1d.json')) as { values: Record<string, (number | null)[]> }
  const upTo = (all: number[], bar: number): number[] => all.slice(0, bar + 1)
  const mine: Record<string, (bar: number) => number> = {
    SMA10: (bar) => sma(upTo(close, bar), 10),
    SMA30: (bar) => sma(upTo(close, bar), 30),
    EMA20: (bar) => ema(upTo(close, bar), 20),
    RSI14: (bar) => rsi(upTo(close, bar), 14),
    ATR14: (bar) => atr({ high: upTo(high, bar), low: upTo(low, bar), close: upTo(close, bar) }, 14),
    ROC12: (bar) => rateOfChange(upTo(close, bar), 12),
    BB20_bot: (bar) => bollinger(upTo(close, bar), 20).lower,
    BB20_mid: (bar) => bollinger(upTo(close, bar), 20).middle,
    BB20_top: (bar) => bollinger(upTo(close, bar), 20).upper,
    HIGHEST20: (bar) => highest(upTo(high, bar), 20),
    LOWEST20: (bar) => lowest(upTo(low, bar), 20),
    STDDEV20: (bar) => stddev(upTo(close, bar), 20),
  }
  for (const [name, indicator] of Object.entries(mine)) {
    const expected = values[name] ?? []
    for (let bar = 0; bar < rows.length; bar += bar < 60 ? 1 : 97) {
      const theirs = expected[bar] ?? null
      if (theirs === null) expect(indicator(bar), `${name} at bar ${bar}`).toBeNaN()
      else expect(Math.abs(indicator(bar) / theirs - 1), `${name} at bar ${bar}`).toBeLessThan(1e-8)
    }
  }
})
