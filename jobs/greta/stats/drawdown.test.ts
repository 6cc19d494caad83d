import fc from 'fast-check'
import { expect, test } from 'vitest'
import { drawdowns } from './drawdown.ts'

const HOUR = 3_600_000

/** Hourly points after a start at midnight; the times come back as hours. */
function fallsOf(start: number, values: number[]) {
  const ts = Float64Array.from(values, (_, at) => (at + 1) * HOUR)
  return drawdowns(ts, Float64Array.from(values), { value: start, ts: 0 }).map((fall) => [
    fall.drawdown,
    fall.amount,
    ...[fall.peak_at, fall.trough_at, fall.recovered_at].map((at) => at && Date.parse(at) / HOUR),
    fall.duration_seconds / 3600,
  ])
}

test('a fall goes from its peak over its trough to where the curve is back', () => {
  // the peak of 200 is last touched at hour 2, the trough of 150 first at hour 4, 200 again at hour 6
  expect(fallsOf(100, [200, 200, 180, 150, 150, 200])).toEqual([[0.25, '50', 2, 4, 6, 4]])
})

test('a fall that lasts has no recovery and is as long as the curve', () => {
  expect(fallsOf(100, [90, 95])).toEqual([[0.1, '10', 0, 1, null, 2]])
})

test('falls are told by depth, the earlier of two equal ones first, five at most', () => {
  const falls = fallsOf(100, [90, 100, 80, 100, 90, 100, 99, 100, 98, 100, 97, 100])
  expect(falls.map(([depth, , peak]) => [depth, peak])).toEqual([
    [0.2, 2],
    [0.1, 0],
    [0.1, 4],
    [0.03, 10],
    [0.02, 8],
  ])
})

test('a fall below zero is deeper than the whole', () => {
  expect(fallsOf(100, [-50])).toEqual([[1.5, '150', 0, 1, null, 1]])
})

test('without a positive peak there is nothing to fall from', () => {
  expect(fallsOf(0, [-5, -10])).toEqual([])
  expect(fallsOf(-10, [-20])).toEqual([])
  expect(fallsOf(0, [-5, 10, 5])).toEqual([[0.5, '5', 2, 3, null, 1]])
})

test('amounts are decimals without the rounding of float64', () => {
  const [, amount] = fallsOf(100_000.3, [100_000.1])[0] ?? []
  expect(100_000.3 - 100_000.1).not.toBe(0.2)
  expect(amount).toBe('0.2')
})

test('the deepest fall is the one that looking at every pair of points finds', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 40 }), (values) => {
      const curve = [25, ...values]
      let deepest = 0
      curve.forEach((peak, at) => {
        for (const value of curve.slice(at)) deepest = Math.max(deepest, (peak - value) / peak)
      })
      expect(fallsOf(25, values)[0]?.[0] ?? 0).toBe(deepest)
    }),
  )
})
