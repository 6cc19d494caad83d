/**
 * The days and hours of the New York Stock Exchange, which all US equity exchanges keep: rules of the yearly holidays and
 * half days, and by date what no rule gives. From NYSE's list of closings since 1885 and its yearly holiday notices.
 */
import { DAY_MS } from './days.ts'

export const FIRST_YEAR = 1990
export const LAST_YEAR = 2030

/** Minutes after midnight in New York. */
export interface Hours {
  open: number
  close: number
}

const at = (hour: number, minute = 0): number => hour * 60 + minute

export const REGULAR: Hours = { open: at(9, 30), close: at(16) }
const ONE_O_CLOCK: Hours = { ...REGULAR, close: at(13) }
/** Half days ended at 14:00 until 1992. */
const TWO_O_CLOCK: Hours = { ...REGULAR, close: at(14) }

/** Whole days that no rule closes. */
const CLOSED: Readonly<Record<string, string>> = {
  '1994-04-27': 'funeral of President Nixon',
  '2001-09-11': 'terrorist attacks',
  '2001-09-12': 'terrorist attacks',
  '2001-09-13': 'terrorist attacks',
  '2001-09-14': 'terrorist attacks',
  '2004-06-11': 'funeral of President Reagan',
  '2007-01-02': 'day of mourning for President Ford',
  '2012-10-29': 'hurricane Sandy',
  '2012-10-30': 'hurricane Sandy',
  '2018-12-05': 'day of mourning for President G. H. W. Bush',
  '2025-01-09': 'day of mourning for President Carter',
}

/** Hours that no rule gives. Openings late by a few minutes, for a moment of silence, are left out. */
const SPECIAL_HOURS: Readonly<Record<string, Hours>> = {
  '1990-12-27': { ...REGULAR, open: at(11) },
  '1994-02-11': { ...REGULAR, close: at(14, 30) },
  '1995-12-18': { ...REGULAR, open: at(10, 30) },
  '1996-01-08': { open: at(11), close: at(14) },
  '1997-10-27': { ...REGULAR, close: at(15, 30) },
  '1997-12-26': ONE_O_CLOCK,
  '1999-12-31': ONE_O_CLOCK,
  '2002-09-11': { ...REGULAR, open: at(12) },
  '2003-12-26': ONE_O_CLOCK,
}

const SUNDAY = 0
const MONDAY = 1
const WEDNESDAY = 3
const THURSDAY = 4
const FRIDAY = 5
const SATURDAY = 6

const weekdayOf = (day: number): number => new Date(day).getUTCDay()

/** The n-th of a weekday in a month (1 = January). */
function nth(year: number, month: number, weekday: number, n: number): number {
  const first = Date.UTC(year, month - 1, 1)
  return first + (((weekday - weekdayOf(first) + 7) % 7) + 7 * (n - 1)) * DAY_MS
}

/** A holiday on a Saturday is kept on the Friday before, one on a Sunday on the Monday after. */
function observed(year: number, month: number, date: number): number {
  const day = Date.UTC(year, month - 1, date)
  const weekday = weekdayOf(day)
  if (weekday === SATURDAY) return day - DAY_MS
  return weekday === SUNDAY ? day + DAY_MS : day
}

/** Easter Sunday of the Gregorian calendar (the anonymous algorithm of 1876). */
function easter(year: number): number {
  const a = year % 19
  const b = Math.floor(year / 100)
  const c = year % 100
  const d = b - Math.floor(b / 4) - Math.floor((b - Math.floor((b + 8) / 25) + 1) / 3)
  const e = (19 * a + d + 15) % 30
  const f = (32 + 2 * (b % 4) + 2 * Math.floor(c / 4) - e - (c % 4)) % 7
  const g = e + f - 7 * Math.floor((a + 11 * e + 22 * f) / 451) + 114
  return Date.UTC(year, Math.floor(g / 31) - 1, (g % 31) + 1)
}

/** Whole holidays of a year, by day. */
export function holidaysOf(year: number): Map<number, string> {
  const days = new Map<number, string>()
  const newYear = Date.UTC(year, 0, 1)
  // On a Saturday it is not kept: the Friday before ends the year.
  if (weekdayOf(newYear) !== SATURDAY) days.set(observed(year, 1, 1), "New Year's Day")
  if (year >= 1998) days.set(nth(year, 1, MONDAY, 3), 'Martin Luther King Jr. Day')
  days.set(nth(year, 2, MONDAY, 3), "Washington's Birthday")
  days.set(easter(year) - 2 * DAY_MS, 'Good Friday')
  days.set(nth(year, 6, MONDAY, 1) - 7 * DAY_MS, 'Memorial Day')
  if (year >= 2022) days.set(observed(year, 6, 19), 'Juneteenth')
  days.set(observed(year, 7, 4), 'Independence Day')
  days.set(nth(year, 9, MONDAY, 1), 'Labor Day')
  days.set(nth(year, 11, THURSDAY, 4), 'Thanksgiving Day')
  days.set(observed(year, 12, 25), 'Christmas Day')
  for (const [date, name] of Object.entries(CLOSED)) if (date.startsWith(`${year}-`)) days.set(Date.parse(date), name)
  return days
}

/** Days of a year with other than the regular hours. Some may be holidays or fall on a weekend: those are closed. */
export function unusualHoursOf(year: number): Map<number, Hours> {
  const days = new Map<number, Hours>()
  const half = year < 1993 ? TWO_O_CLOCK : ONE_O_CLOCK
  if (year >= 1992) days.set(nth(year, 11, THURSDAY, 4) + DAY_MS, half)
  days.set(Date.UTC(year, 11, 24), half)
  if (year >= 1995) {
    const third = Date.UTC(year, 6, 3)
    // With the Fourth on a Thursday the Friday after it was the half day, until 2013.
    if (weekdayOf(third) === WEDNESDAY && year < 2013) days.set(third + 2 * DAY_MS, half)
    else days.set(third, half)
  }
  for (const [date, hours] of Object.entries(SPECIAL_HOURS)) {
    if (date.startsWith(`${year}-`)) days.set(Date.parse(date), hours)
  }
  return days
}

export function isSunday(day: number): boolean {
  return weekdayOf(day) === SUNDAY
}

export function isWeekend(day: number): boolean {
  const weekday = weekdayOf(day)
  return weekday < MONDAY || weekday > FRIDAY
}
