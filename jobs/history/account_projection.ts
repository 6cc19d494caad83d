/**
 * Positions and trades as a run's order events make them, through the same ledger and the same matcher as the simulation.
 * The bars are needed for the trades' extremes (mae, mfe) alone. Pure.
 */
import type { OrderEvent } from '../../db/walle/projections/orders.ts'
import type { RebuiltPosition } from '../../db/walle/rebuild.ts'
import type { RunRow, TradeRow } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS } from '../../strategies/api.ts'
import type { LoadedRun } from '../backtest/run_data.ts'
import { Decimal } from '../greta/decimals.ts'
import { applyFill, averagePrice, openLedger } from '../greta/ledger.ts'
import { createTradeMatcher } from '../greta/trades.ts'

export interface AccountProjection {
  /** In the order of the log. */
  apply(event: OrderEvent): void
  /** Trades that were closed since the last take. */
  takeTrades(): TradeRow[]
  /** No more events: `finished` tells that the run's last tick was played. */
  end(finished: boolean): void
  positions(): RebuiltPosition[]
}

/** `close_at_end`'s orders; a strategy's ids end in a number. */
const AT_END = /-end\d+$/

export function createAccountProjection(run: RunRow, data: LoadedRun): AccountProjection {
  const { symbols } = run
  const frame = TIMEFRAME_MS[run.timeframe]
  const ledger = openLedger(run.initial_cash, symbols.length)
  const trades = createTradeMatcher()
  /** Per symbol, the next bar to close. */
  const next = [...data.warmup]
  /** Orders of Weaver's own at the run's end: they fill after the bars of the tick were marked. */
  const closing = new Set<string>()
  let tick = 0

  /** Marks the open trades with the bars of all ticks up to `ts`, or before it. */
  const markUntil = (ts: number, inclusive: boolean): void => {
    for (; tick < data.ticks.length; tick++) {
      const time = data.ticks[tick] as number
      if (inclusive ? time > ts : time >= ts) return
      for (const [symbol, columns] of data.columns.entries()) {
        const bar = next[symbol] as number
        if ((columns.time[bar] as number) + frame !== time) continue
        next[symbol] = bar + 1
        if (ledger.positions[symbol]?.qty.eq(0)) continue
        trades.onBar(symbols[symbol] as string, columns.high[bar] as number, columns.low[bar] as number)
      }
    }
  }

  const fill = (event: Extract<OrderEvent, { type: 'orders.Filled' | 'orders.PartiallyFilled' }>): void => {
    const { symbol, side, qty, fee_qty, price, fee, timestamp, order_id: orderId } = event.payload
    const ts = Date.parse(event.ts)
    markUntil(ts, closing.has(orderId))
    const traded = new Decimal(qty).minus(fee_qty)
    const signed = side === 'buy' ? traded : traded.neg()
    applyFill(ledger, symbols.indexOf(symbol), signed, new Decimal(price), new Decimal(fee))
    const barIndex = data.ticks.indexOf(ts, Math.max(0, tick - 1))
    trades.onFill({ symbol, side, qty: traded.toString(), price, fee, orderId, time: Date.parse(timestamp), barIndex })
    if (event.type === 'orders.Filled') trades.onOrderEnd(orderId)
  }

  return {
    apply(event) {
      switch (event.type) {
        case 'orders.Created':
          if (AT_END.test(event.payload.client_order_id)) closing.add(event.payload.order_id)
          return
        case 'orders.PartiallyFilled':
        case 'orders.Filled':
          return fill(event)
        case 'orders.Cancelled':
        case 'orders.Expired':
        case 'orders.Rejected':
          trades.onOrderEnd(event.payload.order_id)
      }
    },
    takeTrades: () => trades.takeClosed(run.id),
    end(finished) {
      if (!finished) return
      markUntil(Number.POSITIVE_INFINITY, true)
      trades.endAll()
    },
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
