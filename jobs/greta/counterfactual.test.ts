import { expect, test } from 'vitest'
import { mulberry32 } from '../../db/walle/generate.ts'
import { changeFuture, cutFuture, cutPast } from './counterfactual.ts'

const HOUR = 3_600_000
const of = (pick: (bar: number) => number) => Float64Array.from({ length: 10 }, (_, bar) => pick(bar))
const columns = {
  time: of((bar) => bar * HOUR),
  open: of((bar) => 100 + bar),
  high: of((bar) => 102 + bar),
  low: of((bar) => 98 + bar),
  close: of((bar) => 101 + bar),
  volume: of((bar) => 10 + bar),
}

test('a future that is cut off has the bars closed at the moment, and no other', () => {
  expect([...cutFuture(columns, HOUR, 4 * HOUR).time]).toEqual([0, 1, 2, 3].map((bar) => bar * HOUR))
  expect([...cutFuture(columns, HOUR, 4 * HOUR - 1).time]).toEqual([0, 1, 2].map((bar) => bar * HOUR))
  expect([...cutFuture(columns, HOUR, 4 * HOUR).close]).toEqual([101, 102, 103, 104])
})

test('a past that is cut off keeps the newest bars and all that follow', () => {
  expect([...cutPast(columns, HOUR, 4 * HOUR, 2).time]).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map((bar) => bar * HOUR))
})

test('another future leaves the past as it is, and every later bar another bar that could be one', () => {
  const other = changeFuture(columns, HOUR, 4 * HOUR, mulberry32(7))
  expect(other.time).toEqual(columns.time)
  for (const name of ['open', 'high', 'low', 'close', 'volume'] as const) {
    expect(other[name].slice(0, 4)).toEqual(columns[name].slice(0, 4))
  }
  for (let bar = 4; bar < 10; bar++) {
    const [open, high, low, close] = (['open', 'high', 'low', 'close'] as const).map(
      (name) => other[name][bar] as number,
    )
    expect(close).not.toBe(columns.close[bar])
    expect(Math.max(open as number, close as number)).toBeLessThanOrEqual(high as number)
    expect(Math.min(open as number, close as number)).toBeGreaterThanOrEqual(low as number)
  }
  expect(changeFuture(columns, HOUR, 4 * HOUR, mulberry32(7))).toEqual(other)
  expect(changeFuture(columns, HOUR, 4 * HOUR, mulberry32(8))).not.toEqual(other)
  expect(columns.close[9]).toBe(110)
})
