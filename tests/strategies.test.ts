/**
 * Every shipped strategy over the same generated candles, against the figures in its own expected.json: what changes a
 * result unawares fails here. When the change is meant:
 *
 *   WEAVER_UPDATE_EXPECTED=1 npx vitest run tests/strategies.test.ts
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { generateCandles } from '../db/walle/generate.ts'
import type { CandleColumns } from '../db/walle/rows.ts'
import type { StrategyDefinition } from '../strategies/api.ts'
import { playPure } from './support/pure_run.ts'

const folder = new URL('../strategies/', import.meta.url)
const update = process.env.WEAVER_UPDATE_EXPECTED === '1'
const TO_UPDATE = 'if this change is meant: WEAVER_UPDATE_EXPECTED=1 npx vitest run tests/strategies.test.ts'

const CANDLES = { timeframe: '1h', start: Date.UTC(2024, 0, 1), bars: 2000, startPrice: 100, volatility: 0.01 } as const
const SEEDS = [20, 21, 22]
const CASH = '100000'
const FILL = { commission_bps: '10', slippage_bps: '2' }

const shipped = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(new URL(`${entry.name}/index.ts`, folder)))
  .map(({ name }) => name)

function columnsOf(seed: number): CandleColumns {
  const candles = generateCandles({ ...CANDLES, seed })
  const column = (name: 'open' | 'high' | 'low' | 'close' | 'volume') =>
    Float64Array.from(candles, (candle) => Number(candle[name]))
  return {
    time: Float64Array.from(candles, ({ time }) => time),
    open: column('open'),
    high: column('high'),
    low: column('low'),
    close: column('close'),
    volume: column('volume'),
  }
}

async function figuresOf(id: string) {
  const module: { default: StrategyDefinition } = await import(new URL(`${id}/index.ts`, folder).href)
  const strategy = module.default
  const candles = `${CANDLES.bars} of ${CANDLES.timeframe} from ${CANDLES.startPrice}, seeds ${SEEDS.join(', ')}`
  return { candles, one_symbol: figuresOn(strategy, 1), three_symbols: figuresOn(strategy, 3) }
}

function figuresOn(strategy: StrategyDefinition, symbols: number) {
  const [first, ...more] = SEEDS.slice(0, symbols).map((seed) => ({ symbol: `S${seed}/USD`, columns: columnsOf(seed) }))
  if (!first) throw new Error('a run has a symbol')
  const played = playPure({ ...first, more, strategy, timeframe: CANDLES.timeframe, cash: CASH, fill: FILL })
  expect(played.failure).toBeNull()
  expect(played.fills.length).toBeGreaterThan(0)
  const lines = played.fills.map(
    ({ timestamp, symbol, side, qty, price, fee }) => `${timestamp} ${symbol} ${side} ${qty} ${price} ${fee}\n`,
  )
  return {
    orders: played.newOrders.length,
    fills: played.fills.length,
    trades: played.trades.length,
    final_equity: played.finalEquity,
    fills_sha256: createHash('sha256').update(lines.join('')).digest('hex'),
  }
}

test('the strategies are found', () => {
  expect(shipped).toEqual(expect.arrayContaining(['buy_and_hold', 'mean_reversion', 'sma_cross']))
})

test.each(shipped)('%s does what its expected.json says', async (id) => {
  const file = new URL(`${id}/expected.json`, folder)
  const figures = await figuresOf(id)
  if (update) writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`)
  expect(existsSync(file), `strategies/${id}/expected.json is missing; to write it, ${TO_UPDATE}`).toBe(true)
  expect(figures, TO_UPDATE).toEqual(JSON.parse(readFileSync(file, 'utf8')))
})
