/** From ticks to days: which day a tick belongs to, and the curve at the end of each day. */
import { DAY_MS } from '../../../db/walle/calendar/days.ts'
import { finite } from './numbers.ts'

/** `utc_days`: 24/7 symbols, every UTC day from the first to the last bar. `sessions`: equities, dates with a bar. */
export type Calendar = 'utc_days' | 'sessions'

/** Daily returns in a year. */
export const DAYS_A_YEAR: Readonly<Record<Calendar, number>> = { utc_days: 365, sessions: 252 }

const HOUR_MS = 3_600_000
const newYorkHour = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/New_York',
  hour: 'numeric',
  hourCycle: 'h23',
})

/** How far New York is behind UTC. Its clocks change at night on a Sunday, so one look at noon holds for a day's bars. */
function newYorkLag(utcDay: number): number {
  return (12 - Number(newYorkHour.format(utcDay * DAY_MS + 12 * HOUR_MS))) * HOUR_MS
}

export interface DailyEnds {
  /** Days since 1970-01-01, ascending. */
  days: Int32Array
  /** Index of the last tick of each day; that of the day before where the day has no bar; -1 before any. */
  last: Int32Array
}

/**
 * The last tick of each day. A tick's `ts` is its bar's close boundary, so its day is that of the bar's open time:
 * the bar that closes at midnight belongs to the day that ends there.
 */
export function dailyEnds(ts: Float64Array, timeframeMs: number, calendar: Calendar): DailyEnds {
  if (ts.length === 0) return { days: new Int32Array(0), last: new Int32Array(0) }
  const firstOpen = (ts[0] as number) - timeframeMs
  const capacity = Math.floor(((ts[ts.length - 1] as number) - timeframeMs - firstOpen) / DAY_MS) + 3
  const days = new Int32Array(capacity)
  const last = new Int32Array(capacity)
  let count = 0
  // The ticks before `ends` are of the day in hand.
  let ends = Number.NEGATIVE_INFINITY
  for (let tick = 0; tick < ts.length; tick++) {
    const open = (ts[tick] as number) - timeframeMs
    if (open >= ends) {
      const lag = calendar === 'sessions' && timeframeMs < DAY_MS ? newYorkLag(Math.floor(open / DAY_MS)) : 0
      const day = Math.floor((open - lag) / DAY_MS)
      // New York is asked once a UTC day and once a session: its lag may have changed in between.
      ends = Math.min((day + 1) * DAY_MS + lag, lag === 0 ? Number.POSITIVE_INFINITY : nextMidnight(open))
      if (count === 0 || day > (days[count - 1] as number)) {
        for (let empty = (days[count - 1] ?? day) + 1; calendar === 'utc_days' && count > 0 && empty < day; empty++) {
          days[count] = empty
          last[count++] = tick - 1
        }
        days[count++] = day
      }
    }
    last[count - 1] = tick
  }
  return { days: days.subarray(0, count), last: last.subarray(0, count) }
}

function nextMidnight(ms: number): number {
  return (Math.floor(ms / DAY_MS) + 1) * DAY_MS
}

/**
 * Returns from day to day, the first from `start`. Null when a base is not positive: from an account at or below zero
 * there is no return.
 */
export function dailyReturns(values: Float64Array, ends: DailyEnds, start: number): Float64Array | null {
  const returns = new Float64Array(ends.last.length)
  let base = start
  for (let day = 0; day < returns.length; day++) {
    const value = values[ends.last[day] as number] as number
    if (!(base > 0) || !Number.isFinite(value)) return null
    returns[day] = value / base - 1
    base = value
  }
  return returns
}

export type PeriodReturn = { period: string; return: number | null }

/** Returns by month ('2024-01', length 7) or year ('2024', length 4), the first from `start`. */
export function periodReturns(values: Float64Array, ends: DailyEnds, start: number, length: 4 | 7): PeriodReturn[] {
  const periods: PeriodReturn[] = []
  let base = start
  let end = start
  let name = ''
  const close = () => {
    if (name !== '') periods.push({ period: name, return: base > 0 ? finite(end / base - 1) : null })
    base = end
  }
  for (let day = 0; day < ends.days.length; day++) {
    const period = new Date((ends.days[day] as number) * DAY_MS).toISOString().slice(0, length)
    if (period !== name) {
      close()
      name = period
    }
    end = values[ends.last[day] as number] as number
  }
  close()
  return periods
}
