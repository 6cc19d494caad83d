import type { ChaosReport } from './loop.ts'

const WIDTHS = [16, 7, 23, 23, 23, 23]
/** What Weaver promises after whatever was killed. */
const PROMISED_MS = 10_000

function quantiles(values: readonly number[]): string {
  if (values.length === 0) return '-'
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
  return `${at(0.5)} / ${at(0.99)} / ${at(1)}`
}

function row(cells: readonly string[]): string {
  return cells.map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0)).join(' ')
}

function lateOnes({ recoveries, ticks }: ChaosReport): string[] {
  const measured = recoveries.flatMap(({ fault, readyMs, firstMs, allMs }) => [
    { what: 'ready', of: recoveries.length, fault, ms: readyMs },
    { what: 'first run', of: recoveries.length, fault, ms: firstMs },
    { what: 'all runs', of: recoveries.length, fault, ms: allMs },
  ])
  const all = [...measured, ...ticks.map((tick) => ({ what: 'paper tick', of: ticks.length, ...tick }))]
  const late = all.filter(({ ms }) => ms > PROMISED_MS)
  return ['ready', 'first run', 'all runs', 'paper tick'].flatMap((what) => {
    const own = late.filter((one) => one.what === what)
    const names = own.map(({ fault, ms }) => `${fault} ${(ms / 1000).toFixed(1)} s`)
    return own.length === 0 ? [] : [`${what} ${own.length} of ${own[0]?.of} (${names.join(', ')})`]
  })
}

/** Faults by kind, and how long Weaver took to be ready and to move on, in milliseconds. */
export function tableOf(report: ChaosReport): string {
  const line = (name: string, count: number, isOf: (fault: string) => boolean) => {
    const recoveries = report.recoveries.filter(({ fault }) => isOf(fault))
    return row([
      name,
      String(count),
      quantiles(recoveries.map(({ readyMs }) => readyMs)),
      quantiles(recoveries.map(({ firstMs }) => firstMs)),
      quantiles(recoveries.map(({ allMs }) => allMs)),
      quantiles(report.ticks.filter(({ fault }) => isOf(fault)).map(({ ms }) => ms)),
    ])
  }
  const kinds = [...report.faults].sort(([one], [other]) => one.localeCompare(other))
  const all = kinds.reduce((sum, [, count]) => sum + count, 0)
  return [
    row(['fault', 'times', 'ready p50/p99/max ms', 'first run moves on', 'all runs move on', 'paper tick late by']),
    ...kinds.map(([name, count]) => line(name, count, (fault) => fault === name)),
    line('all', all, () => true),
    `above ${PROMISED_MS / 1000} s: ${lateOnes(report).join(', ') || 'none'}`,
    `${report.events} events in the log, 0 lost, 0 doubled, 0 out of order; ${report.summaries.join(', ')}`,
    `processes that ended by themselves and were started again: ${report.crashes.length}`,
  ].join('\n')
}
