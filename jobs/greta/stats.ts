/**
 * Statistics of a run, from its equity curve marked at every bar's close and its closed round trips. Pure. Every formula
 * is told in docs/statistics.md. Fractions, not percent; falls are positive; money is decimal text; what is undefined is
 * null, never NaN, an infinity or a number that stands for nothing.
 */
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import { Decimal, ZERO } from './decimals.ts'
import { type Calendar, DAYS_A_YEAR, dailyEnds, dailyReturns, type PeriodReturn, periodReturns } from './stats/days.ts'
import { type Drawdown, drawdowns } from './stats/drawdown.ts'
import { finite, mean, ratio } from './stats/numbers.ts'
import { benchmarkFigures, type ReturnFigures, returnFigures } from './stats/ratios.ts'
import { type StatsTrade, type TradeFigures, tradeFigures } from './stats/trades.ts'
import type { OtherTrials } from './stats/trials.ts'

export type { Calendar } from './stats/days.ts'
export { DAYS_A_YEAR } from './stats/days.ts'

export interface StatsInput {
  initialCash: string
  /** Cash and positions at the last closes, exact. */
  finalEquity: string
  /** Tick times, epoch milliseconds: close boundaries of bars. */
  ts: Float64Array
  /** Marked at each tick. */
  equity: Float64Array
  /** Gross position value over equity, at each tick. */
  exposure: Float64Array
  timeframeMs: number
  trades: readonly StatsTrade[]
  /** Of all fills: commission paid, what slippage cost, and the sum of qty x price. Money. */
  fees: string
  slippage: string
  turnover: string
  openTrades: number
  /** Bars in which a stop loss and a take profit both lay, and the trades that one of them closed. */
  ambiguousBars: number
  ambiguousTrades: number
  calendar: Calendar
  /** Closes of the first symbol at each tick, 0 or NaN where it has no bar. */
  benchmark?: Float64Array | null
  /** What was tried before on this data; absent when nobody counts. */
  others?: OtherTrials
}

export type Stats = TradeFigures &
  ReturnFigures & {
    initial_cash: string
    final_equity: string
    total_return: number | null
    cagr: number | null
    total_pnl: string
    max_drawdown: number
    max_drawdown_amount: string
    max_drawdown_duration_seconds: number
    max_drawdown_peak_at: string | null
    max_drawdown_trough_at: string | null
    max_drawdown_recovered_at: string | null
    calmar_ratio: number | null
    open_trades: number
    ambiguous_bars: number
    ambiguous_trades: number
    trials: number
    exposure: number | null
    gross_exposure: number | null
    turnover: number | null
    fees: string
    slippage: string
    buy_and_hold_return: number | null
    alpha: number | null
    beta: number | null
    days: number
    monthly_returns: { month: string; return: number | null }[]
    yearly_returns: { year: string; return: number | null }[]
    top_drawdowns: Drawdown[]
    cautions: string[]
    convention: string
  }

/** Raised when a formula changes, so that numbers of different conventions are not compared unawares. */
const CONVENTION = 'weaver-2'
/** Below these a result says little. */
export const FEW_TRADES = 30
export const FEW_DAYS = 60

/** One symbol that trades around the clock moves the account every day. */
export function calendarOf(symbols: readonly string[]): Calendar {
  return symbols.some(tradesAroundTheClock) ? 'utc_days' : 'sessions'
}

export function computeStats(input: StatsInput): Stats {
  const { ts, equity, calendar } = input
  const year = DAYS_A_YEAR[calendar]
  const initial = new Decimal(input.initialCash)
  const final = new Decimal(input.finalEquity)
  const start = Number(initial.toString())
  const ends = dailyEnds(ts, input.timeframeMs, calendar)
  const returns = dailyReturns(equity, ends, start)
  const days = ends.days.length
  const falls = drawdowns(ts, equity, { value: start, ts: (ts[0] ?? 0) - input.timeframeMs })
  const [worst] = falls
  const growth = initial.gt(ZERO) ? Number(final.toString()) / start : null
  const cagr = growth === null || growth < 0 || days === 0 ? null : finite(growth ** (year / days) - 1)
  const trades = tradeFigures(input.trades)
  const ratios = returnFigures(returns ?? new Float64Array(0), year, input.others ?? null)
  const trials = (input.others?.count ?? 0) + 1
  return {
    initial_cash: initial.toString(),
    final_equity: final.toString(),
    total_return: growth === null ? null : finite(Number(final.minus(initial).toString()) / start),
    cagr,
    total_pnl: final.minus(initial).toString(),
    max_drawdown: worst?.drawdown ?? 0,
    max_drawdown_amount: worst?.amount ?? '0',
    max_drawdown_duration_seconds: worst?.duration_seconds ?? 0,
    max_drawdown_peak_at: worst?.peak_at ?? null,
    max_drawdown_trough_at: worst?.trough_at ?? null,
    max_drawdown_recovered_at: worst?.recovered_at ?? null,
    ...ratios,
    trials,
    calmar_ratio: ratio(cagr, worst?.drawdown ?? 0),
    ...trades,
    open_trades: input.openTrades,
    ambiguous_bars: input.ambiguousBars,
    ambiguous_trades: input.ambiguousTrades,
    ...exposureFigures(input.exposure),
    turnover: perAverageEquity(Number(input.turnover), equity),
    fees: input.fees,
    slippage: input.slippage,
    ...againstBuyAndHold(input, returns, ends, year),
    days,
    monthly_returns: named(periodReturns(equity, ends, start, 7), 'month'),
    yearly_returns: named(periodReturns(equity, ends, start, 4), 'year'),
    top_drawdowns: falls,
    cautions: [
      ...fewOf(trades.total_trades, days),
      ...luckOf(trials, ratios.dsr),
      ...ambiguityOf(input.ambiguousTrades, trades.total_trades),
    ],
    convention: `${CONVENTION}/${calendar}/${year}`,
  }
}

function perAverageEquity(turnover: number, equity: Float64Array): number | null {
  if (turnover === 0) return 0
  const average = mean(equity)
  return average > 0 ? finite(turnover / average) : null
}

/** Share of the ticks with a position, and the mean of gross position value over equity where equity is positive. */
function exposureFigures(exposure: Float64Array): { exposure: number | null; gross_exposure: number | null } {
  let held = 0
  let gross = 0
  let known = 0
  for (const value of exposure) {
    if (value !== 0) held += 1
    if (value >= 0 && Number.isFinite(value)) {
      gross += value
      known += 1
    }
  }
  return { exposure: ratio(held, exposure.length), gross_exposure: ratio(gross, known) }
}

/** Against holding the first symbol from its first close on. */
function againstBuyAndHold(
  { benchmark }: StatsInput,
  returns: Float64Array | null,
  ends: Parameters<typeof dailyReturns>[1],
  year: number,
): Pick<Stats, 'buy_and_hold_return' | 'alpha' | 'beta'> {
  const none = { buy_and_hold_return: null, alpha: null, beta: null }
  const base = benchmark?.find((close) => close > 0 && Number.isFinite(close))
  if (!benchmark || base === undefined) return none
  let price = base
  const held = benchmark.map((close) => {
    if (close > 0 && Number.isFinite(close)) price = close
    return price
  })
  const theirs = dailyReturns(held, ends, base)
  return {
    ...none,
    buy_and_hold_return: finite(price / base - 1),
    ...(returns && theirs ? benchmarkFigures(returns, theirs, year) : {}),
  }
}

function named<Name extends string>(
  periods: readonly PeriodReturn[],
  name: Name,
): ({ [key in Name]: string } & { return: number | null })[] {
  return periods.map(
    (one) => ({ [name]: one.period, return: one.return }) as { [key in Name]: string } & { return: number | null },
  )
}

function fewOf(trades: number, days: number): string[] {
  const cautions: string[] = []
  if (trades < FEW_TRADES) cautions.push(`${trades} closed trades: under ${FEW_TRADES}, trade statistics say little`)
  if (days < FEW_DAYS) cautions.push(`${days} days: under ${FEW_DAYS}, annualised figures say little`)
  return cautions
}

/** Below this the best of so many trials may as well have been lucky. */
const SKILL = 0.95

function luckOf(trials: number, dsr: number | null): string[] {
  if (trials < 2 || dsr === null || dsr >= SKILL) return []
  const chance = `${Math.floor(dsr * 100)} %`
  return [
    `${trials} variants tried on this data: that this one is better than luck would make the best of them has a probability of ${chance} only`,
  ]
}

function ambiguityOf(decided: number, trades: number): string[] {
  if (decided === 0) return []
  return [
    `${decided} of ${trades} closed trades ended in a bar that held both stop loss and take profit: the stop loss was taken, what came first is not known`,
  ]
}
