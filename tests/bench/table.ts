/** How a bench tells what it found. */
import { availableParallelism, cpus, loadavg } from 'node:os'

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

export interface Column {
  title: string
  /** Digits after the point; a text column has none. */
  digits?: number
}

export function printTable(columns: readonly Column[], rows: readonly (readonly (string | number)[])[]): void {
  const texts = rows.map((row) =>
    row.map((cell, n) => (typeof cell === 'string' ? cell : cell.toFixed(columns[n]?.digits ?? 0))),
  )
  const widths = columns.map(({ title }, n) => Math.max(title.length, ...texts.map((row) => row[n]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join('  ')
  process.stdout.write(`${[columns.map(({ title }) => title), ...texts].map(line).join('\n')}\n`)
}

/** What else the machine was doing decides what the numbers are worth. */
export function printMachine(): void {
  const load = loadavg().map((value) => value.toFixed(1))
  process.stdout.write(`${cpus()[0]?.model ?? 'CPU'}, ${availableParallelism()} cores, load ${load.join(' ')}\n`)
}
