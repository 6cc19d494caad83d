import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StatsTrade } from './stats/trades.ts'
import { computeStats, type Stats, type StatsInput } from './stats.ts'

const START = Date.UTC(2023, 11, 25)
const FRAMES = [60_000, 3_600_000, 14_400_000, 86_400_000]

/** Numbers such as a broken run may leave, beside sound ones. */
const anyEquity = fc.oneof(
  { weight: 8, arbitrary: fc.double({ min: 1, max: 1e7, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, -1, -0, 1e-300, 1e300, Number.NaN, Number.POSITIVE_INFINITY) },
)

const trade: fc.Arbitrary<StatsTrade> = fc.record({
  pnl: fc.integer({ min: -1e6, max: 1e6 }).map((cents) => String(cents / 100)),
  mae: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  mfe: fc.option(fc.double({ min: 0, max: 5, noNaN: true })),
  entry_time: fc.constant('2024-01-01T00:00:00.000Z'),
  exit_time: fc.nat(1000).map((minutes) => new Date(Date.UTC(2024, 0, 1, 0, minutes)).toISOString()),
})

const inputs = (equity: fc.Arbitrary<number>): fc.Arbitrary<StatsInput> =>
  fc
    .record({
      points: fc.array(fc.record({ equity, exposure: anyEquity, close: anyEquity, skip: fc.nat(40) }), {
        maxLength: 80,
      }),
      frame: fc.constantFrom(...FRAMES),
      calendar: fc.constantFrom('utc_days' as const, 'sessions' as const),
      trades: fc.array(trade, { maxLength: 20 }),
      cash: fc.constantFrom('100000', '0', '0.5', '1000000.25'),
      others: fc.option(
        fc.record({
          count: fc.nat(1000),
          known: fc.nat(1000),
          mean: fc.double({ min: -1, max: 1, noNaN: true }),
          squares: fc.double({ min: 0, max: 2, noNaN: true }),
        }),
      ),
      benchmark: fc.boolean(),
    })
    .map(({ points, frame, calendar, trades, cash, others, benchmark }) => {
      let ts = START
      return {
        initialCash: cash,
        finalEquity: finite(points.at(-1)?.equity),
        ts: Float64Array.from(points, ({ skip }) => (ts += frame * (1 + skip))),
        equity: Float64Array.from(points, (point) => point.equity),
        exposure: Float64Array.from(points, (point) => point.exposure),
        timeframeMs: frame,
        trades,
        fees: '1',
        slippage: '0',
        turnover: '12345',
        openTrades: 0,
        ambiguousBars: 0,
        ambiguousTrades: 0,
        calendar,
        benchmark: benchmark ? Float64Array.from(points, (point) => point.close) : null,
        ...(others ? { others } : {}),
      }
    })

function finite(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '0' : String(value)
}

function eachNumber(value: unknown, visit: (value: number) => void): void {
  if (typeof value === 'number') visit(value)
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) eachNumber(part, visit)
}

test('marks that are no numbers, as a broken run may leave, come out as null', () => {
  fc.assert(
    fc.property(inputs(anyEquity), (input) => {
      const stats = computeStats(input)
      eachNumber(stats, (value) => expect(Number.isFinite(value)).toBe(true))
      expect(JSON.parse(JSON.stringify(stats))).toEqual(stats)
    }),
    { numRuns: 500 },
  )
})

const sound = fc.double({ min: 1, max: 1e7, noNaN: true })

function expectClose(a: number | null, b: number | null): void {
  if (a === null || b === null) expect(a).toBe(b)
  else expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-7 * Math.max(1, Math.abs(a)))
}

test('falls lie between 0 and 1, the deepest first, and do not overlap', () => {
  fc.assert(
    fc.property(inputs(sound), (input) => {
      const { top_drawdowns: falls, max_drawdown } = computeStats({ ...input, initialCash: '5000' })
      expect(max_drawdown).toBe(falls[0]?.drawdown ?? 0)
      falls.forEach((fall, place) => {
        expect(fall.drawdown).toBeGreaterThan(0)
        expect(fall.drawdown).toBeLessThan(1)
        expect(fall.drawdown).toBeLessThanOrEqual(falls[place - 1]?.drawdown ?? 1)
        expect(fall.peak_at < fall.trough_at).toBe(true)
      })
      const byTime = falls.toSorted((a, b) => (a.peak_at < b.peak_at ? -1 : 1))
      byTime.slice(1).forEach((fall, before) => {
        const earlier = byTime[before]?.recovered_at ?? '9999'
        expect(earlier <= fall.peak_at).toBe(true)
      })
    }),
  )
})

test('months and years compound to the total return', () => {
  fc.assert(
    fc.property(inputs(sound), (input) => {
      fc.pre(input.equity.length > 0)
      const last = input.equity.at(-1) as number
      const stats = computeStats({ ...input, initialCash: '5000', finalEquity: String(last) })
      for (const periods of [stats.monthly_returns, stats.yearly_returns]) {
        const growth = periods.reduce((product, period) => product * (1 + (period.return ?? 0)), 1)
        expect(Math.abs(growth / (last / 5000) - 1)).toBeLessThan(1e-9)
      }
    }),
  )
})

const OF_TRADES: readonly (keyof Stats)[] = [
  'total_trades',
  'winning_trades',
  'losing_trades',
  'flat_trades',
  'win_rate',
  'profit_factor',
  'payoff_ratio',
  'expectancy',
  'average_trade',
  'best_trade',
  'worst_trade',
]

test('the order of the trades does not matter', () => {
  fc.assert(
    fc.property(inputs(sound), (input) => {
      const one = computeStats(input)
      const other = computeStats({ ...input, trades: [...input.trades].reverse() })
      for (const key of OF_TRADES) expect(other[key]).toEqual(one[key])
      expectClose(one.sqn, other.sqn)
      expect(one.winning_trades + one.losing_trades + one.flat_trades).toBe(one.total_trades)
    }),
  )
})
