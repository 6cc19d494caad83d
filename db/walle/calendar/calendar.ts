/**
 * When a market trades: where bars are expected, when a day order ends, what a day bar is made of. A symbol with `/` trades
 * around the clock, any other is a US equity. What the calendar does not know it says (`OUTSIDE`); it never guesses. Pure.
 */
import { TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'
import { zoneOffsets } from '../import/time_text.ts'
import { DAY_MS, dateText, dayOf } from './days.ts'
import { FIRST_YEAR, type Hours, holidaysOf, isSunday, isWeekend, LAST_YEAR, REGULAR, unusualHoursOf } from './nyse.ts'

/** A regular session: what trades before and after it is extended hours. */
export interface Session {
  /** In New York, such as 2024-07-03. */
  date: string
  /** 00:00 UTC of that date, epoch milliseconds: the open time of the session's day bar. */
  day: number
  /** Epoch milliseconds; open is the first moment of the session, close the first after it. */
  open: number
  close: number
  /** It opens late or closes early. */
  half: boolean
}

/** The moment lies outside of the years that the calendar knows. */
export const OUTSIDE = 'outside'
export type Outside = typeof OUTSIDE

/** Years that are known whole. */
export const CALENDAR_YEARS = { first: FIRST_YEAR, last: LAST_YEAR } as const

const FIRST_DAY = Date.UTC(FIRST_YEAR, 0, 1)
const END = Date.UTC(LAST_YEAR + 1, 0, 1)

export function tradesAroundTheClock(symbol: string): boolean {
  return symbol.includes('/')
}

/** Every moment in [from, to] is in the years that the calendar knows. */
export function isKnown(from: number, to: number = from): boolean {
  return from >= FIRST_DAY && to < END
}

const newYorkOffset = zoneOffsets('America/New_York')
const MINUTE_MS = 60_000
/** By this time of a UTC day New York has changed its clocks, if it does that day. */
const NOON_MS = DAY_MS / 2

let known: readonly Session[] | null = null

/** All sessions there are; made when first asked for. */
function allSessions(): readonly Session[] {
  if (known !== null) return known
  const sessions: Session[] = []
  let offset = 0
  for (let year = FIRST_YEAR; year <= LAST_YEAR; year++) {
    const holidays = holidaysOf(year)
    const unusual = unusualHoursOf(year)
    for (let day = Date.UTC(year, 0, 1); day < Date.UTC(year + 1, 0, 1); day += DAY_MS) {
      // New York changes its clocks on Sundays; asking every day takes longer than all the rest.
      if (isSunday(day) || sessions.length === 0) offset = newYorkOffset(day + NOON_MS)
      if (!isWeekend(day) && !holidays.has(day)) sessions.push(sessionOn(day, offset, unusual.get(day)))
    }
  }
  known = sessions
  return sessions
}

function sessionOn(day: number, offset: number, unusual: Hours | undefined): Session {
  const { open, close } = unusual ?? REGULAR
  const midnight = day - offset
  return {
    date: dateText(day),
    day,
    open: midnight + open * MINUTE_MS,
    close: midnight + close * MINUTE_MS,
    half: unusual !== undefined,
  }
}

/** Index of the first session that closes after `time`. */
function indexAfter(time: number): number {
  const sessions = allSessions()
  let low = 0
  let high = sessions.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sessions[middle] as Session).close <= time) low = middle + 1
    else high = middle
  }
  return low
}

/** Sessions that trade at some moment in [from, to). */
export function sessionsBetween(from: number, to: number): readonly Session[] | Outside {
  if (!isKnown(from, to)) return OUTSIDE
  const sessions = allSessions()
  const first = indexAfter(from)
  let end = first
  while (end < sessions.length && (sessions[end] as Session).open < to) end += 1
  return sessions.slice(first, end)
}

/** The session that trades at this moment, or null. */
export function sessionAt(time: number): Session | null | Outside {
  const next = sessionEndingAfter(time)
  if (next === OUTSIDE) return OUTSIDE
  return next.open <= time ? next : null
}

/** The session of a date (00:00 UTC of it), or null. */
export function sessionOfDay(day: number): Session | null | Outside {
  if (!isKnown(day)) return OUTSIDE
  // New York's session lies within the UTC day of its date.
  const session = allSessions()[indexAfter(day)]
  return session?.day === day ? session : null
}

/** The session that trades at this moment, else the next one: it closes after `time`. */
export function sessionEndingAfter(time: number): Session | Outside {
  if (!isKnown(time)) return OUTSIDE
  return allSessions()[indexAfter(time)] ?? OUTSIDE
}

/** The first session that opens after this moment. */
export function nextSession(time: number): Session | Outside {
  const current = sessionEndingAfter(time)
  if (current === OUTSIDE || current.open > time) return current
  return sessionEndingAfter(current.close)
}

/** The last session that has closed at this moment. */
export function previousSession(time: number): Session | Outside {
  if (!isKnown(time)) return OUTSIDE
  return allSessions()[indexAfter(time) - 1] ?? OUTSIDE
}

/** Open times of the bars that a session has: the day bar at 00:00 UTC of its date, others on the grid of UTC. */
export function barsOfSession(session: Session, timeframe: Timeframe): number[] {
  if (timeframe === '1d') return [session.day]
  const step = TIMEFRAME_MS[timeframe]
  const bars: number[] = []
  for (let time = firstBarOf(session, step); time < session.close; time += step) bars.push(time)
  return bars
}

/** Open time of the session's first bar of `step` milliseconds: it may begin before the session does. */
export function firstBarOf(session: Session, step: number): number {
  return step >= DAY_MS ? session.day : Math.floor(session.open / step) * step
}

/** When a day order that is decided at `time` ends: the close of the session at that moment, else of the next one. */
export function dayOrderEnd(symbol: string, time: number): number | Outside {
  if (tradesAroundTheClock(symbol)) return dayOf(time) + DAY_MS
  const session = sessionEndingAfter(time)
  return session === OUTSIDE ? OUTSIDE : session.close
}
