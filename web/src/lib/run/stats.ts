/** Which statistics are shown, how, and what they mean. */
import { count, direction, money, percent, profit, ratio } from '../format.ts'

type Kind = 'money' | 'profit' | 'percent' | 'gain' | 'ratio' | 'count'

interface Shown {
  key: string
  label: string
  kind: Kind
  explain: string
}

export const SHOWN: readonly Shown[] = [
  {
    key: 'total_pnl',
    label: 'P&L',
    kind: 'profit',
    explain: 'Final equity minus initial cash, open positions marked to the last close.',
  },
  { key: 'total_return', label: 'Return', kind: 'gain', explain: 'Final equity over initial cash, minus one.' },
  { key: 'cagr', label: 'CAGR', kind: 'gain', explain: 'Compound annual growth rate of the equity curve.' },
  {
    key: 'max_drawdown',
    label: 'Max drawdown',
    kind: 'percent',
    explain: 'Largest fall of equity from an earlier peak.',
  },
  {
    key: 'sharpe_ratio',
    label: 'Sharpe',
    kind: 'ratio',
    explain: 'Mean over standard deviation of daily returns, annualised; risk-free rate 0.',
  },
  { key: 'sortino_ratio', label: 'Sortino', kind: 'ratio', explain: 'Like Sharpe, counting only days that lost.' },
  { key: 'calmar_ratio', label: 'Calmar', kind: 'ratio', explain: 'CAGR over maximum drawdown.' },
  {
    key: 'volatility',
    label: 'Volatility',
    kind: 'percent',
    explain: 'Standard deviation of daily returns, annualised.',
  },
  {
    key: 'total_trades',
    label: 'Trades',
    kind: 'count',
    explain: 'Closed round trips: one entry order matched first-in first-out with one exit order.',
  },
  { key: 'open_trades', label: 'Open trades', kind: 'count', explain: 'Entries that were not closed by the end.' },
  { key: 'win_rate', label: 'Win rate', kind: 'percent', explain: 'Winning trades over closed trades, after fees.' },
  {
    key: 'profit_factor',
    label: 'Profit factor',
    kind: 'ratio',
    explain: 'Gains of the winners over losses of the losers.',
  },
  { key: 'expectancy', label: 'Expectancy', kind: 'profit', explain: 'Average profit of a closed trade, after fees.' },
  { key: 'payoff_ratio', label: 'Payoff', kind: 'ratio', explain: 'Average winner over average loser.' },
  { key: 'exposure', label: 'Exposure', kind: 'percent', explain: 'Share of the bars with a position.' },
  { key: 'turnover', label: 'Turnover', kind: 'ratio', explain: 'Value traded over average equity.' },
  { key: 'fees', label: 'Fees', kind: 'money', explain: 'Commissions paid.' },
  { key: 'final_equity', label: 'Final equity', kind: 'money', explain: 'Cash and open positions at the last close.' },
]

const asText = (value: unknown) =>
  typeof value === 'string' ? value : typeof value === 'number' ? value.toFixed(2) : null

export function showStat(kind: Kind, value: unknown): string {
  if (kind === 'money') return money(asText(value))
  if (kind === 'profit') return profit(asText(value))
  if (kind === 'percent') return percent(value)
  if (kind === 'gain') return percent(value, { sign: true })
  return kind === 'count' ? count(value) : ratio(value)
}

export interface StatView {
  key: string
  label: string
  value: string
  explain: string
  tone: -1 | 0 | 1
}

export function statViews(stats: Record<string, unknown>): StatView[] {
  return SHOWN.filter(({ key }) => key in stats).map(({ key, label, kind, explain }) => {
    const value = stats[key]
    const signed = kind === 'profit' || kind === 'gain'
    const tone = signed && (typeof value === 'string' || typeof value === 'number') ? direction(value) : 0
    return { key, label, value: showStat(kind, value), explain, tone }
  })
}
