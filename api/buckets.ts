/** Bars of a chart: many candles as few. Pure. */
import { emptyColumns, sliceColumns } from '../db/walle/candle_columns.ts'
import type { CandleColumns } from '../db/walle/rows.ts'

export interface Buckets {
  bucketMs: number
  columns: CandleColumns
}

/** At most `most` buckets of one width, a multiple of `frameMs`, aligned to UTC like timeframes are. */
export function bucketBars(bars: CandleColumns, frameMs: number, most: number): Buckets {
  const { length } = bars.time
  if (length === 0) return { bucketMs: frameMs, columns: bars }
  const first = bars.time[0] as number
  const last = bars.time[length - 1] as number
  const bucketMs = widthFor(first, last, frameMs, most)
  const columns = emptyColumns(Math.min(length, most))
  let at = -1
  for (let i = 0; i < length; i++) {
    const time = Math.floor((bars.time[i] as number) / bucketMs) * bucketMs
    if (at < 0 || columns.time[at] !== time) {
      at += 1
      for (const name of ['open', 'high', 'low', 'close', 'volume'] as const)
        columns[name][at] = bars[name][i] as number
      columns.time[at] = time
      continue
    }
    columns.high[at] = Math.max(columns.high[at] as number, bars.high[i] as number)
    columns.low[at] = Math.min(columns.low[at] as number, bars.low[i] as number)
    columns.close[at] = bars.close[i] as number
    columns.volume[at] = (columns.volume[at] as number) + (bars.volume[i] as number)
  }
  return { bucketMs, columns: sliceColumns(columns, 0, at + 1) }
}

function widthFor(first: number, last: number, frameMs: number, most: number): number {
  const spans = (width: number) => Math.floor(last / width) - Math.floor(first / width) + 1
  let width = Math.max(1, Math.ceil((last - first) / (frameMs * most))) * frameMs
  while (spans(width) > most) width += frameMs
  return width
}
