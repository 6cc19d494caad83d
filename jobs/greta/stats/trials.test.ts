import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expectedBestSharpe, withOwn } from './trials.ts'

test('the best of so many trials without skill is what Bailey and Lopez de Prado expect', () => {
  // sqrt(V) ((1 - euler_gamma) norm.ppf(1 - 1/T) + euler_gamma norm.ppf(1 - 1/(T e))) by scipy 1.17.1
  expect(expectedBestSharpe({ count: 20, variance: 0.004 })).toBeCloseTo(0.12021132585049431, 14)
})

test('one trial, or trials that did not differ, raise no threshold', () => {
  expect(expectedBestSharpe({ count: 1, variance: 0.004 })).toBe(0)
  expect(expectedBestSharpe({ count: 50, variance: 0 })).toBe(0)
})

test('more trials ask for more', () => {
  const best = [2, 10, 100, 10_000].map((count) => expectedBestSharpe({ count, variance: 0.01 }))
  expect(best).toEqual(best.toSorted((a, b) => a - b))
})

test('a trial is one of its own trials', () => {
  expect(withOwn({ count: 0, known: 0, mean: 0, squares: 0 }, 0.3)).toEqual({ count: 1, variance: 0 })
  // 0.1 and 0.3: mean 0.2, (0.01 + 0.01) / 1
  expect(withOwn({ count: 4, known: 1, mean: 0.1, squares: 0 }, 0.3)).toEqual({
    count: 5,
    variance: expect.closeTo(0.02, 15),
  })
})

test('the variance is that of all the Sharpe ratios together', () => {
  const sharpe = fc.double({ min: -1, max: 1, noNaN: true })
  fc.assert(
    fc.property(fc.array(sharpe, { minLength: 1, maxLength: 20 }), sharpe, (others, own) => {
      const meanOf = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
      const squaresOf = (values: number[]) => values.reduce((sum, value) => sum + (value - meanOf(values)) ** 2, 0)
      const { variance } = withOwn(
        { count: others.length, known: others.length, mean: meanOf(others), squares: squaresOf(others) },
        own,
      )
      expect(variance).toBeCloseTo(squaresOf([...others, own]) / others.length, 12)
    }),
  )
})
