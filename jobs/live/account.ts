/**
 * A paper or live run's trades and positions as its events make them, in the order of its log: what veda/orders/reports.ts books
 * fill by fill. Pure but for the bars, which are read where the log holds them.
 */
import type { LogEvent } from '../../db/events/envelope.ts'
import type { OrderEvent } from '../../db/walle/projections/orders.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import { bookLedger, bookTrades } from '../greta/attribution.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { applyFill, averagePrice, openLedger } from '../greta/ledger.ts'
import { createTradeMatcher, type TradeMatcher } from '../greta/trades.ts'
import type { AccountProjection } from '../history/account_projection.ts'
import type { ReadWindows } from './view.ts'

/** By symbol, the open time of the newest bar that open trades were marked with. */
export type Marked = Record<string, number>

/** The bars in the run's own windows that are newer than those marked, by symbol. Moves `marked` on. */
export function unmarkedBars(
  { symbols, timeframe }: Pick<RunRow, 'symbols' | 'timeframe'>,
  shown: ReadWindows['shown'],
  marked: Marked,
): { symbol: string; highs: number[]; lows: number[] }[] {
  return symbols.flatMap((symbol) => {
    const columns = shown.findLast((one) => one.symbol === symbol && one.timeframe === timeframe)?.columns
    const newest = columns?.time.at(-1)
    if (columns === undefined || newest === undefined) return []
    const from = firstAfter(columns, marked[symbol] ?? Number.NEGATIVE_INFINITY)
    marked[symbol] = Math.max(newest, marked[symbol] ?? newest)
    return [{ symbol, highs: [...columns.high.subarray(from)], lows: [...columns.low.subarray(from)] }]
  })
}

function firstAfter({ time }: CandleColumns, mark: number): number {
  let index = time.length
  while (index > 0 && (time[index - 1] as number) > mark) index -= 1
  return index
}

/** Open trades have seen these bars. */
export function markTrades(trades: TradeMatcher, bars: ReturnType<typeof unmarkedBars>): void {
  for (const { symbol, highs, lows } of bars) {
    highs.forEach((high, index) => {
      trades.onBar(symbol, high, lows[index] as number)
    })
  }
}

export interface LiveAccountProjection extends AccountProjection {
  /** Of the run's ticks, windows and decisions, which say when bars were seen, and of what was attributed to it. */
  hear(event: LogEvent, windows: ReadWindows | null): void
  /** After the event that ended it, and after every fill that is told of it still. */
  ended(orderId: string): void
}

export function createLiveAccount(run: RunRow): LiveAccountProjection {
  const { symbols } = run
  const ledger = openLedger(run.initial_cash, symbols.length)
  const trades = createTradeMatcher()
  const marked: Marked = {}
  let barIndex = 0
  let windows: ReadWindows | null = null

  const fill = ({ payload }: Extract<OrderEvent, { type: 'orders.Filled' | 'orders.PartiallyFilled' }>): void => {
    const { symbol, side, qty, fee_qty, price, fee, timestamp, order_id: orderId } = payload
    const received = new Decimal(qty).minus(fee_qty)
    const signed = side === 'buy' ? received : received.neg()
    applyFill(ledger, symbols.indexOf(symbol), signed, new Decimal(price), new Decimal(fee))
    if (received.eq(ZERO)) return
    trades.onFill({
      symbol,
      side,
      qty: received.toString(),
      price,
      fee,
      orderId,
      time: Date.parse(timestamp),
      barIndex,
    })
  }

  return {
    hear(event, seen) {
      if (event.type === 'clock.Tick') {
        barIndex = event.payload.bar_index
        windows = null
      }
      if (event.type === 'account.PositionAttributed') {
        bookTrades(trades, event.payload, barIndex)
        bookLedger(ledger, symbols.indexOf(event.payload.symbol), event.payload)
      }
      // The run's own come first; what the strategy fetched beside them marks nothing.
      if (seen !== null) windows ??= seen
      const isOfTick = event.type === 'strategy.DecisionMade' && event.payload.part === undefined
      if (isOfTick && windows !== null) markTrades(trades, unmarkedBars(run, windows.shown, marked))
    },
    apply(event) {
      if (event.type === 'orders.PartiallyFilled' || event.type === 'orders.Filled') fill(event)
    },
    ended: (orderId) => trades.onOrderEnd(orderId),
    takeTrades: () => trades.takeClosed(run.id),
    end() {},
    positions: () =>
      ledger.positions.map((position, index) => ({
        run_id: run.id,
        symbol: symbols[index] as string,
        qty: position.qty.toString(),
        avg_price: averagePrice(position).toString(),
        realised_pnl: position.realised.toString(),
        cost: position.cost.toString(),
      })),
  }
}
