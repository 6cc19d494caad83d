/**
 * What is known of a set of candles beside its bars, and when an import may add to it: bars of two adjustments or feeds in
 * one set are a jump in the prices that never was. Pure.
 */
import { tradesAroundTheClock } from '../calendar/calendar.ts'

export const ADJUSTMENTS = ['raw', 'split', 'all', 'unknown'] as const
export type Adjustment = (typeof ADJUSTMENTS)[number]

export const DEFAULT_FEED = 'import'
export const FEED = /^[A-Za-z0-9._-]{1,40}$/

export interface DatasetKind {
  adjustment: Adjustment
  feed: string
}

/** What an import says of its bars, the unsaid filled in: a symbol that trades around the clock has no corporate actions. */
export function kindOf(
  symbol: string,
  said: { adjustment?: Adjustment | undefined; feed?: string | undefined },
): DatasetKind {
  return {
    adjustment: said.adjustment ?? (tradesAroundTheClock(symbol) ? 'raw' : 'unknown'),
    feed: said.feed ?? DEFAULT_FEED,
  }
}

/** Candles of another adjustment or feed than those that they would lie beside. Nothing of them is stored. */
export class MixedCandlesError extends Error {
  override name = 'MixedCandlesError'
}

export function mixedCandles(
  { symbol, timeframe, bars }: { symbol: string; timeframe: string; bars: number },
  stored: DatasetKind,
  given: DatasetKind,
): MixedCandlesError {
  const field = stored.adjustment === given.adjustment ? 'feed' : 'adjustment'
  return new MixedCandlesError(
    `${symbol} ${timeframe} holds ${bars} candles with ${field} ${stored[field]}, and these have ${field} ${given[field]}: ` +
      `say ${field} ${stored[field]} if that is what they are, or import a file that covers all stored candles and so takes their place`,
  )
}
