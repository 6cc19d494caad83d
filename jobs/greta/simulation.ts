/**
 * Greta, backtests: a run's simulated account and orders, tick by tick. Both drivers of a backtest, chunk and chain, play it through the
 * same functions (here, in matching.ts and in placing.ts), so that they give the same orders, fills and events (I8).
 */

import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import type { CandleColumns, DecisionRow, FillRow } from '../../db/walle/rows.ts'
import {
  type Intent,
  type OrderView,
  type PlaceIntent,
  type PositionView,
  TIMEFRAME_MS,
  type Timeframe,
} from '../../strategies/api.ts'
import type { RiskPicture, RiskRefusal } from '../glados/risk.ts'
import type { DailyVolume } from './costs.ts'
import { Decimal } from './decimals.ts'
import type { FillModel } from './fill_model.ts'
import { iso } from './iso.ts'
import { averagePrice, type Ledger, type LedgerText, openLedger, restoreLedger, saveLedger } from './ledger.ts'
import { newWatch, type RiskWatch } from './risk_watch.ts'
import { type EventPlace, isOpen, type SimOrder, viewOf } from './sim_orders.ts'
import { createSkipLog, type SkipLog, type SkipState } from './skips.ts'
import { createTradeMatcher, type TradeMatcher, type TradeMatcherState } from './trades.ts'

/** Bars of one symbol in the run's timeframe: warm-up first, then those of the range. */
export interface SymbolBars {
  columns: CandleColumns
  /** How many of them are closed at the present tick. */
  closed: number
}

export interface SimulationSetup {
  runId: string
  symbols: readonly string[]
  timeframe: Timeframe
  initialCash: string
  model: FillModel
  /** Names what is wrong with an intent, or null. */
  checkIntent: (intent: Intent, symbols: readonly string[]) => string | null
  checkRisk: (intent: PlaceIntent, picture: RiskPicture) => RiskRefusal | null
  /** A limit asks how equity went: every tick marks it for the risk gate. */
  watchesEquity: boolean
}

export interface SimulationState {
  ledger: LedgerText
  open_orders: SimOrder[]
  /** Orders that changed since the strategy last heard of them. */
  changed: SimOrder[]
  next_order: number
  next_fill: number
  trades: TradeMatcherState
  skips: SkipState
  ambiguous_bars: number
  slippage: string
  volume: DailyVolume
  risk: RiskWatch
}

/** What a stretch of ticks produced, to be stored. */
export interface Produced {
  /** Orders that came into being or changed. */
  touched: Map<number, SimOrder>
  /** Ordinals from here on are new. */
  firstNewOrder: number
  fills: FillRow[]
  decisions: DecisionRow[]
  events: NewEvent[]
}

export interface Simulation {
  readonly setup: SimulationSetup
  readonly timeframeMs: number
  readonly bars: readonly SymbolBars[]
  readonly ledger: Ledger
  readonly trades: TradeMatcher
  readonly skips: SkipLog
  /** Float copies of the ledger for the hot loop, brought up to date at each fill. */
  cashFloat: number
  readonly qtyFloat: Float64Array
  readonly lastClose: Float64Array
  /** Symbols with a position now. */
  held: number
  open: SimOrder[]
  nextOrder: number
  nextFill: number
  ambiguousBars: number
  slippage: Decimal
  /** What a schedule's tiers are chosen by. */
  readonly volume: DailyVolume
  readonly risk: RiskWatch
  /** The present tick. */
  tick: number
  ts: number
  nextEvent: number
  /** The tick's first event. */
  corr: EventPlace
  /** Events are built, not only counted. */
  recording: boolean
  /** Events told under this correlation id by name, which are those of orders, are built in any case. */
  watched: string | null
  /** Orders that changed since the strategy last heard of them. */
  changed: SimOrder[]
  produced: Produced
  /** What the strategy's context reads: it is told the tick. */
  port: { ts: number; barIndex: number } | null
}

export function openSimulation(
  setup: SimulationSetup,
  bars: readonly SymbolBars[],
  saved: SimulationState | null,
): Simulation {
  const ledger = saved ? restoreLedger(saved.ledger) : openLedger(setup.initialCash, setup.symbols.length)
  const simulation: Simulation = {
    setup,
    timeframeMs: TIMEFRAME_MS[setup.timeframe],
    bars,
    ledger,
    trades: createTradeMatcher(saved?.trades),
    skips: createSkipLog(saved?.skips),
    cashFloat: 0,
    qtyFloat: new Float64Array(setup.symbols.length),
    lastClose: new Float64Array(setup.symbols.length).fill(Number.NaN),
    held: 0,
    open: saved?.open_orders ?? [],
    nextOrder: saved?.next_order ?? 0,
    nextFill: saved?.next_fill ?? 0,
    ambiguousBars: saved?.ambiguous_bars ?? 0,
    slippage: new Decimal(saved?.slippage ?? 0),
    volume: structuredClone(saved?.volume ?? []),
    risk: structuredClone(saved?.risk ?? newWatch(setup.initialCash)),
    tick: -1,
    ts: Number.NaN,
    nextEvent: 0,
    corr: { tick: -1, ordinal: 0 },
    recording: false,
    watched: null,
    changed: changedOf(saved),
    produced: emptyProduce(saved?.next_order ?? 0),
    port: null,
  }
  refreshFloats(simulation)
  return simulation
}

/** An order that is open and has changed is one object, as it was before it was saved. */
function changedOf(saved: SimulationState | null): SimOrder[] {
  if (!saved) return []
  return saved.changed.map((order) => saved.open_orders.find((open) => open.ordinal === order.ordinal) ?? order)
}

function emptyProduce(firstNewOrder: number): Produced {
  return { touched: new Map(), firstNewOrder, fills: [], decisions: [], events: [] }
}

/** Hands over what was produced and starts a new stretch. */
export function takeProduced(simulation: Simulation): Produced {
  const produced = simulation.produced
  simulation.produced = emptyProduce(simulation.nextOrder)
  return produced
}

export function saveSimulation(simulation: Simulation): SimulationState {
  return {
    ledger: saveLedger(simulation.ledger),
    open_orders: simulation.open.map(storedOrder),
    changed: simulation.changed.map(storedOrder),
    next_order: simulation.nextOrder,
    next_fill: simulation.nextFill,
    trades: simulation.trades.save(),
    skips: simulation.skips.save(),
    ambiguous_bars: simulation.ambiguousBars,
    slippage: simulation.slippage.toString(),
    volume: structuredClone(simulation.volume),
    risk: structuredClone(simulation.risk),
  }
}

/** Without the ids that follow from the rest. */
function storedOrder(order: SimOrder): SimOrder {
  const { tick, ordinal } = order.last_event
  return { ...order, last_event: { tick, ordinal } }
}

/** Brings the float copies in line with the ledger. */
export function refreshFloats(simulation: Simulation): void {
  simulation.cashFloat = Number(simulation.ledger.cash.toString())
  simulation.held = 0
  simulation.ledger.positions.forEach((position, symbol) => {
    const qty = Number(position.qty.toString())
    simulation.qtyFloat[symbol] = qty
    if (qty !== 0) simulation.held += 1
  })
}

/** Opens a tick. The first event of a tick, ordinal 0, is its clock.Tick. */
export function startTick(simulation: Simulation, tick: number, ts: number): void {
  simulation.tick = tick
  simulation.ts = ts
  simulation.nextEvent = 0
  if (simulation.port !== null) {
    simulation.port.ts = ts
    simulation.port.barIndex = tick
  }
}

/** Moves a symbol on to the bars that are closed at the present tick; true where one closed just now. */
export function advanceBars(simulation: Simulation, symbol: number): boolean {
  const bars = simulation.bars[symbol] as SymbolBars
  const time = bars.columns.time
  const newest = simulation.ts - simulation.timeframeMs
  let closed = bars.closed
  while (closed < time.length && (time[closed] as number) <= newest) closed += 1
  bars.closed = closed
  return closed > 0 && time[closed - 1] === newest
}

/** Marks a symbol at its newest closed bar. After matching, so that a fill at the open knows no later close. */
export function markCloses(simulation: Simulation, symbol: number): void {
  const { columns, closed } = simulation.bars[symbol] as SymbolBars
  if (closed > 0) simulation.lastClose[symbol] = columns.close[closed - 1] as number
}

/** Cash plus positions at the last closes, in float64: the curve that statistics are made of. */
export function equityOf(simulation: Simulation): number {
  let equity = simulation.cashFloat
  if (simulation.held > 0) {
    for (let symbol = 0; symbol < simulation.qtyFloat.length; symbol++) {
      const qty = simulation.qtyFloat[symbol] as number
      if (qty !== 0) equity += qty * (simulation.lastClose[symbol] as number)
    }
  }
  return equity
}

/** Gross value of the positions at the last closes. */
export function grossValue(simulation: Simulation): number {
  let gross = 0
  for (let symbol = 0; symbol < simulation.qtyFloat.length; symbol++) {
    const qty = simulation.qtyFloat[symbol] as number
    if (qty !== 0) gross += Math.abs(qty * (simulation.lastClose[symbol] as number))
  }
  return gross
}

/** The same in decimals, for the record. */
export function exactEquity(simulation: Simulation): string {
  let equity = simulation.ledger.cash
  simulation.ledger.positions.forEach((position, symbol) => {
    if (position.qty.s !== 0 && !position.qty.eq(0)) {
      equity = equity.plus(position.qty.times(String(simulation.lastClose[symbol])))
    }
  })
  return equity.toString()
}

const FLAT: PositionView = Object.freeze({ qty: '0', avg_price: '0' })

export function positionView(simulation: Simulation, symbol: number): PositionView {
  if (simulation.qtyFloat[symbol] === 0) return FLAT
  const position = simulation.ledger.positions[symbol]
  return position ? { qty: position.qty.toString(), avg_price: averagePrice(position).toString() } : FLAT
}

const NO_ORDERS: readonly OrderView[] = Object.freeze([])

export function openOrderViews(simulation: Simulation, symbol?: string): readonly OrderView[] {
  if (simulation.open.length === 0) return NO_ORDERS
  const symbols = simulation.setup.symbols
  return simulation.open
    .filter((order) => isOpen(order) && (symbol === undefined || symbols[order.symbol] === symbol))
    .map((order) => viewOf(order))
}

export function eventId(simulation: Simulation, place: EventPlace): string {
  place.id ??= tickEventId(simulation.setup.runId, place.tick, place.ordinal)
  return place.id
}

/** The correlation id of all that the present tick sets off: the id of its first event. */
export function corrIdOf(simulation: Simulation): string {
  if (simulation.corr.tick !== simulation.tick) simulation.corr = { tick: simulation.tick, ordinal: 0 }
  return eventId(simulation, simulation.corr)
}

type EventBody = Pick<NewEvent, 'type' | 'producer' | 'payload'>

/**
 * Counts an event of the present tick, of an order's correlation or else of the tick's own, and, when recording, keeps it. `build` is only called then. The count alone fixes
 * the ids, so a run that records nothing and one that records everything agree about all of them.
 */
export function tell(
  simulation: Simulation,
  cause: EventPlace | null,
  corr: string | null,
  build: () => EventBody,
): EventPlace {
  const place = { tick: simulation.tick, ordinal: simulation.nextEvent++ }
  if (simulation.recording || (corr !== null && corr === simulation.watched)) {
    simulation.produced.events.push({
      ...build(),
      id: eventId(simulation, place),
      run_id: simulation.setup.runId,
      corr_id: corr ?? corrIdOf(simulation),
      causation_id: cause === null ? null : eventId(simulation, cause),
      ts: iso(simulation.ts),
    } as NewEvent)
  }
  return place
}
