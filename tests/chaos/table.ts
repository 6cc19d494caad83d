import type { ChaosReport, Recovery } from './loop.ts'

const WIDTHS = [16, 7, 23, 23, 23]

function quantiles(values: readonly number[]): string {
  if (values.length === 0) return '-'
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
  return `${at(0.5)} / ${at(0.99)} / ${at(1)}`
}

function row(cells: readonly string[]): string {
  return cells.map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0)).join(' ')
}

/** Faults by kind, and how long Weaver took to be ready and to move on, in milliseconds. */
export function tableOf(report: ChaosReport): string {
  const line = (name: string, count: number, recoveries: readonly Recovery[]) =>
    row([
      name,
      String(count),
      quantiles(recoveries.map(({ readyMs }) => readyMs)),
      quantiles(recoveries.map(({ firstMs }) => firstMs)),
      quantiles(recoveries.map(({ allMs }) => allMs)),
    ])
  const kinds = [...report.faults].sort(([one], [other]) => one.localeCompare(other))
  const all = kinds.reduce((sum, [, count]) => sum + count, 0)
  return [
    row(['fault', 'times', 'ready p50/p99/max ms', 'first run moves on', 'all runs move on']),
    ...kinds.map(([name, count]) =>
      line(
        name,
        count,
        report.recoveries.filter(({ fault }) => fault === name),
      ),
    ),
    line('all', all, report.recoveries),
    `${report.events} events in the log, 0 lost, 0 doubled, 0 out of order; ${report.summaries.join(', ')}`,
    `processes that ended by themselves and were started again: ${report.crashes.length}`,
  ].join('\n')
}
