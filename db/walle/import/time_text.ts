/** Times as files and people write them: ISO 8601 with or without zone, plain dates; in files epoch seconds or milliseconds. */
import { TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'

/** Epoch numbers below are seconds (until the year 5138), from here on milliseconds (since 1973). */
const FIRST_EPOCH_MS = 100_000_000_000
/** No zone changes its offset but at a quarter of an hour, so one answer of Intl serves so long. */
const OFFSET_STEP_MS = 900_000
/** No market is older, and all that reads times knows these years: Postgres, ISO 8601 without a sign. */
const EARLIEST = Date.UTC(1900, 0, 1)
const LATEST = Date.UTC(2200, 0, 1)
const NEW_YORK = 'America/New_York'

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?)?$/i

export type TimeReading = { time: number } | { reason: string }

export interface TimeReader {
  /** The bar's open time in epoch milliseconds, on the grid, or why not. */
  read(text: string): TimeReading
  /** Some of the times named their zone and some did not. */
  mixedZones(): boolean
}

export function createTimeReader(symbol: string, timeframe: Timeframe, zone: string): TimeReader {
  const step = TIMEFRAME_MS[timeframe]
  const isSession = timeframe === '1d' && !symbol.includes('/')
  const offset = zoneOffsets(zone)
  const newYorkOffset = zoneOffsets(NEW_YORK)
  let zoned = false
  let bare = false

  function onGrid(time: number, text: string): TimeReading {
    if (time < EARLIEST || time >= LATEST) return { reason: `timestamp ${text} is not in the years 1900 to 2199` }
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
        zoned = true
        return onGrid(epoch < FIRST_EPOCH_MS ? epoch * 1000 : epoch, text)
      }
      const parts = ISO.exec(text)
      if (parts === null) return { reason: `timestamp ${JSON.stringify(text)} is neither ISO 8601 nor an epoch number` }
      const wall = wallTime(parts)
      if (wall === null) return { reason: `timestamp ${text} is no date of the calendar` }
      const written = parts[8]
      if (written !== undefined) {
        zoned = true
        return onGrid(wall - minutesOf(written) * 60_000, text)
      }
      // A date names a day, whatever the zone; so does midnight without a zone where bars are days.
      if (parts[4] === undefined || (timeframe === '1d' && wall % step === 0)) return onGrid(wall, text)
      bare = true
      const time = wall - offset(wall - offset(wall))
      if (time + offset(time) !== wall) return { reason: `timestamp ${text} does not exist in ${zone} (clock change)` }
      return onGrid(time, text)
    },
    mixedZones: () => zoned && bare,
  }
}

/** The date and time that is written, as if it were UTC; null when there is no such date or time. */
function wallTime(parts: RegExpExecArray): number | null {
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map((part) => Number(part ?? 0))
  const milliseconds = Number((parts[7] ?? '').padEnd(3, '0').slice(0, 3))
  const time = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second, milliseconds)
  const date = new Date(time)
  // It takes the years 0 to 99 for 1900 to 1999, and 30 February for 1 March.
  const same =
    date.getUTCFullYear() === year &&
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

/** A time that a person gives, or why it is none. Without a zone it is read in `zone`; a day is its first moment there. */
export function readTime(text: string, zone: string): TimeReading {
  const parts = ISO.exec(text)
  const wall = parts === null ? null : wallTime(parts)
  if (parts === null || wall === null) return { reason: 'is not a time such as 2024-01-31T09:30:00Z' }
  if (parts[8] !== undefined) return known(wall - minutesOf(parts[8]) * 60_000)
  const offset = zoneOffsets(zone)
  const guess = wall - offset(wall)
  const time = wall - offset(guess)
  if (time + offset(time) === wall) return known(time)
  if (parts[4] === undefined) return known(Math.max(guess, time))
  return { reason: `does not exist in ${zone} (clock change)` }
}

function known(time: number): TimeReading {
  return time >= EARLIEST && time < LATEST ? { time } : { reason: 'is not in the years 1900 to 2199' }
}
