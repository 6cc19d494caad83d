/** How often a strategy was tried on some data, and what the best of so many trials is worth by luck alone. */
import { normalQuantile } from './normal.ts'

const EULER_GAMMA = 0.5772156649015329

/** What was tried before: every other variant of the strategy on this data. */
export interface OtherTrials {
  count: number
  /** Of those whose Sharpe ratio is known: how many, their mean, and the sum of squared distances from it. */
  known: number
  mean: number
  squares: number
}

export interface Trials {
  count: number
  /** Variance (divisor n - 1) of the trials' daily Sharpe ratios, not annualised. */
  variance: number
}

/** The others and this one, whose daily Sharpe ratio is `sharpe` (Welford's step). */
export function withOwn({ count, known, mean, squares }: OtherTrials, sharpe: number): Trials {
  const distance = sharpe - mean
  const variance = known === 0 ? 0 : (squares + (distance * distance * known) / (known + 1)) / known
  return { count: count + 1, variance }
}

/** The best daily Sharpe ratio to expect of so many trials of no skill (Bailey and Lopez de Prado 2014); 0 for one. */
export function expectedBestSharpe({ count, variance }: Trials): number {
  if (!(count > 1) || !(variance > 0)) return 0
  const best =
    (1 - EULER_GAMMA) * normalQuantile(1 - 1 / count) + EULER_GAMMA * normalQuantile(1 - 1 / (count * Math.E))
  return Math.sqrt(variance) * best
}
