/** Plays a strategy over bars in memory, without database or host process. */
import type { CandleColumns } from '../../db/walle/rows.ts'
import { type Checkpoint, openBacktest, playTicks, type RunSpec, type Stretch } from '../../jobs/backtest/backtest.ts'
import type { RiskLimits } from '../../jobs/glados/risk.ts'
import { type FillRequest, fillRequestSchema, resolveFillModel } from '../../jobs/greta/fill_model.ts'
import { ticksOf } from '../../jobs/greta/ticks.ts'
import { createInstance } from '../../jobs/marvin/context.ts'
import { type Json, type StrategyDefinition, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'

export interface PureRun {
  strategy: StrategyDefinition
  params?: Record<string, Json>
  columns: CandleColumns
  symbol?: string
  /** Further symbols of the same run. */
  more?: readonly { symbol: string; columns: CandleColumns }[]
  timeframe: Timeframe
  cash?: string
  fill?: FillRequest
  risk?: RiskLimits
  audit?: RunSpec['audit']
  seed?: number
  runId?: string
  /** Ticks at which the run is stopped, its checkpoint stored as text, and resumed. */
  stops?: readonly number[]
}

export const RUN_ID = '6c84fb90-12c4-41e1-840d-7e9d1ba3ea59'

/** All of a run, its stretches put together. */
export function playPure(run: PureRun): Stretch {
  const columns = columnsOfRun(run)
  const ticks = ticksOf(
    columns,
    columns.map(() => 0),
    TIMEFRAME_MS[run.timeframe],
  )
  const stops = [...(run.stops ?? []).filter((stop) => stop > 0 && stop < ticks.length), ticks.length]
  let checkpoint: Checkpoint | null = null
  let from = 0
  const stretches: Stretch[] = []
  for (const to of stops) {
    const stretch = playTicks(openPure(run, ticks, checkpoint, from), from, to, () => false)
    stretches.push(stretch)
    if (stretch.failure) break
    checkpoint = JSON.parse(JSON.stringify(stretch.checkpoint))
    from = stretch.next
  }
  return joined(stretches)
}

function columnsOfRun({ columns, more = [] }: PureRun): CandleColumns[] {
  return [columns, ...more.map((one) => one.columns)]
}

function openPure(run: PureRun, ticks: Float64Array, checkpoint: Checkpoint | null, next: number) {
  return openBacktest({
    spec: {
      run_id: run.runId ?? RUN_ID,
      symbols: [run.symbol ?? 'BTC/USD', ...(run.more ?? []).map((one) => one.symbol)],
      timeframe: run.timeframe,
      initial_cash: run.cash ?? '1000000',
      fill: resolveFillModel(fillRequestSchema.parse(run.fill ?? {})),
      risk: run.risk ?? {},
      params: run.strategy.params.parse(run.params ?? {}) as Record<string, Json>,
      seed: run.seed ?? 0,
      audit: run.audit ?? 'summary',
    },
    data: { columns: columnsOfRun(run), ticks },
    createInstance: (options) => createInstance(run.strategy, options),
    load: () => run.columns,
    checkpoint,
    next,
  })
}

function joined(stretches: readonly Stretch[]): Stretch {
  const last = stretches.at(-1) as Stretch
  const orders = new Map(
    stretches.flatMap((one) => [...one.newOrders, ...one.changedOrders]).map((row) => [row.id, row]),
  )
  const skips = new Map(stretches.flatMap((one) => one.skips).map((row) => [row.ordinal, row]))
  const curve = (name: 'ts' | 'equity' | 'exposure') =>
    Float64Array.from(stretches.flatMap((one) => [...one.curve[name]]))
  return {
    ...last,
    newOrders: [...orders.values()],
    changedOrders: [],
    fills: stretches.flatMap((one) => one.fills),
    decisions: stretches.flatMap((one) => one.decisions),
    skips: [...skips.values()].sort((a, b) => a.ordinal - b.ordinal),
    trades: stretches.flatMap((one) => one.trades),
    events: stretches.flatMap((one) => one.events),
    curve: { ts: curve('ts'), equity: curve('equity'), exposure: curve('exposure') },
  }
}
