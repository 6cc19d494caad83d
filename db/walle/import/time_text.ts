/** Timestamps as files write them: ISO 8601 with or without zone, plain dates, epoch seconds or milliseconds. */
import { TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'

/** Epoch numbers below are seconds (until the year 5138), from here on milliseconds (since 1973). */
const FIRST_EPOCH_MS = 100_000_000_000
/** No zone changes its offset but at a quarter of an hour, so one answer of Intl serves so long. */
const OFFSET_STEP_MS = 900_000
const NEW_YORK = 'America/New_York'

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?(Z|[+-]\d\d:?\d\d)?)?$/i

export type TimeReading = { time: number } | { reason: string }

export interface TimeReader {
  /** The bar's open time in epoch milliseconds, on the grid, or why not. */
  read(text: string): TimeReading
}

export function createTimeReader(symbol: string, timeframe: Timeframe, zone: string): TimeReader {
  const step = TIMEFRAME_MS[timeframe]
  const isSession = timeframe === '1d' && !symbol.includes('/')
  const offset = zoneOffsets(zone)
  const newYorkOffset = zoneOffsets(NEW_YORK)

  function onGrid(time: number, text: string): TimeReading {
    if (time % step === 0) return { time }
    if (isSession) {
      // A day bar stamped with midnight in New York is the session of that date.
      const local = time + newYorkOffset(time)
      if (local % step === 0) return { time: local }
    }
    return { reason: `timestamp ${text} is not on the grid of ${timeframe} (UTC)` }
  }

  return {
    read(text) {
      if (/^\d{1,14}$/.test(text)) {
        const epoch = Number(text)
        return onGrid(epoch < FIRST_EPOCH_MS ? epoch * 1000 : epoch, text)
      }
      const parts = ISO.exec(text)
      if (parts === null) return { reason: `timestamp ${JSON.stringify(text)} is neither ISO 8601 nor an epoch number` }
      const wall = wallTime(parts)
      if (wall === null) return { reason: `timestamp ${text} is no date of the calendar` }
      const written = parts[8]
      if (written !== undefined) return onGrid(wall - minutesOf(written) * 60_000, text)
      // A date names a day, whatever the zone; so does midnight without a zone where bars are days.
      if (parts[4] === undefined || (timeframe === '1d' && wall % step === 0)) return onGrid(wall, text)
      const time = wall - offset(wall - offset(wall))
      if (time + offset(time) !== wall) return { reason: `timestamp ${text} does not exist in ${zone} (clock change)` }
      return onGrid(time, text)
    },
  }
}

/** The date and time that is written, as if it were UTC; null when there is no such date or time. */
function wallTime(parts: RegExpExecArray): number | null {
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map((part) => Number(part ?? 0))
  const milliseconds = Math.trunc(Number(`0.${parts[7] ?? '0'}`) * 1000)
  const time = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second, milliseconds)
  const date = new Date(time)
  const same =
    date.getUTCMonth() === (month ?? 0) - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second
  return same ? time : null
}

function minutesOf(zone: string): number {
  if (zone === 'Z' || zone === 'z') return 0
  const digits = zone.replace(':', '')
  const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5))
  return digits.startsWith('-') ? -minutes : minutes
}

/** How far the zone's clocks are ahead of UTC at a moment, in milliseconds. */
export function zoneOffsets(zone: string): (time: number) => number {
  if (zone === 'UTC') return () => 0
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  const known = new Map<number, number>()
  return (time) => {
    const start = Math.floor(time / OFFSET_STEP_MS) * OFFSET_STEP_MS
    let offset = known.get(start)
    if (offset === undefined) {
      const parts = Object.fromEntries(format.formatToParts(start).map(({ type, value }) => [type, Number(value)]))
      const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = parts
      offset = Date.UTC(year, month - 1, day, hour, minute) - start
      known.set(start, offset)
    }
    return offset
  }
}

const WRITTEN = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?\s?(Z|[+-]\d\d:?\d\d)?)?$/i

/** A time that a person gives, in epoch milliseconds; without a zone it is read in `zone`. Null when it is no time. */
export function readTime(text: string, zone: string): number | null {
  const written = WRITTEN.exec(text)
  if (written === null) return null
  const named = written[1] !== undefined
  const day = text.length === 'YYYY-MM-DD'.length
  const iso = text.replace(' ', 'T').replaceAll(' ', '')
  const wall = Date.parse(day ? `${text}T00:00:00Z` : named ? iso : `${iso}Z`)
  // Date.parse takes 30 February for 1 March.
  if (Number.isNaN(wall) || !isCalendarDate(text.slice(0, 10))) return null
  if (named) return wall
  const offset = zoneOffsets(zone)
  return wall - offset(wall - offset(wall))
}

function isCalendarDate(day: string): boolean {
  const time = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day)
}
