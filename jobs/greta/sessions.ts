/** Which trading day a bar belongs to. A symbol with `/` trades around the clock; any other is a US equity. */
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'

export const DAY_MS = 86_400_000

export function tradesAroundTheClock(symbol: string): boolean {
  return symbol.includes('/')
}

const newYorkDate = new Intl.DateTimeFormat('en-CA', {
  timeZone: 'America/New_York',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
})

/**
 * A text that is the same for all bars of one session: the UTC day for 24/7 symbols; for equities the New York date, and
 * for their daily bars, stored at 00:00Z of the session date, that date.
 */
export function sessionOf(symbol: string, timeframe: Timeframe, openTime: number): string {
  if (tradesAroundTheClock(symbol) || TIMEFRAME_MS[timeframe] >= DAY_MS) {
    return new Date(Math.floor(openTime / DAY_MS) * DAY_MS).toISOString().slice(0, 10)
  }
  return newYorkDate.format(openTime)
}

/** The next 00:00 UTC strictly after `ts`: when a day order of a 24/7 symbol ends. */
export function nextUtcMidnight(ts: number): number {
  return (Math.floor(ts / DAY_MS) + 1) * DAY_MS
}
