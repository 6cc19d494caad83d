import fc from 'fast-check'
import { expect, test } from 'vitest'
import { benchmarkFigures, probabilisticSharpe, returnFigures } from './ratios.ts'

test('a Sharpe ratio at its threshold is as likely above it as below', () => {
  expect(probabilisticSharpe(0.1, 0.1, { n: 100, skew: -0.5, kurtosis: 2 })).toBe(0.5)
})

test('the kurtosis in the probabilistic Sharpe ratio is the raw one', () => {
  // normal returns: skew 0, raw kurtosis 3: 0.1 x sqrt(399) / sqrt(1 + 0.5 x 0.01) = 1.992523; norm.cdf of that
  expect(probabilisticSharpe(0.1, 0, { n: 400, skew: 0, kurtosis: 0 })).toBeCloseTo(0.9768431664440341, 12)
})

test('a shape that no returns have gives no probability', () => {
  expect(probabilisticSharpe(2, 0, { n: 10, skew: 5, kurtosis: -2 })).toBeNull()
  expect(probabilisticSharpe(2, 0, { n: 10, skew: null, kurtosis: null })).toBeNull()
})

test('without trials the deflated Sharpe ratio is unknown, with one it is the probabilistic one', () => {
  const returns = Float64Array.of(0.01, -0.02, 0.03, 0.005)
  expect(returnFigures(returns, 365, null).dsr).toBeNull()
  const { psr, dsr } = returnFigures(returns, 365, { count: 0, known: 0, mean: 0, squares: 0 })
  expect(psr).not.toBeNull()
  expect(dsr).toBe(psr)
})

test('beta is covariance over variance, alpha what is left, compounded over a year', () => {
  // means 0.01 and 0; covariance (0.02 x 0.01 + -0.02 x -0.01) / 1 = 0.0004, variance 0.0002: beta 2
  const { alpha, beta } = benchmarkFigures(Float64Array.of(0.03, -0.01), Float64Array.of(0.01, -0.01), 252)
  expect(beta).toBeCloseTo(2, 12)
  expect(alpha).toBeCloseTo(1.01 ** 252 - 1, 10)
})

test('a benchmark that does not move, or a single day, has no beta', () => {
  const none = { alpha: null, beta: null }
  expect(benchmarkFigures(Float64Array.of(0.1, 0.2), Float64Array.of(0.01, 0.01), 252)).toEqual(none)
  expect(benchmarkFigures(Float64Array.of(0.1), Float64Array.of(0.01), 252)).toEqual(none)
})

test('a strategy that did the opposite has the opposite Sharpe ratio and skew, and the same swings', () => {
  const daily = fc.array(fc.double({ min: -0.5, max: 0.5, noNaN: true }), { minLength: 2, maxLength: 60 })
  fc.assert(
    fc.property(daily, (values) => {
      const one = returnFigures(Float64Array.from(values), 252, null)
      const other = returnFigures(
        Float64Array.from(values, (value) => -value),
        252,
        null,
      )
      for (const key of ['sharpe_ratio', 'skew'] as const) {
        expect(other[key] === null).toBe(one[key] === null)
        expect((other[key] ?? 0) + (one[key] ?? 0)).toBeCloseTo(0, 9)
      }
      for (const key of ['volatility', 'kurtosis'] as const) expect(other[key] ?? 0).toBeCloseTo(one[key] ?? 0, 9)
      if (one.psr !== null && other.psr !== null) expect(one.psr + other.psr).toBeCloseTo(1, 9)
    }),
  )
})
