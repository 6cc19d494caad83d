/** Moments and quantiles of a sample. What is undefined is null. Pure. */

export function mean(values: ArrayLike<number>): number | null {
  if (values.length === 0) return null
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += values[index] as number
  return sum / values.length
}

/** Sum of the `power`th powers of the differences from the mean, over n. */
function centralMoment(values: ArrayLike<number>, average: number, power: number): number {
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += ((values[index] as number) - average) ** power
  return sum / values.length
}

/** Standard deviation of a sample (divisor n - 1); null under two values. */
export function standardDeviation(values: ArrayLike<number>): number | null {
  const average = mean(values)
  if (average === null || values.length < 2) return null
  return Math.sqrt((centralMoment(values, average, 2) * values.length) / (values.length - 1))
}

/** A spread this small against the values is rounding: a constant curve has none. */
const NO_SPREAD = 1e-14

/** Null where the values do not vary. */
export function spread(values: ArrayLike<number>): number | null {
  const deviation = standardDeviation(values)
  const average = mean(values)
  if (deviation === null || average === null) return null
  return deviation <= NO_SPREAD * Math.max(1, Math.abs(average)) ? null : deviation
}

/** Biased skewness: m3 / m2^1.5 (scipy's default). */
export function skewness(values: ArrayLike<number>): number | null {
  const average = mean(values)
  if (average === null || spread(values) === null) return null
  return centralMoment(values, average, 3) / centralMoment(values, average, 2) ** 1.5
}

/** Biased excess kurtosis: m4 / m2^2 - 3 (scipy's default). */
export function excessKurtosis(values: ArrayLike<number>): number | null {
  const average = mean(values)
  if (average === null || spread(values) === null) return null
  return centralMoment(values, average, 4) / centralMoment(values, average, 2) ** 2 - 3
}

/** Quantile with linear interpolation between the closest ranks (numpy's default). `sorted` ascends. */
export function quantile(sorted: ArrayLike<number>, fraction: number): number | null {
  if (sorted.length === 0) return null
  const position = (sorted.length - 1) * fraction
  const below = Math.floor(position)
  const low = sorted[below] as number
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number
  return low + (high - low) * (position - below)
}

/** Distribution function of the standard normal, by Hart's rational approximation (West 2005); error below 1e-14. */
export function normalCdf(x: number): number {
  const z = Math.abs(x)
  if (z > 37) return x > 0 ? 1 : 0
  const e = Math.exp((-z * z) / 2)
  let tail: number
  if (z < 7.07106781186547) {
    const top =
      ((((((0.0352624965998911 * z + 0.700383064443688) * z + 6.37396220353165) * z + 33.912866078383) * z +
        112.079291497871) *
        z +
        221.213596169931) *
        z +
        220.206867912376) *
      e
    const bottom =
      ((((((0.0883883476483184 * z + 1.75566716318264) * z + 16.064177579207) * z + 86.7807322029461) * z +
        296.564248779674) *
        z +
        637.333633378831) *
        z +
        793.826512519948) *
        z +
      440.413735824752
    tail = top / bottom
  } else {
    tail = e / (z + 1 / (z + 2 / (z + 3 / (z + 4 / (z + 0.65))))) / 2.506628274631
  }
  return x > 0 ? 1 - tail : tail
}

/** Inverse of the above, by Acklam's approximation with one step of Newton's method. */
export function normalQuantile(p: number): number {
  if (p <= 0 || p >= 1) throw new RangeError(`The normal quantile wants a number between 0 and 1, not ${p}`)
  const low = 0.02425
  const tail = (q: number) =>
    (((((-7.784894002430293e-3 * q - 3.223964580411365e-1) * q - 2.400758277161838) * q - 2.549732539343734) * q +
      4.374664141464968) *
      q +
      2.938163982698783) /
    ((((7.784695709041462e-3 * q + 3.224671290700398e-1) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1)
  const middle = (q: number) => {
    const r = q * q
    return (
      ((((((-3.969683028665376e1 * r + 2.209460984245205e2) * r - 2.759285104469687e2) * r + 1.38357751867269e2) * r -
        3.066479806614716e1) *
        r +
        2.506628277459239) *
        q) /
      (((((-5.447609879822406e1 * r + 1.615858368580409e2) * r - 1.556989798598866e2) * r + 6.680131188771972e1) * r -
        1.328068155288572e1) *
        r +
        1)
    )
  }
  const rough =
    p < low ? tail(Math.sqrt(-2 * Math.log(p))) : p > 1 - low ? -tail(Math.sqrt(-2 * Math.log(1 - p))) : middle(p - 0.5)
  const density = Math.exp((-rough * rough) / 2) / Math.sqrt(2 * Math.PI)
  return density === 0 ? rough : rough - (normalCdf(rough) - p) / density
}
