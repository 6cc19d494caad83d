/** The bars that a backtest could see, in memory: its range, the warm-up before it, and their fingerprint. */
import { createHash } from 'node:crypto'
import type { Database, Reader } from '../../db/database.ts'
import { OutsideCalendarError } from '../../db/walle/calendar/resample.ts'
import { floatsToBytes } from '../../db/walle/candle_columns.ts'
import { listRunDatasets } from '../../db/walle/queries/run_data.ts'
import { readSeries, type SeriesRead } from '../../db/walle/queries/series.ts'
import { record } from '../../db/walle/record.ts'
import type { CandleColumns, RunDatasetRow, RunRow } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { ticksOf } from '../greta/ticks.ts'
import type { RunData } from './backtest.ts'

export interface LoadedRun extends RunData {
  /** Per symbol: how many of its bars come before the range. */
  warmup: number[]
  /** SHA-256 over every bar, warm-up included. */
  fingerprint: string
  /** What was read, a row for each symbol that has bars. */
  datasets: RunDatasetRow[]
}

/** The run's candles are not those that it was started with: going on would mix two data sets in one result. */
export class DataRevised extends Error {
  override readonly name = 'DataRevised'
}

/** The run's data, and not the machine, are why it cannot go on: another try would end the same way. */
export function isUnusable(error: unknown): error is Error {
  return error instanceof DataRevised || error instanceof OutsideCalendarError
}

/** Runs whose bars are kept at hand, newest used last; a million bars are 48 MB. */
const KEPT_RUNS = 4

/** Loads a run's bars once and keeps the last few runs'. Rejects with DataRevised where they were revised since its start. */
export function createRunDataCache(reader: Reader): (run: RunRow) => Promise<LoadedRun> {
  const kept = new Map<string, Promise<LoadedRun>>()
  return (run) => {
    const known = kept.get(run.id) ?? loadRun(reader, run)
    kept.delete(run.id)
    kept.set(run.id, known)
    known.catch(() => kept.delete(run.id))
    const [oldest] = kept.keys()
    if (kept.size > KEPT_RUNS && oldest !== undefined) kept.delete(oldest)
    return known
  }
}

async function loadRun(reader: Reader, run: RunRow): Promise<LoadedRun> {
  const frame = TIMEFRAME_MS[run.timeframe]
  const { start, end } = rangeOf(run)
  const columns: CandleColumns[] = []
  const warmup: number[] = []
  const reads: SeriesRead[] = []
  for (const symbol of run.symbols) {
    const read = await readSeries(reader, {
      symbol,
      timeframe: run.timeframe,
      from: start - frame,
      to: end - frame + 1,
      warmupBars: run.window_bars,
    })
    columns.push(read.columns)
    warmup.push(read.warmup)
    reads.push(read)
  }
  const fingerprint = fingerprintOf(run.symbols, run.timeframe, columns)
  if (run.dataset_fingerprint !== null && run.dataset_fingerprint !== fingerprint) throw revised()
  const datasets = reads.flatMap((read, index) => {
    const asked = { symbol: run.symbols[index] as string, timeframe: run.timeframe, fetched: false }
    // Of one symbol both hashes are of the same bytes.
    return datasetOf(run, asked, read, reads.length === 1 ? fingerprint : undefined)
  })
  return { columns, warmup, ticks: ticksOf(columns, warmup, frame), fingerprint, datasets }
}

function revised(): DataRevised {
  return new DataRevised('candles of the run were revised after its start: start a new run on the new candles')
}

/** No row where there are no bars. */
function datasetOf(
  run: RunRow,
  asked: Pick<RunDatasetRow, 'symbol' | 'timeframe' | 'fetched'>,
  { columns, source, seen }: SeriesRead,
  fingerprint?: string,
): RunDatasetRow[] {
  if (source === null || seen === null) return []
  return [
    {
      run_id: run.id,
      ...asked,
      source_timeframe: source.timeframe,
      first: new Date(seen.first).toISOString(),
      last: new Date(seen.last).toISOString(),
      bars: columns.time.length,
      adjustment: source.adjustment,
      feed: source.feed,
      fingerprint: fingerprint ?? fingerprintOf([asked.symbol], asked.timeframe, [columns]),
    },
  ]
}

/**
 * Bars of any symbol and timeframe up to the run's end: what `ctx.fetch` may show, tick by tick. What the run sees first
 * is remembered, and nothing else is shown to it later: rejects with DataRevised.
 */
export async function loadFetched(
  db: Pick<Database, 'reader' | 'write'>,
  run: RunRow,
  symbol: string,
  timeframe: Timeframe,
): Promise<CandleColumns> {
  const to = rangeOf(run).end - TIMEFRAME_MS[timeframe] + 1
  const read = await readSeries(db.reader, { symbol, timeframe, from: 0, to, warmupBars: 0 })
  const [row] = datasetOf(run, { symbol, timeframe, fetched: true }, read)
  const known = (await listRunDatasets(db.reader, run.id)).find(
    (one) => one.fetched && one.symbol === symbol && one.timeframe === timeframe,
  )
  if (known && known.fingerprint !== row?.fingerprint) throw revised()
  if (!known && row) {
    await db.write((tx) => record(tx, { writes: [{ kind: 'save_run_dataset', row }], events: [] }))
  }
  return read.columns
}

function rangeOf(run: RunRow): { start: number; end: number } {
  if (run.start_time === null || run.end_time === null) throw new Error(`The backtest ${run.id} has no range`)
  return { start: Date.parse(run.start_time), end: Date.parse(run.end_time) }
}

function fingerprintOf(symbols: readonly string[], timeframe: Timeframe, columns: readonly CandleColumns[]): string {
  const hash = createHash('sha256')
  columns.forEach((one, index) => {
    hash.update(`${symbols[index]} ${timeframe} ${one.time.length}\n`)
    for (const name of ['time', 'open', 'high', 'low', 'close', 'volume'] as const)
      hash.update(floatsToBytes(one[name]))
  })
  return hash.digest('hex')
}
