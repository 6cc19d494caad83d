/** The audit finds what it is for, names it, and leaves sound strategies alone. */
import { expect, test } from 'vitest'
import type { CandleColumns } from '../../db/walle/rows.ts'
import type { AuditParts } from '../../jobs/audit/play.ts'
import { createInstance } from '../../jobs/marvin/context.ts'
import { type CandleWindow, defineStrategy, type StrategyDefinition, z } from '../../strategies/api.ts'
import bollingerLimit from '../../strategies/bollinger_limit/index.ts'
import bracketSma from '../../strategies/bracket_sma/index.ts'
import breakout from '../../strategies/breakout/index.ts'
import buyAndHold from '../../strategies/buy_and_hold/index.ts'
import { ema } from '../../strategies/indicators.ts'
import meanReversion from '../../strategies/mean_reversion/index.ts'
import momentumRotation from '../../strategies/momentum_rotation/index.ts'
import rsiReversion from '../../strategies/rsi_reversion/index.ts'
import smaCross from '../../strategies/sma_cross/index.ts'
import { auditPure, told } from '../support/pure_audit.ts'

const HOUR = 3_600_000
type Parts = Pick<StrategyDefinition, 'onWindow'> & Partial<StrategyDefinition>

function strategy(parts: Parts): StrategyDefinition {
  const head = { id: 'subject', version: '1', description: 'an example', params: z.object({}) }
  return defineStrategy({ ...head, window: () => ({ bars: 20 }), ...parts } as never) as StrategyDefinition
}

/** Long while the last close of the window is above the one before. */
const follower: StrategyDefinition['onWindow'] = (ctx) => {
  const [symbol] = ctx.symbols
  const { close, length } = ctx.window(symbol)
  const rises = (close[length - 1] as number) > (close[length - 2] as number)
  ctx.target(symbol, rises ? '1' : '0')
}

/** A window that ends one bar too late: no part of Weaver gives one. */
const peeking =
  ([columns]: CandleColumns[]): AuditParts['instance'] =>
  (definition, options) => {
    const { port } = options
    const window = (): CandleWindow => {
      const { time, open, high, low, close, volume } = columns as CandleColumns
      const end = time.findIndex((opens) => opens > port.ts - HOUR) + 1 || time.length
      const cut = (column: Float64Array) => column.slice(Math.max(0, end - 20), end)
      const shown = { time: cut(time), open: cut(open), high: cut(high), low: cut(low), close: cut(close) }
      return { ...shown, volume: cut(volume), length: shown.time.length }
    }
    return createInstance(definition, { ...options, port: Object.assign(Object.create(port), { window }) })
  }

test('a strategy that sees one bar ahead is found, at every cut where it showed', async () => {
  const report = await auditPure({ load: () => strategy({ onWindow: follower }), instance: peeking })
  expect(told(report)).toMatchObject({
    verdict: 'found',
    found: expect.arrayContaining(['cut_future', 'changed_future']),
  })
  const [cut] = report.checks
  expect(cut).toMatchObject({ plays: report.cuts.length, means: expect.stringMatching(/^look-ahead: /) })
  for (const { bar_index, was, is } of cut?.changes ?? []) {
    expect(report.cuts).toContain(bar_index)
    expect(was).not.toBe(is)
  }
})

test('a peek that is only carried in ctx.state is found too', async () => {
  const carrying = strategy({
    init: () => ({ next: 0 }),
    onWindow(ctx) {
      ctx.state = { next: ctx.window(ctx.symbols[0]).close.at(-1) as number }
    },
  })
  const report = await auditPure({ load: () => carrying, instance: peeking })
  expect(told(report).found).toEqual(['cut_future', 'changed_future'])
  expect(report.checks[0]?.changes[0]?.was).toMatch(/^ctx\.state \{"next":/)
})

test('the same strategy over honest windows is clean', async () => {
  const report = await auditPure({ load: () => strategy({ onWindow: follower }) })
  expect(told(report)).toEqual({ verdict: 'clean', found: [], noted: [] })
  expect(report.checks.map(({ plays }) => plays)).toEqual([8, 8, 1, 8, 1, 0, 3])
})

test('what a module keeps between ticks is found by instances and by processes of their own', async () => {
  const load = () => {
    let calls = 0
    return strategy({
      onWindow(ctx) {
        calls += 1
        if (calls % 7 === 0) ctx.buy({ symbol: ctx.symbols[0], qty: '1', type: 'market', reason: `call ${calls}` })
      },
    })
  }
  const report = await auditPure({ load })
  expect(told(report).found).toEqual(expect.arrayContaining(['new_instance', 'new_process']))
  expect(told(report).found).not.toContain('cut_future')
  expect(report.checks[2]?.changes[0]).toMatchObject({
    bar_index: 6,
    was: 'buy 1 BTC/USD market',
    is: 'nothing',
    differs: ['1 -> 0 orders'],
  })
})

test('an average that starts where its window starts is found by a longer window, and by how much', async () => {
  const recursive = strategy({
    onWindow(ctx) {
      const [symbol] = ctx.symbols
      const average = ema(ctx.window(symbol).close, 15)
      ctx.cancelAll()
      ctx.buy({ symbol, qty: '1', type: 'limit', limit_price: average })
    },
  })
  const report = await auditPure({ load: () => recursive })
  expect(told(report)).toEqual({ verdict: 'found', found: ['longer_window'], noted: [] })
  const changes = report.checks.find(({ check }) => check === 'longer_window')?.changes
  expect(changes?.[0]?.differs).toEqual([expect.stringMatching(/^limit_price: [\d.]+ -> [\d.]+ \(-?[\d.]+ %\)$/)])
})

test('what hangs on how much history is stored is found where it is fetched', async () => {
  const fetching = strategy({
    onTick: (ctx) => ctx.fetch({ symbol: ctx.symbols[0] as string, timeframe: '1h', bars: 50_000 }),
    onWindow(ctx) {
      const { close, length } = ctx.window(ctx.symbols[0], '1h')
      const average = close.reduce((sum, one) => sum + one, 0) / length
      ctx.log('average', average)
    },
  })
  const report = await auditPure({ load: () => fetching })
  expect(told(report).found).toEqual(['shorter_history'])
})

test('a strategy that fails under other conditions is found; one that fails at all is no verdict', async () => {
  const load = () => {
    let calls = 0
    return strategy({
      onWindow() {
        if (calls++ === 190) throw new Error('tired')
      },
    })
  }
  expect(await auditPure({ load })).toMatchObject({ verdict: 'failed', failure: 'Error: tired (tick 190)', checks: [] })
  expect((await auditPure({ load, bars: 185 })).verdict).toBe('clean')
})

test('the same seed cuts at the same ticks, another one elsewhere', async () => {
  const load = () => strategy({ onWindow: follower })
  const cutsOf = async (seed: number) => (await auditPure({ load, options: { seed } })).cuts
  expect(await cutsOf(5)).toEqual(await cutsOf(5))
  expect(await cutsOf(6)).not.toEqual(await cutsOf(5))
})

const SHIPPED: [definition: unknown, symbols: string[], noted: string[], params?: Record<string, number>][] = [
  [smaCross, ['BTC/USD'], []],
  [meanReversion, ['BTC/USD', 'ETH/USD'], []],
  [breakout, ['BTC/USD'], []],
  [bollingerLimit, ['BTC/USD'], []],
  [bracketSma, ['BTC/USD'], []],
  // Wilder's averages go on from the first window of the run: so the indicator is defined, and so it is told.
  [rsiReversion, ['BTC/USD'], ['other_start'], { low: 48, high: 52 }],
  // One buys at the first bar of its state, the other chooses again every few calls.
  [buyAndHold, ['BTC/USD'], ['other_start']],
  [momentumRotation, ['BTC/USD', 'ETH/USD', 'LTC/USD'], ['other_start']],
]

test.each(
  SHIPPED.map(([definition, ...rest]) => [(definition as StrategyDefinition).id, definition, ...rest] as const),
)('%s as shipped is clean', async (_, definition, symbols, noted, params = {}) => {
  const report = await auditPure({ load: () => definition as StrategyDefinition, symbols, params })
  expect(report.decisions).toBeGreaterThan(0)
  expect(told(report)).toEqual({ verdict: 'clean', found: [], noted })
})
