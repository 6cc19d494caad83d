/**
 * Indicators over the newest values of a window: pure functions of what they are given, NaN when it is too short.
 * The last element is the newest. Conventions are those of the usual charting tools and are named at each function.
 */

type Values = Float64Array | readonly number[]

/**
 * Sum of the `count` values that end before index `end`: nothing before them changes the result. Four running sums, added
 * at the end: a processor adds them side by side.
 */
function sumOf(values: Values, count: number, end: number): number {
  let first = 0
  let second = 0
  let third = 0
  let fourth = 0
  let index = end - count
  for (; index + 3 < end; index += 4) {
    first += values[index] as number
    second += values[index + 1] as number
    third += values[index + 2] as number
    fourth += values[index + 3] as number
  }
  for (; index < end; index++) first += values[index] as number
  return first + second + (third + fourth)
}

/** Simple average of the last `count` values, `back` values ago. */
export function sma(values: Values, count: number, back = 0): number {
  const end = values.length - back
  return end < count ? Number.NaN : sumOf(values, count, end) / count
}

/** Relative distance below which two averages of plain sums may be in the wrong order: sums of up to 1e5 values. */
const NEAR_TIE = 1e-10

/**
 * Which average is higher, as of `back` values ago: the sign of sma(fast) − sma(slow), 0 on a tie. Near ties are decided
 * by exactly rounded sums, so that the order of adding decides no trade. NaN when the window is too short.
 */
export function compareAverages(values: Values, fast: number, slow: number, back = 0): number {
  const fastAverage = sma(values, fast, back)
  const slowAverage = sma(values, slow, back)
  const difference = fastAverage - slowAverage
  if (Math.abs(difference) > NEAR_TIE * (Math.abs(fastAverage) + Math.abs(slowAverage))) return Math.sign(difference)
  if (Number.isNaN(difference)) return difference
  const end = values.length - back
  return Math.sign(exactSum(values, fast, end) / fast - exactSum(values, slow, end) / slow)
}

/** The correctly rounded sum (Shewchuk's partials, as Python's `math.fsum`). */
function exactSum(values: Values, count: number, end: number): number {
  const partials: number[] = []
  for (let index = end - count; index < end; index++) {
    let rest = values[index] as number
    let kept = 0
    for (let part = 0; part < partials.length; part++) {
      let other = partials[part] as number
      if (Math.abs(rest) < Math.abs(other)) [rest, other] = [other, rest]
      const high = rest + other
      const low = other - (high - rest)
      if (low !== 0) partials[kept++] = low
      rest = high
    }
    partials.length = kept
    partials.push(rest)
  }
  return roundedTotal(partials)
}

/** Adds partials that do not overlap, smallest first in the array, rounding half to even once. */
function roundedTotal(partials: readonly number[]): number {
  let index = partials.length - 1
  let high = index < 0 ? 0 : (partials[index--] as number)
  let low = 0
  while (index >= 0 && low === 0) {
    const before = high
    const next = partials[index--] as number
    high = before + next
    low = next - (high - before)
  }
  const below = index < 0 ? 0 : (partials[index] as number)
  if ((low < 0 && below < 0) || (low > 0 && below > 0)) {
    const twice = low * 2
    const up = high + twice
    if (twice === up - high) high = up
  }
  return high
}

/**
 * 1 when fast crossed from at or below slow to above it with the newest value, −1 for the other way, else 0. The averages
 * of the bar before follow from the newest ones; what rounding could turn around is decided by `compareAverages`.
 */
export function crossOfAverages(values: Values, fast: number, slow: number): -1 | 0 | 1 {
  const end = values.length
  if (end <= fast || end <= slow) return 0
  const newest = values[end - 1] as number
  const fastSum = sumOf(values, fast, end)
  const slowSum = sumOf(values, slow, end)
  const fastBefore = (fastSum - newest + (values[end - 1 - fast] as number)) / fast
  const slowBefore = (slowSum - newest + (values[end - 1 - slow] as number)) / slow
  const scale = Math.abs(fastSum / fast) + Math.abs(slowSum / slow) + Math.abs(fastBefore) + Math.abs(slowBefore)
  let now = fastSum / fast - slowSum / slow
  let before = fastBefore - slowBefore
  if (!(Math.abs(now) > NEAR_TIE * scale)) now = compareAverages(values, fast, slow)
  if (!(Math.abs(before) > NEAR_TIE * scale)) before = compareAverages(values, fast, slow, 1)
  if (now > 0 && before <= 0) return 1
  return now < 0 && before >= 0 ? -1 : 0
}

/** Exponential average with weight 2 / (count + 1), started with the simple average of the first `count` values. */
export function ema(values: Values, count: number): number {
  if (values.length < count) return Number.NaN
  const weight = 2 / (count + 1)
  let average = sumOf(values, count, count) / count
  for (let index = count; index < values.length; index++) {
    average = average * (1 - weight) + (values[index] as number) * weight
  }
  return average
}

/** Wilder's average gain and loss: what has to be carried to go on from bar to bar. */
export interface WilderAverages {
  gain: number
  loss: number
}

/** Averages of the first `period` changes of `values`. */
export function startWilder(values: Values, period: number): WilderAverages {
  if (values.length <= period) return { gain: Number.NaN, loss: Number.NaN }
  let gain = 0
  let loss = 0
  for (let index = 1; index <= period; index++) {
    const change = (values[index] as number) - (values[index - 1] as number)
    if (change > 0) gain += change
    else loss -= change
  }
  return { gain: gain / period, loss: loss / period }
}

/** Takes one more change into the averages, in place. */
export function continueWilder(averages: WilderAverages, change: number, period: number): void {
  averages.gain = (averages.gain * (period - 1) + Math.max(change, 0)) / period
  averages.loss = (averages.loss * (period - 1) + Math.max(-change, 0)) / period
}

/** 0 to 100; 100 without losses, 50 when nothing moved. */
export function rsiOf({ gain, loss }: WilderAverages): number {
  if (loss === 0) return gain === 0 ? 50 : 100
  return 100 - 100 / (1 + gain / loss)
}

/** Wilder's RSI over a whole window: its value depends on how long the window is. */
export function rsi(values: Values, period: number): number {
  if (values.length <= period) return Number.NaN
  const averages = startWilder(values, period)
  for (let index = period + 1; index < values.length; index++) {
    continueWilder(averages, (values[index] as number) - (values[index - 1] as number), period)
  }
  return rsiOf(averages)
}

/** Highest of the last `count` values, `back` values ago. */
export function highest(values: Values, count: number, back = 0): number {
  const end = values.length - back
  if (end < count) return Number.NaN
  let found = Number.NEGATIVE_INFINITY
  for (let index = end - count; index < end; index++) found = Math.max(found, values[index] as number)
  return found
}

/** Lowest of the last `count` values, `back` values ago. */
export function lowest(values: Values, count: number, back = 0): number {
  const end = values.length - back
  if (end < count) return Number.NaN
  let found = Number.POSITIVE_INFINITY
  for (let index = end - count; index < end; index++) found = Math.min(found, values[index] as number)
  return found
}

/** Standard deviation of the last `count` values as a population (divided by `count`). */
export function stddev(values: Values, count: number): number {
  const mean = sma(values, count)
  if (Number.isNaN(mean)) return mean
  let squares = 0
  for (let index = values.length - count; index < values.length; index++)
    squares += ((values[index] as number) - mean) ** 2
  return Math.sqrt(squares / count)
}

export interface Bands {
  lower: number
  middle: number
  upper: number
}

/** The average of the last `count` values, and `width` population standard deviations below and above it. */
export function bollinger(values: Values, count: number, width = 2): Bands {
  const middle = sma(values, count)
  const reach = width * stddev(values, count)
  return { lower: middle - reach, middle, upper: middle + reach }
}

export interface Ranges {
  readonly high: Values
  readonly low: Values
  readonly close: Values
}

/** Wilder's average true range over a whole window; the first value is the mean of its first `period` true ranges. */
export function atr({ high, low, close }: Ranges, period: number): number {
  if (close.length <= period) return Number.NaN
  let average = 0
  for (let index = 1; index < close.length; index++) {
    const before = close[index - 1] as number
    const range = Math.max(high[index] as number, before) - Math.min(low[index] as number, before)
    average = index <= period ? average + range / period : (average * (period - 1) + range) / period
  }
  return average
}

/** Change over the last `count` values as a fraction: 0.1 is ten percent up. */
export function rateOfChange(values: Values, count: number): number {
  const now = values[values.length - 1]
  const before = values[values.length - 1 - count]
  return now === undefined || before === undefined ? Number.NaN : now / before - 1
}

/**
 * True when the symbol's newest bar was not seen before, and remembers it in `seen`, which belongs into `ctx.state`. A
 * run on several symbols is called when any of them has a new bar: a signal of an old one must not be acted on again.
 */
export function isNewBar(seen: Record<string, number>, symbol: string, time: Values): boolean {
  const newest = time[time.length - 1] as number
  if (seen[symbol] === newest) return false
  seen[symbol] = newest
  return true
}
