/** The standard normal distribution: its cumulative function and the inverse, to about 1e-15. */
import { exp, log } from '../../marvin/portable_math.ts'

const UPPER = [
  0.0352624965998911, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871, 221.213596169931,
  220.206867912376,
]
const LOWER = [
  0.0883883476483184, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674, 637.333633378831,
  793.826512519948, 440.413735824752,
]
/** Beyond this many deviations the rational approximation gives way to a continued fraction. */
const FAR = 7.07106781186547
/** Beyond this many deviations nothing is left in float64. */
const VANISHES = 37

const polynomial = (coefficients: readonly number[], x: number) =>
  coefficients.reduce((value, coefficient) => value * x + coefficient, 0)

/** Hart's approximation, in the form of G. West, "Better approximations to cumulative normal functions" (2005). */
export function normalCdf(x: number): number {
  const distance = Math.abs(x)
  if (Number.isNaN(x)) return Number.NaN
  let tail = 0
  if (distance <= VANISHES) {
    const density = exp((-distance * distance) / 2)
    if (distance < FAR) tail = (density * polynomial(UPPER, distance)) / polynomial(LOWER, distance)
    else {
      let fraction = distance + 0.65
      for (const step of [4, 3, 2, 1]) fraction = distance + step / fraction
      tail = density / fraction / 2.506628274631
    }
  }
  return x > 0 ? 1 - tail : tail
}

const CENTRE = {
  over: [
    -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239,
  ],
  under: [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1],
}
const TAIL = {
  over: [
    -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
    2.938163982698783,
  ],
  under: [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1],
}
const TAIL_BEGINS = 0.02425

/** Acklam's approximation, sharpened by one step of Halley's method. The infinities at 0 and 1, NaN outside. */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) return Number.NaN
  if (p === 0) return Number.NEGATIVE_INFINITY
  if (p === 1) return Number.POSITIVE_INFINITY
  const x = roughQuantile(p)
  const error = normalCdf(x) - p
  const step = error * Math.sqrt(2 * Math.PI) * exp((x * x) / 2)
  return x - step / (1 + (x * step) / 2)
}

function roughQuantile(p: number): number {
  if (p > 1 - TAIL_BEGINS) return -roughQuantile(1 - p)
  if (p < TAIL_BEGINS) {
    const q = Math.sqrt(-2 * log(p))
    return polynomial(TAIL.over, q) / polynomial(TAIL.under, q)
  }
  const q = p - 0.5
  return (polynomial(CENTRE.over, q * q) * q) / polynomial(CENTRE.under, q * q)
}
