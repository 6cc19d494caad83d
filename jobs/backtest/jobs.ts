/** The jobs of a backtest in chunks, and the start and the finish of every backtest. */

import type { Database, WriteTx } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import type { TaskPayload } from '../../db/events/tasks.ts'
import { redactValue } from '../../db/secrets.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { getCheckpoint } from '../../db/walle/queries/checkpoints.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { RunError, RunRow } from '../../db/walle/rows.ts'
import type { RiskLimits } from '../glados/risk.ts'
import type { FillModel } from '../greta/fill_model.ts'
import { StrategyFailure } from '../marvin/failure.ts'
import type { Checkpoint, RunSpec, Stretch } from './backtest.ts'
import { isUnusable, type LoadedRun } from './run_data.ts'
import { computeResult, type RunResult } from './run_result.ts'

/** A job as the runner hands it over. */
export interface RunningJob {
  /** Aborted when the job was taken away: what it still stores would be rolled back. */
  signal: AbortSignal
  /** The last statement of the transaction that does the job's work. */
  finish(tx: WriteTx): Promise<void>
}

export interface BacktestJobs {
  db: Database
  record: (tx: WriteTx, outcome: Outcome) => Promise<void>
  loadRun: (run: RunRow) => Promise<LoadedRun>
  /** Plays ticks in a strategy host until the budget is spent. Rejects with a StrategyFailure when the host was lost. */
  playChunk: (run: RunRow, data: LoadedRun, checkpoint: Checkpoint | null, from: number) => Promise<Stretch>
  /** The run has ended otherwise: nothing of it is to be kept at hand. */
  forget: (runId: string) => void
  now: () => number
  newId: () => string
}

export function specOf(run: RunRow): RunSpec {
  return {
    run_id: run.id,
    symbols: run.symbols,
    timeframe: run.timeframe,
    initial_cash: run.initial_cash,
    fill: run.fill as unknown as FillModel,
    risk: run.risk as RiskLimits,
    params: run.config,
    seed: run.seed,
    audit: run.audit,
  }
}

/** The transaction of a job: the run is locked; one that no longer runs, or has moved on, leaves nothing but a done job. */
export async function settle(
  jobs: Pick<BacktestJobs, 'db' | 'record'>,
  job: RunningJob,
  runId: string,
  decide: (run: RunRow, tx: WriteTx) => Promise<Outcome | null>,
): Promise<void> {
  job.signal.throwIfAborted()
  await jobs.db.write(async (tx) => {
    const run = await lockRun(tx, runId)
    const outcome = run?.status === 'running' ? await decide(run, tx) : null
    if (outcome) await jobs.record(tx, outcome)
    await job.finish(tx)
  })
}

/** Looks at the data and sets off the first tick: a chunk, or for the chain a `clock.Tick`. */
export async function startBacktest(
  jobs: BacktestJobs,
  payload: TaskPayload<'greta.start_run'>,
  job: RunningJob,
): Promise<void> {
  const run = await getRun(jobs.db.reader, payload.run_id)
  const data = run?.status === 'running' ? await loadOrFail(jobs, run) : null
  await settle(jobs, job, payload.run_id, async (locked) => {
    // Twice is once: its first tick was set off before.
    if (data === null || locked.ticks_total !== null) return null
    if ('failure' in data) return failed(jobs, locked, data.failure)
    if (data.ticks.length === 0) {
      return failed(jobs, locked, {
        message: 'no bar closes in the range: its candles do not fill one, or were removed since the run was made',
      })
    }
    return {
      writes: [
        {
          kind: 'update_run',
          id: locked.id,
          changes: { dataset_fingerprint: data.fingerprint, ticks_total: data.ticks.length },
        },
        ...data.datasets.map((row) => ({ kind: 'save_run_dataset', row }) as const),
      ],
      events: locked.driver === 'chain' ? [firstTick(locked, data.ticks[0] as number)] : [],
      jobs:
        locked.driver === 'chain'
          ? []
          : [{ task: 'greta.run_chunk', payload: { run_id: locked.id, next_tick: 0 }, queue: `run:${locked.id}` }],
    }
  })
}

async function loadOrFail(jobs: BacktestJobs, run: RunRow): Promise<LoadedRun | { failure: RunError }> {
  try {
    return await jobs.loadRun(run)
  } catch (error) {
    return { failure: failureOf(error) }
  }
}

function firstTick(run: RunRow, ts: number): NewEvent {
  const id = tickEventId(run.id, 0, 0)
  return {
    id,
    type: 'clock.Tick',
    run_id: run.id,
    corr_id: id,
    causation_id: null,
    ts: new Date(ts).toISOString(),
    producer: 'glados',
    payload: {
      run_id: run.id,
      ts: new Date(ts).toISOString(),
      timeframe: run.timeframe,
      bar_index: 0,
      is_backtest: true,
    },
  }
}

export async function runChunkJob(
  jobs: BacktestJobs,
  payload: TaskPayload<'greta.run_chunk'>,
  job: RunningJob,
): Promise<void> {
  const run = await getRun(jobs.db.reader, payload.run_id)
  if (run?.status !== 'running') jobs.forget(payload.run_id)
  const played = run?.status === 'running' && run.next_tick === payload.next_tick ? await play(jobs, run) : null
  await settle(jobs, job, payload.run_id, async (locked) => {
    if (played === null || locked.next_tick !== payload.next_tick) return null
    if ('failure' in played && !('next' in played)) return failed(jobs, locked, played.failure)
    return chunkOutcome(jobs, locked, played as Stretch, payload.next_tick)
  })
}

async function play(jobs: BacktestJobs, run: RunRow): Promise<Stretch | { failure: RunError }> {
  const stored = await getCheckpoint(jobs.db.reader, run.id)
  try {
    const data = await jobs.loadRun(run)
    return await jobs.playChunk(run, data, (stored?.state as unknown as Checkpoint) ?? null, run.next_tick)
  } catch (error) {
    return { failure: failureOf(error) }
  }
}

/** What ends the run, of its strategy's or its data's making. Anything else goes on, for the job to be tried again. */
export function failureOf(error: unknown): RunError {
  if (error instanceof StrategyFailure) return error.failure
  if (isUnusable(error)) return { message: error.message }
  throw error
}

/** Everything a stretch of ticks left, as writes. */
export function stretchWrites(
  run: RunRow,
  stretch: Omit<Stretch, 'failure'>,
  firstTickOfCurve: number,
): Outcome['writes'] {
  return [
    { kind: 'insert_orders', rows: stretch.newOrders },
    { kind: 'update_orders', rows: stretch.changedOrders },
    { kind: 'insert_fills', rows: stretch.fills },
    { kind: 'insert_trades', rows: stretch.trades },
    { kind: 'insert_decisions', rows: stretch.decisions },
    { kind: 'save_skips', rows: stretch.skips },
    { kind: 'save_positions', rows: stretch.positions },
    {
      kind: 'append_equity',
      block: {
        run_id: run.id,
        first_tick: firstTickOfCurve,
        ts: stretch.curve.ts,
        equity: stretch.curve.equity,
        exposure: stretch.curve.exposure,
      },
    },
  ]
}

function chunkOutcome(jobs: BacktestJobs, run: RunRow, stretch: Stretch, from: number): Outcome {
  const total = run.ticks_total ?? 0
  const writes = stretchWrites(run, stretch, from)
  if (stretch.failure) {
    const end = failed(jobs, run, stretch.failure)
    return { ...end, writes: [...writes, ...end.writes], history: stretch.events }
  }
  const { next } = stretch
  const progressed = runEvent(jobs, run, 'run.Progressed', {
    run_id: run.id,
    progress: next / total,
    next_tick: next,
    ticks_total: total,
  })
  return {
    writes: [
      ...writes,
      { kind: 'save_checkpoint', run_id: run.id, next_tick: next, state: stretch.checkpoint },
      {
        kind: 'update_run',
        id: run.id,
        changes: { next_tick: next, progress: next / total, last_event_id: progressed.id },
      },
    ],
    events: [progressed],
    history: stretch.events,
    jobs: [
      next < total
        ? { task: 'greta.run_chunk', payload: { run_id: run.id, next_tick: next }, queue: `run:${run.id}` }
        : { task: 'greta.finish_run', payload: { run_id: run.id }, queue: `run:${run.id}` },
    ],
  }
}

/** The end of a run whose strategy failed. */
export function failed(jobs: Pick<BacktestJobs, 'now' | 'newId'>, run: RunRow, told: RunError): Outcome {
  const failure = redactValue(told) as RunError
  const event = runEvent(jobs, run, 'run.Error', {
    run_id: run.id,
    message: failure.message,
    stack: failure.stack ?? null,
    bar_index: failure.bar_index ?? null,
    ts: failure.ts ?? null,
  })
  return {
    writes: [
      {
        kind: 'update_run',
        id: run.id,
        changes: { status: 'error', error: failure, stopped_at: event.ts, last_event_id: event.id },
      },
      { kind: 'drop_checkpoint', run_id: run.id },
    ],
    events: [event],
  }
}

async function resultOf(jobs: BacktestJobs, run: RunRow): Promise<RunResult | { failure: RunError }> {
  try {
    const data = await jobs.loadRun(run)
    return await jobs.db.read((reader) => computeResult(reader, run, data))
  } catch (error) {
    return { failure: failureOf(error) }
  }
}

export async function finishBacktest(
  jobs: BacktestJobs,
  payload: TaskPayload<'greta.finish_run'>,
  job: RunningJob,
): Promise<void> {
  const run = await getRun(jobs.db.reader, payload.run_id)
  const result = run?.status === 'running' ? await resultOf(jobs, run) : null
  await settle(jobs, job, payload.run_id, async (locked) => {
    if (result === null) return null
    if ('failure' in result) return failed(jobs, locked, result.failure)
    const completed = runEvent(jobs, locked, 'run.Completed', {
      run_id: locked.id,
      result_hash: result.resultHash,
      final_equity: result.finalEquity,
    })
    return {
      writes: [
        {
          kind: 'save_result',
          run_id: locked.id,
          stats: result.stats,
          result_hash: result.resultHash,
          final_equity: result.finalEquity,
        },
        ...(result.trial ? [{ kind: 'record_trial' as const, run_id: locked.id, ...result.trial }] : []),
        {
          kind: 'update_run',
          id: locked.id,
          changes: {
            status: 'completed',
            stats: result.stats,
            cautions: result.cautions,
            result_hash: result.resultHash,
            progress: 1,
            stopped_at: completed.ts,
            last_event_id: completed.id,
          },
        },
        { kind: 'drop_checkpoint', run_id: locked.id },
      ],
      events: [completed],
    }
  })
}

type RunEventType = 'run.Progressed' | 'run.Error' | 'run.Completed'

function runEvent<T extends RunEventType>(
  jobs: Pick<BacktestJobs, 'now' | 'newId'>,
  run: RunRow,
  type: T,
  payload: Extract<NewEvent, { type: T }>['payload'],
): Extract<NewEvent, { type: T }> {
  return {
    id: jobs.newId(),
    type,
    run_id: run.id,
    corr_id: run.open_corr_id ?? run.id,
    causation_id: run.last_event_id,
    ts: new Date(jobs.now()).toISOString(),
    producer: 'greta',
    payload,
  } as Extract<NewEvent, { type: T }>
}
