/** What became of trades: how they were spread, how far they went for and against, the first and the last of them. */
import { bin } from 'd3-array'
import { html } from 'hono/html'
import type { TradeShape } from '../../../db/walle/queries/results.ts'
import type { TradeRow } from '../../../db/walle/rows.ts'
import { type Dot, histogram, scatter } from '../charts.ts'
import type { Report } from '../data.ts'
import { count, direction, duration, money, percent, signedMoney, signedPercent, time } from '../format.ts'
import type { Html } from '../html.ts'

const BINS = 40
/** Dots of the cloud; of more trades every n-th is drawn. */
const DOTS = 1_500

const short = (value: number) => percent(value).replace('.00 %', ' %')

export function trades({ shape, trades: { first, last } }: Report): Html {
  const total = shape.returns.length
  if (total === 0) return html`<h2>Trades</h2><p>No trade was closed.</p>`
  const rest = total - first.length - last.length
  return html`<h2>Trades</h2>
${spread(shape)}${moves(shape)}
<div class="wide"><table><thead><tr><th class="n">#</th><th>Symbol</th><th>Side</th><th>Entry (UTC)</th><th>Exit (UTC)</th><th class="n">Quantity</th><th class="n">Entry</th><th class="n">Exit</th>
<th class="n">Fees</th><th class="n">Profit</th><th class="n">Return</th><th class="n">Held</th></tr></thead>
<tbody>${first.map(row)}${
    rest > 0
      ? html`<tr><td colspan="12" class="muted">${count(rest)} more trades, which the run's page and <code>weaver.trades</code> list</td></tr>`
      : ''
  }${last.map(row)}</tbody></table></div>`
}

function row(trade: TradeRow): Html {
  const way = direction(trade.pnl)
  const tone = way === 0 ? '' : way > 0 ? 'up' : 'down'
  const held = (Date.parse(trade.exit_time) - Date.parse(trade.entry_time)) / 1000
  return html`<tr><td class="n">${trade.ordinal + 1}</td><td class="t">${trade.symbol}</td><td>${trade.side}</td><td class="t">${time(trade.entry_time)}</td><td class="t">${time(trade.exit_time)}</td>
<td class="n">${trade.qty}</td><td class="n">${money(trade.entry_price)}</td><td class="n">${money(trade.exit_price)}</td><td class="n">${money(trade.fees)}</td>
<td class="n ${tone}">${signedMoney(trade.pnl)}</td><td class="n ${tone}">${signedPercent(trade.return)}</td><td class="n">${duration(held)}</td></tr>`
}

function spread({ returns }: TradeShape): Html {
  const known = returns.filter((value) => value !== null).sort((a, b) => a - b)
  const edge = (share: number) => known[Math.round(share * (known.length - 1))] ?? 0
  // A single outlier would press all others into one bar: the outermost hundredth on either side goes into the last bars.
  const [low, high] = [Math.min(edge(0.01), 0), Math.max(edge(0.99), 0)]
  if (known.length < 2 || !(high > low)) return html``
  const bars = bin().domain([low, high]).thresholds(BINS)(known.map((value) => Math.min(Math.max(value, low), high)))
  return histogram(
    {
      caption: 'How many trades returned how much, after fees. The bars at both ends hold all that lies beyond.',
      told: `${known.length} trades returned between ${percent(known[0])} and ${percent(known.at(-1))}, half of them more than ${percent(edge(0.5))}`,
      low: true,
    },
    bars
      .map((bar) => ({ from: bar.x0 ?? low, to: bar.x1 ?? high, count: bar.length }))
      .filter(({ from, to }) => to > from),
    short,
  )
}

function moves({ returns, mae, mfe }: TradeShape): Html {
  const step = Math.ceil(returns.length / DOTS)
  const dots: Dot[] = []
  for (let index = 0; index < returns.length; index += step) {
    const [x, y] = [mae[index], mfe[index]]
    if (typeof x !== 'number' || typeof y !== 'number') continue
    dots.push({ x: Math.max(x, 0), y: Math.max(y, 0), look: (returns[index] ?? 0) > 0 ? 'up' : 'down' })
  }
  if (dots.length < 2) return html``
  const drawn = step > 1 ? ` Every ${step}th trade is drawn.` : ''
  return scatter(
    {
      caption: `Each dot is a trade: to the right, how far the price went against it; upwards, how far in its favour. Green made money, red lost it.${drawn}`,
      told: `Adverse against favourable moves of ${dots.length} trades`,
    },
    dots,
    short,
  )
}
