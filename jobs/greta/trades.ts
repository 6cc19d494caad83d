/**
 * Round trips: each exit is matched with the oldest open lots first. A trade is one entry order matched with one exit
 * order; several fills of the same pair make one trade, which is closed when the exit order has ended. Fees are allotted
 * by quantity, the last part taking the remainder, so that all trades and open lots together bear exactly what was paid.
 */

import type { TradeRow } from '../../db/walle/rows.ts'
import type { Side } from '../../strategies/api.ts'
import { Decimal, ZERO } from './decimals.ts'
import { iso } from './iso.ts'
import type { SplitRatio } from './splits.ts'

export interface TradeFill {
  symbol: string
  side: Side
  qty: string
  price: string
  fee: string
  orderId: string
  /** Open time of the bar, epoch milliseconds. */
  time: number
  barIndex: number
}

/** An open part of a position. */
interface Lot {
  order: string
  qty: string
  price: string
  /** Commission that this quantity still bears. */
  fee: string
  time: number
  bar: number
  /**
   * Extremes from the entry on, its own bar included, until the next lot was added: an older lot has seen all that a
   * younger one has, so a bar is noted once, with the youngest, and passed on when an exit asks.
   */
  high: number
  low: number
}

/** A pair of orders whose exit has not ended yet. */
interface Pair {
  entry: string
  exit: string
  symbol: string
  long: boolean
  qty: string
  entryNotional: string
  exitNotional: string
  fees: string
  entryTime: number
  exitTime: number
  entryBar: number
  exitBar: number
  high: number
  low: number
}

/** JSON, for a checkpoint. */
export interface TradeMatcherState {
  books: Record<string, { long: boolean; lots: Lot[] }>
  pairs: Pair[]
  next: number
}

export interface TradeMatcher {
  onFill(fill: TradeFill): void
  /** The venue kept `qty` of what was bought, of the youngest lots first. Gives what that was worth, which they bear as a fee. */
  onKept(symbol: string, qty: string): Decimal
  /** Open lots become as many as `ratio` says, at as much less each. */
  onSplit(symbol: string, ratio: SplitRatio): void
  /** A bar at whose close a position of the symbol is held. Costs nothing when not called: call it only then. */
  onBar(symbol: string, high: number, low: number): void
  /** The order will not fill any more: the trades that it closes are complete. */
  onOrderEnd(orderId: string): void
  /** The run is over: what an exit order that is still open has closed so far is complete. */
  endAll(): void
  /** Trades that are complete since the last take, in the order in which they closed. */
  takeClosed(runId: string): TradeRow[]
  save(): TradeMatcherState
}

export function createTradeMatcher(state?: TradeMatcherState): TradeMatcher {
  const books = new Map(Object.entries(structuredClone(state?.books ?? {})))
  let pairs: Pair[] = structuredClone(state?.pairs ?? [])
  let next = state?.next ?? 0
  let closed: { ordinal: number; pair: Pair }[] = []

  const complete = (is: (pair: Pair) => boolean) => {
    for (const pair of pairs) if (is(pair)) closed.push({ ordinal: next++, pair })
    pairs = pairs.filter((pair) => !is(pair))
  }

  return {
    onFill(fill) {
      const long = fill.side === 'buy'
      const book = books.get(fill.symbol) ?? { long, lots: [] }
      books.set(fill.symbol, book)
      if (book.long !== long) passExtremesOn(book.lots)
      let qty = new Decimal(fill.qty)
      let fee = new Decimal(fill.fee)
      while (book.lots.length > 0 && book.long !== long && qty.gt(ZERO)) {
        const lot = book.lots[0] as Lot
        const part = qty.lt(lot.qty) ? qty : new Decimal(lot.qty)
        const exitFee = share(fee, part, qty)
        addToPair(pairOf(pairs, lot, fill, book.long), lot, fill, part, exitFee)
        qty = qty.minus(part)
        fee = fee.minus(exitFee)
        if (lot.qty === '0') book.lots.shift()
      }
      if (qty.eq(ZERO)) return
      book.long = long
      book.lots.push(newLot(fill, qty, fee))
    },
    onKept(symbol, qty) {
      const book = books.get(symbol)
      return book === undefined ? ZERO : keep(book.lots, new Decimal(qty))
    },
    onSplit(symbol, ratio) {
      split(books.get(symbol)?.lots ?? [], ratio)
    },
    onBar(symbol, high, low) {
      const youngest = books.get(symbol)?.lots.at(-1)
      if (youngest === undefined) return
      if (high > youngest.high) youngest.high = high
      if (low < youngest.low) youngest.low = low
    },
    onOrderEnd(orderId) {
      if (pairs.length === 0) return
      complete((pair) => pair.exit === orderId)
    },
    endAll: () => complete(() => true),
    takeClosed(runId) {
      const rows = closed.map(({ ordinal, pair }) => tradeRow(runId, ordinal, pair))
      closed = []
      return rows
    },
    save: () => structuredClone({ books: Object.fromEntries(books), pairs, next }),
  }
}

/** Entry orders of which some quantity is still open. */
export function openTradesOf(state: TradeMatcherState): number {
  return new Set(Object.values(state.books).flatMap((book) => book.lots.map((lot) => lot.order))).size
}

function passExtremesOn(lots: readonly Lot[]): void {
  for (let i = lots.length - 2; i >= 0; i--) {
    const [lot, younger] = [lots[i] as Lot, lots[i + 1] as Lot]
    if (younger.high > lot.high) lot.high = younger.high
    if (younger.low < lot.low) lot.low = younger.low
  }
}

function keep(lots: Lot[], qty: Decimal): Decimal {
  let left = qty
  let worth = ZERO
  for (let lot = lots.at(-1); lot !== undefined && left.gt(ZERO); lot = lots.at(-1)) {
    const part = left.lt(lot.qty) ? left : new Decimal(lot.qty)
    const fee = part.times(lot.price)
    worth = worth.plus(fee)
    left = left.minus(part)
    if (part.lt(lot.qty)) {
      lot.qty = new Decimal(lot.qty).minus(part).toString()
      lot.fee = fee.plus(lot.fee).toString()
      break
    }
    passExtremesOn(lots)
    lots.pop()
    // What nothing is left of has nobody to bear its fees but the lot before it.
    const older = lots.at(-1)
    if (older !== undefined) older.fee = fee.plus(lot.fee).plus(older.fee).toString()
  }
  return worth
}

function split(lots: readonly Lot[], { fresh, old }: SplitRatio): void {
  const whole = lots
    .reduce((sum, { qty }) => sum.plus(qty), ZERO)
    .times(fresh)
    .div(old)
  let given = ZERO
  for (const [index, lot] of lots.entries()) {
    const qty = new Decimal(lot.qty).times(fresh).div(old)
    // The last one takes what rounding leaves, so that they are together what the position is.
    lot.qty = (index === lots.length - 1 ? whole.minus(given) : qty).toString()
    given = given.plus(qty)
    lot.price = new Decimal(lot.price).times(old).div(fresh).toString()
    lot.high = (lot.high * old) / fresh
    lot.low = (lot.low * old) / fresh
  }
}

/** What `part` of `whole` bears of a fee; all of it when it is the whole. */
function share(fee: Decimal, part: Decimal, whole: Decimal): Decimal {
  return part.eq(whole) || fee.eq(ZERO) ? fee : fee.times(part).div(whole)
}

function newLot(fill: TradeFill, qty: Decimal, fee: Decimal): Lot {
  const price = Number(fill.price)
  return {
    order: fill.orderId,
    qty: qty.toString(),
    price: fill.price,
    fee: fee.toString(),
    time: fill.time,
    bar: fill.barIndex,
    high: price,
    low: price,
  }
}

function pairOf(pairs: Pair[], lot: Lot, fill: TradeFill, long: boolean): Pair {
  const known = pairs.find((pair) => pair.entry === lot.order && pair.exit === fill.orderId)
  if (known) return known
  const pair: Pair = {
    entry: lot.order,
    exit: fill.orderId,
    symbol: fill.symbol,
    long,
    qty: '0',
    entryNotional: '0',
    exitNotional: '0',
    fees: '0',
    entryTime: lot.time,
    exitTime: fill.time,
    entryBar: lot.bar,
    exitBar: fill.barIndex,
    high: lot.high,
    low: lot.low,
  }
  pairs.push(pair)
  return pair
}

function addToPair(pair: Pair, lot: Lot, fill: TradeFill, part: Decimal, exitFee: Decimal): void {
  const entryFee = share(new Decimal(lot.fee), part, new Decimal(lot.qty))
  const exitPrice = Number(fill.price)
  pair.qty = part.plus(pair.qty).toString()
  pair.entryNotional = part.times(lot.price).plus(pair.entryNotional).toString()
  pair.exitNotional = part.times(fill.price).plus(pair.exitNotional).toString()
  pair.fees = entryFee.plus(exitFee).plus(pair.fees).toString()
  pair.exitTime = fill.time
  pair.exitBar = fill.barIndex
  pair.high = Math.max(pair.high, lot.high, exitPrice)
  pair.low = Math.min(pair.low, lot.low, exitPrice)
  lot.qty = new Decimal(lot.qty).minus(part).toString()
  lot.fee = new Decimal(lot.fee).minus(entryFee).toString()
}

function tradeRow(runId: string, ordinal: number, pair: Pair): TradeRow {
  const entry = new Decimal(pair.entryNotional)
  const exit = new Decimal(pair.exitNotional)
  const qty = new Decimal(pair.qty)
  const pnl = (pair.long ? exit.minus(entry) : entry.minus(exit)).minus(pair.fees)
  const entryPrice = entry.div(qty)
  const price = Number(entryPrice.toString())
  const up = price > 0 ? (pair.high - price) / price : null
  const down = price > 0 ? (price - pair.low) / price : null
  return {
    run_id: runId,
    ordinal,
    symbol: pair.symbol,
    side: pair.long ? 'long' : 'short',
    qty: qty.toString(),
    entry_order_id: pair.entry,
    exit_order_id: pair.exit,
    entry_time: iso(pair.entryTime),
    exit_time: iso(pair.exitTime),
    entry_price: entryPrice.toString(),
    exit_price: exit.div(qty).toString(),
    fees: pair.fees,
    pnl: pnl.toString(),
    return: entry.gt(ZERO) ? Number(pnl.toString()) / Number(entry.toString()) : null,
    mae: pair.long ? down : up,
    mfe: pair.long ? up : down,
    bars: pair.exitBar - pair.entryBar,
  }
}
