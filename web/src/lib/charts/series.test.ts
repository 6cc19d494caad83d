import { expect, test } from 'vitest'
import type { Bars } from '../types.ts'
import { aggregate, alignCurve, describe, lastAtOrBefore, type MarkedFill, markers } from './series.ts'

const bars = (count: number): Bars => {
  const index = Array.from({ length: count }, (_, i) => i)
  return {
    bucketMs: null,
    time: index.map((i) => i * 60_000),
    open: index.map((i) => 10 + i),
    high: index.map((i) => 12 + i),
    low: index.map((i) => 9 + i),
    close: index.map((i) => 11 + i),
    volume: index.map(() => 5),
  }
}
const fill = (minute: number, side: 'buy' | 'sell'): MarkedFill => ({
  side,
  qty: '2',
  price: '10.5',
  timestamp: new Date(minute * 60_000).toISOString(),
})

test('buckets keep first open, highest high, lowest low, last close and all volume', () => {
  expect(aggregate(bars(5), 2)).toEqual({
    bucketMs: null,
    time: [0, 180_000],
    open: [10, 13],
    high: [14, 16],
    low: [9, 12],
    close: [13, 15],
    volume: [15, 10],
  })
  expect(aggregate(bars(5), 5).time).toHaveLength(5)
})

test('the last time at or before is found, or none', () => {
  expect([lastAtOrBefore([10, 20, 30], 20), lastAtOrBefore([10, 20, 30], 29), lastAtOrBefore([10], 9)]).toEqual([
    1, 1, -1,
  ])
})

test('a mark at a bucket end belongs to that bucket, and the deepest drawdown of a bucket is kept', () => {
  const curve = { time: [60_000, 90_000, 120_000, 180_000], equity: [100, 50, 80, 120], drawdown: [0, 0.5, 0.2, 0] }
  expect(alignCurve(curve, [0, 60_000, 120_000, 180_000], 60_000)).toEqual({
    equity: [100, 80, 120, null],
    drawdown: [0, -0.5, 0, null],
  })
})

test('a fill is marked on its bar with side, quantity and price', () => {
  expect(markers([fill(1, 'buy')], [0, 60_000, 120_000])).toEqual([
    { time: 60_000, buys: 1, sells: 0, text: 'buy 2 @ 10.5' },
  ])
})

test('too many fills are merged into groups that keep every fill', () => {
  const times = Array.from({ length: 100 }, (_, i) => i * 60_000)
  const fills = times.map((_, i) => fill(i, i % 2 === 0 ? 'buy' : 'sell'))
  const groups = markers(fills, times, 10)
  expect(groups).toHaveLength(10)
  expect(groups[0]).toEqual({ time: 0, buys: 5, sells: 5, text: '5 buy, 5 sell' })
  expect(groups.reduce((sum, group) => sum + group.buys + group.sells, 0)).toBe(100)
})

test('the chart is told in a sentence', () => {
  const curve = { time: [0, 1, 2], equity: [100, 90, 110], drawdown: [0, 0.1, 0] }
  const percent = (value: number) => `${Math.round(value * 100)} %`
  expect(describe('X', bars(2), curve, 1, percent)).toBe(
    'X went from 10 to 12 (20 %); equity 10 %, deepest drawdown -10 %; 1 fill.',
  )
})
