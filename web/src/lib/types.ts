/** Shapes of the REST API as Haro reads them. Money and quantities are decimal strings; times are ISO 8601 UTC. */

export const STATUSES = ['pending', 'running', 'stopped', 'completed', 'error'] as const
export type RunStatus = (typeof STATUSES)[number]
export const RUN_MODES = ['backtest', 'paper', 'live'] as const
export type RunMode = (typeof RUN_MODES)[number]
export const ORDER_STATUSES = [
  'pending',
  'submitted',
  'accepted',
  'partial',
  'filled',
  'cancelled',
  'rejected',
  'expired',
] as const
export type OrderStatus = (typeof ORDER_STATUSES)[number]
export const TIMEFRAMES = ['1m', '5m', '15m', '30m', '1h', '4h', '1d'] as const

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Stats = Record<string, Json>

export interface ApiErrorBody {
  code: string
  message: string
  details: unknown
  correlation_id: string
  timestamp: string
}

export interface Page<T> {
  items: T[]
  total: number
  page: number
  page_size: number
  total_is_estimate?: boolean
}

export interface RunError {
  message: string
  bar_index?: number
  ts?: string
  stack?: string
}

export interface Run {
  id: string
  strategy_id: string
  strategy_version?: string
  strategy_hash?: string
  mode: RunMode
  exchange?: string | null
  status: RunStatus
  symbols: string[]
  timeframe: string
  start_time?: string | null
  end_time?: string | null
  config: Record<string, Json>
  initial_cash?: string
  fill?: Record<string, Json> | null
  risk?: Record<string, Json> | null
  audit?: string
  seed?: number
  label?: string | null
  weaver_version?: string
  dataset_fingerprint?: string | null
  created_at: string
  started_at: string | null
  stopped_at: string | null
  stats: Stats | null
  progress: number | null
  halted: { rule: string; at: string } | null
  result_hash: string | null
  error: RunError | null
  cautions?: string[]
}

export interface Report {
  stats: Stats | null
  reproducibility: Record<string, Json> | null
  cautions: string[]
}

export interface Order {
  id: string
  run_id: string
  client_order_id: string
  exchange_order_id: string | null
  symbol: string
  side: 'buy' | 'sell'
  order_type: string
  qty: string
  price: string | null
  stop_price: string | null
  time_in_force: string
  filled_qty: string
  filled_avg_price: string | null
  status: OrderStatus
  created_at: string
  placed_at?: string | null
  submitted_at: string | null
  filled_at: string | null
  reason?: string | null
  reject_reason: string | null
}

export interface Fill {
  id?: string
  order_id: string
  symbol: string
  side: 'buy' | 'sell'
  qty: string
  price: string
  fee: string
  /** Open time of the bar in which it happened. */
  timestamp: string
}

export interface Trade {
  symbol: string
  side: 'long' | 'short'
  qty: string
  entry_time: string
  exit_time: string
  entry_price: string
  exit_price: string
  fees: string
  pnl: string
  return: number | null
  bars: number
}

export interface RunEvent {
  id: string
  seq?: number
  type: string
  ts: string
  payload: Json
}

/** Equity marked at bar closes; times are epoch milliseconds. */
export interface Curve {
  time: number[]
  equity: number[]
}

/** Bars as columns; times are open times in epoch milliseconds. */
export interface Bars {
  bucketMs: number | null
  time: number[]
  open: number[]
  high: number[]
  low: number[]
  close: number[]
  volume: number[]
}

export interface JsonSchema {
  type?: string | string[]
  title?: string
  description?: string
  default?: Json
  enum?: Json[]
  const?: Json
  anyOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  items?: JsonSchema
}

export interface Strategy {
  id: string
  version: string
  description: string
  params_schema: JsonSchema
}

export interface StrategyLoadError {
  file: string
  message: string
}

export interface Strategies {
  items: Strategy[]
  errors: StrategyLoadError[]
}

export interface Dataset {
  symbol: string
  timeframe: string
  /** Open time of the first stored bar. */
  start: string
  /** Open time of the last stored bar. */
  end: string
  bars: number
  gaps: number
  fingerprint: string | null
}

export interface ImportResult {
  rows_read: number
  rows_stored: number
  rejected: { line: number; reason: string }[]
  gaps: number
}

export interface RunCreate {
  strategy_id: string
  mode: RunMode
  symbols: string[]
  timeframe: string
  start_time: string
  end_time: string
  config: Record<string, Json>
  initial_cash: string
  fill: Record<string, Json>
  label?: string
}

export interface Info {
  version: string
}
