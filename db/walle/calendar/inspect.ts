/**
 * What is strange about a series of bars: gaps, bars without volume, absurd jumps, jumps that look like splits. Nothing is
 * mended or left out: strange bars are data, and whoever reads a result is told of them. Pure.
 */
import type { Timeframe } from '../../../strategies/api.ts'
import type { CandleColumns } from '../rows.ts'
import { sessionOfDay, tradesAroundTheClock } from './calendar.ts'
import { dayOf } from './days.ts'
import { countGaps, type Gaps } from './gaps.ts'

/** Of each kind of finding so many are listed; the rest are counted. */
export const LISTED_FINDINGS = 10
/** A bar that moves by more than this fraction is absurd. */
const ABSURD_MOVE = 0.5
/** So is one that moves so many times as far as bars lately did, from a tenth on. */
const ABSURD_TIMES = 40
const LEAST_MOVE = 0.1
/** Weight of the newest bar in what bars lately did, and how many bars it takes to know. */
const WEIGHT = 1 / 32
const KNOWN_AFTER = 30
/** An overnight move is like a split when it is so near to its ratio, and so many times as far as bars lately moved. */
const SPLIT_TOLERANCE = 0.04
const SPLIT_TIMES = 8

/** New shares for old ones; each also the other way around. */
const SPLITS: readonly (readonly [number, number])[] = [
  ...[2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 100].map((n) => [n, 1] as const),
  [3, 2],
  [5, 2],
]

export interface Finding {
  /** Open time of the bar. */
  time: number
  /** What happened, such as `7:1` for a split. */
  what: string
}

export interface Findings {
  count: number
  /** The first of them. */
  listed: Finding[]
}

export interface SeriesReport {
  bars: number
  gaps: Gaps
  /** Of an equity, on days on which its exchange was closed. */
  closedDays: Findings
  zeroVolume: Findings
  jumps: Findings
  splits: Findings
}

/** The same of bars in columns. */
export function addColumns(inspector: Inspector, { time, open, high, low, close, volume }: CandleColumns): void {
  for (let i = 0; i < time.length; i++) {
    inspector.add(
      time[i] as number,
      open[i] as number,
      high[i] as number,
      low[i] as number,
      close[i] as number,
      volume[i] as number,
    )
  }
}

export interface Inspector {
  /** The next bar, in ascending order of open time. */
  add(time: number, open: number, high: number, low: number, close: number, volume: number): void
  finish(): SeriesReport
}

export function inspectSeries(symbol: string, timeframe: Timeframe): Inspector {
  const gaps = countGaps(symbol, timeframe)
  const isEquity = !tradesAroundTheClock(symbol)
  const isClosed = closedDayTest(timeframe)
  const closedDays = noFindings()
  const zeroVolume = noFindings()
  const jumps = noFindings()
  const splits = noFindings()
  let bars = 0
  let previousTime = Number.NaN
  let previousClose = Number.NaN
  /** How far bars lately moved, as a fraction. */
  let usual = 0

  return {
    add(time, open, high, low, close, volume) {
      gaps.add(time)
      if (isEquity && isClosed(time)) find(closedDays, time, 'no session')
      if (volume === 0) find(zeroVolume, time, 'no volume')
      const overnight = bars === 0 ? 0 : moved(previousClose, open)
      const move = Math.max(overnight, moved(low, high))
      const known = bars >= KNOWN_AFTER
      const absurd = move > ABSURD_MOVE || (known && move > LEAST_MOVE && move > ABSURD_TIMES * usual)
      if (absurd || overnight > ABSURD_MOVE / 2) {
        const split = isEquity && dayOf(time) > dayOf(previousTime) ? splitOf(previousClose, open) : null
        if (split !== null && overnight > SPLIT_TIMES * usual) find(splits, time, split)
        else if (absurd) find(jumps, time, Number.isFinite(move) ? `${(100 * move).toFixed(0)} %` : 'a price of 0')
      }
      // A split or a spike says nothing about how far bars usually move.
      if (Number.isFinite(move) && !absurd) usual += Math.max(WEIGHT, 1 / (bars + 1)) * (move - usual)
      bars += 1
      previousTime = time
      previousClose = close
    },
    finish: () => ({ bars, gaps: gaps.finish(), closedDays, zeroVolume, jumps, splits }),
  }
}

/** From 04:00 to 20:00 in New York, extended hours included, the date so long ago in UTC is that of New York. */
const BEHIND_MS = 5 * 3_600_000

/** Whether there was no session at all on the day of a bar. Bars of one day are looked up once. */
function closedDayTest(timeframe: Timeframe): (time: number) => boolean {
  const behind = timeframe === '1d' ? 0 : BEHIND_MS
  let day = Number.NaN
  let closed = false
  return (time) => {
    if (dayOf(time - behind) !== day) {
      day = dayOf(time - behind)
      closed = sessionOfDay(day) === null
    }
    return closed
  }
}

function noFindings(): Findings {
  return { count: 0, listed: [] }
}

function find(findings: Findings, time: number, what: string): void {
  findings.count += 1
  if (findings.listed.length < LISTED_FINDINGS) findings.listed.push({ time, what })
}

/** From the lower to the higher of two prices, as a fraction of the lower; infinite where one of them is 0. */
function moved(from: number, to: number): number {
  if (from === to) return 0
  return from < to ? to / from - 1 : from / to - 1
}

function splitOf(before: number, after: number): string | null {
  const ratio = before / after
  for (const [shares, old] of SPLITS) {
    if (Math.abs((ratio * old) / shares - 1) <= SPLIT_TOLERANCE) return `${shares}:${old}`
    if (Math.abs((ratio * shares) / old - 1) <= SPLIT_TOLERANCE) return `${old}:${shares}`
  }
  return null
}
