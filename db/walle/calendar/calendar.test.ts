import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Timeframe } from '../../../strategies/api.ts'
import {
  barsOfSession,
  dayOrderEnd,
  nextSession,
  OUTSIDE,
  previousSession,
  type Session,
  sessionAt,
  sessionEndingAfter,
  sessionOfDay,
  sessionsBetween,
} from './calendar.ts'
import { DAY_MS } from './days.ts'

const day = (date: string): number => Date.parse(`${date}T00:00:00Z`)
const at = (text: string): number => Date.parse(text)
const yearOf = (year: number) =>
  sessionsBetween(Date.UTC(year, 0, 1), Date.UTC(year, 11, 31, 23, 59)) as readonly Session[]

/** Weekdays of a year without a session. */
function closedIn(year: number): string[] {
  const open = new Set(yearOf(year).map(({ date }) => date))
  const dates: string[] = []
  for (let time = Date.UTC(year, 0, 1); time < Date.UTC(year + 1, 0, 1); time += DAY_MS) {
    const date = new Date(time)
    const text = date.toISOString().slice(0, 10)
    if (date.getUTCDay() % 6 !== 0 && !open.has(text)) dates.push(text.slice(5))
  }
  return dates
}

const halvesOf = (year: number): string[] =>
  yearOf(year)
    .filter(({ half }) => half)
    .map(({ date }) => date.slice(5))

test.each([
  [1990, 253],
  [1994, 252],
  [1996, 254],
  [1998, 252],
  [2001, 248],
  [2004, 252],
  [2006, 251],
  [2007, 251],
  [2008, 253],
  [2012, 250],
  [2017, 251],
  [2018, 251],
  [2019, 252],
  [2020, 253],
  [2021, 252],
  [2022, 251],
  [2023, 250],
  [2024, 252],
  [2025, 250],
  [2026, 251],
])('%i has %i sessions', (year, count) => {
  expect(yearOf(year)).toHaveLength(count)
})

// As NYSE published them.
test.each([
  [1994, ['02-21', '04-01', '04-27', '05-30', '07-04', '09-05', '11-24', '12-26']],
  [1998, ['01-01', '01-19', '02-16', '04-10', '05-25', '07-03', '09-07', '11-26', '12-25']],
  [2001, '01-01 01-15 02-19 04-13 05-28 07-04 09-03 09-11 09-12 09-13 09-14 11-22 12-25'.split(' ')],
  [2004, ['01-01', '01-19', '02-16', '04-09', '05-31', '06-11', '07-05', '09-06', '11-25', '12-24']],
  [2007, ['01-01', '01-02', '01-15', '02-19', '04-06', '05-28', '07-04', '09-03', '11-22', '12-25']],
  [2011, ['01-17', '02-21', '04-22', '05-30', '07-04', '09-05', '11-24', '12-26']],
  [2012, ['01-02', '01-16', '02-20', '04-06', '05-28', '07-04', '09-03', '10-29', '10-30', '11-22', '12-25']],
  [2018, ['01-01', '01-15', '02-19', '03-30', '05-28', '07-04', '09-03', '11-22', '12-05', '12-25']],
  [2020, ['01-01', '01-20', '02-17', '04-10', '05-25', '07-03', '09-07', '11-26', '12-25']],
  [2021, ['01-01', '01-18', '02-15', '04-02', '05-31', '07-05', '09-06', '11-25', '12-24']],
  [2022, ['01-17', '02-21', '04-15', '05-30', '06-20', '07-04', '09-05', '11-24', '12-26']],
  [2023, ['01-02', '01-16', '02-20', '04-07', '05-29', '06-19', '07-04', '09-04', '11-23', '12-25']],
  [2024, ['01-01', '01-15', '02-19', '03-29', '05-27', '06-19', '07-04', '09-02', '11-28', '12-25']],
  [2025, ['01-01', '01-09', '01-20', '02-17', '04-18', '05-26', '06-19', '07-04', '09-01', '11-27', '12-25']],
  [2026, ['01-01', '01-19', '02-16', '04-03', '05-25', '06-19', '07-03', '09-07', '11-26', '12-25']],
  [2027, ['01-01', '01-18', '02-15', '03-26', '05-31', '06-18', '07-05', '09-06', '11-25', '12-24']],
  [2028, ['01-17', '02-21', '04-14', '05-29', '06-19', '07-04', '09-04', '11-23', '12-25']],
])('the holidays of %i', (year, dates) => {
  expect(closedIn(year)).toEqual(dates)
})

test.each([
  [1991, ['12-24']],
  [1992, ['11-27', '12-24']],
  [1993, ['11-26']],
  [1996, ['01-08', '07-05', '11-29', '12-24']],
  [1999, ['11-26', '12-31']],
  [2002, ['07-05', '09-11', '11-29', '12-24']],
  [2003, ['07-03', '11-28', '12-24', '12-26']],
  [2008, ['07-03', '11-28', '12-24']],
  [2012, ['07-03', '11-23', '12-24']],
  [2013, ['07-03', '11-29', '12-24']],
  [2019, ['07-03', '11-29', '12-24']],
  [2020, ['11-27', '12-24']],
  [2021, ['11-26']],
  [2022, ['11-25']],
  [2023, ['07-03', '11-24']],
  [2024, ['07-03', '11-29', '12-24']],
  [2025, ['07-03', '11-28', '12-24']],
  [2026, ['11-27', '12-24']],
])('the half days of %i', (year, dates) => {
  expect(halvesOf(year)).toEqual(dates)
})

test('hours are those of New York, whatever its clocks are ahead of UTC', () => {
  const hours = (date: string) => {
    const { open, close } = sessionOfDay(day(date)) as Session
    return [new Date(open).toISOString().slice(11, 16), new Date(close).toISOString().slice(11, 16)]
  }
  expect(hours('2024-03-08')).toEqual(['14:30', '21:00'])
  expect(hours('2024-03-11')).toEqual(['13:30', '20:00'])
  expect(hours('2024-11-01')).toEqual(['13:30', '20:00'])
  expect(hours('2024-11-04')).toEqual(['14:30', '21:00'])
  // Summer time began in April until 2006, and on 11 March in 2007.
  expect(hours('2006-03-13')).toEqual(['14:30', '21:00'])
  expect(hours('2007-03-12')).toEqual(['13:30', '20:00'])
  expect(hours('2024-07-03')).toEqual(['13:30', '17:00'])
  expect(hours('1992-11-27')).toEqual(['14:30', '19:00'])
  expect(hours('1996-01-08')).toEqual(['16:00', '19:00'])
})

test('every regular session opens at 9:30 by the clocks of New York', () => {
  const clock = new Intl.DateTimeFormat('en-US', {
    timeZone: 'America/New_York',
    hourCycle: 'h23',
    hour: '2-digit',
    minute: '2-digit',
  })
  const sessions = sessionsBetween(Date.UTC(1990, 0, 1), Date.UTC(2030, 11, 31, 23)) as readonly Session[]
  const wrong = sessions.filter(({ half, open }) => !half && clock.format(open) !== '09:30')
  expect([sessions.length, wrong]).toEqual([10_322, []])
})

describe('a moment and its session', () => {
  const dateOf = (session: Session | null | typeof OUTSIDE) =>
    session === null || session === OUTSIDE ? session : session.date

  test('the open belongs to a session, its close does not', () => {
    expect(dateOf(sessionAt(at('2024-07-03T13:29:59.999Z')))).toBeNull()
    expect(dateOf(sessionAt(at('2024-07-03T13:30:00Z')))).toBe('2024-07-03')
    expect(dateOf(sessionAt(at('2024-07-03T16:59:59.999Z')))).toBe('2024-07-03')
    expect(dateOf(sessionAt(at('2024-07-03T17:00:00Z')))).toBeNull()
  })

  test('next and previous skip nights, weekends and holidays', () => {
    expect(dateOf(nextSession(at('2024-07-03T15:00:00Z')))).toBe('2024-07-05')
    expect(dateOf(nextSession(at('2024-07-05T13:00:00Z')))).toBe('2024-07-05')
    expect(dateOf(previousSession(at('2024-07-03T15:00:00Z')))).toBe('2024-07-02')
    expect(dateOf(previousSession(at('2024-07-07T00:00:00Z')))).toBe('2024-07-05')
    expect(dateOf(sessionEndingAfter(at('2001-09-10T20:00:00Z')))).toBe('2001-09-17')
    expect(dateOf(sessionOfDay(day('2001-09-11')))).toBeNull()
  })

  test('outside of the known years it says so', () => {
    expect(sessionAt(at('1989-12-29T15:00:00Z'))).toBe(OUTSIDE)
    expect(sessionOfDay(day('2031-01-02'))).toBe(OUTSIDE)
    expect(sessionsBetween(day('2030-12-30'), day('2031-01-02'))).toBe(OUTSIDE)
    expect(previousSession(at('1990-01-02T12:00:00Z'))).toBe(OUTSIDE)
    expect(nextSession(at('2030-12-31T21:00:00Z'))).toBe(OUTSIDE)
    expect(dayOrderEnd('AAPL', at('2030-12-31T21:00:00Z'))).toBe(OUTSIDE)
    expect(dayOrderEnd('BTC/USD', at('2035-12-31T21:00:00Z'))).toBe(at('2036-01-01T00:00:00Z'))
  })

  test('any moment lies in one session or between two neighbours', () => {
    const moments = fc.integer({ min: Date.UTC(1990, 0, 3), max: Date.UTC(2030, 11, 30) })
    fc.assert(
      fc.property(moments, (time) => {
        const before = previousSession(time) as Session
        const current = sessionAt(time)
        const after = nextSession(time) as Session
        expect(before.close).toBeLessThanOrEqual(time)
        expect(after.open).toBeGreaterThan(time)
        expect(after.open - before.close).toBeLessThan(8 * DAY_MS)
        if (current !== null) expect(current).toEqual(nextSession(before.close))
        else expect(after).toEqual(nextSession(before.close))
      }),
    )
  })
})

test.each<[string, Timeframe, number, string, string]>([
  ['2024-01-02', '1m', 390, '14:30', '20:59'],
  ['2024-01-02', '5m', 78, '14:30', '20:55'],
  ['2024-01-02', '15m', 26, '14:30', '20:45'],
  ['2024-01-02', '30m', 13, '14:30', '20:30'],
  ['2024-01-02', '1h', 7, '14:00', '20:00'],
  ['2024-07-02', '1h', 7, '13:00', '19:00'],
  ['2024-01-02', '4h', 3, '12:00', '20:00'],
  ['2024-07-02', '4h', 2, '12:00', '16:00'],
  ['2024-07-03', '4h', 2, '12:00', '16:00'],
  ['2024-07-03', '1m', 210, '13:30', '16:59'],
  ['2024-11-29', '1h', 4, '14:00', '17:00'],
  ['2024-01-02', '1d', 1, '00:00', '00:00'],
])('the session of %s has in %s %i bars, from %s to %s', (date, timeframe, count, first, last) => {
  const bars = barsOfSession(sessionOfDay(day(date)) as Session, timeframe)
  const clock = (time: number | undefined) => new Date(time ?? Number.NaN).toISOString().slice(11, 16)
  expect([bars.length, clock(bars[0]), clock(bars.at(-1))]).toEqual([count, first, last])
})

test('a day order ends with the session at its moment, else with the next one', () => {
  const end = (text: string) => new Date(dayOrderEnd('AAPL', at(text)) as number).toISOString()
  expect(end('2024-07-03T16:00:00Z')).toBe('2024-07-03T17:00:00.000Z')
  expect(end('2024-07-03T17:00:00Z')).toBe('2024-07-05T20:00:00.000Z')
  expect(end('2024-07-06T00:00:00Z')).toBe('2024-07-08T20:00:00.000Z')
})
