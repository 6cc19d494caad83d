/**
 * Ten backtests made from seeds, and a hash of all that each one did. Run as a program it prints one line of JSON:
 * the hash per seed, and one of the maths; so another runtime's can be held against ours.
 */
import { createHash, type Hash } from 'node:crypto'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { columnsOf, floatsToBytes } from '../../db/walle/candle_columns.ts'
import { generateCandles, mulberry32 } from '../../db/walle/generate.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import type { Stretch } from '../../jobs/backtest/backtest.ts'
import type { FillRequest } from '../../jobs/greta/fill_model.ts'
import * as exponentials from '../../jobs/marvin/portable_math.ts'
import * as trigonometry from '../../jobs/marvin/portable_trigonometry.ts'
import type { Json, StrategyDefinition, Timeframe } from '../../strategies/api.ts'
import bollingerLimit from '../../strategies/bollinger_limit/index.ts'
import bracketSma from '../../strategies/bracket_sma/index.ts'
import breakout from '../../strategies/breakout/index.ts'
import momentumRotation from '../../strategies/momentum_rotation/index.ts'
import rsiReversion from '../../strategies/rsi_reversion/index.ts'
import smaCross from '../../strategies/sma_cross/index.ts'
import { playPure } from '../support/pure_run.ts'
import { restless } from '../support/restless.ts'

interface Seeded {
  strategy: unknown
  params?: Record<string, Json>
  timeframe: Timeframe
  bars: number
  volatility: number
  fill?: FillRequest
  symbols?: 1 | 2
}

/** Every order type, every preset's rules, one symbol and two. The seed is the place in this list. */
const RUNS: readonly Seeded[] = [
  { strategy: smaCross, params: { fast: 3, slow: 8 }, timeframe: '1h', bars: 300, volatility: 0.02 },
  { strategy: rsiReversion, params: { period: 7, low: 40, high: 60 }, timeframe: '1m', bars: 300, volatility: 0.003 },
  {
    strategy: bracketSma,
    params: { fast: 2, slow: 5, loss: 0.98, gain: 1.03, qty: '0.333' },
    timeframe: '1d',
    bars: 250,
    volatility: 0.03,
    fill: { slippage_bps: '3', commission_bps: '7.5' },
  },
  { strategy: bollingerLimit, params: { period: 8, width: 1 }, timeframe: '1h', bars: 300, volatility: 0.02 },
  { strategy: breakout, params: { entry: 8, exit: 4 }, timeframe: '4h', bars: 300, volatility: 0.02 },
  {
    strategy: momentumRotation,
    params: { lookback: 5, every: 3 },
    timeframe: '1d',
    bars: 200,
    volatility: 0.02,
    fill: { commission_bps: '10' },
    symbols: 2,
  },
  { strategy: restless, timeframe: '1h', bars: 300, volatility: 0.02, fill: { allow_short: true, slippage_bps: '5' } },
  {
    strategy: restless,
    timeframe: '1m',
    bars: 250,
    volatility: 0.01,
    fill: { max_volume_share: 0.02, latency_bars: 1, close_at_end: true },
  },
  {
    strategy: smaCross,
    params: { fast: 2, slow: 6, qty: '1.5' },
    timeframe: '1d',
    bars: 300,
    volatility: 0.04,
    fill: { preset: 'backtesting_py' },
  },
  {
    strategy: bollingerLimit,
    params: { period: 5, width: 0.8 },
    timeframe: '15m',
    bars: 300,
    volatility: 0.01,
    fill: { preset: 'backtrader' },
    symbols: 2,
  },
]

export interface SeedResult {
  seed: number
  strategy: string
  fills: number
  events: number
  /** SHA-256 over orders, fills, decisions, trades, events and the equity's bytes. */
  hash: string
}

export function playSeeds(): SeedResult[] {
  return RUNS.map((run, seed) => {
    const strategy = run.strategy as StrategyDefinition
    const { timeframe, params = {}, fill = {} } = run
    const [columns, other] = [0, 1].map((symbol) => candles(run, seed + symbol * RUNS.length)) as [
      CandleColumns,
      CandleColumns,
    ]
    const played = playPure({
      strategy,
      params,
      columns,
      timeframe,
      fill,
      seed,
      audit: 'full',
      ...(run.symbols === 2 ? { more: [{ symbol: 'ETH/USD', columns: other }] } : {}),
    })
    if (played.failure) throw new Error(`seed ${seed}, ${strategy.id}: ${played.failure.message}`)
    const { fills, events } = played
    return { seed, strategy: strategy.id, fills: fills.length, events: events.length, hash: hashOf(played) }
  })
}

function candles({ timeframe, bars, volatility }: Seeded, seed: number): CandleColumns {
  const start = Date.UTC(2024, 0, 1)
  return columnsOf(generateCandles({ timeframe, start, bars, seed, startPrice: 100, volatility }))
}

function hashOf({ newOrders, fills, decisions, trades, events, curve, finalEquity }: Stretch): string {
  const hash = createHash('sha256')
  for (const rows of [newOrders, fills, decisions, trades, events, [finalEquity]]) addRows(hash, rows)
  for (const values of [curve.ts, curve.equity, curve.exposure]) hash.update(floatsToBytes(values))
  return hash.digest('hex')
}

function addRows(hash: Hash, rows: readonly unknown[]): void {
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`)
  hash.update('\n')
}

const FUNCTIONS = { ...exponentials, ...trigonometry }

/** SHA-256 over the bits of what the portable functions give for numbers of every size. */
export function hashOfMaths(): string {
  const random = mulberry32(1)
  const hash = createHash('sha256')
  for (const [, calculate] of Object.entries(FUNCTIONS).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const values = Float64Array.from({ length: 3_000 }, (_, index) => {
      const x = (random() - 0.5) * 10 ** ((index % 7) - 1)
      return calculate(x, random() - 0.5)
    })
    hash.update(floatsToBytes(values.map((value) => (Number.isNaN(value) ? 0 : value))))
  }
  return hash.digest('hex')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(`${JSON.stringify({ runs: playSeeds(), maths: hashOfMaths() })}\n`)
}
