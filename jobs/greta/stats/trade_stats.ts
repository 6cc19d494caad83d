/** Statistics of round trips, in money, net of fees. A trade of exactly zero is flat: neither won nor lost. Pure. */
import type { TradeRow } from '../../../db/walle/rows.ts'
import { Decimal, ZERO } from '../decimals.ts'
import { mean, spread } from './moments.ts'

export function tradeStats(trades: readonly TradeRow[]) {
  const pnls = trades.map((trade) => new Decimal(trade.pnl))
  const won = pnls.filter((pnl) => pnl.gt(ZERO))
  const lost = pnls.filter((pnl) => pnl.lt(ZERO))
  const sum = (values: readonly Decimal[]) => values.reduce((total, value) => total.plus(value), ZERO)
  const average = (values: readonly Decimal[]) => (values.length === 0 ? null : sum(values).div(values.length))
  const text = (value: Decimal | null) => value?.toString() ?? null
  const averageWin = average(won)
  const averageLoss = average(lost)
  const sorted = [...pnls].sort((a, b) => a.cmp(b))
  const money = pnls.map((pnl) => Number(pnl.toString()))
  const deviation = spread(money)
  const averageMoney = mean(money)
  return {
    total_trades: trades.length,
    winning_trades: won.length,
    losing_trades: lost.length,
    flat_trades: trades.length - won.length - lost.length,
    win_rate: trades.length === 0 ? null : won.length / trades.length,
    profit_factor: lost.length === 0 ? null : ratio(sum(won), sum(lost).abs()),
    expectancy: text(average(pnls)),
    payoff_ratio: averageWin && averageLoss ? ratio(averageWin, averageLoss.abs()) : null,
    average_trade: text(average(pnls)),
    best_trade: text(sorted.at(-1) ?? null),
    worst_trade: text(sorted[0] ?? null),
    mae: mean(trades.flatMap((trade) => trade.mae ?? [])),
    mfe: mean(trades.flatMap((trade) => trade.mfe ?? [])),
    average_holding_seconds: mean(
      trades.map((trade) => (Date.parse(trade.exit_time) - Date.parse(trade.entry_time)) / 1000),
    ),
    sqn: deviation === null || averageMoney === null ? null : (Math.sqrt(money.length) * averageMoney) / deviation,
  }
}

function ratio(top: Decimal, bottom: Decimal): number {
  return Number(top.toString()) / Number(bottom.toString())
}
