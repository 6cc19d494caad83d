/**
 * The columns of the business tables by row type: what to write, what to read, and as which Postgres type. Inserts,
 * updates and selects are all built from these lists, so that a row reads back as it was written.
 */
import { jsonText, withoutNul } from '../json_text.ts'
import type {
  DecisionRow,
  FillRow,
  NewRun,
  OrderRow,
  PositionRow,
  RunDatasetRow,
  RunRow,
  SkipRow,
  StrategySourceRow,
  TimelineRow,
  TradeRow,
} from './rows.ts'

export type ColumnType =
  | 'uuid'
  | 'text'
  | 'text[]'
  | 'numeric'
  | 'bigint'
  | 'integer'
  | 'float8'
  | 'boolean'
  | 'timestamptz'
  | 'jsonb'

export type Columns<Row> = { readonly [K in keyof Row]-?: ColumnType }

export interface Table<Row> {
  readonly name: string
  readonly columns: Columns<Row>
}

const NEW_RUN: Columns<NewRun> = {
  id: 'uuid',
  strategy_id: 'text',
  strategy_version: 'text',
  strategy_hash: 'text',
  mode: 'text',
  exchange: 'text',
  symbols: 'text[]',
  timeframe: 'text',
  start_time: 'timestamptz',
  end_time: 'timestamptz',
  config: 'jsonb',
  initial_cash: 'numeric',
  fill: 'jsonb',
  risk: 'jsonb',
  own_risk: 'jsonb',
  audit: 'text',
  driver: 'text',
  seed: 'bigint',
  missed_ticks: 'text',
  bar_wait_ms: 'integer',
  label: 'text',
  weaver_version: 'text',
  dataset_fingerprint: 'text',
  window_bars: 'integer',
  last_event_id: 'uuid',
}

export const NEW_RUNS: Table<NewRun> = { name: 'weaver.runs', columns: NEW_RUN }

export const RUNS: Table<RunRow> = {
  name: 'weaver.runs',
  columns: {
    ...NEW_RUN,
    status: 'text',
    progress: 'float8',
    ticks_total: 'bigint',
    next_tick: 'bigint',
    open_corr_id: 'uuid',
    stop_requested: 'jsonb',
    halted: 'jsonb',
    stats: 'jsonb',
    result_hash: 'text',
    error: 'jsonb',
    cautions: 'jsonb',
    started_at: 'timestamptz',
    stopped_at: 'timestamptz',
    archived_at: 'timestamptz',
    created_at: 'timestamptz',
    updated_at: 'timestamptz',
  },
}

export const SOURCES: Table<StrategySourceRow> = {
  name: 'weaver.strategy_sources',
  columns: { hash: 'text', strategy_id: 'text', version: 'text', entry: 'text', files: 'jsonb' },
}

export const ORDERS: Table<OrderRow> = {
  name: 'weaver.orders',
  columns: {
    id: 'uuid',
    run_id: 'uuid',
    ordinal: 'bigint',
    client_order_id: 'text',
    exchange_order_id: 'text',
    parent_order_id: 'uuid',
    symbol: 'text',
    side: 'text',
    order_type: 'text',
    qty: 'numeric',
    price: 'numeric',
    stop_price: 'numeric',
    trail_price: 'numeric',
    trail_percent: 'numeric',
    take_profit: 'numeric',
    stop_loss: 'numeric',
    time_in_force: 'text',
    extended_hours: 'boolean',
    status: 'text',
    filled_qty: 'numeric',
    filled_avg_price: 'numeric',
    fees: 'numeric',
    reason: 'text',
    reject_reason: 'text',
    reject_rule: 'text',
    bar_index: 'bigint',
    placed_at: 'timestamptz',
    submitted_at: 'timestamptz',
    filled_at: 'timestamptz',
    closed_at: 'timestamptz',
    corr_id: 'uuid',
    last_event_id: 'uuid',
  },
}

export const FILLS: Table<FillRow> = {
  name: 'weaver.fills',
  columns: {
    id: 'uuid',
    run_id: 'uuid',
    order_id: 'uuid',
    ordinal: 'bigint',
    symbol: 'text',
    side: 'text',
    qty: 'numeric',
    price: 'numeric',
    fee: 'numeric',
    fee_qty: 'numeric',
    slippage: 'numeric',
    timestamp: 'timestamptz',
    known_at: 'timestamptz',
    ambiguous: 'boolean',
    execution_id: 'text',
  },
}

export const TRADES: Table<TradeRow> = {
  name: 'weaver.trades',
  columns: {
    run_id: 'uuid',
    ordinal: 'bigint',
    symbol: 'text',
    side: 'text',
    qty: 'numeric',
    entry_order_id: 'uuid',
    exit_order_id: 'uuid',
    entry_time: 'timestamptz',
    exit_time: 'timestamptz',
    entry_price: 'numeric',
    exit_price: 'numeric',
    fees: 'numeric',
    pnl: 'numeric',
    return: 'float8',
    mae: 'float8',
    mfe: 'float8',
    bars: 'integer',
  },
}

export const DECISIONS: Table<DecisionRow> = {
  name: 'weaver.decisions',
  columns: {
    id: 'uuid',
    run_id: 'uuid',
    bar_index: 'bigint',
    part: 'integer',
    ts: 'timestamptz',
    corr_id: 'uuid',
    intents: 'jsonb',
    skips: 'jsonb',
    logs: 'jsonb',
  },
}

export const SKIPS: Table<SkipRow> = {
  name: 'weaver.skips',
  columns: {
    run_id: 'uuid',
    ordinal: 'integer',
    kind: 'text',
    rule: 'text',
    reason: 'text',
    first_tick: 'bigint',
    last_tick: 'bigint',
    first_ts: 'timestamptz',
    last_ts: 'timestamptz',
    ticks: 'bigint',
  },
}

export const TIMELINE: Table<TimelineRow> = {
  name: 'weaver.decision_timeline',
  columns: {
    run_id: 'uuid',
    kind: 'text',
    bar_index: 'bigint',
    ts: 'timestamptz',
    last_bar_index: 'bigint',
    last_ts: 'timestamptz',
    ticks: 'bigint',
    id: 'uuid',
    corr_id: 'uuid',
    intents: 'jsonb',
    skips: 'jsonb',
    rule: 'text',
    logs: 'jsonb',
  },
}

export const POSITIONS: Table<PositionRow> = {
  name: 'weaver.positions',
  columns: {
    run_id: 'uuid',
    symbol: 'text',
    qty: 'numeric',
    avg_price: 'numeric',
    realised_pnl: 'numeric',
    cost: 'numeric',
    last_price: 'float8',
  },
}

export const RUN_DATASETS: Table<RunDatasetRow> = {
  name: 'weaver.run_datasets',
  columns: {
    run_id: 'uuid',
    symbol: 'text',
    timeframe: 'text',
    fetched: 'boolean',
    source_timeframe: 'text',
    first: 'timestamptz',
    last: 'timestamptz',
    bars: 'bigint',
    adjustment: 'text',
    feed: 'text',
    fingerprint: 'text',
  },
}

export function columnNames<Row>(columns: Columns<Row>): (keyof Row & string)[] {
  return Object.keys(columns) as (keyof Row & string)[]
}

/** Names like `timestamp` and `return` are words of SQL. Only names from the lists above get here. */
export function quoted(name: string): string {
  return `"${name}"`
}

/** A text for statements that take no parameters (COPY). Needs standard_conforming_strings, Postgres' default. */
export function literal(text: string): string {
  if (text.includes('\0')) throw new RangeError('a text for Postgres may not hold a NUL character')
  return `'${text.replaceAll("'", "''")}'`
}

/** The select list of a table, optionally through an alias; db/values.ts makes of it what rows.ts says. */
export function selectList<Row>(table: Table<Row>, alias?: string): string {
  const prefix = alias === undefined ? '' : `${alias}.`
  return columnNames(table.columns)
    .map((name) => `${prefix}${quoted(name)}`)
    .join(', ')
}

/** A value as Postgres reads it from text; null is SQL's null. */
export function cellText(value: unknown, type: ColumnType): string | null {
  if (value === null || value === undefined) return null
  if (type === 'jsonb') return jsonText(value)
  if (type === 'text[]') return `{${(value as string[]).map(arrayElement).join(',')}}`
  const text = typeof value === 'string' ? value : String(value)
  return text.includes('\0') ? withoutNul(text) : text
}

function arrayElement(text: string): string {
  return `"${withoutNul(text).replaceAll(/["\\]/g, '\\$&')}"`
}
