/** What it takes to make the same result again. */
import { html } from 'hono/html'
import type { RunRow } from '../../../db/walle/rows.ts'
import { givenNumbers } from '../../greta/fill_model.ts'
import type { Report } from '../data.ts'
import { count, money } from '../format.ts'
import type { Html } from '../html.ts'

export function record({ run, curve }: Report): Html {
  const rows: [string, string][] = [
    ['Run', run.id],
    ['Strategy', `${run.strategy_id}, version ${run.strategy_version}`],
    ['Source hash', run.strategy_hash],
    ['Parameters', JSON.stringify(run.config)],
    ['Symbols', run.symbols.join(', ')],
    ['Timeframe', run.timeframe],
    ['Range (UTC)', `${run.start_time ?? '–'} to ${run.end_time ?? '–'}`],
    ['Ticks', count(curve?.ticks ?? run.ticks_total)],
    ['Data fingerprint', run.dataset_fingerprint ?? '–'],
    ['Initial cash', money(run.initial_cash)],
    ['Fill model', JSON.stringify(run.fill)],
    ['Risk limits', JSON.stringify(run.risk)],
    ['Seed', String(run.seed)],
    ['Weaver', run.weaver_version],
    ['Result hash', run.result_hash ?? '–'],
  ]
  return html`<h2>How to make it again</h2>
<p class="muted">${
    run.mode === 'backtest'
      ? 'With the same source, parameters and data the same result hash comes out, on any machine.'
      : 'What it recorded is played again here, and every difference is told.'
  }</p>
<pre>${commandOf(run)}</pre>
<div class="wide"><table><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td class="break"><code>${value}</code></td></tr>`)}</tbody></table></div>`
}

/** The command line that plays the run again. Risk limits have no option there. */
export function commandOf(run: RunRow): string {
  if (run.mode !== 'backtest') return `npm run weaver -- replay ${run.id}`
  const words = ['npm run weaver -- backtest', quoted(run.strategy_id)]
  const option = (name: string, value: string) => words.push(`--${name} ${quoted(value)}`)
  for (const symbol of run.symbols) option('symbol', symbol)
  option('timeframe', run.timeframe)
  if (run.start_time) option('start', run.start_time)
  if (run.end_time) option('end', run.end_time)
  for (const [name, value] of Object.entries(run.config)) option('param', `${name}=${textOf(value)}`)
  for (const [name, value] of Object.entries(givenNumbers(run.fill))) option('fill', `${name}=${textOf(value)}`)
  option('cash', run.initial_cash)
  if (run.seed !== 0) option('seed', String(run.seed))
  return words.join(' ')
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

/** As a shell reads one word. */
function quoted(text: string): string {
  return /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
