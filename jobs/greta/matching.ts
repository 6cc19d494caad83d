/** Step 1 of a tick: open orders are tested on the bar that closed. */

import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import { DAY_MS } from '../../db/walle/calendar/days.ts'
import type { BarTest } from './bar_test.ts'
import { auctionOf, fillOrder, isEligible, type MatchedBar, testOrder } from './booking.ts'
import { Decimal } from './decimals.ts'
import type { FillModel } from './fill_model.ts'
import { end } from './order_events.ts'
import { type DayOrderBar, endsSession, isOverdue } from './sessions.ts'
import { isOpen, type SimOrder } from './sim_orders.ts'
import type { Simulation, SymbolBars } from './simulation.ts'
import { extendedDayEnd, isRegularBar } from './trading_hours.ts'

/** After what fills at the open. */
const PHASES = ['stop losses', 'the rest', 'at the close'] as const

/** Where the other exit of an ambiguous bar is assumed, take profits are in the place of stop losses. */
function phaseOf(order: SimOrder, { ambiguous_bar, market_fill }: FillModel): (typeof PHASES)[number] {
  const auction = auctionOf(order)
  if (auction === 'close') return 'at the close'
  if (auction === null && order.type === 'market' && market_fill === 'next_close') return 'at the close'
  const first = ambiguous_bar === 'take_profit' ? 'take_profit' : 'stop_loss'
  return order.role === first ? 'stop losses' : 'the rest'
}

/** Tests the symbol's open orders on its newest closed bar, phase by phase, within each by age. */
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
  for (const phase of PHASES) {
    for (const order of [...simulation.open]) {
      if (order.symbol !== symbol || phaseOf(order, simulation.setup.model) !== phase || !isEligible(order, bar))
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

/** What this bar opened too late for: in a hole of the data the session ended, or the auction was held. */
function expireOverdue(simulation: Simulation, symbol: number, bar: MatchedBar): void {
  let ended = false
  for (const order of simulation.open) {
    const reason = order.symbol === symbol && isOpen(order) ? overdueReason(simulation, order, bar) : null
    if (reason === null) continue
    end(simulation, order, 'orders.Expired', reason)
    ended = true
  }
  if (ended) simulation.open = simulation.open.filter(isOpen)
}

function overdueReason(simulation: Simulation, order: SimOrder, bar: MatchedBar): string | null {
  if (order.only_at !== null) {
    return order.only_at < bar.time ? `${order.time_in_force}: there was no bar with the auction` : null
  }
  if (order.time_in_force !== 'day') return null
  const overdue = forExtendedHours(simulation, order)
    ? bar.time >= extendedDayEnd(order.placed.ts)
    : isOverdue(dayOrderBar(simulation, order, bar))
  return overdue ? SESSION_OVER : null
}

const SESSION_OVER = 'end of the session'

/** In day bars there are no extended hours. */
function forExtendedHours({ timeframeMs }: Simulation, order: SimOrder): boolean {
  return order.extended_hours && timeframeMs < DAY_MS && !tradesAroundTheClock(order.symbol_name)
}

function dayOrderBar({ setup }: Simulation, order: SimOrder, bar: MatchedBar): DayOrderBar {
  const symbol = setup.symbols[order.symbol] as string
  return { symbol, timeframe: setup.timeframe, decidedAt: order.placed.ts, time: bar.time }
}

function newestBar(simulation: Simulation, symbol: number): MatchedBar {
  const { columns, closed } = simulation.bars[symbol] as SymbolBars
  const index = closed - 1
  const { model, symbols, timeframe } = simulation.setup
  const share = model.max_volume_share
  return {
    time: columns.time[index] as number,
    open: columns.open[index] as number,
    high: columns.high[index] as number,
    low: columns.low[index] as number,
    close: columns.close[index] as number,
    available: share === null ? null : new Decimal(String(columns.volume[index])).times(String(share)),
    regular:
      model.regular_hours !== true || isRegularBar(symbols[symbol] as string, timeframe, columns.time[index] as number),
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
  } else if (auctionOf(order) !== null) {
    end(simulation, order, 'orders.Cancelled', `${order.time_in_force}: not filled in the auction`)
  } else if (order.time_in_force === 'day' && sessionEnds(simulation, order, bar)) {
    end(simulation, order, 'orders.Expired', SESSION_OVER)
  }
}

function sessionEnds(simulation: Simulation, order: SimOrder, bar: MatchedBar): boolean {
  if (forExtendedHours(simulation, order)) {
    return bar.time + simulation.timeframeMs >= extendedDayEnd(order.placed.ts)
  }
  const { columns, closed } = simulation.bars[order.symbol] as SymbolBars
  return endsSession(dayOrderBar(simulation, order, bar), columns.time[closed])
}
