/**
 * Rows of the business tables, as WallE writes them and its queries give them. Decimals are strings in plain notation,
 * times are ISO 8601 UTC with milliseconds, bigints are numbers where they count ticks or ordinals.
 */
import type { Intent, Json, Mode, OrderStatus, OrderType, Side, Timeframe, TimeInForce } from '../../strategies/api.ts'

export type RunStatus = 'pending' | 'running' | 'stopped' | 'completed' | 'error'
export type Audit = 'summary' | 'acted' | 'full'
export type Driver = 'chunk' | 'chain'

export interface RunError {
  /** What went wrong, for a person. */
  message: string
  /** The tick at which it happened, if one was under way. */
  bar_index?: number
  ts?: string
  stack?: string
}

export interface RunRow {
  id: string
  strategy_id: string
  strategy_version: string
  strategy_hash: string
  mode: Mode
  exchange: string | null
  status: RunStatus
  symbols: string[]
  timeframe: Timeframe
  start_time: string | null
  end_time: string | null
  /** The strategy's parameters, resolved (defaults filled in). */
  config: Record<string, Json>
  initial_cash: string
  /** The fill model, resolved: preset, version and every number. */
  fill: Record<string, Json>
  /** The limits that hold: of each the stricter of its own and that of the installation. */
  risk: Record<string, Json>
  /** What the run was asked to have. */
  own_risk: Record<string, Json>
  audit: Audit
  driver: Driver
  seed: number
  missed_ticks: 'skip' | 'catch_up'
  bar_wait_ms: number | null
  label: string | null
  weaver_version: string
  dataset_fingerprint: string | null
  window_bars: number
  /** Fraction of the ticks done, 0 to 1. */
  progress: number
  ticks_total: number | null
  next_tick: number
  open_corr_id: string | null
  last_event_id: string | null
  stop_requested: Json
  halted: { rule: string; at: string } | null
  stats: Record<string, Json> | null
  result_hash: string | null
  error: RunError | null
  cautions: string[]
  started_at: string | null
  stopped_at: string | null
  archived_at: string | null
  created_at: string
  updated_at: string
}

/** What a new run's row is made of; the rest has defaults. */
export type NewRun = Omit<
  RunRow,
  | 'status'
  | 'progress'
  | 'ticks_total'
  | 'next_tick'
  | 'open_corr_id'
  | 'stop_requested'
  | 'halted'
  | 'stats'
  | 'result_hash'
  | 'error'
  | 'cautions'
  | 'started_at'
  | 'stopped_at'
  | 'archived_at'
  | 'created_at'
  | 'updated_at'
>

export type RunChanges = Partial<Omit<RunRow, 'id' | 'created_at' | 'updated_at'>>

export interface StrategySourceRow {
  hash: string
  strategy_id: string
  version: string
  /** Path of the entry file, relative to strategies/. */
  entry: string
  /** Every file the entry needs, by path relative to strategies/. */
  files: Record<string, string>
}

export interface OrderRow {
  id: string
  run_id: string
  /** Counts the run's orders from 0. */
  ordinal: number
  client_order_id: string
  exchange_order_id: string | null
  parent_order_id: string | null
  symbol: string
  side: Side
  order_type: OrderType
  qty: string
  /** The limit price. */
  price: string | null
  stop_price: string | null
  trail_price: string | null
  trail_percent: string | null
  take_profit: string | null
  stop_loss: string | null
  time_in_force: TimeInForce
  extended_hours: boolean
  status: OrderStatus
  filled_qty: string
  filled_avg_price: string | null
  fees: string
  reason: string | null
  reject_reason: string | null
  reject_rule: string | null
  bar_index: number | null
  placed_at: string
  submitted_at: string | null
  filled_at: string | null
  closed_at: string | null
  corr_id: string
  last_event_id: string
}

export interface FillRow {
  /** The id of the event that told of it. */
  id: string
  run_id: string
  order_id: string
  ordinal: number
  symbol: string
  side: Side
  qty: string
  price: string
  /** All of the commission, in the quote currency. */
  fee: string
  /** Part of `qty` that was kept as the fee instead of being paid in cash: the position changed by that much less. */
  fee_qty: string
  slippage: string
  /** Open time of the bar in which it happened. */
  timestamp: string
  /** The tick at which it became known. */
  known_at: string
  ambiguous: boolean
  execution_id: string | null
}

export interface TradeRow {
  run_id: string
  ordinal: number
  symbol: string
  side: 'long' | 'short'
  qty: string
  entry_order_id: string
  exit_order_id: string
  entry_time: string
  exit_time: string
  entry_price: string
  exit_price: string
  fees: string
  pnl: string
  return: number | null
  mae: number | null
  mfe: number | null
  bars: number
}

export interface DecisionRow {
  /** The id of the event strategy.DecisionMade. */
  id: string
  run_id: string
  bar_index: number
  /** 0: the tick's own. From 1: what was asked for between two ticks, when an order changed; `ts` is the older tick's. */
  part: number
  ts: string
  corr_id: string
  intents: Intent[]
  skips: string[]
  logs: { message: string; data?: Json }[]
}

/** Ticks at which nothing was done for one reason. */
export interface SkipRow {
  run_id: string
  /** Counts the run's ranges from 0. */
  ordinal: number
  kind: 'skipped' | 'risk' | 'rejected'
  /** The risk rule that refused. */
  rule: string | null
  reason: string
  first_tick: number
  last_tick: number
  first_ts: string
  last_ts: string
  /** Of the range's ticks, those that had this reason. */
  ticks: number
}

/** A decision kept as a row, or ticks that did nothing, with why: `weaver.decision_timeline`. */
export interface TimelineRow {
  run_id: string
  kind: 'acted' | 'noted' | SkipRow['kind']
  bar_index: number
  ts: string
  last_bar_index: number
  last_ts: string
  ticks: number
  id: string | null
  corr_id: string | null
  intents: Intent[]
  skips: string[]
  rule: string | null
  logs: { message: string; data?: Json }[]
}

/** A backtest under other rules of filling. */
export interface BandVariant {
  limit_fill: 'penetrate' | 'touch'
  slippage_bps: string
  market_fill: 'next_open' | 'next_close'
  ambiguous_bar: 'stop_loss' | 'take_profit'
  final_equity: string
  total_return: number | null
  max_drawdown: number
  sharpe_ratio: number | null
  total_trades: number
  win_rate: number | null
}

export interface BandResult {
  /** The run's own rules first. */
  variants: BandVariant[]
  ambiguous_bars: number
  ambiguous_trades: number
}

/** How far a run's result depends on the assumptions of its fill model. */
export interface BandRow {
  run_id: string
  status: 'running' | 'completed' | 'error'
  /** Fraction of the variants played. */
  progress: number
  result: BandResult | null
  error: string | null
  created_at: string
  updated_at: string
}

export interface PositionRow {
  run_id: string
  symbol: string
  /** Negative when short. */
  qty: string
  avg_price: string
  realised_pnl: string
  /** What the open quantity cost, exact (positive for both sides). */
  cost: string
  last_price: number | null
}

export interface EquityBlock {
  run_id: string
  first_tick: number
  /** Tick times, epoch milliseconds. */
  ts: Float64Array
  equity: Float64Array
  /** Gross position value over equity. */
  exposure: Float64Array
}

export interface CandleColumns {
  /** Open times, epoch milliseconds, ascending. */
  time: Float64Array
  open: Float64Array
  high: Float64Array
  low: Float64Array
  close: Float64Array
  volume: Float64Array
}

/** A candle as text, the way it was read: rows keep the exact decimals. */
export interface CandleText {
  /** Open time, epoch milliseconds. */
  time: number
  open: string
  high: string
  low: string
  close: string
  volume: string
  trade_count: string | null
}

/** Bars that a run could see: as they are stored, and as it saw them. */
export interface RunDatasetRow {
  run_id: string
  symbol: string
  timeframe: Timeframe
  /** The strategy asked for them with `ctx.fetch`; false: the bars of the run itself. */
  fetched: boolean
  /** Of the stored candles; finer than `timeframe` where bars were resampled. */
  source_timeframe: Timeframe
  /** Open times of the first and the last stored candle that was read. */
  first: string
  last: string
  /** Bars as the run saw them. */
  bars: number
  adjustment: string
  feed: string
  /** SHA-256 over the bars as the run saw them. */
  fingerprint: string
}

/** A `data.CandlesRevised`. */
export interface Revision {
  event_id: string
  symbol: string
  timeframe: Timeframe
  /** Open times of the first and the last revised candle. */
  first: string
  last: string
  revised: number
}
