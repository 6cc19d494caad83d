/** Greta's presets against what backtrader and backtesting.py did on the same candles: every fill, and the equity. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { CandleColumns } from '../../db/walle/rows.ts'
import type { Json, StrategyDefinition, Timeframe } from '../../strategies/api.ts'
import bracketSma from '../../strategies/bracket_sma/index.ts'
import rsiReversion from '../../strategies/rsi_reversion/index.ts'
import smaCross from '../../strategies/sma_cross/index.ts'
import { playPure } from '../support/pure_run.ts'
import { limitPullback, stopBreakout } from './rules.ts'

const shared = process.env.WEAVER_SHARED_DATA

interface Golden {
  qty: number
  cash: number
  commission: number
  pct: [limitBelow: number, limitAbove: number, stopAbove: number, stopBelow: number, loss: number, gain: number]
  backtrader: Peer
  backtesting_py: Peer
}

interface Peer {
  fills: [bar: number, timestamp: string, side: string, qty: number, price: number, type: string][]
  final_equity: number
}

const DATASETS = ['goog_1d', 'btcusd_1h'] as const

const RULES: [file: string, strategy: StrategyDefinition, params: (golden: Golden) => Record<string, Json>][] = [
  ['sma_cross_10_30', smaCross as unknown as StrategyDefinition, () => ({})],
  ['sma_cross_10_30__comm0.1pct', smaCross as unknown as StrategyDefinition, () => ({})],
  ['rsi14_30_70', rsiReversion as unknown as StrategyDefinition, () => ({})],
  ['bracket_sma', bracketSma as unknown as StrategyDefinition, ({ pct }) => ({ loss: pct[4], gain: pct[5] })],
  ['limit_pullback', limitPullback as unknown as StrategyDefinition, ({ pct }) => ({ below: pct[0], above: pct[1] })],
  ['stop_breakout', stopBreakout as unknown as StrategyDefinition, ({ pct }) => ({ above: pct[2], below: pct[3] })],
]

function columnsFrom(path: string): CandleColumns {
  const rows = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','))
  const column = (index: number) => Float64Array.from(rows, (row) => Number(row[index]))
  return {
    time: Float64Array.from(rows, (row) => Date.parse(row[0] as string)),
    open: column(1),
    high: column(2),
    low: column(3),
    close: column(4),
    volume: column(5),
  }
}

for (const dataset of DATASETS) {
  for (const [file, strategy, params] of RULES) {
    for (const preset of ['backtrader', 'backtesting_py'] as const) {
      const name = `${dataset}__${file} under preset ${preset}: every fill and the final equity are the peer's`
      test.skipIf(!shared)(`${name} (needs WEAVER_SHARED_DATA)`, () => {
        const dir = shared as string
        const golden: Golden = JSON.parse(readFileSync(join(dir, 'golden', `${dataset}__${file}.json`), 'utf8'))
        const columns = columnsFrom(join(dir, 'data', `${dataset}.csv`))
        const run = playPure({
          strategy,
          params: { qty: String(golden.qty), ...params(golden) },
          columns,
          symbol: dataset === 'goog_1d' ? 'GOOG' : 'BTC/USD',
          timeframe: dataset.split('_')[1] as Timeframe,
          cash: String(golden.cash),
          fill: { preset, commission_bps: String(golden.commission * 10_000) },
        })
        const peer = golden[preset]
        expect(run.failure).toBeNull()
        expect(run.fills.map(({ timestamp, side, qty }) => [Date.parse(timestamp), side, Number(qty)])).toEqual(
          peer.fills.map(([, timestamp, side, qty]) => [Date.parse(timestamp), side, qty]),
        )
        run.fills.forEach((fill, index) => {
          const price = peer.fills[index]?.[4] as number
          expect(Math.abs(Number(fill.price) / price - 1), `price of fill ${index}`).toBeLessThan(1e-12)
        })
        expect(Math.abs(Number(run.finalEquity) / peer.final_equity - 1)).toBeLessThan(1e-9)
      })
    }
  }
}
