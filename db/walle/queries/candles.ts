/** Candles as rows for people, as columns for engines and charts, and what there is of them. */
import { TIMEFRAME_MS, type Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { firstAtOrAfter, joinBytes, sliceColumns } from '../candle_columns.ts'
import type { CandleColumns } from '../rows.ts'
import { readBlockRange } from './blocks.ts'

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
  /** Bars of the grid between first and last that are not there; null where the exchange also closes. */
  missing: number | null
}

export async function listDatasets(reader: Reader): Promise<Dataset[]> {
  const ranges = await readRanges(reader, '', [])
  return ranges.map((range) => {
    const expected = (Date.parse(range.last) - Date.parse(range.first)) / TIMEFRAME_MS[range.timeframe] + 1
    return { ...range, missing: range.symbol.includes('/') ? expected - range.bars : null }
  })
}

/** Counts come from the blocks, a row a month; the ends from the ends of the index. */
function readRanges(reader: Reader, where: string, values: readonly unknown[]) {
  return reader.query<Omit<Dataset, 'missing'>>(
    `select b.symbol, b.timeframe, b.bars,
       (select min("timestamp") from weaver.candles c where c.symbol = b.symbol and c.timeframe = b.timeframe) as first,
       (select max("timestamp") from weaver.candles c where c.symbol = b.symbol and c.timeframe = b.timeframe) as last
     from (select symbol, timeframe, sum(bars) as bars from weaver.candle_blocks ${where} group by symbol, timeframe) b
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
