/** Rows of paper and live trading (migration 012), in the notation of rows.ts. */
import type { Json } from '../../strategies/api.ts'
import type { Table } from './columns.ts'

export type TradingMode = 'paper' | 'live'
export type AccountState = 'unknown' | 'ready' | 'refused'

export interface AccountRow {
  exchange: string
  mode: TradingMode
  account_number: string | null
  /** Since when it has that number: runs that ended before it traded in another account. Null: it never had another one. */
  number_since: string | null
  currency: string
  cash: string
  equity: string
  buying_power: string
  state: AccountState
  state_reason: string | null
  /** Why the venue lets nothing be traded, in its words. */
  blocked: string | null
  /** The process that keeps it: host and pid. */
  keeper: string | null
  /** Of its updates of orders; none: the venue is polled. */
  stream: 'up' | 'down' | 'none' | null
  /** Somebody wants its orders and positions compared with the venue's; done when `reconciled_at` is later. */
  reconcile_requested_at: string | null
  /** When the venue last confirmed what is here. */
  checked_at: string | null
  reconciled_at: string | null
}

export interface AccountPositionRow {
  exchange: string
  mode: TradingMode
  symbol: string
  venue_qty: string
  /** Sum over the runs. */
  runs_qty: string
  /** Held at the venue, and no run's: bought by hand, or left by a run that was archived. */
  unattributed_qty: string
  /** Of it, what the venue kept less of purchases as its fee than was booked. */
  fee_adjustment: string
  /** When it was as expected last: what was bought before has borne its fees. Null: not yet. */
  equal_at: string | null
  /** No new order in this symbol until a person or a reconciliation clears it. */
  paused_reason: string | null
  /** The class of the finding that paused it. */
  paused_class: string | null
}

export interface RunLedgerRow {
  run_id: string
  cash: string
  fees: string
  turnover: string
  /** Ordinals of the run's next order and fill. */
  next_order: number
  next_fill: number
  /** What the FIFO matcher of trades carries. */
  trade_matcher: Json
  /** What the limits on losses and on the flow of orders remember. */
  risk_watch: Json
  /** That were applied to what it holds (greta/splits.ts). Null: none. */
  splits: Json
}

export type SendState = 'to_send' | 'sent' | 'unclear' | 'answered'

export interface OrderSendRow {
  order_id: string
  run_id: string
  exchange: string
  mode: TradingMode
  /** When it was asked for, by the clock that all of its sending goes by. */
  wanted_at: string
  state: SendState
  attempts: number
  /** Times that the venue was asked since the last attempt and did not know the order. */
  lookups: number
  last_sent_at: string | null
  last_error: string | null
  cancel_requested_at: string | null
  cancel_attempts: number
  /** Who asked for it, and why. */
  cancel_reason: string | null
  /** The newest close of its symbol that the run had seen when it was placed; null: none, or the order is an exit. */
  decided_close: string | null
  /** Times that the venue refused it in words. */
  refusals: number
  /** Of a stop loss that the price has gone through: it is sent as a market order. */
  at_market: boolean
  /** Of the asset, as it was when the order was sent last; null: none, or not known. */
  qty_increment: string | null
  /** The venue's ids of the orders that others took the place of, oldest first; the order's own is that of the newest. */
  replaced_ids: string[]
  /** What those had filled: the newest counts from there. */
  filled_before: string
}

export interface VenueUpdateRow {
  exchange: string
  mode: TradingMode
  source: 'answer' | 'stream' | 'poll' | 'reconcile'
  client_order_id: string | null
  execution_id: string | null
  payload: Json
}

export interface ClockTickRow {
  run_id: string
  bar_index: number
  /** The boundary. */
  ts: string
  /** The clock.Tick; null when missed. */
  event_id: string | null
  missed_reason: string | null
  /** Emission after the boundary. */
  drift_ms: number | null
  done_at: string | null
}

export interface HaltRow {
  id: string
  /** Null: the whole system. */
  run_id: string | null
  rule: string
  reason: string | null
  halted_at: string
  halted_by: string
  resumed_at: string | null
  resumed_by: string | null
}

/** How far the clock of whoever keeps an account is from its venue's. */
export interface VenueClockRow {
  exchange: string
  mode: TradingMode
  /** Ahead of the venue's; below zero: behind. */
  skew_ms: number
  looked_at: string
}

export const VENUE_CLOCKS: Table<VenueClockRow> = {
  name: 'weaver.venue_clocks',
  columns: { exchange: 'text', mode: 'text', skew_ms: 'float8', looked_at: 'timestamptz' },
}

export const ACCOUNTS: Table<AccountRow> = {
  name: 'weaver.accounts',
  columns: {
    exchange: 'text',
    mode: 'text',
    account_number: 'text',
    number_since: 'timestamptz',
    currency: 'text',
    cash: 'numeric',
    equity: 'numeric',
    buying_power: 'numeric',
    state: 'text',
    state_reason: 'text',
    blocked: 'text',
    keeper: 'text',
    stream: 'text',
    reconcile_requested_at: 'timestamptz',
    checked_at: 'timestamptz',
    reconciled_at: 'timestamptz',
  },
}

export const ACCOUNT_POSITIONS: Table<AccountPositionRow> = {
  name: 'weaver.account_positions',
  columns: {
    exchange: 'text',
    mode: 'text',
    symbol: 'text',
    venue_qty: 'numeric',
    runs_qty: 'numeric',
    unattributed_qty: 'numeric',
    fee_adjustment: 'numeric',
    equal_at: 'timestamptz',
    paused_reason: 'text',
    paused_class: 'text',
  },
}

export const RUN_LEDGERS: Table<RunLedgerRow> = {
  name: 'weaver.run_ledgers',
  columns: {
    run_id: 'uuid',
    cash: 'numeric',
    fees: 'numeric',
    turnover: 'numeric',
    next_order: 'bigint',
    next_fill: 'bigint',
    trade_matcher: 'jsonb',
    risk_watch: 'jsonb',
    splits: 'jsonb',
  },
}

export const ORDER_SENDS: Table<OrderSendRow> = {
  name: 'weaver.order_sends',
  columns: {
    order_id: 'uuid',
    run_id: 'uuid',
    exchange: 'text',
    mode: 'text',
    wanted_at: 'timestamptz',
    state: 'text',
    attempts: 'integer',
    lookups: 'integer',
    last_sent_at: 'timestamptz',
    last_error: 'text',
    cancel_requested_at: 'timestamptz',
    cancel_attempts: 'integer',
    cancel_reason: 'text',
    decided_close: 'numeric',
    refusals: 'integer',
    at_market: 'boolean',
    qty_increment: 'numeric',
    replaced_ids: 'jsonb',
    filled_before: 'numeric',
  },
}

export const VENUE_UPDATES: Table<VenueUpdateRow> = {
  name: 'weaver.venue_updates',
  columns: {
    exchange: 'text',
    mode: 'text',
    source: 'text',
    client_order_id: 'text',
    execution_id: 'text',
    payload: 'jsonb',
  },
}

export const CLOCK_TICKS: Table<ClockTickRow> = {
  name: 'weaver.clock_ticks',
  columns: {
    run_id: 'uuid',
    bar_index: 'bigint',
    ts: 'timestamptz',
    event_id: 'uuid',
    missed_reason: 'text',
    drift_ms: 'float8',
    done_at: 'timestamptz',
  },
}

export const HALTS: Table<HaltRow> = {
  name: 'weaver.halts',
  columns: {
    id: 'uuid',
    run_id: 'uuid',
    rule: 'text',
    reason: 'text',
    halted_at: 'timestamptz',
    halted_by: 'text',
    resumed_at: 'timestamptz',
    resumed_by: 'text',
  },
}
