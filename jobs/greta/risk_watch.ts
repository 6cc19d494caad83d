/** What the risk gate wants to know of a run's past: how deep its losses went, and how many orders just left. */
import { DAY_MS } from '../../db/walle/calendar/days.ts'
import type { RiskPicture } from '../glados/risk.ts'

/** JSON, for a checkpoint. */
export interface RiskWatch {
  /** UTC days since 1970 of the newest mark; null before the first. */
  day: number | null
  /** Equity when the day began: its last mark before it. */
  dayStart: number
  dayWorst: number
  newest: number
  highest: number
  drawdown: number
  /** Orders let through at a tick. */
  placed: { ts: number; count: number }[]
}

const MINUTE_MS = 60_000

export function newWatch(initialCash: string): RiskWatch {
  const cash = Number(initialCash)
  const equity = { dayStart: cash, dayWorst: 0, newest: cash, highest: cash }
  return { day: null, ...equity, drawdown: 0, placed: [] }
}

/** Takes in equity at the closes of a tick. Losses are the worst there were: what recovers later has been lost before. */
export function markEquity(watch: RiskWatch, ts: number, equity: number): void {
  // The mark at midnight is that of the day that it ends.
  const day = Math.floor((ts - 1) / DAY_MS)
  if (day !== watch.day) {
    watch.day = day
    watch.dayStart = watch.newest
    watch.dayWorst = 0
  }
  watch.newest = equity
  watch.dayWorst = Math.max(watch.dayWorst, watch.dayStart - equity)
  watch.highest = Math.max(watch.highest, equity)
  if (watch.highest > 0) watch.drawdown = Math.max(watch.drawdown, (watch.highest - equity) / watch.highest)
}

/** An order was let through. */
export function countOrder(watch: RiskWatch, ts: number): void {
  const newest = watch.placed.at(-1)
  if (newest?.ts === ts) newest.count += 1
  else watch.placed = [...recent(watch, ts), { ts, count: 1 }]
}

function recent({ placed }: RiskWatch, ts: number): RiskWatch['placed'] {
  return placed.filter((one) => one.ts > ts - MINUTE_MS)
}

export function lossesOf(
  watch: RiskWatch,
  ts: number,
): Pick<RiskPicture, 'dailyLoss' | 'drawdown' | 'ordersLastMinute'> {
  const ordersLastMinute = recent(watch, ts).reduce((sum, { count }) => sum + count, 0)
  return { dailyLoss: watch.dayWorst, drawdown: watch.drawdown, ordersLastMinute }
}

/** As if the run began now: what was lost before was looked at by a person. */
export function forgetLosses(watch: RiskWatch): RiskWatch {
  const { newest } = watch
  return { ...watch, dayStart: newest, dayWorst: 0, highest: newest, drawdown: 0 }
}
