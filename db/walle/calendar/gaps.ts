/** Bars that a series lacks, by the calendar: of a 24/7 symbol every missing bar, of an equity those of its sessions. Pure. */
import { TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'
import { firstBarOf, isKnown, OUTSIDE, type Session, sessionsBetween, tradesAroundTheClock } from './calendar.ts'
import { DAY_MS } from './days.ts'

/** Open times of the first and the last missing bar. */
export interface Gap {
  first: number
  last: number
  bars: number
}

export interface Gaps {
  count: number
  /** Bars that are not there, over all gaps. */
  missing: number
  longest: Gap | null
  /** Bars outside of the calendar's years: what is missing around them nobody knows. */
  unknown: number
}

export interface GapCounter {
  /** The next bar, in ascending order. */
  add(time: number): void
  finish(): Gaps
}

/** Counts between the first bar that is added and the last one. */
export function countGaps(symbol: string, timeframe: Timeframe): GapCounter {
  const step = TIMEFRAME_MS[timeframe]
  const always = tradesAroundTheClock(symbol)
  const gaps: Gaps = { count: 0, missing: 0, longest: null, unknown: 0 }
  let previous = Number.NaN
  let open: Gap | null = null

  const close = () => {
    if (open === null) return
    gaps.count += 1
    gaps.missing += open.bars
    if (open.bars > (gaps.longest?.bars ?? 0)) gaps.longest = open
    open = null
  }

  const lookBetween = (time: number) => {
    const found = always ? gridBetween(previous, time, step) : expectedBetween(previous, time, step)
    if (found) open = open ? { first: open.first, last: found.last, bars: open.bars + found.bars } : found
  }

  return {
    add(time) {
      if (!always && !isKnown(time)) {
        gaps.unknown += 1
        close()
        previous = Number.NaN
        return
      }
      if (time - previous > step) lookBetween(time)
      // A bar of extended hours is not one that was missing, so it ends no gap.
      if (open !== null && (always || isExpected(time, step))) close()
      previous = time
    },
    finish() {
      close()
      return gaps
    },
  }
}

function gridBetween(after: number, before: number, step: number): Gap {
  return { first: after + step, last: before - step, bars: (before - after) / step - 1 }
}

/** The bars of sessions that open between two moments. */
function expectedBetween(after: number, before: number, step: number): Gap | null {
  const sessions = sessionsBetween(after + 1, before)
  if (sessions === OUTSIDE) return null
  const gap = { first: Number.NaN, last: Number.NaN, bars: 0 }
  for (const session of sessions) {
    const first = Math.max(firstBarOf(session, step), after + step)
    const last = Math.min(lastBarOf(session, step), before - step)
    if (first > last) continue
    if (gap.bars === 0) gap.first = first
    gap.last = last
    gap.bars += (last - first) / step + 1
  }
  return gap.bars === 0 ? null : gap
}

/** Open time of the session's last bar. */
export function lastBarOf(session: Session, step: number): number {
  return step >= DAY_MS ? session.day : Math.ceil(session.close / step) * step - step
}

/** A bar of a session opens at this time. */
function isExpected(time: number, step: number): boolean {
  const sessions = sessionsBetween(time, time + step)
  return sessions !== OUTSIDE && sessions.some((session) => firstBarOf(session, step) <= time && time < session.close)
}
