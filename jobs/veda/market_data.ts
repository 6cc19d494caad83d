/**
 * What is known of a venue's bars, what to ask it for, and what a window shows of it. Pure. A series is known from `first`
 * to `last`: where there is no bar between, nothing was traded.
 */
import {
  barsOfSession,
  firstBarOf,
  OUTSIDE,
  previousSession,
  sessionAt,
  tradesAroundTheClock,
} from '../../db/walle/calendar/calendar.ts'
import { DAY_MS } from '../../db/walle/calendar/days.ts'
import { columnsOf } from '../../db/walle/candle_columns.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { VenueBar } from './venue.ts'

/** Open times, both inclusive. */
export interface Span {
  start: number
  end: number
}

export interface BarSeries {
  /** Ascending. */
  bars: readonly VenueBar[]
  first: number
  last: number
  /** When all of it was first asked for, and so for which corporate actions it is adjusted. */
  asked_at: number
}

export interface Wanted {
  symbol: string
  timeframe: Timeframe
  bars: number
  /** Open time of the newest bar that can be closed. */
  newest: number
}

/** A venue has told by then of every bar that it will ever have of a moment. */
const SETTLED_MS = 60_000
/** Where little is traded there are fewer bars than there is time: for so many times the span, and at least for a year. */
const SPREADS = [1, 2, 4, 8]
/** From there on it is looked at so many times more, as few bars as there can be. */
const WIDER = 8
export const THIN_MS = 365 * DAY_MS
/** Bars that are asked for again with those after them: they may have been corrected. */
const RECHECKED_BARS = 2
/** Part of a price: smaller changes are corrections, no splits. */
const SAME_PRICE = 0.01
/** Of a series that was asked for before a split. */
export const OUTDATED = 0

/** Open time of the newest bar that is closed at `ts`, if anything was traded in it. */
export function newestClosed(symbol: string, timeframe: Timeframe, ts: number): number {
  const frame = TIMEFRAME_MS[timeframe]
  const onGrid = Math.floor(ts / frame) * frame - frame
  if (tradesAroundTheClock(symbol)) return onGrid
  const current = sessionAt(ts)
  let session = current === null ? previousSession(ts) : current
  while (session !== OUTSIDE) {
    const closed = barsOfSession(session, timeframe).findLast((time) => time + frame <= ts)
    if (closed !== undefined) return closed
    session = previousSession(session.open)
  }
  return onGrid
}

/** Open time from which on there should be that many bars up to `newest`. */
export function startOf({ symbol, timeframe, bars, newest }: Wanted): number {
  const frame = TIMEFRAME_MS[timeframe]
  if (tradesAroundTheClock(symbol)) return newest - (bars - 1) * frame
  let found = 0
  for (let session = previousSession(newest + DAY_MS); session !== OUTSIDE; session = previousSession(session.open)) {
    const times = barsOfSession(session, timeframe).filter((time) => time <= newest)
    found += times.length
    if (found >= bars) return times[found - bars] as number
  }
  return newest - (bars - 1) * frame
}

/** What is to be asked for; null: nothing. `anew`: what was known before counts for nothing. */
export function toAsk(series: BarSeries | null, wanted: Wanted): (Span & { anew: boolean }) | null {
  const { newest } = wanted
  if (series === null || isOutdated(series, wanted)) return { start: startOf(wanted), end: newest, anew: true }
  if (countUpTo(series, newest) < wanted.bars) {
    const start = earlierStart(series, wanted)
    if (start !== null) return { start, end: newest, anew: true }
  }
  if (series.last >= newest) return null
  const frame = TIMEFRAME_MS[wanted.timeframe]
  return { start: Math.max(series.first, series.last - RECHECKED_BARS * frame), end: newest, anew: false }
}

function countUpTo({ bars }: BarSeries, newest: number): number {
  return bars.findLastIndex(({ time }) => time <= newest) + 1
}

/** Null: what is known goes back far enough. */
function earlierStart({ first }: BarSeries, wanted: Wanted): number | null {
  const startAt = (times: number) => startOf({ ...wanted, bars: wanted.bars * times })
  const near = SPREADS.map(startAt).find((start) => start < first)
  const least = wanted.newest - THIN_MS
  if (near !== undefined || first <= least) return near ?? null
  for (let times = WIDER * Math.max(...SPREADS); ; times *= WIDER) {
    const start = Math.max(least, startAt(times))
    if (start < first) return start
  }
}

/** A split between two sessions changes all prices before it: known from before the session of the newest bar began. */
export function isOutdated({ asked_at }: BarSeries, { symbol, timeframe, newest }: Wanted): boolean {
  if (tradesAroundTheClock(symbol)) return false
  const step = TIMEFRAME_MS[timeframe]
  // By its first bar, which may begin before the session does: a day's at midnight.
  let session = previousSession(newest + 2 * DAY_MS)
  while (session !== OUTSIDE && firstBarOf(session, step) > newest) session = previousSession(session.open)
  return session !== OUTSIDE && asked_at < session.open
}

/** Prices of bars that were known changed all by the same factor: what a split does. Of one bar it would be a correction. */
export function isRescaled(before: ReadonlyMap<number, VenueBar>, got: readonly VenueBar[]): boolean {
  const factors = got.flatMap((bar) => {
    const known = Number(before.get(bar.time)?.close)
    return known > 0 ? [Number(bar.close) / known] : []
  })
  const [least, most] = [Math.min(...factors), Math.max(...factors)]
  return factors.length > 1 && Math.abs(least - 1) > SAME_PRICE && most / least - 1 < SAME_PRICE
}

export interface Absorbed {
  series: BarSeries
  /** Bars that are new or other than before, ascending. */
  changed: VenueBar[]
}

interface Answered {
  symbol: string
  timeframe: Timeframe
  /** When the venue was asked. */
  now: number
  /** How long after its close a bar may still change; until then it is not the newest that is known for good. */
  settleMs?: number
}

/**
 * What is known after the venue's answer to `asked` at `now`. Bars that were not closed then are left out. `rescaled`: it
 * shows a split since what was known was asked for.
 */
export function absorb(
  series: BarSeries | null,
  asked: Span & { anew: boolean },
  answer: readonly VenueBar[],
  { symbol, timeframe, now, settleMs = 0 }: Answered,
): Absorbed & { rescaled: boolean } {
  const frame = TIMEFRAME_MS[timeframe]
  const { start, end, anew } = asked
  const got = answer.filter(({ time }) => time >= start && time <= end && time + frame <= now)
  const before = new Map((series?.bars ?? []).map((bar) => [bar.time, bar]))
  const kept = anew || series === null ? [] : series.bars
  const bars = merged(kept, got)
  const heard = bars.findLast(({ time }) => time + frame + settleMs <= now)?.time ?? start - frame
  const last = now >= end + frame + SETTLED_MS ? end : Math.max(heard, anew ? heard : (series?.last ?? heard))
  const whole = anew || series === null
  const rescaled = !tradesAroundTheClock(symbol) && isRescaled(before, got)
  // Of a split that shows in the newest bars the others are asked for anew.
  const asked_at = whole ? now : rescaled ? OUTDATED : series.asked_at
  return {
    series: { bars, first: whole ? start : series.first, last, asked_at },
    changed: merged([], got).filter((bar) => !isSame(before.get(bar.time), bar)),
    rescaled,
  }
}

/** A bar that the venue pushed. It makes the series longer only where no other can be between. */
export function hear(
  series: BarSeries,
  symbol: string,
  timeframe: Timeframe,
  { bar, now }: { bar: VenueBar; now: number },
): Absorbed {
  const closes = bar.time + TIMEFRAME_MS[timeframe]
  const known = series.bars.find(({ time }) => time === bar.time)
  if (closes > now || bar.time < series.first || isSame(known, bar)) return { series, changed: [] }
  const isNext = newestClosed(symbol, timeframe, closes) === bar.time
  const follows = isNext && newestClosed(symbol, timeframe, closes - 1) <= series.last
  const last = follows ? Math.max(series.last, bar.time) : series.last
  if (bar.time > last) return { series, changed: [] }
  return { series: { ...series, bars: merged(series.bars, [bar]), last }, changed: [bar] }
}

function merged(older: readonly VenueBar[], newer: readonly VenueBar[]): VenueBar[] {
  if (newer.length === 0) return [...older]
  const times = new Map(older.map((bar) => [bar.time, bar]))
  for (const bar of newer) times.set(bar.time, bar)
  return [...times.values()].sort((a, b) => a.time - b.time)
}

function isSame(known: VenueBar | undefined, bar: VenueBar): boolean {
  return (
    known !== undefined &&
    (['open', 'high', 'low', 'close', 'volume'] as const).every((name) => Number(known[name]) === Number(bar[name]))
  )
}

/** The newest `bars` bars that are closed at `ts`. */
export function windowAt(
  series: BarSeries | null,
  { timeframe, bars, ts }: { timeframe: Timeframe; bars: number; ts: number },
): CandleColumns {
  const all = series?.bars ?? []
  const end = all.findLastIndex(({ time }) => time + TIMEFRAME_MS[timeframe] <= ts) + 1
  return columnsOf(all.slice(Math.max(0, end - bars), end))
}
