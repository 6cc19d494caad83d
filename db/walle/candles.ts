/**
 * The write path of candles: rows are the truth, `candle_blocks` are their projection in columns; both change in one
 * transaction.
 */
import type { Timeframe } from '../../strategies/api.ts'
import type { WriteTx } from '../database.ts'
import {
  COLUMN_NAMES,
  columnsOf,
  columnsToBytes,
  type MonthColumns,
  mergeColumns,
  splitByMonth,
} from './candle_columns.ts'
import { type DatasetKind, kindOf, mixedCandles } from './import/adjustment.ts'
import type { StoreCandles } from './outcome.ts'
import { readBlocks } from './queries/blocks.ts'
import type { CandleText } from './rows.ts'

/** Rows per insert: 50,000 rows are about 3 MB of parameters. */
const ROWS_PER_INSERT = 50_000
/** Blocks per insert: a month of 1m bars is 2 MB. */
const BLOCKS_PER_INSERT = 4

export interface CandleSpan {
  count: number
  /** Open times, ISO 8601; null when `count` is 0. */
  first: string | null
  last: string | null
}

export interface StoredCandles {
  symbol: string
  timeframe: Timeframe
  /** Bars that were not there before. */
  stored: CandleSpan
  /** Bars that were there with other values. */
  revised: CandleSpan
  unchanged: number
}

export async function storeCandles(tx: WriteTx, write: Omit<StoreCandles, 'kind'>): Promise<StoredCandles> {
  const { symbol, timeframe, candles } = write
  assertAscending(symbol, candles)
  await lockCandles(tx, symbol, timeframe)
  const known = await readDataset(tx, symbol, timeframe)
  const stored = noSpan()
  const revised = noSpan()
  for (let first = 0; first < candles.length; first += ROWS_PER_INSERT) {
    for (const part of await upsert(tx, symbol, timeframe, candles.slice(first, first + ROWS_PER_INSERT))) {
      widen(part.is_new ? stored : revised, part)
    }
  }
  // The bars that were there before and are not in these would keep their own kind.
  const replaced = candles.length - stored.count === known.bars
  await saveKind(tx, { symbol, timeframe, bars: known.bars, replaced }, known.kind, kindOf(symbol, write))
  if (stored.count + revised.count > 0) await updateBlocks(tx, symbol, timeframe, candles)
  return { symbol, timeframe, stored, revised, unchanged: candles.length - stored.count - revised.count }
}

/** One writer per symbol and timeframe, until the transaction ends: a block is read, merged and written back. */
export async function lockCandles(tx: WriteTx, symbol: string, timeframe: Timeframe): Promise<void> {
  await tx.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`weaver:candles:${symbol}:${timeframe}`])
}

async function readDataset(tx: WriteTx, symbol: string, timeframe: Timeframe) {
  const [row] = await tx.query<{ bars: number; kind: DatasetKind | null }>(
    `select
       (select coalesce(sum(bars), 0) from weaver.candle_blocks where symbol = $1 and timeframe = $2) as bars,
       (select jsonb_build_object('adjustment', adjustment, 'feed', feed) from weaver.datasets
        where symbol = $1 and timeframe = $2) as kind`,
    [symbol, timeframe],
  )
  return row ?? { bars: 0, kind: null }
}

async function saveKind(
  tx: WriteTx,
  set: { symbol: string; timeframe: Timeframe; bars: number; replaced: boolean },
  stored: DatasetKind | null,
  given: DatasetKind,
): Promise<void> {
  if (stored?.adjustment === given.adjustment && stored.feed === given.feed) return
  if (stored !== null && !set.replaced) throw mixedCandles(set, stored, given)
  await tx.execute(
    `insert into weaver.datasets (symbol, timeframe, adjustment, feed) values ($1, $2, $3, $4)
     on conflict (symbol, timeframe) do update set adjustment = excluded.adjustment, feed = excluded.feed`,
    [set.symbol, set.timeframe, given.adjustment, given.feed],
  )
}

function assertAscending(symbol: string, candles: readonly CandleText[]): void {
  let previous = Number.NEGATIVE_INFINITY
  for (const { time } of candles) {
    if (!(time > previous)) throw new RangeError(`candles of ${symbol} must be stored in ascending order of open time`)
    previous = time
  }
}

function noSpan(): CandleSpan {
  return { count: 0, first: null, last: null }
}

function widen(span: CandleSpan, part: UpsertedRow): void {
  span.count += part.count
  span.first ??= part.first
  span.last = part.last
}

interface UpsertedRow {
  is_new: boolean
  count: number
  first: string
  last: string
}

/**
 * Numbers need no escaping in an array literal, so six joins make the parameters. A file without trade counts leaves
 * the stored ones alone.
 */
function upsert(tx: WriteTx, symbol: string, timeframe: Timeframe, candles: readonly CandleText[]) {
  const list = (of: (candle: CandleText) => string | number) => `{${candles.map(of).join(',')}}`
  return tx.query<UpsertedRow>(
    `with upserted as (
       insert into weaver.candles as c (symbol, timeframe, "timestamp", open, high, low, close, volume, trade_count)
       select $1, $2, to_timestamp(t / 1000.0), o, h, l, c, v, n
       from unnest($3::float8[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[], $9::bigint[])
         as incoming (t, o, h, l, c, v, n)
       on conflict (symbol, timeframe, "timestamp") do update
         set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
             volume = excluded.volume, trade_count = coalesce(excluded.trade_count, c.trade_count)
         where (c.open, c.high, c.low, c.close, c.volume, c.trade_count) is distinct from
           (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
            coalesce(excluded.trade_count, c.trade_count))
       returning "timestamp", xmax = 0 as is_new
     )
     select is_new, count(*) as count, min("timestamp") as first, max("timestamp") as last
     from upserted group by is_new`,
    [
      symbol,
      timeframe,
      list(({ time }) => time),
      list(({ open }) => open),
      list(({ high }) => high),
      list(({ low }) => low),
      list(({ close }) => close),
      list(({ volume }) => volume),
      list(({ trade_count }) => trade_count ?? 'null'),
    ],
  )
}

async function updateBlocks(tx: WriteTx, symbol: string, timeframe: Timeframe, candles: readonly CandleText[]) {
  const incoming = splitByMonth(columnsOf(candles))
  for (let first = 0; first < incoming.length; first += BLOCKS_PER_INSERT) {
    const part = incoming.slice(first, first + BLOCKS_PER_INSERT)
    const months = part.map(({ month }) => month)
    const stored = await readBlocks(tx, { symbol, timeframe, months })
    const merged = part.map(({ month, columns }) => {
      const older = stored.get(month)
      return { month, columns: older === undefined ? columns : mergeColumns(older, columns) }
    })
    await writeBlocks(tx, symbol, timeframe, merged)
  }
}

async function writeBlocks(tx: WriteTx, symbol: string, timeframe: Timeframe, blocks: readonly MonthColumns[]) {
  for (const { month, columns } of blocks) {
    const bytes = columnsToBytes(columns)
    await tx.execute(
      `insert into weaver.candle_blocks (symbol, timeframe, month, bars, "time", open, high, low, close, volume)
       values ($1, $2, to_timestamp($3::float8 / 1000)::date, $4, $5, $6, $7, $8, $9, $10)
       on conflict (symbol, timeframe, month) do update
         set bars = excluded.bars, "time" = excluded."time", open = excluded.open, high = excluded.high,
             low = excluded.low, close = excluded.close, volume = excluded.volume`,
      [symbol, timeframe, month, columns.time.length, ...COLUMN_NAMES.map((name) => bytes[name])],
    )
  }
}
