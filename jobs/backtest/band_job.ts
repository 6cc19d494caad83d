/** The job of an assumption band: a completed backtest is played again under other fill models, in memory. */

import type { TaskPayload } from '../../db/events/tasks.ts'
import { getBand } from '../../db/walle/queries/bands.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { BandResult, BandRow, RunRow } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS } from '../../strategies/api.ts'
import { bandModels, bandVariant } from '../greta/band.ts'
import type { FillModel } from '../greta/fill_model.ts'
import type { StatsTrade } from '../greta/stats/trades.ts'
import { calendarOf, computeStats, type Stats } from '../greta/stats.ts'
import { StrategyFailure } from '../marvin/failure.ts'
import type { Checkpoint, Stretch } from './backtest.ts'
import { type BacktestJobs, failureOf, type RunningJob, specOf } from './jobs.ts'
import type { LoadedRun } from './run_data.ts'

export interface BandJobs extends Pick<BacktestJobs, 'db' | 'record' | 'loadRun'> {
  /** Plays ticks of the run under a fill model until a chunk's budget is spent. */
  playVariant: (
    run: RunRow,
    data: LoadedRun,
    fill: FillModel,
    checkpoint: Checkpoint | null,
    from: number,
  ) => Promise<Stretch>
}

type BandChanges = Pick<BandRow, 'status' | 'progress' | 'result' | 'error'>

export async function runBand(jobs: BandJobs, payload: TaskPayload<'greta.run_band'>, job: RunningJob): Promise<void> {
  const { db } = jobs
  const run = await getRun(db.reader, payload.run_id)
  const wanted = run?.status === 'completed' && (await getBand(db.reader, run.id))?.status === 'running'
  const ended = wanted ? await bandOf(jobs, run) : null
  await db.write(async (tx) => {
    const locked = await lockRun(tx, payload.run_id)
    if (locked && ended) {
      await jobs.record(tx, { writes: [{ kind: 'save_band', run_id: locked.id, ...ended }], events: [] })
    }
    await job.finish(tx)
  })
}

async function bandOf(jobs: BandJobs, run: RunRow): Promise<BandChanges> {
  try {
    return { status: 'completed', progress: 1, result: await playBand(jobs, run), error: null }
  } catch (error) {
    return { status: 'error', progress: 0, result: null, error: failureOf(error).message }
  }
}

async function playBand(jobs: BandJobs, run: RunRow): Promise<BandResult> {
  const data = await jobs.loadRun(run)
  const stated = run.stats as unknown as Stats
  // A run of an older version knows nothing of them.
  const { ambiguous_bars = 0, ambiguous_trades = 0 } = stated as Partial<Stats>
  const models = bandModels(specOf(run).fill, ambiguous_bars > 0)
  const result: BandResult = { variants: [], ambiguous_bars, ambiguous_trades }
  for (const [index, model] of models.entries()) {
    const variant = bandVariant(model, await playWhole(jobs, run, data, model))
    if (index === 0 && variant.final_equity !== stated.final_equity) {
      const message = `played again, the run came to ${variant.final_equity} instead of ${stated.final_equity}: its strategy is not deterministic, or the rules have changed since it was made`
      throw new StrategyFailure({ message })
    }
    result.variants.push(variant)
    await noteProgress(jobs, run.id, (index + 1) / models.length)
  }
  return result
}

async function noteProgress({ db, record }: BandJobs, runId: string, progress: number): Promise<void> {
  await db.write(async (tx) => {
    // The run may have been deleted meanwhile, and its band with it.
    if (!(await lockRun(tx, runId))) return
    const changes = { status: 'running', progress, result: null, error: null } as const
    await record(tx, { writes: [{ kind: 'save_band', run_id: runId, ...changes }], events: [] })
  })
}

/** All of the run's ticks under another fill model. Only what its figures are made of is kept. */
async function playWhole(jobs: BandJobs, run: RunRow, data: LoadedRun, model: FillModel): Promise<Stats> {
  const total = data.ticks.length
  const equity = new Float64Array(total)
  const trades: StatsTrade[] = []
  let stretch: Stretch | null = null
  for (let next = 0; next < total; next = stretch.next) {
    stretch = await jobs.playVariant(run, data, model, stretch?.checkpoint ?? null, next)
    if (stretch.failure) throw new StrategyFailure({ message: `${wordsOf(model)}: ${stretch.failure.message}` })
    equity.set(stretch.curve.equity, next)
    for (const { pnl, mae, mfe, entry_time, exit_time } of stretch.trades) {
      trades.push({ pnl, mae, mfe, entry_time, exit_time })
    }
  }
  return computeStats({
    initialCash: run.initial_cash,
    finalEquity: stretch?.finalEquity ?? run.initial_cash,
    ...{ ts: data.ticks, equity, exposure: new Float64Array(0), timeframeMs: TIMEFRAME_MS[run.timeframe] },
    ...{ trades, calendar: calendarOf(run.symbols), openTrades: 0, ambiguousBars: 0, ambiguousTrades: 0 },
    ...{ fees: '0', slippage: '0', turnover: '0' },
  })
}

function wordsOf({ limit_fill, market_fill, slippage_bps }: FillModel): string {
  return `with limit_fill ${limit_fill}, market orders at the ${market_fill.replace('_', ' ')} and slippage_bps ${slippage_bps}`
}
