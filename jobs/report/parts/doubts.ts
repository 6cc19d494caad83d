/** What stands between the numbers and belief in them: cautions, assumptions, trials, and why nothing was done. */
import { html } from 'hono/html'
import type { BandResult, BandVariant } from '../../../db/walle/rows.ts'
import type { Report } from '../data.ts'
import { count, money, percent, ratio, signedPercent } from '../format.ts'
import type { Html } from '../html.ts'

export function cautions({ run, stats, trialsNow }: Report): Html {
  const all = [...run.cautions, ...laterTrials(stats?.trials, trialsNow)]
  const state = stateOf(run)
  const told =
    state &&
    html`<div class="cautions bad" role="alert"><h2>${state}</h2>${run.error ? html`<p class="break">${run.error.message}</p>` : ''}</div>`
  if (all.length === 0) return html`${told ?? ''}`
  return html`${told ?? ''}<div class="cautions" role="alert"><h2>Read this first</h2><ul>${all.map((caution) => html`<li>${caution}</li>`)}</ul></div>`
}

function stateOf({ status, progress }: Report['run']): string | null {
  if (status === 'completed') return null
  const done = `${percent(progress)} of the ticks are done`
  if (status === 'error') return `This run ended in an error: ${done}, and there are no statistics`
  return `This run is ${status}: ${done}, and there are no statistics`
}

function laterTrials(then: unknown, now: number | null): string[] {
  if (typeof then !== 'number' || now === null || now <= then) return []
  return [
    `${now - then} more variants were tried on this data since: the chance of skill above is that of ${then} trials, not of ${now}`,
  ]
}

export function whyNothing({ skips, run }: Report): Html {
  if (skips.length === 0) return html``
  const ticks = run.ticks_total ?? run.next_tick
  const kinds = { skipped: 'the strategy', risk: 'a risk rule', rejected: 'the account or the venue' } as const
  return html`<h2>Why nothing was done</h2>
<p class="muted">Reasons for not trading, by how many of the ${count(ticks)} ticks had them. A tick may have several.</p>
<div class="wide"><table><thead><tr><th>Reason</th><th>Said by</th><th class="n">Ticks</th><th class="n">Share</th></tr></thead>
<tbody>${skips.map(
    (skip) =>
      html`<tr><td class="break">${skip.reason}</td><td>${kinds[skip.kind]}</td><td class="n">${count(skip.ticks)}</td><td class="n">${ticks > 0 ? percent(skip.ticks / ticks) : '–'}</td></tr>`,
  )}</tbody></table></div>`
}

export function band({ band: found, run, stats }: Report): Html {
  const ambiguous = stats ? ambiguity(stats.ambiguous_trades, stats.ambiguous_bars) : ''
  const title = html`<h2>How much hangs on the fill model</h2>`
  if (found?.result) return html`${title}${bandTable(found.result)}`
  if (run.status !== 'completed') return html``
  if (found?.status === 'error') return html`${title}<p>The assumption band could not be made: ${found.error}</p>`
  if (found) return html`${title}<p>The assumption band is being made: ${percent(found.progress)} done.</p>`
  return html`${title}<p class="muted">Not measured yet: <code>--band</code> on the command line, or the button on the run's page, plays the run again under other assumptions. ${ambiguous}</p>`
}

function ambiguity(trades: unknown, bars: unknown): string {
  if (bars === 0) return 'No bar held both exits of a position.'
  return `${count(trades)} closed trades ended in one of ${count(bars)} bars that held both their stop loss and their take profit.`
}

const key = ({ limit_fill, market_fill, ambiguous_bar, slippage_bps }: BandVariant) =>
  `${limit_fill} ${market_fill} ${ambiguous_bar} ${slippage_bps}`

function bandTable({ variants, ambiguous_bars, ambiguous_trades }: BandResult): Html {
  const [own] = variants
  if (!own) return html``
  const sorted = variants.toSorted((a, b) => Number(a.final_equity) - Number(b.final_equity))
  const [worst, best] = [sorted[0] as BandVariant, sorted.at(-1) as BandVariant]
  return html`<p>The same backtest under other assumptions returned between <b>${signedPercent(worst.total_return)}</b> and <b>${signedPercent(best.total_return)}</b>;
under its own, ${signedPercent(own.total_return)}. ${ambiguity(ambiguous_trades, ambiguous_bars)}</p>
<div class="wide"><table><thead><tr><th>Limits fill when</th><th>Market orders fill at</th><th class="n">Slippage, bps</th><th>Ambiguous bar</th><th class="n">Final equity</th><th class="n">Return</th><th class="n">Deepest fall</th><th class="n">Sharpe</th><th class="n">Trades</th></tr></thead>
<tbody>${sorted.map(
    (
      one,
    ) => html`<tr class="${key(one) === key(own) ? 'own-row' : ''}"><td>${one.limit_fill === 'touch' ? 'touched' : 'traded through'}</td><td>${one.market_fill === 'next_close' ? 'next bar, close' : 'next bar, open'}</td>
<td class="n">${one.slippage_bps}</td><td>${one.ambiguous_bar === 'stop_loss' ? 'stop loss first' : 'take profit first'}</td><td class="n">${money(one.final_equity)}</td><td class="n">${signedPercent(one.total_return)}</td>
<td class="n">${percent(one.max_drawdown)}</td><td class="n">${ratio(one.sharpe_ratio)}</td><td class="n">${count(one.total_trades)}</td></tr>`,
  )}</tbody></table></div><p class="note">Worst first; the run's own assumptions in bold.</p>`
}
