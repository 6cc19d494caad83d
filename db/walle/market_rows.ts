/** Rows of market data for paper and live runs (migrations 014 and 020), in the notation of rows.ts. */
import type { Timeframe } from '../../strategies/api.ts'
import type { Table } from './columns.ts'
import type { Adjustment } from './import/adjustment.ts'
import type { TradingMode } from './live_rows.ts'

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

/** History of an exchange that is fetched. */
export interface CandleFetchRow {
  id: string
  exchange: string
  mode: TradingMode
  symbol: string
  timeframe: Timeframe
  /** Open times, both inclusive. */
  start_time: string
  end_time: string
  /** What opens before is stored. */
  next_time: string
  adjustment: Exclude<Adjustment, 'unknown'>
  /** Known once the exchange has answered. */
  feed: string | null
  status: 'running' | 'completed' | 'cancelled' | 'error'
  stored: number
  revised: number
  unchanged: number
  /** Why it ended; while it runs, why it waits. */
  error: string | null
}

/** The newest price that a venue's stream told of. */
export interface MarketMarkRow {
  exchange: string
  mode: TradingMode
  symbol: string
  price: string
  source: 'bar' | 'quote' | 'trade'
  /** When it was so at the venue; it never goes back. */
  marked_at: string
  /** Open time of the newest bar that `market.Bar` told of. */
  bar_time: string | null
  /** Market events that were left out because the log was behind; those of a write are added. */
  dropped: number
}

export const CANDLE_FETCHES: Table<CandleFetchRow> = {
  name: 'weaver.candle_fetches',
  columns: {
    id: 'uuid',
    exchange: 'text',
    mode: 'text',
    symbol: 'text',
    timeframe: 'text',
    start_time: 'timestamptz',
    end_time: 'timestamptz',
    next_time: 'timestamptz',
    adjustment: 'text',
    feed: 'text',
    status: 'text',
    stored: 'bigint',
    revised: 'bigint',
    unchanged: 'bigint',
    error: 'text',
  },
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

export const MARKET_MARKS: Table<MarketMarkRow> = {
  name: 'weaver.market_marks',
  columns: {
    exchange: 'text',
    mode: 'text',
    symbol: 'text',
    price: 'numeric',
    source: 'text',
    marked_at: 'timestamptz',
    bar_time: 'timestamptz',
    dropped: 'bigint',
  },
}
