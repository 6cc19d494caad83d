/** Figures of daily returns, by empyrical's definitions; skew and kurtosis by scipy's. */

import { normalCdf } from './normal.ts'
import { deviation, finite, mean, percentile, powerSum, ratio } from './numbers.ts'
import { expectedBestSharpe, type OtherTrials, withOwn } from './trials.ts'

/**
 * Returns that differ by less than this do not vary: a constant growth comes out of float64 with a deviation of about
 * 1e-16, and a ratio to it would mean nothing.
 */
const NO_VARIANCE = 1e-14

export type ReturnFigures = {
  volatility: number | null
  sharpe_ratio: number | null
  sortino_ratio: number | null
  skew: number | null
  kurtosis: number | null
  tail_ratio: number | null
  value_at_risk: number | null
  psr: number | null
  dsr: number | null
}

const NOTHING: ReturnFigures = {
  volatility: null,
  sharpe_ratio: null,
  sortino_ratio: null,
  skew: null,
  kurtosis: null,
  tail_ratio: null,
  value_at_risk: null,
  psr: null,
  dsr: null,
}

export function returnFigures(returns: Float64Array, year: number, others: OtherTrials | null): ReturnFigures {
  const n = returns.length
  if (n === 0) return NOTHING
  const sorted = returns.toSorted()
  const low = percentile(sorted, 0.05)
  const figures = {
    ...NOTHING,
    value_at_risk: finite(low),
    tail_ratio: ratio(Math.abs(percentile(sorted, 0.95)), Math.abs(low)),
  }
  if (n < 2) return figures
  const average = mean(returns)
  const sortino_ratio = sortino(returns, average, year)
  const std = deviation(returns)
  if (!(std > NO_VARIANCE)) return { ...figures, volatility: 0, sortino_ratio }
  const variance = powerSum(returns, average, 2) / n
  const skew = finite(powerSum(returns, average, 3) / n / variance ** 1.5)
  const kurtosis = finite(powerSum(returns, average, 4) / n / (variance * variance) - 3)
  const sharpe = average / std
  const shape = { n, skew, kurtosis }
  return {
    ...figures,
    volatility: finite(std * Math.sqrt(year)),
    sharpe_ratio: finite(sharpe * Math.sqrt(year)),
    sortino_ratio,
    skew,
    kurtosis,
    psr: probabilisticSharpe(sharpe, 0, shape),
    dsr: others === null ? null : probabilisticSharpe(sharpe, expectedBestSharpe(withOwn(others, sharpe)), shape),
  }
}

function sortino(returns: Float64Array, average: number, year: number): number | null {
  let squares = 0
  for (const value of returns) if (value < 0) squares += value * value
  const downside = Math.sqrt(squares / returns.length)
  return downside > NO_VARIANCE ? finite((average * year) / (downside * Math.sqrt(year))) : null
}

/** Probability that the true daily Sharpe ratio is above `threshold` (Bailey and Lopez de Prado 2012). */
export function probabilisticSharpe(
  sharpe: number,
  threshold: number,
  shape: { n: number; skew: number | null; kurtosis: number | null },
): number | null {
  if (shape.skew === null || shape.kurtosis === null) return null
  const raw = shape.kurtosis + 3
  const spread = 1 - shape.skew * sharpe + ((raw - 1) / 4) * sharpe * sharpe
  return spread > 0 ? finite(normalCdf(((sharpe - threshold) * Math.sqrt(shape.n - 1)) / Math.sqrt(spread))) : null
}

/** Against a benchmark's returns on the same days. Alpha is annualised, compounding. */
export function benchmarkFigures(
  returns: Float64Array,
  benchmark: Float64Array,
  year: number,
): { alpha: number | null; beta: number | null } {
  if (returns.length < 2 || !(deviation(benchmark) > NO_VARIANCE)) return { alpha: null, beta: null }
  const [ours, theirs] = [mean(returns), mean(benchmark)]
  let shared = 0
  for (let day = 0; day < returns.length; day++) {
    shared += ((returns[day] as number) - ours) * ((benchmark[day] as number) - theirs)
  }
  const beta = shared / powerSum(benchmark, theirs, 2)
  return { alpha: finite((1 + ours - beta * theirs) ** year - 1), beta: finite(beta) }
}
