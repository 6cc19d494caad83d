/** What a run's result has to be read with because of its data. Pure. */
import { addColumns, inspectSeries } from '../../db/walle/calendar/inspect.ts'
import { warningsOf } from '../../db/walle/calendar/warnings.ts'
import type { RunDatasetRow, RunRow } from '../../db/walle/rows.ts'
import type { LoadedRun } from './run_data.ts'

/** `seen`: all that the run saw, what its strategy fetched included. */
export function dataCautions(run: RunRow, data: LoadedRun, seen: readonly RunDatasetRow[]): string[] {
  return [...run.symbols.flatMap((symbol, index) => strangeIn(run, data, symbol, index)), ...mixedIn(seen)]
}

function strangeIn(run: RunRow, data: LoadedRun, symbol: string, index: number): string[] {
  const columns = data.columns[index]
  if (!columns) return []
  const inspector = inspectSeries(symbol, run.timeframe)
  addColumns(inspector, columns)
  const adjustment = data.datasets.find((set) => set.symbol === symbol)?.adjustment ?? 'unknown'
  return warningsOf(`${symbol} ${run.timeframe}`, inspector.finish(), adjustment)
}

/** Only equities are split and pay dividends; and prices of two feeds are two markets' prices. */
function mixedIn(seen: readonly RunDatasetRow[]): string[] {
  const equities = seen.filter(({ symbol }) => !symbol.includes('/'))
  const cautions: string[] = []
  if (kinds(equities, 'adjustment') > 1) {
    cautions.push(
      `the candles are adjusted for different corporate actions (${named(equities, 'adjustment')}): their prices do not compare over a split or a dividend`,
    )
  }
  if (kinds(seen, 'feed') > 1) {
    cautions.push(`the candles come from different feeds (${named(seen, 'feed')}): prices and volumes may differ by it`)
  }
  return cautions
}

function kinds(sets: readonly RunDatasetRow[], of: 'adjustment' | 'feed'): number {
  return new Set(sets.map((set) => set[of])).size
}

function named(sets: readonly RunDatasetRow[], of: 'adjustment' | 'feed'): string {
  return sets.map((set) => `${set.symbol} ${set.timeframe} ${set[of]}`).join(', ')
}
