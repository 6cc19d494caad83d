/** What is known of venues' bars, and how long ticks waited for them. */
import type { Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { selectList } from '../columns.ts'
import type { DatasetKind } from '../import/adjustment.ts'
import { BAR_COVERAGE, type BarCoverageRow, WINDOW_WAITS, type WindowWaitRow } from '../market_rows.ts'

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
