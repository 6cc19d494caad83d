/** What is known of venues' bars, and how long ticks waited for them. */
import type { Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { selectList } from '../columns.ts'
import type { DatasetKind } from '../import/adjustment.ts'
import type { TradingMode } from '../live_rows.ts'
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

/** Of the runs that an account carries now. */
export async function tradedSymbols(reader: Reader, exchange: string, mode: TradingMode): Promise<string[]> {
  const rows = await reader.query<{ symbol: string }>(
    `select distinct unnest(symbols) as symbol from weaver.runs
     where status = 'running' and exchange = $1 and mode = $2 order by symbol`,
    [exchange, mode],
  )
  return rows.map(({ symbol }) => symbol)
}

export interface RecentWindows {
  /** Ticks that got their windows. */
  count: number
  /** From the boundary until they were there, in seconds: median, 95th percentile, longest. */
  inHand: number[]
  /** Of the ticks, those that went on without a bar. */
  without: number
  /** Bars that came after their tick had gone on. */
  late: number
}

/** Over the last minutes, by exchange. */
export function recentWindows(reader: Reader, minutes: number): Promise<(RecentWindows & { exchange: string })[]> {
  return reader.query(
    `select r.exchange, count(*)::integer as count,
       percentile_cont(array[0.5, 0.95, 1]) within group (order by w.in_hand_ms / 1000) as "inHand",
       (count(*) filter (where w.missing <> '[]'))::integer as without, coalesce(sum(w.late), 0)::integer as late
     from weaver.window_waits w join weaver.runs r on r.id = w.run_id
     where w.created_at > now() - make_interval(mins => $1::integer) group by r.exchange order by r.exchange`,
    [minutes],
  )
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
