/** Candles as rows for people, as columns for engines and charts, and what there is of them. */
import type { Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { addColumns, inspectSeries, type SeriesReport } from '../calendar/inspect.ts'
import { firstAtOrAfter, joinBytes, sliceColumns } from '../candle_columns.ts'
import { type Adjustment, DEFAULT_FEED } from '../import/adjustment.ts'
import type { CandleColumns } from '../rows.ts'
import { readBlockRange, readBlocks } from './blocks.ts'

export interface CandleRow {
  symbol: string
  timeframe: Timeframe
  /** Open time. */
  timestamp: string
  open: string
  high: string
  low: string
  close: string
  volume: string
  trade_count: number | null
}

export interface CandleQuery {
  symbol: string
  timeframe: Timeframe
  /** Bounds of the open time, ISO 8601; both belong to the range. */
  start?: string | undefined
  end?: string | undefined
  limit: number
}

/** Oldest first. With a start the first `limit` bars from there, else the newest ones. */
export async function listCandles(reader: Reader, query: CandleQuery): Promise<CandleRow[]> {
  const fromStart = query.start !== undefined
  const rows = await reader.query<CandleRow>(
    `select symbol, timeframe, "timestamp", open, high, low, close, volume, trade_count from weaver.candles
     where symbol = $1 and timeframe = $2
       and "timestamp" >= coalesce($3::timestamptz, '-infinity') and "timestamp" <= coalesce($4::timestamptz, 'infinity')
     order by "timestamp" ${fromStart ? 'asc' : 'desc'} limit $5`,
    [query.symbol, query.timeframe, query.start ?? null, query.end ?? null, query.limit],
  )
  return fromStart ? rows : rows.reverse()
}

export interface ColumnsQuery {
  symbol: string
  timeframe: Timeframe
  /** Epoch milliseconds; bars that open in [from, to). */
  from: number
  to: number
  /** How many bars before `from` to give too, if there are so many. */
  warmupBars: number
}

export interface ColumnsRead {
  columns: CandleColumns
  /** How many of the bars open before `from`. */
  warmup: number
}

export async function readColumns(reader: Reader, query: ColumnsQuery): Promise<ColumnsRead> {
  const { symbol, timeframe, from, to, warmupBars } = query
  const all = joinBytes(await readBlockRange(reader, { symbol, timeframe, from, to, barsBefore: warmupBars }))
  const start = firstAtOrAfter(all.time, from)
  const warmup = Math.min(start, warmupBars)
  const columns = sliceColumns(all, start - warmup, Math.max(start, firstAtOrAfter(all.time, to)))
  return { columns, warmup }
}

export interface CandleRange {
  /** Open times of the first and the last bar, epoch milliseconds. */
  first: number
  last: number
  bars: number
}

export async function candleRange(reader: Reader, symbol: string, timeframe: Timeframe): Promise<CandleRange | null> {
  const [range] = await readRanges(reader, 'where symbol = $1 and timeframe = $2', [symbol, timeframe])
  return range === undefined ? null : { first: Date.parse(range.first), last: Date.parse(range.last), bars: range.bars }
}

export interface Dataset {
  symbol: string
  timeframe: Timeframe
  /** Open times, ISO 8601. */
  first: string
  last: string
  bars: number
  adjustment: Adjustment
  feed: string
}

export function listDatasets(reader: Reader): Promise<Dataset[]> {
  return readRanges(reader, '', [])
}

/** Of a long series a few megabytes are looked at at a time. */
const MONTHS_AT_ONCE = 12

/** What is strange about all of a series. */
export async function inspectStored(reader: Reader, symbol: string, timeframe: Timeframe): Promise<SeriesReport> {
  const inspector = inspectSeries(symbol, timeframe)
  const rows = await reader.query<{ month: number }>(
    `select extract(epoch from month)::float8 * 1000 as month from weaver.candle_blocks
     where symbol = $1 and timeframe = $2 order by month`,
    [symbol, timeframe],
  )
  const months = rows.map(({ month }) => month)
  for (let first = 0; first < months.length; first += MONTHS_AT_ONCE) {
    const part = months.slice(first, first + MONTHS_AT_ONCE)
    const blocks = await readBlocks(reader, { symbol, timeframe, months: part })
    for (const columns of blocks.values()) addColumns(inspector, columns)
  }
  return inspector.finish()
}

/** Counts come from the blocks, a row a month; the ends from the ends of the index. */
function readRanges(reader: Reader, where: string, values: readonly unknown[]) {
  return reader.query<Dataset>(
    `select b.symbol, b.timeframe, b.bars, coalesce(d.adjustment, 'unknown') as adjustment,
       coalesce(d.feed, '${DEFAULT_FEED}') as feed,
       (select min("timestamp") from weaver.candles c where c.symbol = b.symbol and c.timeframe = b.timeframe) as first,
       (select max("timestamp") from weaver.candles c where c.symbol = b.symbol and c.timeframe = b.timeframe) as last
     from (select symbol, timeframe, sum(bars) as bars from weaver.candle_blocks ${where} group by symbol, timeframe) b
       left join weaver.datasets d on d.symbol = b.symbol and d.timeframe = b.timeframe
     order by b.symbol, b.timeframe`,
    values,
  )
}

export interface SymbolRow {
  symbol: string
  timeframes: Timeframe[]
}

export function listSymbols(reader: Reader): Promise<SymbolRow[]> {
  return reader.query<SymbolRow>(
    `select symbol, array_agg(distinct timeframe) as timeframes from weaver.candle_blocks group by symbol order by symbol`,
  )
}

/** SHA-256 over every bar of a series, month by month: it changes with any bar. Null when there is none. */
export async function datasetFingerprint(reader: Reader, symbol: string, timeframe: Timeframe): Promise<string | null> {
  const [row] = await reader.query<{ hash: string | null }>(
    `select encode(sha256(string_agg(sha256("time" || open || high || low || close || volume), '' order by month)), 'hex')
       as hash
     from weaver.candle_blocks where symbol = $1 and timeframe = $2`,
    [symbol, timeframe],
  )
  return row?.hash ?? null
}

/** When any bar of a series last changed, by `symbol timeframe`. */
export async function datasetVersions(reader: Reader): Promise<Map<string, string>> {
  const rows = await reader.query<{ series: string; version: string }>(
    `select symbol || ' ' || timeframe as series, max(updated_at)::text || ' ' || sum(bars) as version
     from weaver.candle_blocks group by symbol, timeframe`,
  )
  return new Map(rows.map(({ series, version }) => [series, version]))
}
