/**
 * A backtest put together: a strategy (Marvin), its simulated account (Greta) and the risk gate (GLaDOS), over bars in
 * memory. Pure: the strategy host plays it in chunks, the chain plays it hop by hop, tests play it as they like.
 */

import type { CandleColumns, OrderRow, PositionRow, RunError, SkipRow, TradeRow } from '../../db/walle/rows.ts'
import type { Json, Timeframe } from '../../strategies/api.ts'
import { checkRisk, type RiskLimits } from '../glados/risk.ts'
import { type ChunkResult, runChunk } from '../greta/chunk.ts'
import type { FillModel } from '../greta/fill_model.ts'
import { averagePrice } from '../greta/ledger.ts'
import { rowOf } from '../greta/sim_orders.ts'
import {
  equityOf,
  exactEquity,
  markCloses,
  openOrderViews,
  openSimulation,
  type Produced,
  positionView,
  type Simulation,
  type SimulationState,
  saveSimulation,
  takeProduced,
} from '../greta/simulation.ts'
import { closedAt } from '../greta/ticks.ts'
import { createWindows, type Windows } from '../greta/windows.ts'
import type { InstanceOptions, StrategyInstance, StrategyMemory, TickPort } from '../marvin/contract.ts'
import { checkIntent } from '../marvin/intents.ts'

/** What of a run decides its result. JSON. */
export interface RunSpec {
  run_id: string
  symbols: string[]
  timeframe: Timeframe
  initial_cash: string
  fill: FillModel
  risk: RiskLimits
  params: Record<string, Json>
  seed: number
  audit: 'summary' | 'acted' | 'full'
}

export interface RunData {
  /** Per symbol: warm-up bars, then those of the range. */
  columns: CandleColumns[]
  ticks: Float64Array
}

/** Where a run goes on after a stop or a kill. JSON. */
export interface Checkpoint {
  simulation: SimulationState
  memory: StrategyMemory
}

export interface Backtest {
  spec: RunSpec
  data: RunData
  simulation: Simulation
  strategy: StrategyInstance
  windows: Windows
}

/** A run's simulated account over its bars, as of a moment: bars closed at or before `asOf` are known. */
export function openAccount(spec: RunSpec, data: RunData, saved: SimulationState | null, asOf: number): Simulation {
  const bars = data.columns.map((columns) => ({ columns, closed: 0 }))
  const simulation = openSimulation(
    {
      runId: spec.run_id,
      symbols: spec.symbols,
      timeframe: spec.timeframe,
      initialCash: spec.initial_cash,
      model: spec.fill,
      checkIntent,
      checkRisk: (intent, picture) => checkRisk(intent, spec.risk, picture),
      watchesEquity: spec.risk.max_daily_loss != null || spec.risk.max_drawdown != null,
    },
    bars,
    saved,
  )
  bars.forEach((one, symbol) => {
    one.closed = closedAt(one.columns, simulation.timeframeMs, asOf)
    markCloses(simulation, symbol)
  })
  return simulation
}

export interface BacktestOptions {
  spec: RunSpec
  data: RunData
  createInstance: (options: InstanceOptions) => StrategyInstance
  /** Stored bars of any symbol and timeframe that a strategy fetches. */
  load: (symbol: string, timeframe: Timeframe) => CandleColumns
  checkpoint: Checkpoint | null
  /** The first tick to play. */
  next: number
}

export function openBacktest(options: BacktestOptions): Backtest {
  const { spec, data, checkpoint } = options
  const firstTs = data.ticks[options.next] ?? Number.POSITIVE_INFINITY
  const simulation = openAccount(spec, data, checkpoint?.simulation ?? null, firstTs - 1)
  const port: TickPort = {
    ts: Number.NaN,
    barIndex: -1,
    window: (symbol, timeframe) => windows.get(symbol, timeframe),
    position: (symbol) => positionView(simulation, indexOf(spec.symbols, symbol)),
    cash: () => simulation.ledger.cash.toString(),
    equity: () => equityOf(simulation),
    openOrders: (symbol) => openOrderViews(simulation, symbol),
  }
  const strategy = options.createInstance({
    runId: spec.run_id,
    symbols: spec.symbols,
    timeframe: spec.timeframe,
    params: spec.params,
    seed: spec.seed,
    port,
  })
  if (checkpoint) strategy.restore(checkpoint.memory)
  const windows = createWindows({
    symbols: spec.symbols,
    timeframe: spec.timeframe,
    bars: simulation.bars,
    windowBars: strategy.windowBars,
    now: () => simulation.ts,
    load: options.load,
  })
  simulation.port = port
  return { spec, data, simulation, strategy, windows }
}

export function notTraded(symbol: string, symbols: readonly string[]): Error {
  return new Error(`The run does not trade ${symbol}: its symbols are ${symbols.join(', ')}`)
}

function indexOf(symbols: readonly string[], symbol: string): number {
  const index = symbols.indexOf(symbol)
  if (index < 0) throw notTraded(symbol, symbols)
  return index
}

/** What a stretch of ticks left to store. */
export interface Stretch {
  next: number
  checkpoint: Checkpoint
  /** Of `touched`, those that were not stored before. */
  newOrders: OrderRow[]
  changedOrders: OrderRow[]
  fills: Produced['fills']
  decisions: Produced['decisions']
  /** Ranges that are new or have grown. */
  skips: SkipRow[]
  trades: TradeRow[]
  positions: PositionRow[]
  events: Produced['events']
  curve: Pick<ChunkResult, 'ts' | 'equity' | 'exposure'>
  /** Cash and positions at the last closes, exact. */
  finalEquity: string
  /** The strategy threw at this tick; what was done before it is kept. */
  failure: RunError | null
}

/** Plays ticks from `from` until `to` (exclusive), until `pause` says so, or until the strategy throws. */
export function playTicks(backtest: Backtest, from: number, to: number, pause: (tick: number) => boolean): Stretch {
  const { simulation, strategy, windows, data, spec } = backtest
  const run = runChunk({ simulation, strategy, windows, ticks: data.ticks, from, to, audit: spec.audit, pause })
  const { ts, equity, exposure, failure } = run
  return { ...takeStretch(simulation, strategy.save(), run.next), curve: { ts, equity, exposure }, failure }
}

/** Everything produced since the last take, as rows. */
export function takeStretch(
  simulation: Simulation,
  memory: StrategyMemory,
  next: number,
): Omit<Stretch, 'curve' | 'failure'> {
  const { runId } = simulation.setup
  const { firstNewOrder, touched, fills, decisions, events } = takeProduced(simulation)
  const rows = [...touched.values()].map((order) => rowOf(order, runId))
  return {
    next,
    checkpoint: { simulation: saveSimulation(simulation), memory },
    newOrders: rows.filter((row) => row.ordinal >= firstNewOrder),
    changedOrders: rows.filter((row) => row.ordinal < firstNewOrder),
    fills,
    decisions,
    skips: simulation.skips.take(runId),
    trades: simulation.trades.takeClosed(runId),
    positions: positionRows(simulation),
    events,
    finalEquity: exactEquity(simulation),
  }
}

function positionRows(simulation: Simulation): PositionRow[] {
  const { runId, symbols } = simulation.setup
  return simulation.ledger.positions.map((position, index) => ({
    run_id: runId,
    symbol: symbols[index] as string,
    qty: position.qty.toString(),
    avg_price: averagePrice(position).toString(),
    realised_pnl: position.realised.toString(),
    cost: position.cost.toString(),
    last_price: Number.isNaN(simulation.lastClose[index]) ? null : (simulation.lastClose[index] as number),
  }))
}
