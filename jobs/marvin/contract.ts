/**
 * The pure contract between a strategy's run context (Marvin) and whoever plays ticks to it: the chunk and the chain
 * driver of a backtest, a live run, a test.
 */
import type {
  CandleWindow,
  FetchRequest,
  Intent,
  Json,
  OrderView,
  PositionView,
  Timeframe,
} from '../../strategies/api.ts'

/** What a context reads at a tick. One object, mutated from tick to tick by the driver. */
export interface TickPort {
  /** The boundary, epoch milliseconds. */
  ts: number
  barIndex: number
  /** Throws when the symbol is unknown or the window was not asked for. */
  window(symbol: string, timeframe: Timeframe): CandleWindow
  position(symbol: string): PositionView
  cash(): string
  equity(): number
  openOrders(symbol?: string): readonly OrderView[]
}

export interface LogLine {
  message: string
  data?: Json
}

/** What a strategy asked for since the last take, in the order of asking. */
export interface Asked {
  intents: Intent[]
  skips: string[]
  logs: LogLine[]
}

/** A strategy with its parameters and its state: the only way drivers call it. */
export interface StrategyInstance {
  readonly windowBars: number
  readonly hasOnTick: boolean
  readonly hasOnOrder: boolean
  onOrder(order: OrderView): void
  /** Gives the windows that the strategy asked for with `ctx.fetch`. */
  onTick(): FetchRequest[]
  onWindow(): void
  /** True when something was asked for since the last take: cheap, called at every tick. */
  readonly asked: boolean
  take(): Asked
  /** JSON, to be stored and given back by `restore`. */
  save(): StrategyMemory
  restore(memory: StrategyMemory): void
}

/** Everything that a strategy carries from tick to tick. */
export interface StrategyMemory {
  state: Json
  random: number
  /** Intents of the tick so far: ids go on counting when the rest of a tick is played by another process. */
  tick?: { bar_index: number; intents: number }
}

export interface InstanceOptions {
  runId: string
  symbols: readonly string[]
  timeframe: Timeframe
  /** As resolved by the strategy's schema. */
  params: Record<string, Json>
  seed: number
  port: TickPort
}

/** The idempotency key of an intent: the `ordinal`-th thing asked for at the tick. Stable across retries and resumes. */
export function clientOrderId(runId: string, barIndex: number, ordinal: number): string {
  return `${OURS}${runId}-${barIndex}-${ordinal}`
}

/** Of the order by which a person closes a position: none of a tick's, nor of those of the run's end, and none of another press. */
export function handOrderId(runId: string, askedAt: number, ordinal: number): string {
  return `${OURS}${runId}-close-${askedAt}-${ordinal}`
}

const BY_HAND = /-close-\d+-\d+$/

/** A person closes a position by it: it never makes one larger, nor opens any. */
export function isByHand({ client_order_id }: { client_order_id: string }): boolean {
  return BY_HAND.test(client_order_id)
}

const OURS = 'w-'

/** Whether an order at a venue can be of a Weaver: all others are somebody else's. */
export function isOurs(clientOrderId: string): boolean {
  return clientOrderId.startsWith(OURS)
}

const CLIENT_ORDER = /^w-([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})-/

/** The run that an id of this form names, of an intent or of what was attached to one; null: it is of another form. */
export function runOfClientOrder(clientOrderId: string): string | null {
  return CLIENT_ORDER.exec(clientOrderId)?.[1] ?? null
}
