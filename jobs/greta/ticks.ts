/** Which ticks a backtest has, and what of the data is closed at each. */
import { firstAtOrAfter } from '../../db/walle/candle_columns.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'

/** How many bars are closed at `ts`: those with open time + timeframe <= ts. */
export function closedAt(columns: CandleColumns, timeframeMs: number, ts: number): number {
  return firstAtOrAfter(columns.time, ts - timeframeMs + 1)
}

/**
 * The boundaries at which a bar of the range closes, ascending and without repeats. The range is by close: a bar belongs
 * to it when it closes in [start, end]; `warmup[s]` bars of symbol s come before it.
 */
export function ticksOf(
  columns: readonly CandleColumns[],
  warmup: readonly number[],
  timeframeMs: number,
): Float64Array {
  if (columns.length === 1 && columns[0]) {
    return Float64Array.from(columns[0].time.subarray(warmup[0] ?? 0), (time) => time + timeframeMs)
  }
  const boundaries = new Set<number>()
  columns.forEach((one, symbol) => {
    for (const time of one.time.subarray(warmup[symbol] ?? 0)) boundaries.add(time + timeframeMs)
  })
  return Float64Array.from(boundaries).sort()
}
