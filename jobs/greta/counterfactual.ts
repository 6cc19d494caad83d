/** Other futures for the same past: bars as they would lie in memory had history ended at a moment, or gone on otherwise. */
import { firstAtOrAfter } from '../../db/walle/candle_columns.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'

/** How many bars are closed at `ts`. */
function closedAt({ time }: CandleColumns, timeframeMs: number, ts: number): number {
  return firstAtOrAfter(time, ts - timeframeMs + 1)
}

function mapped(columns: CandleColumns, change: (column: Float64Array) => Float64Array): CandleColumns {
  const { time, open, high, low, close, volume } = columns
  return {
    ...{ time: change(time), open: change(open), high: change(high) },
    ...{ low: change(low), close: change(close), volume: change(volume) },
  }
}

/** Only the bars that are closed at `ts`. */
export function cutFuture(columns: CandleColumns, timeframeMs: number, ts: number): CandleColumns {
  const end = closedAt(columns, timeframeMs, ts)
  return mapped(columns, (column) => column.slice(0, end))
}

/** Only the newest `bars` of what is closed at `ts`, and all that comes later. */
export function cutPast(columns: CandleColumns, timeframeMs: number, ts: number, bars: number): CandleColumns {
  const start = Math.max(0, closedAt(columns, timeframeMs, ts) - bars)
  return mapped(columns, (column) => column.slice(start))
}

/**
 * The same bars up to `ts`, and after it others at the same times: each is drawn from all that there are, and its prices
 * are moved by up to a half, so that whoever has seen the real ones decides otherwise. `random` is uniform in [0, 1).
 */
export function changeFuture(
  columns: CandleColumns,
  timeframeMs: number,
  ts: number,
  random: () => number,
): CandleColumns {
  const end = closedAt(columns, timeframeMs, ts)
  const changed = mapped(columns, (column) => column.slice())
  const { length } = columns.time
  for (let bar = end; bar < length; bar++) {
    const drawn = Math.floor(random() * length)
    const factor = 0.5 + random()
    for (const name of ['open', 'high', 'low', 'close'] as const) {
      changed[name][bar] = (columns[name][drawn] as number) * factor
    }
    changed.volume[bar] = columns.volume[drawn] as number
  }
  return changed
}
