/**
 * The boundaries of paper and live runs: which there are, and what becomes of those that are due. Pure; all times are
 * epoch milliseconds, and boundaries are multiples of the timeframe in UTC.
 */
import {
  firstBarOf,
  OUTSIDE,
  type Session,
  sessionsBetween,
  tradesAroundTheClock,
} from '../../db/walle/calendar/calendar.ts'
import { TIMEFRAME_MS, TIMEFRAMES, type Timeframe } from '../../strategies/api.ts'

/** Every boundary of any timeframe is one of the smallest. */
export const SMALLEST_MS = Math.min(...TIMEFRAMES.map((timeframe) => TIMEFRAME_MS[timeframe]))

/** The first boundary after `time`: of a boundary itself, the next one. */
export function nextBoundary(timeframe: Timeframe, time: number): number {
  return newestBoundary(timeframe, time) + TIMEFRAME_MS[timeframe]
}

/** The last boundary that is not after `time`. */
export function newestBoundary(timeframe: Timeframe, time: number): number {
  const step = TIMEFRAME_MS[timeframe]
  return Math.floor(time / step) * step
}

/**
 * Boundaries in (after, upTo] at which a run of these symbols ticks, ascending; at most `most`, the oldest. Where one of
 * them trades around the clock, all; else those at which a bar closes that holds any of a regular session of the
 * exchange. Beyond the years that the calendar knows it ticks always.
 */
export function dueBoundaries(
  symbols: readonly string[],
  timeframe: Timeframe,
  { after, upTo, most }: { after: number; upTo: number; most: number },
): number[] {
  const step = TIMEFRAME_MS[timeframe]
  const first = nextBoundary(timeframe, after)
  const sessions = symbols.some(tradesAroundTheClock) || first > upTo ? OUTSIDE : sessionsBetween(first - step, upTo)
  const stretches = sessions === OUTSIDE ? [{ from: first, to: upTo }] : sessions.map((one) => closesOf(one, step))
  const due: number[] = []
  for (const { from, to } of stretches) {
    for (let time = Math.max(first, from); time <= Math.min(to, upTo) && due.length < most; time += step) due.push(time)
  }
  return due
}

/** When the bars of a session close: the first of them, and the last. */
function closesOf(session: Session, step: number): { from: number; to: number } {
  const opened = firstBarOf(session, step)
  return { from: opened + step, to: opened + Math.ceil((session.close - opened) / step) * step }
}

export interface TickState {
  symbols: readonly string[]
  timeframe: Timeframe
  missed_ticks: 'skip' | 'catch_up'
  /** Its last boundary, emitted or missed, or its start. */
  last: number
  /** A tick is under way. */
  busy: boolean
}

/** `busy`: the tick before was still under way. `late`: nobody watched when it was due. */
export type MissedReason = 'busy' | 'late'

export interface TickDecision {
  /** Ascending, all before `emit`. */
  missed: { ts: number; reason: MissedReason }[]
  emit: number | null
  /** There is more to do as soon as the tick that is under way, or is emitted now, is done. */
  behind: boolean
}

/** Boundaries of one run that are dealt with at once; the rest follows. */
export const MOST_AT_ONCE = 10_000
/** A run that catches up misses what is older than so many ticks. */
export const MOST_CAUGHT_UP = 1_000

/**
 * How late a tick may be emitted: a tenth of its timeframe. Longer than another clock takes to lead, short enough for
 * the decision to be about the bars that have just closed.
 */
export function latestEmission(timeframe: Timeframe): number {
  return TIMEFRAME_MS[timeframe] / 10
}

/** What is to be recorded of a run now. With the same state and time the same; what it gives lies after `last`, each once. */
export function decideTicks(state: TickState, now: number): TickDecision {
  const { symbols, timeframe, missed_ticks, last, busy } = state
  const due = dueBoundaries(symbols, timeframe, { after: last, upTo: now, most: MOST_AT_ONCE })
  if (due.length === 0) return { missed: [], emit: null, behind: false }
  const missedOf = (list: readonly number[], reason: MissedReason) => list.map((ts) => ({ ts, reason }))
  if (due.length === MOST_AT_ONCE) {
    return { missed: missedOf(due.slice(0, -MOST_CAUGHT_UP), 'late'), emit: null, behind: true }
  }
  if (missed_ticks === 'catch_up') {
    const tooOld = missedOf(due.slice(0, -MOST_CAUGHT_UP), 'late')
    const rest = due.slice(-MOST_CAUGHT_UP)
    if (busy) return { missed: tooOld, emit: null, behind: true }
    return { missed: tooOld, emit: rest[0] as number, behind: rest.length > 1 }
  }
  const newest = due.at(-1) as number
  if (busy || now - newest > latestEmission(timeframe)) {
    return { missed: missedOf(due, busy ? 'busy' : 'late'), emit: null, behind: false }
  }
  return { missed: missedOf(due.slice(0, -1), 'late'), emit: newest, behind: false }
}
