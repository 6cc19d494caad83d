/**
 * Veda is live data and trading. This is what a venue is to Weaver: the pure contract of an adapter. An adapter speaks one venue's language and translates, it
 * decides nothing: no retries of orders, no state of its own that matters. Decimals are text, times are epoch
 * milliseconds, symbols are Weaver's (`BTC/USD`, `AAPL`).
 */
import type { SimBook } from '../../db/sim_venue.ts'
import type { OrderType, Side, Timeframe, TimeInForce } from '../../strategies/api.ts'

export type TradingMode = 'paper' | 'live'

/** `unclear`: nothing is known of what the call did, and only the venue can tell. Every other kind: it did nothing. */
export type VenueErrorKind = 'unauthorised' | 'rate_limited' | 'unavailable' | 'refused' | 'not_found' | 'unclear'

/** Every call of a venue fails with this. Its message never holds a secret. */
export class VenueError extends Error {
  override readonly name = 'VenueError'
  readonly kind: VenueErrorKind
  /** The venue's word of when to come again. */
  readonly retryAfterMs: number | null

  constructor(kind: VenueErrorKind, message: string, options: { retryAfterMs?: number | null; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.kind = kind
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}

export type AssetClass = 'equity' | 'crypto'

/** What an account of the venue can do, by class of asset; checked before anything is sent. */
export interface VenueFeatures {
  orderTypes: Readonly<Record<AssetClass, readonly OrderType[]>>
  timeInForce: Readonly<Record<AssetClass, readonly TimeInForce[]>>
  /** Types of order that are taken with fewer of them. */
  timesByType: Readonly<Record<AssetClass, Readonly<Partial<Record<OrderType, readonly TimeInForce[]>>>>>
  /** Quantities that are no whole numbers, and with which times in force. */
  fractional: Readonly<Record<AssetClass, readonly TimeInForce[]>>
  /** Types of order that are taken for whole quantities only. */
  wholeOnly: Readonly<Record<AssetClass, readonly OrderType[]>>
  extendedHours: boolean
  shorting: Readonly<Record<AssetClass, boolean>>
  /** Updates of orders are pushed; without, they are polled. */
  orderStream: boolean
  /** Bars are pushed. */
  barStream: boolean
  /** For so long after its close a bar of several minutes may lack what was traded in the last of them; 0: never. */
  barsSettleMs: number
  /**
   * The most that is kept of a purchase as its fee, as a part of it, where fills do not tell the fee exactly; null: they do.
   * Within that bound a difference of positions is one of fees.
   */
  unsureFeeInKind: Readonly<Record<AssetClass, string | null>>
}

export interface VenueAccount {
  account_number: string
  currency: string
  cash: string
  equity: string
  buying_power: string
  /** Why nothing can be traded, in the venue's words; null: it can. */
  blocked: string | null
}

export interface VenuePosition {
  symbol: string
  /** Negative when short. */
  qty: string
  avg_price: string
}

export interface VenueAsset {
  symbol: string
  asset_class: AssetClass
  tradable: boolean
  fractionable: boolean
  shortable: boolean
  /** A quantity must be a multiple; null: of nothing. */
  qty_increment: string | null
  min_qty: string | null
  /** By price: the first whose `below` is greater than the price counts; null = no bound. */
  price_increments: readonly { below: string | null; increment: string }[]
  /** Quote currency. */
  min_notional: string | null
  /** The same, asked of a purchase alone. */
  min_purchase: string | null
}

/** The venue's state of an order, in Weaver's words. */
export type VenueStatus =
  | 'pending'
  | 'accepted'
  | 'partial'
  | 'filled'
  | 'cancelled'
  | 'rejected'
  | 'expired'
  | 'replaced'

export interface VenueOrder {
  exchange_order_id: string
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
  status: VenueStatus
  /** Cumulative, of this order alone. */
  filled_qty: string
  filled_avg_price: string | null
  /** All that was charged so far, as in `Execution`; the most that it can be where the venue does not say. Null: nothing is known of it. */
  fee: string | null
  fee_qty: string | null
  reject_reason: string | null
  /** The order that took its place, and the one whose place it took: the venue's ids. */
  replaced_by: string | null
  replaces: string | null
  submitted_at: number | null
  updated_at: number
}

/** One fill. */
export interface Execution {
  execution_id: string
  exchange_order_id: string
  client_order_id: string | null
  symbol: string
  side: Side
  /** Of this fill alone. */
  qty: string
  price: string
  /** The order's cumulative quantity after it; null where the venue does not say. */
  cum_qty: string | null
  /** Charged in quote currency, beside what is kept of the quantity; null where the venue does not say. */
  fee: string | null
  /** Of a purchase: part of `qty` that was kept as the fee. */
  fee_qty: string | null
  at: number
}

export interface OrderToSend {
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
}

/** What became of a submit. A venue's refusal is an answer, no error. */
export type SubmitAnswer =
  | { kind: 'accepted'; order: VenueOrder }
  /** `passed`: of a stop, that the price has gone through it already. */
  | { kind: 'rejected'; reason: string; passed?: true }
  | { kind: 'duplicate' }

/** `ended`: there was nothing left to cancel; ask for the order to learn why. */
export type CancelAnswer = 'requested' | 'ended' | 'not_found'

export interface BarRequest {
  symbol: string
  timeframe: Timeframe
  /** Open times, both inclusive. */
  start: number
  end: number
  /** Of equities. Absent: `split`, so that a split makes no jump in a strategy's window. */
  adjustment?: 'raw' | 'split' | 'all'
  /** Goes before others: somebody is about to decide on them. */
  urgent?: boolean
}

export interface VenueBar {
  /** Open time. */
  time: number
  open: string
  high: string
  low: string
  close: string
  volume: string
  trade_count: string | null
}

/** What a fill costs in all, as a part of its money: what is kept in kind counts at the price of the fill. */
export interface FeeBounds {
  least_bps: number
  most_bps: number
}

/** What a stream tells. It is a hint: the venue's REST state is the truth. */
export interface StreamHandlers {
  /** An order changed; with the execution where it was a fill. */
  onOrder(order: VenueOrder, execution: Execution | null): void
  /** A closed bar, or one that was corrected. */
  onBar(bar: VenueBar & { symbol: string; timeframe: Timeframe; revised: boolean }): void
  onQuote?(quote: { symbol: string; at: number; bid: string; ask: string }): void
  onTrade?(trade: { symbol: string; at: number; price: string; size: string }): void
  /** `up` once updates are sure to arrive (the subscription was acknowledged), each time anew. */
  onState(state: { up: boolean; reason: string }): void
}

export interface VenueStream {
  /** The symbols whose bars are pushed from now on, and those of them whose quotes and trades are. */
  watch(symbols: readonly string[], ticks?: { quotes: readonly string[]; trades: readonly string[] }): void
  close(): Promise<void>
}

export interface Venue {
  readonly exchange: string
  readonly mode: TradingMode
  readonly features: VenueFeatures
  /** Where its data of the symbol comes from, for the data set's `feed`. */
  feedOf(symbol: string): string
  account(): Promise<VenueAccount>
  positions(): Promise<VenuePosition[]>
  asset(symbol: string): Promise<VenueAsset | null>
  /** Every open order, or every order that changed since; all pages. */
  orders(which: { open: true } | { since: number }): Promise<VenueOrder[]>
  orderByClientId(clientOrderId: string): Promise<VenueOrder | null>
  /** By the venue's own id: what took an order's place has a client id that nobody here gave. */
  orderById(exchangeOrderId: string): Promise<VenueOrder | null>
  executions(since: number): Promise<Execution[]>
  /** `mayLeave` is asked last of all, when nothing but the request itself is left to do: what it throws is thrown on, and nothing was sent. */
  submit(order: OrderToSend, mayLeave?: () => Promise<void>): Promise<SubmitAnswer>
  cancel(order: { exchange_order_id: string }): Promise<CancelAnswer>
  /** Cancels whatever is open in the account: the kill switch. Gives how many it asked for. */
  cancelAll(): Promise<number>
  /** Closed bars only, ascending, all pages. */
  bars(request: BarRequest): Promise<VenueBar[]>
  /** The venue's clock. */
  time(): Promise<number>
  /** What it says that it charges for a fill. Absent: it says nothing. */
  fees?(symbol: string): Promise<FeeBounds>
  stream(handlers: StreamHandlers): VenueStream | null
  close(): Promise<void>
}

/** Of a bucket: always the same for one bucket. Without, 200 a minute. */
export interface RateLimit {
  perMinute: number
}

/** What an adapter is given of the world. */
export interface VenueWorld {
  now(): number
  sleep(ms: number): Promise<void>
  newId(): string
  log(level: 'info' | 'warn' | 'error', fields: object, message: string): void
  /** Waits until one more request may be made; `urgent` ones (orders) go before reads. Throws rate_limited when it would take too long. */
  takeToken(bucket: string, urgent: boolean, limit?: RateLimit): Promise<void>
  /** The venue refused for having been asked too often: nobody asks before `retryAfterMs` (null: it did not say). */
  emptyBucket(bucket: string, retryAfterMs: number | null, limit?: RateLimit): Promise<void>
  /** Where the built-in simulator keeps its accounts: it has no machine of its own. Of no use to any other adapter. */
  simBook: SimBook
}

/** Where the orders of a mode go, as its settings have it; never with a secret. */
export interface VenueAddress {
  /** Null: nowhere beyond Weaver. */
  host: string | null
  /** It is not the venue's own: an emulator, a proxy, or a mistake. */
  custom_host: boolean
  /** What looks wrong about the settings, and nobody but the venue can tell. */
  doubts: readonly string[]
}

/** An adapter as its folder exports it by default: `jobs/veda/adapters/<id>/index.ts`. Found by scanning. */
export interface VenueDefinition<Settings = unknown> {
  id: string
  modes: readonly TradingMode[]
  /** Its part of the environment, read once. Null: not configured for that mode; throws what is wrong with it. */
  settings(env: Readonly<Record<string, string | undefined>>, mode: TradingMode): Settings | null
  address(settings: Settings, mode: TradingMode): VenueAddress
  open(settings: Settings, mode: TradingMode, world: VenueWorld): Promise<Venue>
}
