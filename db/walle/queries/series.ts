/**
 * Bars of any timeframe: the stored ones, else such as are made of the finest stored ones that divide it. Stored candles
 * of a timeframe always win, all of them: a series is never a mixture of both.
 */
import { TIMEFRAME_MS, TIMEFRAMES, type Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { OUTSIDE, sessionOfDay, tradesAroundTheClock } from '../calendar/calendar.ts'
import { dayOf } from '../calendar/days.ts'
import { resample } from '../calendar/resample.ts'
import { emptyColumns, firstAtOrAfter, sliceColumns } from '../candle_columns.ts'
import type { CandleColumns } from '../rows.ts'
import { type CandleRange, type ColumnsQuery, candleRange, readColumns } from './candles.ts'

/** What bars of a timeframe are made of. */
export interface SeriesSource {
  /** Of the stored candles: the timeframe itself, or a finer one. */
  timeframe: Timeframe
  adjustment: string
  feed: string
}

/** Null where neither candles of the timeframe are stored nor finer ones. */
export async function sourceOf(reader: Reader, symbol: string, timeframe: Timeframe): Promise<SeriesSource | null> {
  const finer = TIMEFRAMES.filter((one) => TIMEFRAME_MS[timeframe] % TIMEFRAME_MS[one] === 0)
  const stored = await reader.query<SeriesSource>(
    `select b.timeframe, coalesce(d.adjustment, 'unknown') as adjustment, coalesce(d.feed, 'import') as feed
     from (select distinct timeframe from weaver.candle_blocks where symbol = $1 and timeframe = any ($2::text[])) b
       left join weaver.datasets d on d.symbol = $1 and d.timeframe = b.timeframe`,
    [symbol, finer],
  )
  const known = new Map(stored.map((source) => [source.timeframe, source]))
  const best = [timeframe, ...finer].find((one) => known.has(one))
  return best === undefined ? null : (known.get(best) ?? null)
}

export interface SeriesRead {
  columns: CandleColumns
  /** How many of the bars open before `from`. */
  warmup: number
  source: SeriesSource | null
  /** Open times of the first and the last stored candle in these bars; null without bars. */
  seen: { first: number; last: number } | null
}

/** Bars that open in [from, to), and up to `warmupBars` before them. */
export async function readSeries(reader: Reader, query: ColumnsQuery): Promise<SeriesRead> {
  const { symbol, timeframe, from, to, warmupBars } = query
  const source = await sourceOf(reader, symbol, timeframe)
  if (source === null) return { columns: emptyColumns(0), warmup: 0, source, seen: null }
  if (source.timeframe === timeframe) {
    const read = await readColumns(reader, query)
    return { ...read, source, seen: endsOf(read.columns) }
  }
  const length = TIMEFRAME_MS[timeframe]
  // A bar is made of so many at the most; one bar more, since the first that is read may be cut.
  const most = length / TIMEFRAME_MS[source.timeframe]
  const stored = await readColumns(reader, {
    symbol,
    timeframe: source.timeframe,
    from,
    to: to - 1 + length,
    warmupBars: warmupBars === 0 && from <= 0 ? 0 : (warmupBars + 1) * most,
  })
  const made = resample(stored.columns, { symbol, from: source.timeframe, to: timeframe })
  const start = firstAtOrAfter(made.time, from)
  const warmup = Math.min(start, warmupBars)
  const columns = sliceColumns(made, start - warmup, Math.max(start, firstAtOrAfter(made.time, to)))
  return { columns, warmup, source, seen: seenOf(stored.columns.time, columns.time, length) }
}

function endsOf({ time }: CandleColumns): SeriesRead['seen'] {
  return time.length === 0 ? null : { first: time[0] as number, last: time[time.length - 1] as number }
}

function seenOf(stored: Float64Array, made: Float64Array, length: number): SeriesRead['seen'] {
  if (made.length === 0) return null
  const first = stored[firstAtOrAfter(stored, made[0] as number)] as number
  const last = stored[firstAtOrAfter(stored, (made[made.length - 1] as number) + length) - 1] as number
  return { first, last }
}

/**
 * Open times of the first and the last bar that there is, and how many candles are stored for them. The last one is that
 * whose end the stored candles reach.
 */
export async function seriesRange(reader: Reader, symbol: string, timeframe: Timeframe): Promise<CandleRange | null> {
  const source = await sourceOf(reader, symbol, timeframe)
  if (source === null) return null
  const stored = await candleRange(reader, symbol, source.timeframe)
  if (stored === null || source.timeframe === timeframe) return stored
  const length = TIMEFRAME_MS[timeframe]
  const start = Math.floor(stored.first / length) * length
  const last = Math.floor(stored.last / length) * length
  const reached = stored.last + TIMEFRAME_MS[source.timeframe] >= endOf(symbol, last, length)
  return { first: start, last: Math.max(start, reached ? last : last - length), bars: stored.bars }
}

/** When the last trade of a bar may have been: an equity's day bar ends with its session. */
function endOf(symbol: string, time: number, length: number): number {
  if (tradesAroundTheClock(symbol)) return time + length
  const session = sessionOfDay(dayOf(time))
  return session === OUTSIDE || session === null ? time + length : Math.min(time + length, session.close)
}
