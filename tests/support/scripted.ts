/** Plays orders, written down tick by tick, over a few hand-made bars: for tables of fill rules. */
import type { CandleColumns } from '../../db/walle/rows.ts'
import { runChunk } from '../../jobs/greta/chunk.ts'
import { type FillModel, type FillRequest, fillRequestSchema, resolveFillModel } from '../../jobs/greta/fill_model.ts'
import { rowOf } from '../../jobs/greta/sim_orders.ts'
import { exactEquity, openSimulation, type Simulation, takeProduced } from '../../jobs/greta/simulation.ts'
import { ticksOf } from '../../jobs/greta/ticks.ts'
import { createWindows } from '../../jobs/greta/windows.ts'
import { type Asked, clientOrderId, type StrategyInstance } from '../../jobs/marvin/contract.ts'
import type { Intent, OrderRequest, OrderView, Side, Timeframe } from '../../strategies/api.ts'
import { TIMEFRAME_MS } from '../../strategies/api.ts'

export type BarText = readonly [open: number, high: number, low: number, close: number, volume?: number]

export interface ScriptedOrder extends Partial<Omit<OrderRequest, 'symbol'>> {
  side: Side
}

export interface Script {
  bars: readonly BarText[]
  /** Orders decided at the tick that closes bar `n` (from 0), and cancels of the n-th order asked for in the run. */
  at: Record<number, readonly (ScriptedOrder | { cancel: number })[]>
  fill?: FillRequest
  /** Rules that no request can ask for. */
  rules?: Partial<FillModel>
  symbol?: string
  timeframe?: Timeframe
  cash?: string
  /** Open time of the first bar. */
  start?: string
  /** Open times of all bars, where they are not one timeframe apart. */
  times?: readonly string[]
}

export interface Played {
  simulation: Simulation
  fills: { bar: number; side: Side; qty: string; price: string; fee: string }[]
  orders: { status: string; filled_qty: string; reason: string | null }[]
  heard: OrderView[][]
  cash: string
  equity: string
  ambiguous: number
}

const RUN = '00000000-0000-4000-8000-000000000001'

export function playScript(script: Script): Played {
  const symbol = script.symbol ?? 'BTC/USD'
  const timeframe = script.timeframe ?? '1h'
  const columns = columnsOf(script, timeframe)
  const model = { ...resolveFillModel(fillRequestSchema.parse(script.fill ?? {})), ...script.rules }
  const simulation = openSimulation(
    {
      runId: RUN,
      symbols: [symbol],
      timeframe,
      initialCash: script.cash ?? '1000000',
      model,
      checkIntent: () => null,
      checkRisk: () => null,
      watchesEquity: false,
    },
    [{ columns, closed: 0 }],
    null,
  )
  const ticks = ticksOf([columns], [0], TIMEFRAME_MS[timeframe])
  const heard: OrderView[][] = []
  const strategy = scriptedStrategy(script, symbol, simulation, heard)
  const windows = createWindows({
    symbols: [symbol],
    timeframe,
    bars: simulation.bars,
    windowBars: 1,
    now: () => simulation.ts,
    load: () => columns,
  })
  const run = runChunk({
    simulation,
    strategy,
    windows,
    ticks,
    from: 0,
    to: ticks.length,
    audit: 'full',
    pause: () => false,
  })
  if (run.failure) throw new Error(run.failure.stack)
  const produced = takeProduced(simulation)
  return {
    simulation,
    heard,
    fills: produced.fills.map(({ timestamp, side, qty, price, fee }) => ({
      bar: columns.time.indexOf(Date.parse(timestamp)),
      side,
      qty,
      price,
      fee,
    })),
    orders: [...produced.touched.values()]
      .sort((a, b) => a.ordinal - b.ordinal)
      .map((order) => rowOf(order, RUN))
      .map(({ status, filled_qty, reject_reason }) => ({ status, filled_qty, reason: reject_reason })),
    cash: simulation.ledger.cash.toString(),
    equity: exactEquity(simulation),
    ambiguous: simulation.ambiguousBars,
  }
}

function columnsOf(script: Script, timeframe: Timeframe): CandleColumns {
  const start = Date.parse(script.start ?? '2024-01-01T00:00:00Z')
  const of = (pick: (bar: BarText) => number) => Float64Array.from(script.bars, pick)
  return {
    time: script.times
      ? Float64Array.from(script.times, (time) => Date.parse(time))
      : Float64Array.from(script.bars, (_, index) => start + index * TIMEFRAME_MS[timeframe]),
    open: of((bar) => bar[0]),
    high: of((bar) => bar[1]),
    low: of((bar) => bar[2]),
    close: of((bar) => bar[3]),
    volume: of((bar) => bar[4] ?? 1000),
  }
}

function scriptedStrategy(
  script: Script,
  symbol: string,
  simulation: Simulation,
  heard: OrderView[][],
): StrategyInstance {
  let intents: Intent[] = []
  let views: OrderView[] = []
  const ids: string[] = []
  return {
    windowBars: 1,
    hasOnTick: true,
    hasOnOrder: true,
    onOrder: (order) => views.push(order),
    onTick() {
      heard.push(views)
      views = []
      const wanted = script.at[simulation.tick] ?? []
      intents = wanted.map((one, ordinal) => {
        if ('cancel' in one) return { kind: 'cancel', client_order_id: ids[one.cancel] as string }
        const id = clientOrderId(RUN, simulation.tick, ordinal)
        ids.push(id)
        return placeIntent(one, id, symbol)
      })
      return []
    },
    onWindow() {},
    get asked() {
      return intents.length > 0
    },
    take(): Asked {
      const asked = { intents, skips: [], logs: [] }
      intents = []
      return asked
    },
    save: () => ({ state: null, random: 0 }),
    restore() {},
  }
}

function placeIntent(order: ScriptedOrder, id: string, symbol: string): Intent {
  const text = (value: string | number | undefined) => (value === undefined ? null : String(value))
  return {
    kind: 'place',
    client_order_id: id,
    symbol,
    side: order.side,
    order_type: order.type ?? 'market',
    qty: text(order.qty) ?? '1',
    limit_price: text(order.limit_price),
    stop_price: text(order.stop_price),
    trail_price: text(order.trail_price),
    trail_percent: text(order.trail_percent),
    time_in_force: order.time_in_force ?? 'gtc',
    extended_hours: order.extended_hours ?? false,
    take_profit: text(order.take_profit),
    stop_loss: text(order.stop_loss),
    reason: null,
  }
}
