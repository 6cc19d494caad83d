/** A run's report for a terminal. Amounts are shown as stored; fractions in percent. */
import type { SkipSummary } from '../../db/walle/queries/results.ts'
import type { BandRow, FillRow, RunDatasetRow, RunRow } from '../../db/walle/rows.ts'

const PERCENT = [
  'total_return',
  'cagr',
  'max_drawdown',
  'volatility',
  'win_rate',
  'exposure',
  'buy_and_hold_return',
  'value_at_risk',
] as const

const PLAIN = [
  'initial_cash',
  'final_equity',
  'total_pnl',
  'fees',
  'slippage',
  'sharpe_ratio',
  'sortino_ratio',
  'calmar_ratio',
  'total_trades',
  'open_trades',
  'profit_factor',
  'expectancy',
  'sqn',
  'psr',
  'dsr',
  'trials',
] as const

/** What stands beside the numbers. */
interface Doubts {
  band: BandRow | null
  skips: readonly SkipSummary[]
  /** What the run saw. */
  data: readonly RunDatasetRow[]
}

export function reportText(run: RunRow, fills: readonly FillRow[], { band, skips, data }: Doubts): string {
  const lines = [
    `${run.strategy_id} ${run.strategy_version} on ${run.symbols.join(', ')} ${run.timeframe}, ${run.start_time} to ${run.end_time}`,
    row('run', run.id),
    row('status', run.status),
    row('parameters', JSON.stringify(run.config)),
    row('fill model', `${run.fill.preset} (version ${run.fill.version})`),
    row('fills', String(fills.length)),
  ]
  const { stats } = run
  if (stats) {
    for (const key of PLAIN) lines.push(row(key, shown(stats[key])))
    for (const key of PERCENT) lines.push(row(key, percent(stats[key])))
  }
  const equities = (band?.result?.variants ?? []).map((variant) => [Number(variant.final_equity), variant] as const)
  const [worst, best] = [equities.toSorted(([a], [b]) => a - b)[0], equities.toSorted(([a], [b]) => b - a)[0]]
  if (worst && best) {
    const range = `${percent(worst[1].total_return)} to ${percent(best[1].total_return)} return under ${equities.length} sets of assumptions`
    lines.push(row('assumption band', range))
  }
  for (const { reason, ticks } of skips) lines.push(row('did nothing', `${ticks} ticks: ${reason}`))
  for (const set of data) lines.push(row('data', dataText(set)))
  for (const caution of run.cautions) lines.push(row('caution', caution))
  lines.push(row('data fingerprint', run.dataset_fingerprint ?? '-'), row('result hash', run.result_hash ?? '-'))
  return lines.join('\n')
}

function dataText({ symbol, timeframe, source_timeframe, bars, adjustment, feed, fetched }: RunDatasetRow): string {
  const made = source_timeframe === timeframe ? '' : `, made of ${source_timeframe}`
  return `${symbol} ${timeframe}${made}: ${bars} bars, ${adjustment}, from ${feed}${fetched ? ', fetched' : ''}`
}

const row = (name: string, value: string) => `  ${name.padEnd(22)} ${value}`

function shown(value: unknown): string {
  if (value === null || value === undefined) return '-'
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(4) : String(value)
}

function percent(value: unknown): string {
  return typeof value === 'number' ? `${(100 * value).toFixed(2)} %` : '-'
}
