/** Daily returns out of a curve of ticks. Pure. */

const DAY_MS = 86_400_000

export interface DailyReturns {
  /** Day starts, epoch milliseconds UTC. */
  days: Float64Array
  returns: Float64Array
  /** Equity at the end of each day. */
  equity: Float64Array
}

/** `utc_days`: every UTC day from first to last bar, one without a bar returning 0. `sessions`: days with a bar. */
export type Calendar = 'utc_days' | 'sessions'

/**
 * A tick belongs to the day of its bar's open time. The first return is from the initial cash. `dayOf` gives the start
 * of a tick's day where sessions are not UTC days.
 */
export function dailyReturns(
  ts: Float64Array,
  equity: Float64Array,
  initialCash: number,
  timeframeMs: number,
  calendar: Calendar,
  dayOf: (openTime: number) => number = (openTime) => Math.floor(openTime / DAY_MS) * DAY_MS,
): DailyReturns {
  const days: number[] = []
  const ends: number[] = []
  for (let index = 0; index < ts.length; index++) {
    const day = dayOf((ts[index] as number) - timeframeMs)
    const known = days.length - 1
    if (known >= 0 && days[known] === day) {
      ends[known] = equity[index] as number
      continue
    }
    if (calendar === 'utc_days' && known >= 0) {
      for (let empty = (days[known] as number) + DAY_MS; empty < day; empty += DAY_MS) {
        days.push(empty)
        ends.push(ends.at(-1) as number)
      }
    }
    days.push(day)
    ends.push(equity[index] as number)
  }
  const returns = Float64Array.from(
    ends,
    (end, index) => end / (index === 0 ? initialCash : (ends[index - 1] as number)) - 1,
  )
  return { days: Float64Array.from(days), returns, equity: Float64Array.from(ends) }
}

/** Compounded returns by `YYYY-MM` (length 7) or `YYYY` (length 4). */
export function returnsBy(daily: DailyReturns, length: 7 | 4): Record<string, number> {
  const periods: Record<string, number> = {}
  daily.days.forEach((day, index) => {
    const key = new Date(day).toISOString().slice(0, length)
    periods[key] = (1 + (periods[key] ?? 0)) * (1 + (daily.returns[index] as number)) - 1
  })
  return periods
}
