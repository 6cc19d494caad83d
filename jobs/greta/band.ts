/**
 * The assumption band: which fill models a backtest is played under besides its own, and what of each result is kept.
 * Pure. Limits filled when touched or when traded through, market orders at the next open or at that bar's close, and
 * no, the stated or twice the slippage, all with all; and the other exit of an ambiguous bar, under the run's own rules.
 */
import type { BandVariant } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from './decimals.ts'
import type { FillModel } from './fill_model.ts'
import type { Stats } from './stats.ts'

/** Twice nothing is nothing: a run without slippage is measured against this much. */
const SLIPPAGE_WHERE_NONE = '5'

/** The run's own model first. `ambiguous`: bars of the run held both exits of a position. */
export function bandModels(stored: FillModel, ambiguous: boolean): FillModel[] {
  // Models of older versions lack the rules that only the band changes.
  const own: FillModel = {
    ...stored,
    market_fill: stored.market_fill ?? 'next_open',
    ambiguous_bar: stored.ambiguous_bar ?? 'stop_loss',
  }
  const stated = new Decimal(own.slippage_bps)
  const unit = stated.gt(ZERO) ? stated : new Decimal(SLIPPAGE_WHERE_NONE)
  const models: FillModel[] = [own]
  for (const limit_fill of ['penetrate', 'touch'] as const) {
    for (const market_fill of ['next_open', 'next_close'] as const) {
      for (const slippage_bps of ['0', unit.toString(), unit.times(2).toString()]) {
        models.push({ ...own, limit_fill, market_fill, slippage_bps })
      }
    }
  }
  if (ambiguous) models.push({ ...own, ambiguous_bar: 'take_profit' })
  const kept = new Map(models.toReversed().map((model) => [nameOf(model), model]))
  return models.filter((model) => kept.get(nameOf(model)) === model)
}

function nameOf({ limit_fill, market_fill, slippage_bps, ambiguous_bar }: FillModel): string {
  return [limit_fill, market_fill, new Decimal(slippage_bps), ambiguous_bar].join(' ')
}

export function bandVariant(model: FillModel, stats: Stats): BandVariant {
  const { limit_fill, market_fill, slippage_bps, ambiguous_bar } = model
  const { final_equity, total_return, max_drawdown, sharpe_ratio, total_trades, win_rate } = stats
  return {
    ...{ limit_fill, market_fill, slippage_bps, ambiguous_bar },
    ...{ final_equity, total_return, max_drawdown, sharpe_ratio, total_trades, win_rate },
  }
}
