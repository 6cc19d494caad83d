/**
 * Plays a strategy over bars, for its author's own tests: windows as in a run, ids as in a run, and the simplest market
 * there is: a market order fills whole at its symbol's next open, everything else stays open until it is cancelled.
 * What orders really do in a backtest is the fill model's affair; compare there.
 */
import Big from 'big.js'
import { createInstance } from '../jobs/marvin/context.ts'
import type { Asked, TickPort } from '../jobs/marvin/contract.ts'
import { resolveParams } from '../jobs/marvin/definition.ts'
import {
  type Candle,
  type CandleWindow,
  type Json,
  type OrderView,
  type PlaceIntent,
  type StrategyDefinition,
  TIMEFRAME_MS,
  type Timeframe,
  type z,
} from './api.ts'

export interface PlayOptions {
  params?: Record<string, Json>
  cash?: string
  seed?: number
}

/** What a strategy asked for at a tick; ticks at which it asked for nothing are left out. */
export interface Decision extends Asked {
  bar_index: number
  ts: number
}

export interface PlayedFill {
  bar_index: number
  /** Open time of the bar. */
  time: number
  symbol: string
  side: 'buy' | 'sell'
  qty: string
  price: number
}

export interface Played {
  decisions: Decision[]
  fills: PlayedFill[]
  positions: Record<string, string>
  cash: string
  state: Json
}

interface Book {
  bars: Candle[]
  closed: number
  qty: Big
  avgPrice: number
}

/** Candles may be of several symbols; all have one timeframe and each symbol's are in order. */
export function play<Schema extends z.ZodObject, S>(
  strategy: StrategyDefinition<Schema, S>,
  candles: readonly Candle[],
  options: PlayOptions = {},
): Played {
  const definition = strategy as unknown as StrategyDefinition
  const timeframe: Timeframe = candles[0]?.timeframe ?? '1d'
  const market = openMarket(candles, timeframe, options.cash ?? '100000')
  const resolved = resolveParams(definition, { params: options.params ?? {} })
  if (!resolved.ok) throw new Error(resolved.issues.map(({ path, message }) => `${path}: ${message}`).join('; '))
  const symbols = [...market.books.keys()]
  const { port } = market
  const instance = createInstance(definition, {
    ...{ runId: 'test', symbols, timeframe, params: resolved.params, seed: options.seed ?? 0, port },
  })
  market.windowBars = instance.windowBars
  const decisions: Decision[] = []
  const ticks = [...new Set(candles.map(({ time }) => time + TIMEFRAME_MS[timeframe]))].sort(
    (one, other) => one - other,
  )
  ticks.forEach((ts, barIndex) => {
    port.ts = ts
    port.barIndex = barIndex
    for (const order of market.advance()) if (instance.hasOnOrder) instance.onOrder(order)
    if (instance.hasOnTick) instance.onTick()
    if (market.ready()) instance.onWindow()
    if (!instance.asked) return
    const asked = instance.take()
    decisions.push({ bar_index: barIndex, ts, ...asked })
    market.take(asked)
  })
  const positions = Object.fromEntries([...market.books].map(([symbol, { qty }]) => [symbol, qty.toFixed()]))
  return { decisions, fills: market.fills, positions, cash: port.cash(), state: instance.save().state }
}

function openMarket(candles: readonly Candle[], timeframe: Timeframe, startCash: string) {
  const books = booksOf(candles)
  const fills: PlayedFill[] = []
  let open: OrderView[] = []
  let cash = new Big(startCash)
  const bookOf = (symbol: string): Book => {
    const book = books.get(symbol)
    if (!book) throw new Error(`no candles of ${symbol}`)
    return book
  }
  const port: TickPort = {
    ts: 0,
    barIndex: 0,
    window(symbol, frame) {
      if (frame !== timeframe) throw new Error(`play has candles of ${timeframe} only, not of ${frame}`)
      const { bars, closed } = bookOf(symbol)
      return windowOf(bars.slice(Math.max(0, closed - market.windowBars), closed))
    },
    position(symbol) {
      const { qty, avgPrice } = bookOf(symbol)
      return { qty: qty.toFixed(), avg_price: String(avgPrice) }
    },
    cash: () => cash.toFixed(),
    equity: () => [...books.values()].reduce((sum, book) => sum + Number(book.qty) * lastClose(book), Number(cash)),
    openOrders: (symbol) => open.filter((order) => symbol === undefined || order.symbol === symbol),
  }
  const fill = (order: OrderView, bar: Candle): OrderView => {
    const book = bookOf(order.symbol)
    const signed = new Big(order.qty).times(order.side === 'buy' ? 1 : -1)
    cash = cash.minus(signed.times(bar.open))
    book.avgPrice = bar.open
    book.qty = book.qty.plus(signed)
    const { symbol, side, qty } = order
    fills.push({ bar_index: port.barIndex, time: bar.time, symbol, side, qty, price: bar.open })
    return { ...order, status: 'filled', filled_qty: qty, filled_avg_price: String(bar.open) }
  }
  const market = {
    windowBars: 1,
    anyNew: false,
    books,
    fills,
    port,
    /** Takes in the bars that closed at this tick. Gives the orders that changed. */
    advance(): OrderView[] {
      const changed: OrderView[] = []
      market.anyNew = false
      for (const [symbol, book] of books) {
        const bar = book.bars[book.closed]
        if (!bar || bar.time + TIMEFRAME_MS[timeframe] > port.ts) continue
        book.closed += 1
        market.anyNew = true
        const due = open.filter((order) => order.symbol === symbol && order.type === 'market')
        open = open.filter((order) => !due.includes(order))
        for (const order of due) changed.push(fill(order, bar))
      }
      return changed
    },
    ready: () => market.anyNew && [...books.values()].every(({ closed }) => closed >= market.windowBars),
    take({ intents }: Asked): void {
      for (const intent of intents) {
        if (intent.kind === 'place') open.push(viewOf(intent))
        else open = open.filter(({ id }) => id !== intent.client_order_id)
      }
    },
  }
  return market
}

function booksOf(candles: readonly Candle[]): Map<string, Book> {
  const books = new Map<string, Book>()
  for (const candle of candles) {
    const book = books.get(candle.symbol) ?? { bars: [], closed: 0, qty: new Big(0), avgPrice: 0 }
    book.bars.push(candle)
    books.set(candle.symbol, book)
  }
  return books
}

function lastClose({ bars, closed }: Book): number {
  return bars[closed - 1]?.close ?? 0
}

function windowOf(bars: readonly Candle[]): CandleWindow {
  const column = (name: 'time' | 'open' | 'high' | 'low' | 'close' | 'volume'): Float64Array =>
    Float64Array.from(bars, (bar) => bar[name])
  return {
    length: bars.length,
    ...{ time: column('time'), open: column('open'), high: column('high') },
    ...{ low: column('low'), close: column('close'), volume: column('volume') },
  }
}

function viewOf(intent: PlaceIntent): OrderView {
  const { client_order_id: id, symbol, side, order_type: type, qty, limit_price, stop_price, time_in_force } = intent
  return {
    ...{ id, symbol, side, type, qty, limit_price, stop_price, time_in_force },
    ...{ status: 'accepted', filled_qty: '0', filled_avg_price: null, parent_id: null, reject_reason: null },
  }
}

/** Candles from closes: each opens at the close before; highs and lows reach `reach` beyond both. */
export function candlesOf(
  closes: readonly number[],
  { symbol = 'TEST/USD', timeframe = '1h' as Timeframe, reach = 0 } = {},
): Candle[] {
  return closes.map((close, index) => {
    const open = closes[index - 1] ?? close
    return {
      ...{ symbol, timeframe, time: index * TIMEFRAME_MS[timeframe], open, close, volume: 1, trade_count: null },
      ...{ high: Math.max(open, close) + reach, low: Math.min(open, close) - reach },
    }
  })
}
