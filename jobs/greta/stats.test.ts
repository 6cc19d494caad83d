import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { calendarOf, computeStats, type Stats, type StatsInput } from './stats.ts'

const DAY = 86_400_000
const MONDAY = Date.UTC(2024, 0, 1)

/** A run of daily bars on a 24/7 symbol that marks these equities; nothing traded unless said. */
function input(equity: readonly number[], changes: Partial<StatsInput> = {}): StatsInput {
  return {
    initialCash: '1000',
    finalEquity: String(equity.at(-1) ?? 1000),
    ts: Float64Array.from(equity, (_, day) => MONDAY + (day + 1) * DAY),
    equity: Float64Array.from(equity),
    exposure: new Float64Array(equity.length),
    timeframeMs: DAY,
    trades: [],
    fees: '0',
    slippage: '0',
    turnover: '0',
    openTrades: 0,
    ambiguousBars: 0,
    ambiguousTrades: 0,
    calendar: 'utc_days',
    ...changes,
  }
}

/** From 1000: +10 %, -5 %, +2 %, -10 %, +7 %. */
const FIVE_DAYS = [1100, 1045, 1065.9, 959.31, 1026.4617]

describe('five days by hand', () => {
  const stats = computeStats(input(FIVE_DAYS))

  test('money and growth', () => {
    expect(stats).toMatchObject({
      initial_cash: '1000',
      final_equity: '1026.4617',
      total_pnl: '26.4617',
      days: 5,
      convention: 'weaver-2/utc_days/365',
    })
    expect(stats.total_return).toBeCloseTo(0.0264617, 12)
    // 1.0264617 ^ (365 / 5)
    expect(stats.cagr).toBeCloseTo(1.0264617 ** 73 - 1, 10)
  })

  test('the deepest fall is from 1100 to 959.31', () => {
    // 1 - 0.95 x 1.02 x 0.9 = 0.1279; 1100 - 959.31 = 140.69
    expect(stats.max_drawdown).toBeCloseTo(0.1279, 12)
    expect(stats).toMatchObject({
      max_drawdown_amount: '140.69',
      max_drawdown_peak_at: '2024-01-02T00:00:00.000Z',
      max_drawdown_trough_at: '2024-01-05T00:00:00.000Z',
      max_drawdown_recovered_at: null,
      max_drawdown_duration_seconds: 4 * 86_400,
    })
  })

  test('ratios of the daily returns', () => {
    // mean 0.04 / 5 = 0.008; squared distances 0.008464 + 0.003364 + 0.000144 + 0.011664 + 0.003844 = 0.02748
    const std = Math.sqrt(0.02748 / 4)
    expect(stats.volatility).toBeCloseTo(std * Math.sqrt(365), 12)
    expect(stats.sharpe_ratio).toBeCloseTo((0.008 / std) * Math.sqrt(365), 12)
    // (0.05^2 + 0.1^2) / 5 = 0.0025, its root 0.05
    expect(stats.sortino_ratio).toBeCloseTo((0.008 * 365) / (0.05 * Math.sqrt(365)), 12)
    expect(stats.calmar_ratio).toBeCloseTo((1.0264617 ** 73 - 1) / 0.1279, 9)
    // sorted -0.1 -0.05 0.02 0.07 0.1: rank 0.05 x 4 = 0.2 -> -0.09; rank 3.8 -> 0.094
    expect(stats.value_at_risk).toBeCloseTo(-0.09, 12)
    expect(stats.tail_ratio).toBeCloseTo(0.094 / 0.09, 12)
    // scipy.stats.skew and kurtosis, bias=True, fisher=True
    expect(stats.skew).toBeCloseTo(-0.2140553459316797, 12)
    expect(stats.kurtosis).toBeCloseTo(-1.4519523528028326, 12)
  })
})

/** Cents, by a linear congruential generator: the same curve as that of the Python script behind the numbers below. */
function cents(days: number, seed: number, start: number): number[] {
  let state = seed
  let value = start
  return Array.from({ length: days }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    value = Math.round(value * (1 + (((state >> 8) % 2001) - 990) / 100000) * 100) / 100
    return value
  })
}

/**
 * r = equity / previous - 1 from 100000, b = close / previous - 1 from the first close; empyrical-reloaded 0.7.1,
 * scipy 1.17.1, numpy 2.4.6. sharpe_ratio(r), sortino_ratio(r), annual_volatility(r), cagr(r), calmar_ratio(r),
 * alpha(r, b), beta(r, b), each with annualization=N; tail_ratio(r), -max_drawdown(r), value_at_risk(r);
 * scipy.stats.skew(r), kurtosis(r). With SR = mean / std(ddof=1): psr = norm.cdf(SR sqrt(n - 1) / d),
 * d = sqrt(1 - skew SR + (kurtosis(fisher=False) - 1) / 4 SR^2); dsr with SR - SR0 for 20 trials of variance 0.004,
 * SR0 = sqrt(0.004) ((1 - euler_gamma) norm.ppf(1 - 1/20) + euler_gamma norm.ppf(1 - 1/(20 e))).
 */
const PYTHON = {
  utc_days: {
    total_return: 0.007432300000000058,
    cagr: 0.022778541105403782,
    volatility: 0.11203257590155555,
    sharpe_ratio: 0.25657348101726385,
    sortino_ratio: 0.37709117444341483,
    calmar_ratio: 0.38751337320200147,
    alpha: 0.00652890997051081,
    max_drawdown: 0.05878130325461019,
    skew: 0.08666731657284306,
    kurtosis: -1.1143079245158223,
    tail_ratio: 1.069778398341134,
    value_at_risk: -0.008842486078862621,
    beta: 0.11223819059279154,
    psr: 0.5582693357155257,
    dsr: 0.12190721137045074,
  },
  sessions: {
    cagr: 0.01567164692115086,
    volatility: 0.09308895601123834,
    sharpe_ratio: 0.21318939867145145,
    sortino_ratio: 0.3133287212893749,
    alpha: 0.004503088338440042,
  },
} as const

test.each(['utc_days', 'sessions'] as const)(
  'with %s the figures are those of empyrical and scipy to 1e-12',
  (calendar) => {
    const equity = cents(120, 42, 100_000)
    const benchmark = Float64Array.from(cents(120, 7, 50))
    expect([equity[0], equity.at(-1), benchmark[0], benchmark.at(-1)]).toEqual([99319, 100743.23, 50.49, 53.77])
    // 19 others around this one's own ratio, whose variance with it is 0.004
    const mean = PYTHON[calendar].sharpe_ratio / Math.sqrt(calendar === 'utc_days' ? 365 : 252)
    const others = { count: 19, known: 19, mean, squares: 0.004 * 19 }
    const stats = computeStats(input(equity, { initialCash: '100000', calendar, benchmark, others }))
    const found = Object.fromEntries(Object.keys(PYTHON[calendar]).map((key) => [key, stats[key as keyof Stats]]))
    for (const [key, value] of Object.entries(PYTHON[calendar])) expect(found[key], key).toBeCloseTo(value, 12)
    // 53.77 / 50.49 - 1
    expect(stats.buy_and_hold_return).toBeCloseTo(0.0649633590809, 12)
  },
)

test('the amount of the deepest fall is told even where a shallower fall lost more money', () => {
  // 100 -> 80 is a fifth and 20; 1000 -> 900 is a tenth and 100
  const stats = computeStats(input([100, 80, 1000, 900], { initialCash: '100' }))
  expect(stats).toMatchObject({ max_drawdown: 0.2, max_drawdown_amount: '20' })
  expect(stats.top_drawdowns.map(({ drawdown, amount }) => [drawdown, amount])).toEqual([
    [0.2, '20'],
    [0.1, '100'],
  ])
})

test('the curve starts with the initial cash: a first bar below it is a fall from the open of the first bar', () => {
  expect(computeStats(input([900, 950, 1001]))).toMatchObject({
    max_drawdown: 0.1,
    max_drawdown_amount: '100',
    max_drawdown_peak_at: '2024-01-01T00:00:00.000Z',
    max_drawdown_trough_at: '2024-01-02T00:00:00.000Z',
    max_drawdown_recovered_at: '2024-01-04T00:00:00.000Z',
    max_drawdown_duration_seconds: 3 * 86_400,
  })
})

test('exposure is the share of ticks with a position, gross exposure the mean of value over positive equity', () => {
  const exposure = Float64Array.of(0, 0.5, 1.5, 0, -4, Number.POSITIVE_INFINITY)
  // 4 of 6; (0 + 0.5 + 1.5 + 0) / 4
  const stats = computeStats(input([1000, 1000, 1000, 1000, -5, 0], { exposure }))
  expect(stats).toMatchObject({ exposure: 4 / 6, gross_exposure: 0.5 })
})

test('turnover is what was traded over the mean equity, not annualised', () => {
  // (1000 + 3000) / 2
  expect(computeStats(input([1000, 3000], { turnover: '5000' })).turnover).toBe(2.5)
  expect(computeStats(input([-10, 3], { turnover: '5000' })).turnover).toBeNull()
})

test('the benchmark is held from its first close; a tick without a bar keeps the close before', () => {
  const benchmark = Float64Array.of(Number.NaN, 50, 0, 60)
  const stats = computeStats(input([1000, 1010, 1005, 1020], { benchmark }))
  expect(stats.buy_and_hold_return).toBeCloseTo(0.2, 12)
})

test('a strategy that is its benchmark has beta 1 and alpha 0', () => {
  const stats = computeStats(
    input(FIVE_DAYS.slice(1), { initialCash: '1045', benchmark: Float64Array.from(FIVE_DAYS.slice(1)) }),
  )
  expect(stats.beta).toBeCloseTo(1, 12)
  expect(stats.alpha).toBeCloseTo(0, 12)
})

describe('what is undefined is null', () => {
  const undefinedRatios = {
    sharpe_ratio: null,
    sortino_ratio: null,
    skew: null,
    kurtosis: null,
    psr: null,
    dsr: null,
    alpha: null,
    beta: null,
    calmar_ratio: null,
  }

  test('without a tick', () => {
    expect(computeStats(input([], { others: { count: 2, known: 2, mean: 0.1, squares: 0.1 } }))).toMatchObject({
      ...undefinedRatios,
      ...{ total_return: 0, cagr: null, volatility: null, value_at_risk: null, tail_ratio: null, exposure: null },
      ...{ max_drawdown: 0, max_drawdown_amount: '0', max_drawdown_peak_at: null, max_drawdown_duration_seconds: 0 },
      ...{ days: 0, monthly_returns: [], yearly_returns: [], top_drawdowns: [], turnover: 0, gross_exposure: null },
    })
  })

  test('with one tick', () => {
    const stats = computeStats(input([1010], { benchmark: Float64Array.of(5) }))
    expect(stats).toMatchObject({ ...undefinedRatios, volatility: null, days: 1, tail_ratio: 1 })
    expect(stats.value_at_risk).toBeCloseTo(0.01, 12)
    expect(stats.cagr).toBeCloseTo(1.01 ** 365 - 1, 10)
    expect(stats.monthly_returns).toEqual([{ month: '2024-01', return: 1010 / 1000 - 1 }])
  })

  test('with a constant curve', () => {
    const benchmark = Float64Array.of(5, 5, 5)
    expect(computeStats(input([1000, 1000, 1000], { benchmark }))).toMatchObject({
      ...undefinedRatios,
      ...{ volatility: 0, cagr: 0, total_return: 0, value_at_risk: 0, tail_ratio: null, buy_and_hold_return: 0 },
    })
  })

  test('with a constant growth that float64 does not hit exactly', () => {
    const curve = Array.from({ length: 400 }, (_, day) => 1000 * 1.0001 ** (day + 1))
    expect(computeStats(input(curve))).toMatchObject({ ...undefinedRatios, volatility: 0, max_drawdown: 0 })
  })

  test('with an equity that goes to zero and below', () => {
    const stats = computeStats(input([500, 0, -100, 50]))
    expect(stats).toMatchObject({
      ...{ ...undefinedRatios, calmar_ratio: expect.any(Number) },
      volatility: null,
      max_drawdown: 1.1,
      max_drawdown_amount: '1100',
    })
    // what is left after four days, 50 of 1000, is nothing after a year
    expect(stats.calmar_ratio).toBeCloseTo(-1 / 1.1, 12)
  })
})

describe('days', () => {
  const HOUR = 3_600_000

  test('a 24/7 symbol returns 0 on a day without a bar', () => {
    // bars on days 1 and 4
    const ts = Float64Array.of(MONDAY + DAY, MONDAY + 4 * DAY)
    const stats = computeStats(input([1100, 1210], { ts }))
    const [mean, n] = [0.2 / 4, 4]
    const std = Math.sqrt((2 * 0.05 ** 2 + 2 * 0.05 ** 2) / (n - 1))
    expect(stats.days).toBe(4)
    expect(stats.sharpe_ratio).toBeCloseTo((mean / std) * Math.sqrt(365), 10)
  })

  test('equities have session dates only', () => {
    // Friday's and Monday's session of 7 hourly bars
    const opens = [Date.UTC(2024, 0, 5, 14, 30), Date.UTC(2024, 0, 8, 14, 30)]
    const ts = opens.flatMap((open) => Array.from({ length: 7 }, (_, bar) => open + (bar + 1) * HOUR))
    const equity = ts.map((_, bar) => 1000 + bar)
    const stats = computeStats(
      input(equity, { ts: Float64Array.from(ts), timeframeMs: HOUR, calendar: calendarOf(['SPY']) }),
    )
    expect(stats).toMatchObject({ days: 2, convention: 'weaver-2/sessions/252' })
  })

  test('one 24/7 symbol among equities makes every day count', () => {
    expect(['SPY', 'BTC/USD'].map((symbol) => calendarOf([symbol]))).toEqual(['sessions', 'utc_days'])
    expect(calendarOf(['SPY', 'BTC/USD'])).toBe('utc_days')
  })

  test('months and years compound to the whole', () => {
    const equity = cents(500, 3, 1000)
    const stats = computeStats(input(equity))
    const compounded = (periods: { return: number | null }[]) =>
      periods.reduce((growth, { return: r }) => growth * (1 + (r ?? Number.NaN)), 1) - 1
    expect(stats.monthly_returns.map(({ month }) => month).slice(0, 2)).toEqual(['2024-01', '2024-02'])
    expect(stats.monthly_returns).toHaveLength(17)
    expect(stats.yearly_returns.map(({ year }) => year)).toEqual(['2024', '2025'])
    expect(compounded(stats.monthly_returns)).toBeCloseTo(stats.total_return ?? Number.NaN, 12)
    expect(compounded(stats.yearly_returns)).toBeCloseTo(stats.total_return ?? Number.NaN, 12)
  })
})

test('cautions are attached under 30 trades and under 60 days, to what luck may have done, to what no bar tells', () => {
  expect(computeStats(input(FIVE_DAYS)).cautions).toEqual([
    '0 closed trades: under 30, trade statistics say little',
    '5 days: under 60, annualised figures say little',
  ])
  const trade = { pnl: '1', mae: null, mfe: null, entry_time: '2024-01-01', exit_time: '2024-01-02' }
  const enough = input(cents(60, 1, 1000), { trades: Array(30).fill(trade) })
  expect(computeStats(enough).cautions).toEqual([])
  const others = { count: 499, known: 2, mean: 0.1, squares: 0.5 }
  expect(computeStats({ ...enough, ambiguousTrades: 4, others })).toMatchObject({
    trials: 500,
    cautions: [
      '500 variants tried on this data: that this one is better than luck would make the best of them has a probability of 0 % only',
      '4 of 30 closed trades ended in a bar that held both stop loss and take profit: the stop loss was taken, what came first is not known',
    ],
  })
})

const FRACTIONS = [
  ...['total_return', 'cagr', 'max_drawdown', 'volatility', 'sharpe_ratio', 'sortino_ratio', 'calmar_ratio', 'skew'],
  ...['kurtosis', 'tail_ratio', 'value_at_risk', 'psr', 'turnover', 'win_rate', 'profit_factor', 'payoff_ratio', 'sqn'],
] as const

test('a hundred times the money gives the same fractions', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 500, max: 2000 }), { minLength: 2, maxLength: 40 }), (equity) => {
      const trades = equity.map((value) => ({ value: value - 1000, times: { entry_time: '2024', exit_time: '2025' } }))
      const of = (k: number) =>
        computeStats(
          input(
            equity.map((value) => value * k),
            {
              initialCash: String(1000 * k),
              turnover: String(700 * k),
              trades: trades.map(({ value, times }) => ({ ...times, pnl: String(value * k), mae: null, mfe: null })),
            },
          ),
        ) as unknown as Record<string, number | null>
      const [one, hundred] = [of(1), of(100)]
      for (const key of FRACTIONS) {
        const expected = one[key] ?? null
        if (expected === null) expect(hundred[key], key).toBeNull()
        else
          expect(Math.abs((hundred[key] ?? Number.NaN) - expected), key).toBeLessThan(1e-9 * (1 + Math.abs(expected)))
      }
    }),
  )
})

test('a curve that never falls has no drawdown', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { maxLength: 40 }), (steps) => {
      let value = 1000
      const stats = computeStats(input(steps.map((step) => (value += step))))
      expect(stats).toMatchObject({ max_drawdown: 0, max_drawdown_amount: '0', top_drawdowns: [], calmar_ratio: null })
    }),
  )
})

/** Every number and decimal text in the statistics, by its path. */
function unsound(value: unknown, path = ''): string[] {
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0) ? [] : [`${path}: ${value}`]
  if (typeof value === 'string') return /NaN|Infinity|undefined|Invalid/.test(value) ? [`${path}: ${value}`] : []
  if (value === null || typeof value !== 'object') return value === undefined ? [`${path}: undefined`] : []
  return Object.entries(value).flatMap(([key, inner]) => unsound(inner, `${path}.${key}`))
}

/** Any amount of money that a decimal text of 12 places can hold. */
const anyNumber = fc.oneof(
  fc.double({ min: -1e15, max: 1e15, noNaN: true }).map((value) => (Math.abs(value) < 1e-12 ? 0 : value)),
  fc.integer({ min: -2000, max: 2000 }),
  fc.constantFrom(0, 1000, 1e-12, -1e-12, 1e15, -1e15),
)
const money = fc.oneof(
  fc.integer({ min: -1_000_000, max: 1_000_000 }).map((n) => String(n / 100)),
  fc.constantFrom('0', '0.000000000001', '-123456789012345678901234567890.5', '1000'),
)

test('nothing is ever NaN, an infinity, -0 or left out, whatever the curve, the trades and the benchmark', () => {
  const anything = fc.record({
    points: fc.array(fc.tuple(anyNumber, fc.oneof(anyNumber, fc.constantFrom(Number.NaN, Infinity))), {
      maxLength: 30,
    }),
    gaps: fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 30, maxLength: 30 }),
    timeframeMs: fc.constantFrom(60_000, 3_600_000, DAY),
    initialCash: money,
    finalEquity: money,
    turnover: fc.constantFrom('0', '1', '5000.5', '99999999999999999999'),
    calendar: fc.constantFrom<'utc_days' | 'sessions'>('utc_days', 'sessions'),
    trades: fc.array(
      fc.record({
        pnl: money,
        mae: fc.option(anyNumber),
        mfe: fc.option(anyNumber),
        entry_time: fc.constant('2024-01-01T00:00:00.000Z'),
        exit_time: fc.constantFrom('2024-01-01T00:00:00.000Z', '2024-02-01T00:00:00.000Z'),
      }),
      { maxLength: 8 },
    ),
    others: fc.record({
      count: fc.nat(1_000_000),
      known: fc.nat(1_000_000),
      mean: fc.double({ min: -1e3, max: 1e3, noNaN: true }),
      squares: fc.double({ min: 0, max: 1e6, noNaN: true }),
    }),
  })
  fc.assert(
    fc.property(anything, ({ points, gaps, ...rest }) => {
      let ts = MONDAY
      const stats = computeStats({
        ...input([]),
        ...rest,
        ts: Float64Array.from(points, (_, at) => (ts += (gaps[at] ?? 1) * rest.timeframeMs)),
        equity: Float64Array.from(points, ([equity]) => equity),
        exposure: Float64Array.from(points, ([, exposure]) => exposure),
        benchmark: Float64Array.from(points, ([, close]) => close),
      })
      expect(unsound(stats)).toEqual([])
    }),
    { numRuns: 1000 },
  )
})

test('a million ticks are one call', () => {
  const ticks = 1_000_000
  const stats = computeStats({
    ...input([]),
    timeframeMs: 60_000,
    ts: Float64Array.from({ length: ticks }, (_, tick) => MONDAY + (tick + 1) * 60_000),
    // up by 1 and down by 1 in turns, from 1001
    equity: Float64Array.from({ length: ticks }, (_, tick) => 1001 - (tick % 2)),
    exposure: new Float64Array(ticks).fill(0.5),
    benchmark: new Float64Array(ticks).fill(7),
  })
  // 1,000,000 minutes are 694 days and 640 minutes
  expect(stats).toMatchObject({ days: 695, exposure: 1, gross_exposure: 0.5, max_drawdown_amount: '1' })
  expect(stats.max_drawdown).toBeCloseTo(1 / 1001, 12)
  expect(stats.top_drawdowns).toHaveLength(5)
})
