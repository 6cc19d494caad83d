/**
 * The published language of Weaver: what a strategy may say and see.
 *
 * A strategy file imports this module and `indicators.ts`, nothing else. Prices and volumes in windows are float64;
 * amounts that are money or quantity (order quantities, cash, positions) are decimal strings in plain notation.
 */
import { z } from 'zod'

export { z }

export const TIMEFRAMES = ['1m', '5m', '15m', '30m', '1h', '4h', '1d'] as const
export type Timeframe = (typeof TIMEFRAMES)[number]

/** Length of a bar in milliseconds. All timeframes are aligned to UTC midnight. */
export const TIMEFRAME_MS: Readonly<Record<Timeframe, number>> = {
  '1m': 60_000,
  '5m': 300_000,
  '15m': 900_000,
  '30m': 1_800_000,
  '1h': 3_600_000,
  '4h': 14_400_000,
  '1d': 86_400_000,
}

export const MODES = ['backtest', 'paper', 'live'] as const
export type Mode = (typeof MODES)[number]

export const SIDES = ['buy', 'sell'] as const
export type Side = (typeof SIDES)[number]

export const ORDER_TYPES = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop'] as const
export type OrderType = (typeof ORDER_TYPES)[number]

export const TIMES_IN_FORCE = ['day', 'gtc', 'ioc', 'fok', 'opg', 'cls'] as const
export type TimeInForce = (typeof TIMES_IN_FORCE)[number]

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

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** One closed bar, named by its open time (epoch milliseconds). */
export interface Candle {
  symbol: string
  timeframe: Timeframe
  time: number
  open: number
  high: number
  low: number
  close: number
  volume: number
  trade_count: number | null
}

/** The newest closed bars of a symbol, oldest first. The arrays are only valid until the callback returns. */
export interface CandleWindow {
  readonly length: number
  /** Open times, epoch milliseconds. */
  readonly time: Float64Array
  readonly open: Float64Array
  readonly high: Float64Array
  readonly low: Float64Array
  readonly close: Float64Array
  readonly volume: Float64Array
}

/** Quantity with sign (negative when short) and average entry price, both decimal strings; '0' when flat. */
export interface PositionView {
  readonly qty: string
  readonly avg_price: string
}

/** A price or quantity as a strategy may write it. A number is taken as its shortest text. */
export type DecimalInput = string | number

export interface OrderRequest {
  symbol: string
  qty: DecimalInput
  type: OrderType
  limit_price?: DecimalInput
  stop_price?: DecimalInput
  /** Of a trailing stop, its distance. On any other type: a trailing exit attached to the entry, instead of `stop_loss`. */
  trail_price?: DecimalInput
  trail_percent?: DecimalInput
  /** Default `gtc`. `opg` and `cls` are for equities: the auctions that open and close a session. */
  time_in_force?: TimeInForce
  /** For equities, on a `limit` order with `day`: it also trades before and after the session. */
  extended_hours?: boolean
  /** Price of an attached exit, active once the entry is filled; always `gtc`. */
  take_profit?: DecimalInput
  stop_loss?: DecimalInput
  reason?: string
}

/** An order of this run as its strategy sees it. */
export interface OrderView {
  /** The client order id that `buy` or `sell` returned. */
  readonly id: string
  readonly symbol: string
  readonly side: Side
  readonly type: OrderType
  readonly qty: string
  readonly limit_price: string | null
  readonly stop_price: string | null
  readonly time_in_force: TimeInForce
  readonly status: OrderStatus
  readonly filled_qty: string
  readonly filled_avg_price: string | null
  /** The entry that this exit is attached to, null for an order of its own. */
  readonly parent_id: string | null
  readonly reject_reason: string | null
}

export interface FetchRequest {
  symbol: string
  timeframe: Timeframe
  bars: number
}

export interface StrategyContext<P = Record<string, unknown>, S = Json> {
  /** The tick's boundary, epoch milliseconds UTC. The only clock a strategy has. */
  readonly ts: number
  readonly timeframe: Timeframe
  /** Counts the run's ticks from 0. */
  readonly bar_index: number
  readonly symbols: readonly string[]
  readonly params: P
  /** JSON that survives from tick to tick; nothing else does. */
  state: S
  window(symbol: string | undefined, timeframe?: Timeframe): CandleWindow
  position(symbol: string | undefined): PositionView
  /** Decimal string. */
  readonly cash: string
  /** Cash plus open positions at the last closes. */
  readonly equity: number
  openOrders(symbol?: string): readonly OrderView[]
  /** Returns the client order id. */
  buy(order: Omit<OrderRequest, 'symbol'> & { symbol: string | undefined }): string
  sell(order: Omit<OrderRequest, 'symbol'> & { symbol: string | undefined }): string
  cancel(id: string): void
  cancelAll(symbol?: string): void
  /** Market order that brings the position of the symbol to zero; nothing when flat. Returns its id or null. */
  close(symbol: string | undefined, reason?: string): string | null
  /** Market order that brings the position of the symbol to `qty` (signed). Returns its id or null. */
  target(symbol: string | undefined, qty: DecimalInput, reason?: string): string | null
  /** Says why nothing was done at this tick. */
  skip(reason: string): void
  /** Seeded; uniform in [0, 1). */
  random(): number
  log(message: string, data?: Json): void
}

/** In `onTick` a strategy may ask for more windows; they are ready in `onWindow` of the same tick. */
export interface TickContext<P, S> extends StrategyContext<P, S> {
  fetch(request: FetchRequest): void
}

export interface StrategyDefinition<Schema extends z.ZodObject = z.ZodObject, S = Json> {
  id: string
  version: string
  description: string
  params: Schema
  /** How many closed bars the strategy wants, per symbol, in the run's timeframe. */
  window: (params: z.output<Schema>) => { bars: number }
  init?: (params: z.output<Schema>) => S
  onWindow: (ctx: StrategyContext<z.output<Schema>, S>) => void
  onTick?: (ctx: TickContext<z.output<Schema>, S>) => void
  onOrder?: (ctx: StrategyContext<z.output<Schema>, S>, order: OrderView) => void
}

/** Gives the definition its types; does nothing else. */
export function defineStrategy<Schema extends z.ZodObject, S = Json>(
  definition: StrategyDefinition<Schema, S>,
): StrategyDefinition<Schema, S> {
  return definition
}

/** What a strategy wants done, as recorded. Decimals are strings in plain notation. */
export type Intent = PlaceIntent | CancelIntent

export interface PlaceIntent {
  kind: 'place'
  client_order_id: string
  symbol: string
  side: Side
  order_type: OrderType
  qty: string
  limit_price: string | null
  stop_price: string | null
  trail_price: string | null
  trail_percent: string | null
  time_in_force: TimeInForce
  extended_hours: boolean
  take_profit: string | null
  stop_loss: string | null
  reason: string | null
}

export interface CancelIntent {
  kind: 'cancel'
  /** The order to cancel. */
  client_order_id: string
}
