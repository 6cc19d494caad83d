/** Sums over float64 that every statistic shares, and the one rule that what is undefined is null. */

/** Null for NaN and the infinities; -0 becomes 0. */
export function finite(value: number): number | null {
  if (!Number.isFinite(value)) return null
  return value === 0 ? 0 : value
}

/** Null when either side is unknown or the divisor is zero. */
export function ratio(dividend: number | null, divisor: number | null): number | null {
  return dividend === null || divisor === null || divisor === 0 ? null : finite(dividend / divisor)
}

/** Neumaier's sum: a long curve loses no digits, and the order of the values hardly matters. */
export function sum(values: ArrayLike<number>): number {
  let total = 0
  let lost = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    const next = total + value
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total
    total = next
  }
  return total + lost
}

/** NaN for no values. */
export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length
}

/** Sum of (value - centre)^power: the central moments, not yet divided by a count. */
export function powerSum(values: ArrayLike<number>, centre: number, power: 2 | 3 | 4): number {
  let total = 0
  for (let i = 0; i < values.length; i++) {
    const distance = (values[i] as number) - centre
    const square = distance * distance
    total += power === 2 ? square : power === 3 ? square * distance : square * square
  }
  return total
}

/** Sample standard deviation, divisor n - 1; NaN for fewer than two values. */
export function deviation(values: ArrayLike<number>): number {
  return values.length < 2 ? Number.NaN : Math.sqrt(powerSum(values, mean(values), 2) / (values.length - 1))
}

/** Percentile by linear interpolation between the closest ranks; `sorted` ascending, `fraction` in [0, 1]. */
export function percentile(sorted: ArrayLike<number>, fraction: number): number {
  const rank = fraction * (sorted.length - 1)
  const below = Math.floor(rank)
  const low = sorted[below] as number
  const high = sorted[Math.ceil(rank)] as number
  return low + (high - low) * (rank - below)
}
