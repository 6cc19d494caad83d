/** Step 1 of a tick: open orders are tested on the bar that closed. */

import type { BarTest } from './bar_test.ts'
import { fillOrder, isEligible, type MatchedBar, testOrder } from './booking.ts'
import { Decimal } from './decimals.ts'
import { end } from './order_events.ts'
import { type DayOrderBar, endsSession, isOverdue } from './sessions.ts'
import { isOpen, type SimOrder } from './sim_orders.ts'
import type { Simulation, SymbolBars } from './simulation.ts'

/** Tests the symbol's open orders on its newest closed bar: what fills at the open, then stop losses, then by age. */
export function matchBar(simulation: Simulation, symbol: number): void {
  const bar = newestBar(simulation, symbol)
  expireOverdue(simulation, symbol, bar)
  const waiting = simulation.open.filter((order) => order.symbol === symbol && isEligible(order, bar))
  if (waiting.length === 0) return
  const results = new Map<SimOrder, BarTest>()
  for (const order of waiting) {
    const result = testOrder(simulation, order, bar)
    results.set(order, result)
    if (result.fills && result.from === 'open') fillOrder(simulation, order, bar, result)
  }
  for (const stopLossesFirst of [true, false]) {
    for (const order of [...simulation.open]) {
      if (order.symbol !== symbol || (order.role === 'stop_loss') !== stopLossesFirst || !isEligible(order, bar))
        continue
      const known = results.get(order)
      if (known?.fills && known.from === 'open') continue
      const result = known ?? testOrder(simulation, order, bar)
      results.set(order, result)
      if (result.fills) fillOrder(simulation, order, bar, result)
    }
  }
  for (const order of results.keys())
    if (isOpen(order)) afterTest(simulation, order, bar, results.get(order) as BarTest)
  simulation.open = simulation.open.filter(isOpen)
}

/** Day orders whose session ended in a hole of the data: this bar opened too late for them. */
function expireOverdue(simulation: Simulation, symbol: number, bar: MatchedBar): void {
  const overdue = simulation.open.filter(
    (order) =>
      order.symbol === symbol && order.time_in_force === 'day' && isOverdue(dayOrderBar(simulation, order, bar)),
  )
  for (const order of overdue) end(simulation, order, 'orders.Expired', 'end of the session')
  if (overdue.length > 0) simulation.open = simulation.open.filter(isOpen)
}

function dayOrderBar({ setup }: Simulation, order: SimOrder, bar: MatchedBar): DayOrderBar {
  const symbol = setup.symbols[order.symbol] as string
  return { symbol, timeframe: setup.timeframe, decidedAt: order.placed.ts, time: bar.time }
}

function newestBar(simulation: Simulation, symbol: number): MatchedBar {
  const { columns, closed } = simulation.bars[symbol] as SymbolBars
  const index = closed - 1
  const share = simulation.setup.model.max_volume_share
  return {
    time: columns.time[index] as number,
    open: columns.open[index] as number,
    high: columns.high[index] as number,
    low: columns.low[index] as number,
    close: columns.close[index] as number,
    available: share === null ? null : new Decimal(String(columns.volume[index])).times(String(share)),
  }
}

/** Orders that still wait for latency wait one bar less. Called once per closed bar of the symbol. */
export function passLatency(simulation: Simulation, symbol: number): void {
  const { columns, closed } = simulation.bars[symbol] as SymbolBars
  const time = columns.time[closed - 1] as number
  for (const order of simulation.open) {
    if (order.symbol === symbol && order.wait_bars > 0 && order.active_from <= time) order.wait_bars -= 1
  }
}

/** What befalls an order that was tested and is still open. */
function afterTest(simulation: Simulation, order: SimOrder, bar: MatchedBar, result: BarTest): void {
  if (!result.fills && result.triggers) order.triggered = true
  order.rests = order.type === 'limit' || (order.type === 'stop_limit' && order.triggered)
  if (order.type === 'trailing_stop' && order.trail_anchor !== null) {
    const best = order.side === 'sell' ? Math.max : Math.min
    order.trail_anchor = best(order.trail_anchor, bar.close)
  }
  if (order.time_in_force === 'ioc' || order.time_in_force === 'fok') {
    end(simulation, order, 'orders.Cancelled', `${order.time_in_force}: not filled at once`)
  } else if (order.time_in_force === 'day' && sessionEnds(simulation, order, bar)) {
    end(simulation, order, 'orders.Expired', 'end of the session')
  }
}

function sessionEnds(simulation: Simulation, order: SimOrder, bar: MatchedBar): boolean {
  const { columns, closed } = simulation.bars[order.symbol] as SymbolBars
  return endsSession(dayOrderBar(simulation, order, bar), columns.time[closed])
}
