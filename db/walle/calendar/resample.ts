/**
 * Bars of a longer timeframe made of shorter ones: first open, highest high, lowest low, last close, all of the volume. A
 * bar is made of the bars that there are; where none traded there is none. Pure.
 */
import { TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'
import { emptyColumns, sliceColumns } from '../candle_columns.ts'
import type { CandleColumns } from '../rows.ts'
import {
  firstBarOf,
  isKnown,
  OUTSIDE,
  type Session,
  sessionOfDay,
  sessionsBetween,
  tradesAroundTheClock,
} from './calendar.ts'
import { DAY_MS, dayOf } from './days.ts'

/** Bars of an equity outside of the calendar's years: which of them make up a session's day bar nobody knows. */
export class OutsideCalendarError extends Error {
  override readonly name = 'OutsideCalendarError'
}

export interface Resampling {
  symbol: string
  from: Timeframe
  to: Timeframe
}

/**
 * Bars of `to` on the grid of UTC. A day bar of an equity is its regular session's, at 00:00 UTC of the session date;
 * bars of extended hours are in no day bar. The first bar is left out when the columns begin in the middle of it.
 */
export function resample(columns: CandleColumns, { symbol, from, to }: Resampling): CandleColumns {
  const step = TIMEFRAME_MS[from]
  const length = TIMEFRAME_MS[to]
  if (length <= step || length % step !== 0) throw new RangeError(`bars of ${to} cannot be made of bars of ${from}`)
  const bySession = length === DAY_MS && !tradesAroundTheClock(symbol)
  const bucketOf = bySession ? sessionBuckets(symbol, step) : (time: number) => Math.floor(time / length) * length
  const made = emptyColumns(columns.time.length)
  let count = 0
  let bucket = Number.NEGATIVE_INFINITY
  let cut = Number.NaN
  for (let bar = 0; bar < columns.time.length; bar++) {
    const time = columns.time[bar] as number
    const at = time < bucket + length && !bySession ? bucket : bucketOf(time)
    if (Number.isNaN(at) || at === cut) continue
    if (at === bucket) {
      addBar(made, count - 1, columns, bar)
      continue
    }
    if (count === 0 && Number.isNaN(cut) && time > wholeFrom(symbol, at, { step, length })) {
      cut = at
      continue
    }
    bucket = at
    startBar(made, count, columns, bar, at)
    count += 1
  }
  return sliceColumns(made, 0, count)
}

function startBar(made: CandleColumns, index: number, from: CandleColumns, bar: number, time: number): void {
  made.time[index] = time
  made.open[index] = from.open[bar] as number
  made.high[index] = from.high[bar] as number
  made.low[index] = from.low[bar] as number
  made.close[index] = from.close[bar] as number
  made.volume[index] = from.volume[bar] as number
}

function addBar(made: CandleColumns, index: number, from: CandleColumns, bar: number): void {
  const high = from.high[bar] as number
  const low = from.low[bar] as number
  if (high > (made.high[index] as number)) made.high[index] = high
  if (low < (made.low[index] as number)) made.low[index] = low
  made.close[index] = from.close[bar] as number
  made.volume[index] = (made.volume[index] as number) + (from.volume[bar] as number)
}

/** Gives a bar's session as the open time of its day bar; NaN for a bar of extended hours. */
function sessionBuckets(symbol: string, step: number): (time: number) => number {
  let session: Session | null = null
  let day = Number.NaN
  return (time) => {
    // A session lies within the UTC day of its date.
    if (dayOf(time) !== day) {
      day = dayOf(time)
      const found = sessionOfDay(day)
      if (found === OUTSIDE) throw outside(symbol, time)
      session = found
    }
    return session !== null && time >= firstBarOf(session, step) && time < session.close ? day : Number.NaN
  }
}

function outside(symbol: string, time: number): OutsideCalendarError {
  const when = new Date(time).toISOString()
  return new OutsideCalendarError(
    `the exchange calendar does not know ${when}, so no day bar of ${symbol} can be made there: import 1d candles, or begin later`,
  )
}

/** The time by which the bars of a bucket must begin for it to be whole. */
function wholeFrom(symbol: string, bucket: number, { step, length }: { step: number; length: number }): number {
  if (tradesAroundTheClock(symbol) || !isKnown(bucket, bucket + length)) return bucket
  const sessions = sessionsBetween(bucket, bucket + length)
  const [session] = sessions === OUTSIDE ? [] : sessions
  return session === undefined ? bucket : Math.max(bucket, firstBarOf(session, step))
}
