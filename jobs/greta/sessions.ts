/** When a simulated day order ends, by the exchange calendar; where that knows nothing, by the bars that there are. */

import { dayOrderEnd, OUTSIDE, tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import { DAY_MS, dateText, dayOf } from '../../db/walle/calendar/days.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'

const newYorkDate = new Intl.DateTimeFormat('en-CA', {
  timeZone: 'America/New_York',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
})

/**
 * A text that is the same for all bars of one session: the UTC day for 24/7 symbols; for equities the New York date, and
 * for their daily bars, stored at 00:00Z of the session date, that date.
 */
export function sessionOf(symbol: string, timeframe: Timeframe, openTime: number): string {
  if (tradesAroundTheClock(symbol) || TIMEFRAME_MS[timeframe] >= DAY_MS) return dateText(dayOf(openTime))
  return newYorkDate.format(openTime)
}

export interface DayOrderBar {
  symbol: string
  timeframe: Timeframe
  /** The tick at which the order was decided. */
  decidedAt: number
  /** Open time of the bar. */
  time: number
}

/** The bar opens when the order's session is over. */
export function isOverdue({ symbol, decidedAt, time }: DayOrderBar): boolean {
  const end = dayOrderEnd(symbol, decidedAt)
  return end !== OUTSIDE && time >= end
}

/** The bar is the last of the order's session. `next`: open time of the symbol's next bar. */
export function endsSession({ symbol, timeframe, decidedAt, time }: DayOrderBar, next: number | undefined): boolean {
  const end = dayOrderEnd(symbol, decidedAt)
  if (end !== OUTSIDE) return time + TIMEFRAME_MS[timeframe] >= end
  return next === undefined || sessionOf(symbol, timeframe, next) !== sessionOf(symbol, timeframe, time)
}
