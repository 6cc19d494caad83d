import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type StatsTrade, type TradeFigures, tradeFigures } from './trades.ts'

const trade = (pnl: string, changes: Partial<StatsTrade> = {}): StatsTrade => ({
  pnl,
  mae: null,
  mfe: null,
  entry_time: '2024-01-01T00:00:00.000Z',
  exit_time: '2024-01-01T01:00:00.000Z',
  ...changes,
})

const of = (...pnls: string[]): TradeFigures => tradeFigures(pnls.map((pnl) => trade(pnl)))

test('five trades by hand', () => {
  const figures = of('30.5', '-10.25', '0', '20', '-0.25')
  expect(figures).toMatchObject({
    ...{ total_trades: 5, winning_trades: 2, losing_trades: 2, flat_trades: 1, win_rate: 0.4 },
    // (30.5 + 20 - 10.25 - 0.25) / 5
    ...{ expectancy: '8', average_trade: '8', best_trade: '30.5', worst_trade: '-10.25' },
    average_holding_seconds: 3600,
  })
  // 50.5 / 10.5; 25.25 / 5.25 is the same as there are two of each
  expect(figures.profit_factor).toBeCloseTo(50.5 / 10.5, 12)
  expect(figures.payoff_ratio).toBeCloseTo(25.25 / 5.25, 12)
  // squared distances to 8: 506.25 + 333.0625 + 64 + 144 + 68.0625 = 1115.375
  expect(figures.sqn).toBeCloseTo((Math.sqrt(5) * 8) / Math.sqrt(1115.375 / 4), 12)
})

test('a mean that does not end is given to 12 places', () => {
  expect(of('1', '0', '0').expectancy).toBe('0.333333333333')
  expect(of('2', '0', '0').expectancy).toBe('0.666666666667')
})

test('a flat trade is neither won nor lost, but counted', () => {
  expect(of('0')).toMatchObject({
    ...{ total_trades: 1, winning_trades: 0, losing_trades: 0, flat_trades: 1, win_rate: 0, expectancy: '0' },
    ...{ profit_factor: null, payoff_ratio: null, sqn: null },
  })
  expect(of('0.000000000001').winning_trades).toBe(1)
})

test('no trades: counts are 0, everything else is unknown', () => {
  const { total_trades, winning_trades, losing_trades, flat_trades, ...rest } = of()
  expect([total_trades, winning_trades, losing_trades, flat_trades]).toEqual([0, 0, 0, 0])
  expect(Object.values(rest)).toEqual(Array(11).fill(null))
})

test('one trade has no spread to measure it by', () => {
  expect(of('5')).toMatchObject({ win_rate: 1, expectancy: '5', best_trade: '5', worst_trade: '5', sqn: null })
})

test('all winners have no profit factor: nothing was lost', () => {
  expect(of('1', '2')).toMatchObject({ win_rate: 1, profit_factor: null, payoff_ratio: null })
})

test('all losers have a profit factor of 0', () => {
  expect(of('-1', '-2')).toMatchObject({ win_rate: 0, profit_factor: 0, payoff_ratio: null, best_trade: '-1' })
})

test('equal results have no spread, also where float64 cannot hold them', () => {
  expect(of('0.1', '0.1', '0.1').sqn).toBeNull()
  expect(of('-7.77', '-7.77').sqn).toBeNull()
})

test('excursions are means over the trades that know theirs', () => {
  const figures = tradeFigures([
    trade('1', { mae: 0.01, mfe: 0.05 }),
    trade('1', { mae: 0.03, exit_time: '2024-01-01T03:00:00.000Z' }),
    trade('1'),
  ])
  expect(figures.mae).toBeCloseTo(0.02, 12)
  expect(figures.mfe).toBeCloseTo(0.05, 12)
  // (1 + 3 + 1) hours / 3
  expect(figures.average_holding_seconds).toBeCloseTo(6000, 9)
})

const anyTrade = fc.record({
  pnl: fc.integer({ min: -1_000_000, max: 1_000_000 }).map((n) => String(n / 1000)),
  mae: fc.option(fc.integer({ min: 0, max: 100 }).map((n) => n / 128)),
  mfe: fc.option(fc.integer({ min: 0, max: 100 }).map((n) => n / 128)),
  entry_time: fc.constant('2024-01-01T00:00:00.000Z'),
  exit_time: fc.constantFrom('2024-01-01T00:00:00.000Z', '2024-01-03T00:00:00.000Z'),
})
const shuffled = fc
  .array(anyTrade, { maxLength: 30 })
  .chain((trades) => fc.tuple(fc.constant(trades), fc.shuffledSubarray(trades, { minLength: trades.length })))

test('the order of the trades changes nothing', () => {
  fc.assert(
    fc.property(shuffled, ([trades, others]) => {
      const { sqn, ...one } = tradeFigures(trades)
      const { sqn: otherSqn, ...other } = tradeFigures(others)
      expect(other).toEqual(one)
      if (sqn === null) expect(otherSqn).toBeNull()
      else expect(otherSqn).toBeCloseTo(sqn, 10)
    }),
  )
})

test('every trade is won, lost or flat, and expectancy lies between the worst and the best', () => {
  fc.assert(
    fc.property(fc.array(anyTrade, { minLength: 1, maxLength: 30 }), (trades) => {
      const figures = tradeFigures(trades)
      expect(figures.winning_trades + figures.losing_trades + figures.flat_trades).toBe(trades.length)
      expect(Number(figures.expectancy)).toBeGreaterThanOrEqual(Number(figures.worst_trade) - 1e-9)
      expect(Number(figures.expectancy)).toBeLessThanOrEqual(Number(figures.best_trade) + 1e-9)
    }),
  )
})
