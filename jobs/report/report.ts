/**
 * A run's report as one HTML file: it opens without a network, needs no script, and prints. Pure. Whatever came from a
 * person, a strategy or a venue is escaped by `html`.
 */
import { html, raw } from 'hono/html'
import { timeChart } from './charts.ts'
import type { Report } from './data.ts'
import { count, money, percent, time } from './format.ts'
import type { Html } from './html.ts'
import { band, cautions, whyNothing } from './parts/doubts.ts'
import { allFigures, deepestFalls, headline } from './parts/figures.ts'
import { monthlyReturns } from './parts/months.ts'
import { record } from './parts/record.ts'
import { trades } from './parts/trades.ts'
import { STYLE } from './style.ts'

/** Everything of the page is in the page: nothing may be loaded and nothing may run. */
export const REPORT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export async function reportHtml(report: Report): Promise<string> {
  const { run, stats } = report
  const title = run.label ?? `${run.strategy_id} on ${run.symbols.join(', ')}`
  const page = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title} - Weaver</title>
<style>${raw(STYLE)}</style>
</head>
<body><main>
<h1>${title}</h1>
<p class="muted">${run.mode} of ${run.strategy_id} ${run.strategy_version} on ${run.symbols.join(', ')} ${run.timeframe}, ${time(run.start_time ?? run.started_at)} to ${time(run.end_time ?? run.stopped_at)} UTC</p>
${cautions(report)}
${stats ? headline(stats) : ''}
${curves(report)}
${stats ? deepestFalls(stats) : ''}
${stats ? monthlyReturns(stats) : ''}
${trades(report)}
${band(report)}
${whyNothing(report)}
${stats ? allFigures(stats) : ''}
${record(report)}
<footer>Made by Weaver ${run.weaver_version}. A backtest says what would have happened under its assumptions, not what will.</footer>
</main></body></html>
`
  return page.toString()
}

function curves({ curve, run }: Report): Html {
  if (!curve) return html`<h2>Account</h2><p>No tick was played.</p>`
  const [first, last] = [curve.equity[0], curve.equity.at(-1)]
  const deepest = Math.max(...curve.drawdown)
  const held = curve.held ? [{ name: `${run.symbols[0]} held`, values: curve.held, look: 'other' as const }] : []
  return html`<h2>Account</h2>
${timeChart(
  {
    caption: 'Value of the account: cash, and positions at each close.',
    told: `The account went from ${money(first)} to ${money(last)}`,
  },
  curve.ts,
  [{ name: 'Account', values: curve.equity, look: 'own' }, ...held],
  (value) => count(value),
)}
${timeChart(
  {
    caption: 'How far below its highest value so far the account was.',
    told: `The deepest fall was ${percent(deepest)}`,
    low: true,
    filled: true,
  },
  curve.ts,
  [{ name: 'Fall', values: curve.drawdown.map((fall) => -fall), look: 'down' }],
  (value) => percent(value).replace('.00', ''),
)}
${timeChart(
  {
    caption: 'Exposure: value of positions over the value of the account, on average of each stretch.',
    told: `Exposure was up to ${percent(Math.max(...curve.exposure.mean))} on average of a stretch`,
    low: true,
    filled: true,
  },
  curve.exposure.ts,
  [{ name: 'Exposure', values: curve.exposure.mean, look: 'own' }],
  (value) => percent(value).replace('.00', ''),
)}`
}
