/** Returns by month and year, as a table that its colours make a heat map. */
import { html } from 'hono/html'
import type { Json } from '../../../strategies/api.ts'
import { percent, signedPercent } from '../format.ts'
import type { Html } from '../html.ts'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

type Month = { month: string; return: number | null }
type Year = { year: string; return: number | null }

export function monthlyReturns(stats: Record<string, Json>): Html {
  const months = (stats.monthly_returns ?? []) as unknown as Month[]
  const years = (stats.yearly_returns ?? []) as unknown as Year[]
  if (months.length === 0) return html``
  const byMonth = new Map(months.map((one) => [one.month, one.return]))
  const most = Math.max(...months.map((one) => Math.abs(one.return ?? 0)), Number.MIN_VALUE)
  const cell = (year: string, index: number) => {
    const key = `${year}-${String(index + 1).padStart(2, '0')}`
    if (!byMonth.has(key)) return html`<td></td>`
    const value = byMonth.get(key) ?? null
    return html`<td style="${heat(value, most)}">${percent(value).replace(' %', '')}</td>`
  }
  return html`<h2>Returns by month and year</h2>
<p class="muted">In percent of the account at the beginning of each month and year.</p>
<div class="wide"><table class="heat"><thead><tr><th></th>${MONTHS.map((name) => html`<th>${name}</th>`)}<th>Year</th></tr></thead>
<tbody>${years.map(
    (one) =>
      html`<tr><th scope="row">${one.year}</th>${MONTHS.map((_, index) => cell(one.year, index))}<td class="own-row">${signedPercent(one.return)}</td></tr>`,
  )}</tbody></table></div>`
}

/** The stronger, the further from zero, up to the strongest month. */
function heat(value: number | null, most: number): string {
  if (value === null || value === 0) return ''
  const strength = Math.round(8 + (Math.abs(value) / most) * 47)
  return `background:color-mix(in srgb,var(--${value > 0 ? 'up' : 'down'}) ${strength}%,transparent)`
}
