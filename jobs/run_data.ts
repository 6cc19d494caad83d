/** The bars that a backtest could see, in memory: its range, the warm-up before it, and their fingerprint. */
import { createHash } from 'node:crypto'
import type { Reader } from '../db/database.ts'
import { floatsToBytes } from '../db/walle/candle_columns.ts'
import { readColumns } from '../db/walle/queries/candles.ts'
import type { CandleColumns, RunRow } from '../db/walle/rows.ts'
import { TIMEFRAME_MS, type Timeframe } from '../strategies/api.ts'
import type { RunData } from './backtest.ts'
import { ticksOf } from './greta/ticks.ts'

export interface LoadedRun extends RunData {
  /** Per symbol: how many of its bars come before the range. */
  warmup: number[]
  /** SHA-256 over every bar, warm-up included. */
  fingerprint: string
}

/** The run's candles are not those that it was started with: going on would mix two data sets in one result. */
export class DataRevised extends Error {
  override readonly name = 'DataRevised'
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
  for (const symbol of run.symbols) {
    const read = await readColumns(reader, {
      symbol,
      timeframe: run.timeframe,
      from: start - frame,
      to: end - frame + 1,
      warmupBars: run.window_bars,
    })
    columns.push(read.columns)
    warmup.push(read.warmup)
  }
  const fingerprint = fingerprintOf(run, columns)
  if (run.dataset_fingerprint !== null && run.dataset_fingerprint !== fingerprint) {
    throw new DataRevised('candles of the run were revised after its start: start a new run on the new candles')
  }
  return { columns, warmup, ticks: ticksOf(columns, warmup, frame), fingerprint }
}

/** Bars of any symbol and timeframe up to the run's end: what `ctx.fetch` may show, tick by tick. */
export async function loadFetched(
  reader: Reader,
  run: RunRow,
  symbol: string,
  timeframe: Timeframe,
): Promise<CandleColumns> {
  const to = rangeOf(run).end - TIMEFRAME_MS[timeframe] + 1
  return (await readColumns(reader, { symbol, timeframe, from: 0, to, warmupBars: 0 })).columns
}

function rangeOf(run: RunRow): { start: number; end: number } {
  if (run.start_time === null || run.end_time === null) throw new Error(`The backtest ${run.id} has no range`)
  return { start: Date.parse(run.start_time), end: Date.parse(run.end_time) }
}

function fingerprintOf(run: RunRow, columns: readonly CandleColumns[]): string {
  const hash = createHash('sha256')
  columns.forEach((one, index) => {
    hash.update(`${run.symbols[index]} ${run.timeframe} ${one.time.length}\n`)
    for (const name of ['time', 'open', 'high', 'low', 'close', 'volume'] as const)
      hash.update(floatsToBytes(one[name]))
  })
  return hash.digest('hex')
}
