/** What a report shows of a run, read from the database and made small: a million ticks become a few hundred points. */
import { mean } from 'd3-array'
import type { Reader } from '../../db/database.ts'
import { getBand } from '../../db/walle/queries/bands.ts'
import {
  edgeTrades,
  otherTrials,
  readEquity,
  readTradeShape,
  type SkipSummary,
  summariseSkips,
  type TradeShape,
} from '../../db/walle/queries/results.ts'
import { readSeries } from '../../db/walle/queries/series.ts'
import type { BandRow, RunRow, TradeRow } from '../../db/walle/rows.ts'
import { type Json, TIMEFRAME_MS } from '../../strategies/api.ts'
import { downsample, drawdowns } from './downsample.ts'

/** Points of the curves; of each stretch the first, lowest, highest and last. */
const POINTS = 1_200
/** Stretches over which exposure is averaged: it comes and goes too fast for single ticks to tell. */
const STRETCHES = 240
/** Trades shown from the beginning and from the end. */
const EDGE_TRADES = 25
const REASONS = 30

/** The curve in columns. Times are epoch milliseconds. */
export interface ReportCurve {
  ts: number[]
  equity: number[]
  drawdown: number[]
  /** The mean of stretches, by the time of each one's last tick. */
  exposure: { ts: number[]; mean: number[] }
  /** What holding the first symbol from its first close would have come to; null without its bars. */
  held: number[] | null
  ticks: number
}

export interface Report {
  run: RunRow
  stats: Record<string, Json> | null
  curve: ReportCurve | null
  shape: TradeShape
  /** The first and the last trades, all of them where there are few. */
  trades: { first: TradeRow[]; last: TradeRow[] }
  skips: SkipSummary[]
  band: BandRow | null
  /** Variants of the strategy tried on this data until now; null where the run has no ticks. */
  trialsNow: number | null
}

export async function readReport(reader: Reader, run: RunRow): Promise<Report> {
  const full = await readEquity(reader, run.id)
  const [first, last] = [full.ts[0], full.ts.at(-1)]
  const known = first === undefined || last === undefined ? null : { first, last }
  return {
    run,
    stats: run.stats,
    curve: known && (await curveOf(reader, run, full)),
    shape: await readTradeShape(reader, run.id),
    trades: await edgeTrades(reader, run.id, EDGE_TRADES),
    skips: await summariseSkips(reader, run.id, REASONS),
    band: await getBand(reader, run.id),
    trialsNow: known && (await otherTrials(reader, run, known)).count + 1,
  }
}

type Full = Awaited<ReturnType<typeof readEquity>>

async function curveOf(reader: Reader, run: RunRow, { ts, equity, exposure }: Full): Promise<ReportCurve> {
  const start = Number(run.initial_cash)
  const points = downsample(equity, POINTS)
  const at = (values: Float64Array) => points.map((index) => values[index] as number)
  return {
    ts: at(ts),
    equity: at(equity),
    drawdown: at(drawdowns(equity, start)),
    exposure: meansOf(ts, exposure),
    held: await heldAt(reader, run, at(ts), start),
    ticks: ts.length,
  }
}

function meansOf(ts: Float64Array, values: Float64Array): ReportCurve['exposure'] {
  const stretches = Math.min(STRETCHES, ts.length)
  const edge = (stretch: number) => Math.floor((stretch * ts.length) / stretches)
  const means = { ts: [] as number[], mean: [] as number[] }
  for (let stretch = 0; stretch < stretches; stretch++) {
    means.ts.push(ts[edge(stretch + 1) - 1] as number)
    means.mean.push(mean(values.subarray(edge(stretch), edge(stretch + 1))) ?? 0)
  }
  return means
}

/** The initial cash in the first symbol, bought at its first close, at each of the times. */
async function heldAt(reader: Reader, run: RunRow, times: readonly number[], start: number): Promise<number[] | null> {
  const [symbol] = run.symbols
  const frame = TIMEFRAME_MS[run.timeframe]
  const [first, last] = [times[0], times.at(-1)]
  if (symbol === undefined || first === undefined || last === undefined) return null
  const { columns } = await readSeries(reader, {
    symbol,
    timeframe: run.timeframe,
    from: first - frame,
    to: last - frame + 1,
    warmupBars: 0,
  })
  const base = columns.close.find((close) => close > 0)
  if (base === undefined) return null
  let bar = 0
  let close = base
  return times.map((time) => {
    for (; bar < columns.time.length && (columns.time[bar] as number) + frame <= time; bar++) {
      close = columns.close[bar] as number
    }
    return (start * close) / base
  })
}
