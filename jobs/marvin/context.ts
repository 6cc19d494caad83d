/** Marvin's run context: shows a strategy one tick at a time and collects what it asks for. Pure; never places an order. */
import {
  type CandleWindow,
  type DecimalInput,
  type FetchRequest,
  type Json,
  type OrderRequest,
  type OrderView,
  type PlaceIntent,
  type Side,
  type StrategyDefinition,
  TIMEFRAMES,
  type TickContext,
  type Timeframe,
} from '../../strategies/api.ts'
import { type Collector, clipped, createCollector } from './asking.ts'
import type { InstanceOptions, StrategyInstance, StrategyMemory } from './contract.ts'
import { decimalText, optionalDecimal, orderTowards } from './decimal_text.ts'
import { checkDefinition, MAX_WINDOW_BARS, windowBarsOf } from './definition.ts'
import { frozenCopy, storable } from './memory.ts'
import { nextRandom, type RandomState, seedRandom } from './random.ts'

/** Windows that a strategy may fetch at one tick. */
const MAX_FETCHES = 100

type Asking = Omit<OrderRequest, 'symbol'> & { symbol: string | undefined }
type Context = TickContext<Record<string, Json>, Json>

export function createInstance(exported: StrategyDefinition, options: InstanceOptions): StrategyInstance {
  const definition = checkDefinition(exported)
  const params = frozenCopy(options.params)
  const windowBars = windowBarsOf(definition, params)
  const random = seedRandom(options.seed)
  const collector = createCollector(options.runId, () => options.port.barIndex)
  const fetches = createFetches()
  const initial = definition.init ? definition.init(params) : {}
  const ctx = createContext({
    ...options,
    params,
    symbols: Object.freeze([...options.symbols]),
    random,
    collector,
    fetches,
    initial,
  })
  // The definition's methods are called on it, as the author wrote them.
  const strategy = definition as unknown as StrategyDefinition<never, Json> & {
    onWindow: (ctx: Context) => unknown
    onTick?: (ctx: Context) => unknown
    onOrder?: (ctx: Context, order: OrderView) => unknown
  }
  return {
    windowBars,
    hasOnTick: definition.onTick !== undefined,
    hasOnOrder: definition.onOrder !== undefined,
    onOrder(order) {
      if (strategy.onOrder) mustBeDone(strategy.onOrder(ctx, order), 'onOrder')
    },
    onTick() {
      fetches.open = true
      try {
        if (strategy.onTick) mustBeDone(strategy.onTick(ctx), 'onTick')
      } finally {
        fetches.open = false
      }
      return fetches.take()
    },
    onWindow() {
      mustBeDone(strategy.onWindow(ctx), 'onWindow')
    },
    get asked() {
      return collector.asked
    },
    take: () => collector.take(),
    save: (): StrategyMemory => ({ state: storable(ctx.state), random: random.value, tick: { ...collector.count } }),
    restore(memory) {
      ctx.state = structuredClone(memory.state)
      random.value = memory.random
      if (memory.tick) collector.count = { ...memory.tick }
    },
  }
}

function mustBeDone(result: unknown, name: string): void {
  if (result === undefined || result === null) return
  if (typeof (result as { then?: unknown }).then === 'function') {
    throw new TypeError(`${name} must not be async: what it does after its first await would belong to no tick`)
  }
}

interface ContextParts extends Omit<InstanceOptions, 'params'> {
  params: Record<string, Json>
  random: RandomState
  collector: Collector
  fetches: Fetches
  initial: unknown
}

/** One object for the whole run: sealed, so that nothing but `state` can be kept on it. */
function createContext({
  port,
  symbols,
  timeframe,
  params,
  random,
  collector,
  fetches,
  initial,
}: ContextParts): Context {
  const orders = createOrders(collector, symbols, (symbol) => port.position(symbol).qty)
  const context: Context = {
    get ts() {
      return port.ts
    },
    get bar_index() {
      return port.barIndex
    },
    get cash() {
      return port.cash()
    },
    get equity() {
      return port.equity()
    },
    get timeframe() {
      return timeframe
    },
    get symbols() {
      return symbols
    },
    get params() {
      return params
    },
    state: initial as Json,
    window: (symbol, frame = timeframe): CandleWindow => port.window(symbol as string, frame),
    position: (symbol) => port.position(symbol as string),
    openOrders: (symbol) => port.openOrders(symbol),
    ...orders,
    cancel(id) {
      if (typeof id !== 'string') throw new TypeError('cancel wants the id that buy or sell returned')
      collector.nextId()
      collector.intent({ kind: 'cancel', client_order_id: clipped(id) })
    },
    cancelAll(symbol) {
      for (const { id } of port.openOrders(symbol)) context.cancel(id)
    },
    skip: (reason) => collector.skip(reason),
    random: () => nextRandom(random),
    log: (message, data) => collector.log(message, data),
    fetch: (request) => fetches.add(request),
  }
  return Object.seal(context)
}

function createOrders(
  collector: Collector,
  symbols: readonly string[],
  held: (symbol: string) => string,
): Pick<Context, 'buy' | 'sell' | 'close' | 'target'> {
  const place = (side: Side, order: Asking): string => {
    const intent = placeIntent(side, order, collector.nextId())
    collector.intent(intent)
    return intent.client_order_id
  }
  /** An order for a symbol that the run does not trade is recorded all the same, to be refused by name. */
  const towards = (symbol: string | undefined, wanted: DecimalInput, reason?: string): string | null => {
    const known = symbol !== undefined && symbols.includes(symbol)
    const wantedText = decimalText(wanted)
    const order = known ? orderTowards(wantedText, held(symbol)) : { side: 'sell' as const, qty: wantedText }
    if (order === null) return null
    return place(order.side, { symbol, qty: order.qty, type: 'market', ...(reason === undefined ? {} : { reason }) })
  }
  return {
    buy: (order) => place('buy', order),
    sell: (order) => place('sell', order),
    close: (symbol, reason) => towards(symbol, '0', reason),
    target(symbol, qty, reason) {
      if (qty === undefined || qty === null) throw new TypeError('target wants a symbol and a quantity')
      return towards(symbol, qty, reason)
    },
  }
}

function placeIntent(side: Side, order: Asking, clientOrderId: string): PlaceIntent {
  if (typeof order !== 'object' || order === null) throw new TypeError(`${side} wants an order: {symbol, qty, type, …}`)
  const { symbol, qty, type } = order
  if (qty === undefined || qty === null) throw new TypeError(`${side}: the order has no qty`)
  if (type === undefined || type === null) throw new TypeError(`${side}: the order has no type`)
  return {
    kind: 'place',
    client_order_id: clientOrderId,
    symbol: clipped(symbol),
    side,
    // Recorded as asked: an unknown word is refused by name where intents are checked.
    order_type: clipped(type) as PlaceIntent['order_type'],
    qty: decimalText(qty),
    limit_price: optionalDecimal(order.limit_price),
    stop_price: optionalDecimal(order.stop_price),
    trail_price: optionalDecimal(order.trail_price),
    trail_percent: optionalDecimal(order.trail_percent),
    time_in_force: clipped(order.time_in_force ?? 'gtc') as PlaceIntent['time_in_force'],
    extended_hours: order.extended_hours === true,
    take_profit: optionalDecimal(order.take_profit),
    stop_loss: optionalDecimal(order.stop_loss),
    reason: order.reason === undefined || order.reason === null ? null : clipped(order.reason),
  }
}

interface Fetches {
  open: boolean
  add(request: FetchRequest): void
  take(): FetchRequest[]
}

function createFetches(): Fetches {
  let requests: FetchRequest[] = []
  return {
    open: false,
    add(request) {
      if (!this.open) throw new Error('ctx.fetch is for onTick: in onWindow every window is there already')
      if (requests.length >= MAX_FETCHES) throw new Error(`more than ${MAX_FETCHES} fetches at one tick`)
      requests.push(checkedFetch(request))
    },
    take() {
      const taken = requests
      requests = []
      return taken
    },
  }
}

function checkedFetch(request: FetchRequest): FetchRequest {
  if (typeof request !== 'object' || request === null) throw new TypeError('fetch wants {symbol, timeframe, bars}')
  const { symbol, timeframe, bars } = request
  if (typeof symbol !== 'string' || symbol === '') throw new TypeError('fetch: symbol must be a text')
  if (!TIMEFRAMES.includes(timeframe as Timeframe)) {
    throw new TypeError(`fetch: unknown timeframe ${String(timeframe)}: use ${TIMEFRAMES.join(', ')}`)
  }
  if (!Number.isInteger(bars) || bars < 1 || bars > MAX_WINDOW_BARS) {
    throw new TypeError(`fetch: bars must be between 1 and ${MAX_WINDOW_BARS}, not ${String(bars)}`)
  }
  return { symbol, timeframe, bars }
}
