/** Figures of closed round trips. Money is exact; a trade that made nothing is neither won nor lost. */
import type { TradeRow } from '../../../db/walle/rows.ts'
import { Decimal, ZERO } from '../decimals.ts'
import { deviation, finite, mean, ratio } from './numbers.ts'

export type TradeFigures = {
  total_trades: number
  winning_trades: number
  losing_trades: number
  flat_trades: number
  win_rate: number | null
  profit_factor: number | null
  expectancy: string | null
  payoff_ratio: number | null
  sqn: number | null
  average_trade: string | null
  best_trade: string | null
  worst_trade: string | null
  mae: number | null
  mfe: number | null
  average_holding_seconds: number | null
}

export type StatsTrade = Pick<TradeRow, 'pnl' | 'mae' | 'mfe' | 'entry_time' | 'exit_time'>

export function tradeFigures(trades: readonly StatsTrade[]): TradeFigures {
  const pnls = trades.map((trade) => new Decimal(trade.pnl))
  const won = pnls.filter((pnl) => pnl.gt(ZERO))
  const lost = pnls.filter((pnl) => pnl.lt(ZERO))
  const [gain, loss] = [total(won), total(lost)]
  const count = trades.length
  const average = count === 0 ? null : gain.plus(loss).div(count).toString()
  return {
    total_trades: count,
    winning_trades: won.length,
    losing_trades: lost.length,
    flat_trades: count - won.length - lost.length,
    win_rate: ratio(won.length, count),
    profit_factor: ratio(number(gain), -number(loss)),
    expectancy: average,
    payoff_ratio: won.length === 0 ? null : ratio(number(gain) / won.length, -number(loss) / lost.length),
    sqn: systemQuality(pnls.map(number)),
    average_trade: average,
    best_trade: extreme(pnls, (a, b) => a.gt(b)),
    worst_trade: extreme(pnls, (a, b) => a.lt(b)),
    mae: known(trades.map((trade) => trade.mae)),
    mfe: known(trades.map((trade) => trade.mfe)),
    average_holding_seconds: known(
      trades.map((trade) => (Date.parse(trade.exit_time) - Date.parse(trade.entry_time)) / 1000),
    ),
  }
}

const number = (value: Decimal): number => Number(value.toString())

function total(values: readonly Decimal[]): Decimal {
  return values.reduce((sum, value) => sum.plus(value), ZERO)
}

function extreme(values: readonly Decimal[], beats: (a: Decimal, b: Decimal) => boolean): string | null {
  const [first] = values
  return first === undefined
    ? null
    : values.reduce((best, value) => (beats(value, best) ? value : best), first).toString()
}

/** Mean of what is known; null when nothing is. */
function known(values: readonly (number | null)[]): number | null {
  return finite(mean(values.filter((value) => value !== null)))
}

/** Van Tharp's system quality number. Equal results have no deviation beyond the rounding of the mean. */
function systemQuality(pnls: readonly number[]): number | null {
  const spread = deviation(pnls)
  const average = mean(pnls)
  if (!(spread > Math.abs(average) * 1e-14)) return null
  return finite((Math.sqrt(pnls.length) * average) / spread)
}
