/** Every statistic by name: how it is shown, and what it means in plain words. The formulas are in docs/statistics.md. */
import { html } from 'hono/html'
import type { Json } from '../../../strategies/api.ts'
import { count, direction, duration, money, percent, ratio, signedMoney, signedPercent, time } from '../format.ts'
import type { Html } from '../html.ts'

type Shown = (value: unknown) => string
type Figure = readonly [key: string, label: string, show: Shown, meaning: string]

/** Shown large. */
const HEADLINE: readonly Figure[] = [
  ['total_return', 'Return', signedPercent, 'what the account gained or lost over the whole time'],
  ['buy_and_hold_return', 'Buy and hold', signedPercent, 'what holding the first symbol would have returned'],
  ['cagr', 'Growth a year', signedPercent, 'the same gain every year would give this result'],
  ['max_drawdown', 'Deepest fall', percent, 'from a high of the account to the next low'],
  ['sharpe_ratio', 'Sharpe ratio', ratio, 'gain per swing, annualised; below 1 is common, above 2 is rare'],
  ['dsr', 'Chance of skill', percent, 'deflated Sharpe: that the result is better than the luckiest of all trials'],
  ['total_trades', 'Closed trades', count, 'an entry and its exit are one trade'],
  ['win_rate', 'Winning trades', percent, 'share of closed trades that made money after fees'],
]

const GROUPS: readonly (readonly [title: string, figures: readonly Figure[]])[] = [
  [
    'Account',
    [
      ['initial_cash', 'Initial cash', money, 'at the open of the first bar'],
      ['final_equity', 'Final equity', money, 'cash, and positions at the last close'],
      ['total_pnl', 'Profit', signedMoney, 'final equity less initial cash'],
      ['volatility', 'Volatility', percent, 'swing of daily returns, annualised'],
      ['days', 'Days', count, 'daily returns that ratios are made of'],
      ['exposure', 'Exposure', percent, 'share of the ticks with a position'],
      ['gross_exposure', 'Gross exposure', percent, 'mean value of positions over equity'],
      ['turnover', 'Turnover', ratio, 'value traded over mean equity'],
      ['fees', 'Fees', money, 'commissions paid'],
      ['slippage', 'Slippage', money, 'what worse prices than the bar showed cost'],
    ],
  ],
  [
    'Risk and return',
    [
      ['sortino_ratio', 'Sortino ratio', ratio, 'like Sharpe, counting days that lost only'],
      ['calmar_ratio', 'Calmar ratio', ratio, 'growth a year over the deepest fall'],
      ['max_drawdown_amount', 'Deepest fall, money', money, 'of the fall that was deepest in percent'],
      [
        'max_drawdown_duration_seconds',
        'Deepest fall, length',
        duration,
        'from its high until the account was back there',
      ],
      ['skew', 'Skew', ratio, 'below zero: rare days lose much'],
      ['kurtosis', 'Kurtosis', ratio, 'above zero: more extreme days than a bell curve has'],
      ['tail_ratio', 'Tail ratio', ratio, 'best days over worst days, at the 95th and 5th percentile'],
      ['value_at_risk', 'Value at risk', percent, 'one day in twenty returns this or less'],
      ['alpha', 'Alpha', signedPercent, 'return a year that the first symbol does not explain'],
      ['beta', 'Beta', ratio, 'how much the account moves when the first symbol moves'],
      ['psr', 'Probabilistic Sharpe', percent, 'that the true Sharpe ratio is above zero'],
      ['trials', 'Trials', count, 'variants of the strategy tried on this data when the run completed'],
    ],
  ],
  [
    'Trades',
    [
      ['winning_trades', 'Won', count, 'after fees'],
      ['losing_trades', 'Lost', count, 'after fees'],
      ['flat_trades', 'Flat', count, 'exactly zero'],
      ['open_trades', 'Open at the end', count, 'entries not closed; marked to the last close'],
      ['profit_factor', 'Profit factor', ratio, 'money won over money lost'],
      ['expectancy', 'Expectancy', signedMoney, 'mean profit of a trade'],
      ['payoff_ratio', 'Payoff ratio', ratio, 'mean winner over mean loser'],
      ['best_trade', 'Best trade', signedMoney, ''],
      ['worst_trade', 'Worst trade', signedMoney, ''],
      ['average_holding_seconds', 'Mean time held', duration, 'from entry to exit'],
      ['mae', 'Mean adverse move', percent, 'furthest against the entry price'],
      ['mfe', 'Mean favourable move', percent, 'furthest in favour of it'],
      ['sqn', 'System quality number', ratio, 'mean over spread of profits, times the root of their count'],
      ['ambiguous_trades', 'Ambiguous trades', count, 'ended in a bar that held both stop loss and take profit'],
    ],
  ],
]

const SIGNED: readonly Shown[] = [signedPercent, signedMoney]

export function toneOf(show: Shown, value: unknown): string {
  const way = SIGNED.includes(show) ? direction(value) : 0
  return way === 0 ? '' : way > 0 ? 'up' : 'down'
}

export function headline(stats: Record<string, Json>): Html {
  return html`<div class="cards">${HEADLINE.map(
    ([key, label, show, meaning]) =>
      html`<div class="card"><span>${label}</span><b class="${toneOf(show, stats[key])}">${show(stats[key])}</b><small>${meaning}</small></div>`,
  )}</div>`
}

export function allFigures(stats: Record<string, Json>): Html {
  return html`<h2>All figures</h2>
<p class="muted">Undefined figures are a dash. Convention ${stats.convention}.</p>
<div class="columns">${GROUPS.map(
    ([title, figures]) =>
      html`<div class="wide"><table><thead><tr><th>${title}</th><th class="n"></th><th></th></tr></thead><tbody>${figures.map(
        ([key, label, show, meaning]) =>
          html`<tr><th scope="row">${label}</th><td class="n ${toneOf(show, stats[key])}">${show(stats[key])}</td><td class="muted">${meaning}</td></tr>`,
      )}</tbody></table></div>`,
  )}</div>`
}

interface Fall {
  drawdown: number
  amount: string
  peak_at: string
  trough_at: string
  recovered_at: string | null
  duration_seconds: number
}

export function deepestFalls(stats: Record<string, Json>): Html {
  const falls = (stats.top_drawdowns ?? []) as unknown as Fall[]
  if (falls.length === 0) return html``
  return html`<div class="wide"><table><thead><tr><th>Deepest falls</th><th class="n">Money</th><th>High (UTC)</th><th>Low</th><th>Back at</th><th class="n">Length</th></tr></thead>
<tbody>${falls.map(
    (
      fall,
    ) => html`<tr><td class="down">${percent(fall.drawdown)}</td><td class="n">${money(fall.amount)}</td><td class="t">${time(fall.peak_at)}</td><td class="t">${time(fall.trough_at)}</td>
<td class="t">${fall.recovered_at === null ? 'not yet' : time(fall.recovered_at)}</td><td class="n">${duration(fall.duration_seconds)}</td></tr>`,
  )}</tbody></table></div>`
}
