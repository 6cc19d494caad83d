/** Rows of market data for paper and live runs (migration 014), in the notation of rows.ts. */
import type { Timeframe } from '../../strategies/api.ts'
import type { Table } from './columns.ts'

export interface BarCoverageRow {
  symbol: string
  timeframe: Timeframe
  /** Open times: between them every bar of the venue is stored. */
  first: string
  last: string
  asked_at: string
}

export interface WindowWaitRow {
  run_id: string
  bar_index: number
  /** The boundary. */
  ts: string
  /** From the boundary until the windows were there. */
  in_hand_ms: number
  /** Series (`symbol timeframe`) whose newest bar did not come in time. */
  missing: string[]
  /** Of the bars that were missing at the tick before, those that have come since. */
  late: number
}

export const BAR_COVERAGE: Table<BarCoverageRow> = {
  name: 'weaver.bar_coverage',
  columns: { symbol: 'text', timeframe: 'text', first: 'timestamptz', last: 'timestamptz', asked_at: 'timestamptz' },
}

export const WINDOW_WAITS: Table<WindowWaitRow> = {
  name: 'weaver.window_waits',
  columns: {
    run_id: 'uuid',
    bar_index: 'bigint',
    ts: 'timestamptz',
    in_hand_ms: 'float8',
    missing: 'jsonb',
    late: 'integer',
  },
}
