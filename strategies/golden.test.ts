import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Candle, Json, StrategyDefinition, Timeframe } from './api.ts'
import rsiReversion from './rsi_reversion/index.ts'
import smaCross from './sma_cross/index.ts'
import { play } from './testing.ts'

const shared = process.env.WEAVER_SHARED_DATA

function candles(name: string, timeframe: Timeframe): Candle[] {
  const rows = readFileSync(join(shared ?? '', 'data', `${name}.csv`), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
  return rows.map((row) => {
    const [time, open, high, low, close, volume] = row.split(',')
    return {
      ...{ symbol: 'X', timeframe, time: Date.parse(time ?? ''), open: Number(open), high: Number(high) },
      ...{ low: Number(low), close: Number(close), volume: Number(volume), trade_count: null },
    }
  })
}

/** [bar, side, price] of another engine's fills; its quantity is the same in all of them. */
function golden(name: string): { qty: number; fills: unknown[] } {
  const text = readFileSync(join(shared ?? '', 'golden', `${name}.json`), 'utf8')
  const { qty, backtesting_py } = JSON.parse(text) as { qty: number; backtesting_py: { fills: unknown[][] } }
  return { qty, fills: backtesting_py.fills.map(([bar, , side, , price]) => [bar, side, price]) }
}

test.skipIf(!shared).each<[string, Timeframe, string, StrategyDefinition]>([
  ['goog_1d', '1d', 'sma_cross_10_30', smaCross as unknown as StrategyDefinition],
  ['goog_1d', '1d', 'rsi14_30_70', rsiReversion as unknown as StrategyDefinition],
  ['btcusd_1h', '1h', 'sma_cross_10_30', smaCross as unknown as StrategyDefinition],
  ['btcusd_1h', '1h', 'rsi14_30_70', rsiReversion as unknown as StrategyDefinition],
])(
  'on %s (%s) the fills of %s are those of another engine (needs WEAVER_SHARED_DATA)',
  (name, timeframe, rule, strategy) => {
    const { qty, fills } = golden(`${name}__${rule}`)
    const params: Record<string, Json> = { qty: String(qty) }
    const played = play(strategy, candles(name, timeframe), { params, cash: '1000000' })
    expect(played.fills.map(({ bar_index, side, price }) => [bar_index, side, price])).toEqual(fills)
  },
)
