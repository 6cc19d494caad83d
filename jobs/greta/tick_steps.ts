/** The steps of a tick that the chunk and the chain driver share. Their order is spec section 4. */

import type { FetchRequest, OrderView } from '../../strategies/api.ts'
import { route } from '../glados/router.ts'
import type { StrategyInstance } from '../marvin/contract.ts'
import { iso } from './iso.ts'
import { matchBar, passLatency } from './matching.ts'
import { markEquity } from './risk_watch.ts'
import { type EventPlace, viewOf } from './sim_orders.ts'
import { advanceBars, equityOf, markCloses, type Simulation, type SymbolBars, startTick, tell } from './simulation.ts'
import { tellWindows } from './window_events.ts'
import type { Windows } from './windows.ts'

const NO_REQUESTS: FetchRequest[] = []

/** The first event of a tick, which all of the tick goes back to. */
export function tickEvent(simulation: Simulation): EventPlace {
  return { tick: simulation.tick, ordinal: 0 }
}

/** `clock.Tick`, ordinal 0. */
export function openTick(simulation: Simulation, tick: number, ts: number): void {
  startTick(simulation, tick, ts)
  if (!simulation.recording) {
    simulation.nextEvent = 1
    return
  }
  const { runId, timeframe } = simulation.setup
  tell(simulation, null, null, () => ({
    type: 'clock.Tick',
    producer: 'glados',
    payload: { run_id: runId, ts: iso(ts), timeframe, bar_index: tick, is_backtest: true },
  }))
}

/** Steps 1 and 2. True when at least one symbol got a new bar. */
export function matchOpenOrders(simulation: Simulation): boolean {
  const count = simulation.bars.length
  let anyNew = false
  for (let symbol = 0; symbol < count; symbol++) {
    if (!advanceBars(simulation, symbol)) continue
    anyNew = true
    if (simulation.open.length > 0) {
      matchBar(simulation, symbol)
      passLatency(simulation, symbol)
    }
    followTrade(simulation, symbol)
  }
  for (let symbol = 0; symbol < count; symbol++) markCloses(simulation, symbol)
  if (simulation.setup.watchesEquity) markEquity(simulation.risk, simulation.ts, equityOf(simulation))
  return anyNew
}

/** Steps 3 and 4: the strategy hears of its orders and of the tick. Gives what it asked to see. */
export function hearTick(simulation: Simulation, strategy: StrategyInstance): FetchRequest[] {
  if (simulation.changed.length > 0) {
    if (strategy.hasOnOrder) for (const view of takeChanged(simulation)) strategy.onOrder(view)
    else simulation.changed = []
  }
  return strategy.hasOnTick ? strategy.onTick() : NO_REQUESTS
}

/** The orders that changed since the strategy last heard of them. */
export function takeChanged(simulation: Simulation): OrderView[] {
  const views = simulation.changed.map((order) => viewOf(order))
  simulation.changed = []
  return views
}

/** Running extremes of the open trades, for MAE and MFE. */
function followTrade(simulation: Simulation, symbol: number): void {
  if (simulation.qtyFloat[symbol] === 0) return
  const { columns, closed } = simulation.bars[symbol] as SymbolBars
  const bar = closed - 1
  simulation.trades.onBar(
    simulation.setup.symbols[symbol] as string,
    columns.high[bar] as number,
    columns.low[bar] as number,
  )
}

/** `strategy.FetchWindow`, `backtest.FetchWindow`, and the windows: gives the place of the last event. */
export function tellFetch(simulation: Simulation, requests: readonly FetchRequest[], windows: Windows): EventPlace {
  const request = tellFetchRequest(simulation, requests)
  return tellWindows(simulation, requests, windows, request)
}

export function tellFetchRequest(simulation: Simulation, requests: readonly FetchRequest[]): EventPlace {
  const { tick } = simulation
  const body = { bar_index: tick, requests: [...requests] }
  const asked = tell(simulation, tickEvent(simulation), null, () => ({
    type: 'strategy.FetchWindow',
    producer: 'marvin',
    payload: body,
  }))
  return tell(simulation, asked, null, () => ({
    type: route('strategy.FetchWindow', 'backtest'),
    producer: 'glados',
    payload: body,
  }))
}
