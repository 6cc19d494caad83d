/** A backtest made of a seed: bars, strategy, parameters, fill model. For properties that must hold for all of them. */
import { mulberry32 } from '../../db/walle/generate.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import type { Stretch } from '../../jobs/backtest/backtest.ts'
import type { RiskLimits } from '../../jobs/glados/risk.ts'
import type { FillRequest } from '../../jobs/greta/fill_model.ts'
import { createResultHasher } from '../../jobs/greta/result_hash.ts'
import type { Json, StrategyDefinition, Timeframe } from '../../strategies/api.ts'
import bollingerLimit from '../../strategies/bollinger_limit/index.ts'
import bracketSma from '../../strategies/bracket_sma/index.ts'
import breakout from '../../strategies/breakout/index.ts'
import rsiReversion from '../../strategies/rsi_reversion/index.ts'
import smaCross from '../../strategies/sma_cross/index.ts'
import { restless } from './restless.ts'

export interface SeededRun {
  strategy: StrategyDefinition
  params: Record<string, Json>
  columns: CandleColumns
  timeframe: Timeframe
  fill: FillRequest
  risk: RiskLimits
  seed: number
}

const TIMEFRAMES: readonly Timeframe[] = ['1m', '1h', '1d']
const STRATEGIES: readonly [StrategyDefinition, (pick: (most: number) => number) => Record<string, Json>][] = [
  [smaCross as unknown as StrategyDefinition, (pick) => ({ fast: 2 + pick(3), slow: 6 + pick(6), qty: '1.5' })],
  [bracketSma as unknown as StrategyDefinition, () => ({ fast: 2, slow: 5, loss: 0.99, gain: 1.01, qty: '2' })],
  [rsiReversion as unknown as StrategyDefinition, () => ({ period: 4, low: 40, high: 60, qty: '3' })],
  [breakout as unknown as StrategyDefinition, () => ({})],
  [bollingerLimit as unknown as StrategyDefinition, () => ({ period: 5 })],
  [restless as unknown as StrategyDefinition, () => ({})],
]

export function seededRun(seed: number, mostBars: number): SeededRun {
  const random = mulberry32(seed)
  const pick = (most: number) => Math.floor(random() * most)
  const timeframe = TIMEFRAMES[pick(TIMEFRAMES.length)] as Timeframe
  const [strategy, params] = STRATEGIES[pick(STRATEGIES.length)] as (typeof STRATEGIES)[number]
  return {
    strategy,
    params: params(pick),
    columns: randomBars(random, 2 + pick(mostBars - 1), timeframe),
    timeframe,
    seed: pick(1000),
    fill: fillOf(pick),
    risk: pick(3) === 0 ? { max_drawdown: 0.0005, max_orders_per_minute: 2 } : {},
  }
}

/** Every fourth pays by a venue's schedule, with which shorts and other commission do not go. */
function fillOf(pick: (most: number) => number): FillRequest {
  const fill: FillRequest = {
    preset: (['weaver', 'backtrader', 'backtesting_py'] as const)[pick(3)] as 'weaver',
    slippage_bps: String(pick(20)),
    commission_bps: String(pick(20)),
    max_volume_share: pick(2) === 0 ? null : 0.01,
    latency_bars: pick(2),
    allow_short: pick(2) === 0,
    close_at_end: pick(3) === 0,
  }
  if (pick(4) !== 0) return fill
  const { commission_bps: _, allow_short: __, ...rest } = fill
  return { ...rest, commission: 'alpaca_crypto' }
}

const STEP: Record<string, number> = { '1m': 60_000, '1h': 3_600_000, '1d': 86_400_000 }

/** Prices with four decimals, gaps between bars, now and then a hole in time. */
function randomBars(random: () => number, bars: number, timeframe: Timeframe): CandleColumns {
  const step = STEP[timeframe] as number
  const round = (price: number) => Math.round(price * 10_000) / 10_000
  const columns: CandleColumns = {
    time: new Float64Array(bars),
    open: new Float64Array(bars),
    high: new Float64Array(bars),
    low: new Float64Array(bars),
    close: new Float64Array(bars),
    volume: new Float64Array(bars),
  }
  let time = Date.UTC(2024, 0, 1)
  let price = 100
  for (let index = 0; index < bars; index++) {
    const open = round(price * (1 + (random() - 0.5) * 0.01))
    const close = round(open * (1 + (random() - 0.5) * 0.03))
    columns.time[index] = time
    columns.open[index] = open
    columns.close[index] = close
    columns.high[index] = round(Math.max(open, close) * (1 + random() * 0.01))
    columns.low[index] = round(Math.min(open, close) * (1 - random() * 0.01))
    columns.volume[index] = Math.floor(random() * 1000)
    time += random() < 0.05 ? step * 3 : step
    price = close
  }
  return columns
}

/** The result hash of a pure run, from the rows that it would have stored. */
export function hashOf(stretch: Stretch): string {
  const hasher = createResultHasher()
  const orders = [...stretch.newOrders].sort((a, b) => a.ordinal - b.ordinal)
  const byId = new Map(orders.map((order) => [order.id, order]))
  const byClientId = new Map(orders.map((order) => [order.client_order_id, order]))
  for (const decision of stretch.decisions) {
    decision.intents.forEach((intent, ordinal) => {
      hasher.intent(decision.ts, ordinal, intent, byClientId.get(intent.client_order_id) ?? null)
    })
  }
  for (const order of orders) hasher.order(order.status, order.filled_qty, order.filled_avg_price)
  for (const fill of stretch.fills) {
    const order = byId.get(fill.order_id)
    hasher.fill(fill.timestamp, order?.ordinal ?? -1, fill.side, fill.qty, fill.price, fill.fee)
  }
  return hasher.digest()
}
