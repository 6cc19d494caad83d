/** What is known of venues' bars, and how long ticks waited for them. */
import type { Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { selectList } from '../columns.ts'
import type { DatasetKind } from '../import/adjustment.ts'
import {
  BAR_COVERAGE,
  type BarCoverageRow,
  CANDLE_FETCHES,
  type CandleFetchRow,
  WINDOW_WAITS,
  type WindowWaitRow,
} from '../market_rows.ts'

/** There are no such candles yet, or those that there are are of the same kind. In a writer's transaction this holds until its end. */
export async function mayAddCandles(
  reader: Reader,
  symbol: string,
  timeframe: Timeframe,
  { adjustment, feed }: DatasetKind,
): Promise<boolean> {
  const [row] = await reader.query<{ may: boolean }>(
    `select case when d.symbol is null
         then not exists (select from weaver.candle_blocks where symbol = $1 and timeframe = $2)
         else d.adjustment = $3 and d.feed = $4 end as may
     from (select) one left join weaver.datasets d on d.symbol = $1 and d.timeframe = $2`,
    [symbol, timeframe, adjustment, feed],
  )
  return row?.may ?? false
}

export async function getBarCoverage(
  reader: Reader,
  symbol: string,
  timeframe: Timeframe,
): Promise<BarCoverageRow | null> {
  const [row] = await reader.query<BarCoverageRow>(
    `select ${selectList(BAR_COVERAGE)} from weaver.bar_coverage where symbol = $1 and timeframe = $2`,
    [symbol, timeframe],
  )
  return row ?? null
}

/** Of the run's tick before, the newest that had windows. */
export async function lastWindowWait(reader: Reader, runId: string): Promise<WindowWaitRow | null> {
  const [row] = await reader.query<WindowWaitRow>(
    `select ${selectList(WINDOW_WAITS)} from weaver.window_waits where run_id = $1 order by bar_index desc limit 1`,
    [runId],
  )
  return row ?? null
}

export async function countLateBars(reader: Reader, runId: string): Promise<number> {
  const [row] = await reader.query<{ late: number }>(
    'select coalesce(sum(late), 0)::integer as late from weaver.window_waits where run_id = $1',
    [runId],
  )
  return row?.late ?? 0
}

export interface CandleFetchView extends CandleFetchRow {
  created_at: string
  updated_at: string
}

const FETCH_LIST = `${selectList(CANDLE_FETCHES)}, created_at, updated_at`

export async function getCandleFetch(reader: Reader, id: string): Promise<CandleFetchView | null> {
  const [row] = await reader.query<CandleFetchView>(`select ${FETCH_LIST} from weaver.candle_fetches where id = $1`, [
    id,
  ])
  return row ?? null
}

export async function lockCandleFetch(tx: Reader, id: string): Promise<CandleFetchRow | null> {
  const [row] = await tx.query<CandleFetchRow>(
    `select ${selectList(CANDLE_FETCHES)} from weaver.candle_fetches where id = $1 for update`,
    [id],
  )
  return row ?? null
}

/** The newest first. */
export function listCandleFetches(reader: Reader, limit: number): Promise<CandleFetchView[]> {
  return reader.query<CandleFetchView>(
    `select ${FETCH_LIST} from weaver.candle_fetches order by created_at desc, id limit $1`,
    [limit],
  )
}

/** The one under way for the same candles, if there is one. */
export async function runningCandleFetch(
  reader: Reader,
  { exchange, symbol, timeframe }: Pick<CandleFetchRow, 'exchange' | 'symbol' | 'timeframe'>,
): Promise<CandleFetchView | null> {
  const [row] = await reader.query<CandleFetchView>(
    `select ${FETCH_LIST} from weaver.candle_fetches
     where exchange = $1 and symbol = $2 and timeframe = $3 and status = 'running' order by created_at limit 1`,
    [exchange, symbol, timeframe],
  )
  return row ?? null
}
