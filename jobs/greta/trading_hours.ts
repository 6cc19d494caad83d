/** Hours of a session of an equity that orders ask for: its two auctions, its regular hours, the extended ones. */
import {
  firstBarOf,
  OUTSIDE,
  type Outside,
  type Session,
  sessionEndingAfter,
  sessionsBetween,
  tradesAroundTheClock,
} from '../../db/walle/calendar/calendar.ts'
import { DAY_MS } from '../../db/walle/calendar/days.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'

/**
 * Open time of the bar that holds the first opening (closing) auction for which an order decided at `ts` is in time, that
 * is of a bar that opens at or after `ts`. Null: every bar does, as a day bar holds both.
 */
export function auctionBar(at: 'open' | 'close', timeframe: Timeframe, ts: number): number | null | Outside {
  const step = TIMEFRAME_MS[timeframe]
  if (step >= DAY_MS) return null
  const barOf = (session: Session) =>
    at === 'open' ? firstBarOf(session, step) : Math.floor((session.close - 1) / step) * step
  const current = sessionEndingAfter(ts)
  const session = current === OUTSIDE || barOf(current) >= ts ? current : sessionEndingAfter(current.close)
  return session === OUTSIDE ? OUTSIDE : barOf(session)
}

/** Does a bar hold any of a regular session? Beyond the calendar's years every bar counts as one that does. */
export function isRegularBar(symbol: string, timeframe: Timeframe, time: number): boolean {
  if (tradesAroundTheClock(symbol)) return true
  const sessions = sessionsBetween(time, time + TIMEFRAME_MS[timeframe])
  return sessions === OUTSIDE || sessions.length > 0
}

/** After the close an order that asks for extended hours still trades for so long: to 20:00 in New York, on a half day to 17:00. */
const EXTENDED_MS = 4 * 3_600_000

/** When a day order for extended hours that is decided at `ts` ends; beyond the calendar's years it knows no end. */
export function extendedDayEnd(ts: number): number {
  const session = sessionEndingAfter(ts - EXTENDED_MS)
  return session === OUTSIDE ? Number.POSITIVE_INFINITY : session.close + EXTENDED_MS
}
