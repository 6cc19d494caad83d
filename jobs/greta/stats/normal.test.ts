import fc from 'fast-check'
import { expect, test } from 'vitest'
import { normalCdf, normalQuantile } from './normal.ts'

/** scipy.stats.norm.cdf */
test.each([
  [-8.5, 9.47953482220325e-18],
  [-5, 2.866515718791933e-7],
  [-1.96, 0.024997895148220435],
  [-0.3, 0.3820885778110474],
  [0, 0.5],
  [0.7, 0.758036347776927],
  [2.5758293035489004, 0.995],
  [6.2, 0.9999999997176842],
  [-50, 0],
  [50, 1],
])('below %f deviations lies %f of the normal distribution', (x, p) => {
  expect(Math.abs(normalCdf(x) - p)).toBeLessThanOrEqual(Math.min(1e-14, 1e-7 * p))
})

/** scipy.stats.norm.ppf */
test.each([
  [1e-12, -7.034483825301131],
  [0.001, -3.090232306167813],
  [0.02, -2.053748910631823],
  [0.3, -0.5244005127080409],
  [0.5, 0],
  [0.8, 0.8416212335729143],
  [0.975, 1.959963984540054],
  [0.99, 2.3263478740408408],
  [0.999999, 4.753424308817087],
])('the quantile of %f is %f', (p, x) => {
  expect(normalQuantile(p)).toBeCloseTo(x, 9)
})

test('quantiles of 0 and 1 are infinite, outside there are none', () => {
  expect(normalQuantile(0)).toBe(Number.NEGATIVE_INFINITY)
  expect(normalQuantile(1)).toBe(Number.POSITIVE_INFINITY)
  expect(normalQuantile(1.1)).toBeNaN()
  expect(normalCdf(Number.NaN)).toBeNaN()
})

test('the quantile undoes the distribution', () => {
  fc.assert(
    fc.property(fc.double({ min: -5, max: 5, noNaN: true }), (x) => {
      expect(normalQuantile(normalCdf(x))).toBeCloseTo(x, 8)
    }),
  )
})
