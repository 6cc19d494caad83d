/** Lets a strategy speak in one hop: it sees the view and nothing else. Pure. */
import type { StrategyDefinition } from '../../strategies/api.ts'
import { notTraded } from '../backtest/backtest.ts'
import { createWindow, noWindow } from '../greta/windows.ts'
import { createInstance } from '../marvin/context.ts'
import type { TickPort } from '../marvin/contract.ts'
import type { HopAnswer, HopView } from './hop_view.ts'

export function playHop(strategy: StrategyDefinition, view: HopView): HopAnswer {
  const { spec } = view
  const instance = createInstance(strategy, {
    runId: spec.run_id,
    symbols: spec.symbols,
    timeframe: spec.timeframe,
    params: spec.params,
    seed: spec.seed,
    port: portOf(view),
  })
  if (view.memory) instance.restore(view.memory)
  let requests: HopAnswer['requests'] = []
  if (instance.hasOnOrder) for (const order of view.changed) instance.onOrder(order)
  const { phase } = view
  if ((phase === 'tick' || phase === 'tick_window') && instance.hasOnTick) requests = instance.onTick()
  if (phase === 'window' || (phase === 'tick_window' && requests.length === 0)) instance.onWindow()
  return {
    asked: instance.take(),
    memory: instance.save(),
    requests,
    hears: { ticks: instance.hasOnTick, orders: instance.hasOnOrder },
  }
}

function portOf(view: HopView): TickPort {
  const { spec } = view
  const windows = new Map(
    view.windows.map(({ symbol, timeframe, columns }) => {
      const length = columns.time.length
      return [`${symbol} ${timeframe}`, { window: createWindow(columns, length), length }]
    }),
  )
  return {
    ts: view.ts,
    barIndex: view.bar_index,
    window(symbol, timeframe) {
      const found = windows.get(`${symbol} ${timeframe}`)
      if (!found) throw noWindow({ symbol, timeframe }, spec)
      return found.window.serve(found.length)
    },
    position(symbol) {
      const position = view.positions[spec.symbols.indexOf(symbol)]
      if (!position) throw notTraded(symbol, spec.symbols)
      return position
    },
    cash: () => view.cash,
    equity: () => view.equity,
    openOrders: (symbol) => view.open_orders.filter((order) => symbol === undefined || order.symbol === symbol),
  }
}
