/** Asks for a paper or live run to be played again from what it recorded, and held against what it did. */
import type { Reader } from '../../db/database.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { getParity, type Parity, parityOf } from '../../db/walle/queries/parity.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { DomainError } from './errors.ts'

export interface ParityCommandDependencies {
  recorder: <T>(work: (reader: Reader) => Promise<{ outcome: Outcome; result: T }>) => Promise<T>
  reader: Reader
}

/** How far a fill may lie from the fill model's before it counts as another one, where nothing else is asked for. */
export const TOLERANCE_BPS = 10
export const MOST_TOLERANCE_BPS = 1_000

export interface ParityCommands {
  /** While one is under way, that one is given. */
  replayRun(id: string, request: { tolerance_bps?: number | undefined }): Promise<Parity>
  getParity(id: string): Promise<Parity>
}

export function createParityCommands({ recorder, reader }: ParityCommandDependencies): ParityCommands {
  const parity = async (id: string): Promise<Parity> => parityOf(id, await getParity(reader, id))
  return {
    async replayRun(id, { tolerance_bps = TOLERANCE_BPS }) {
      checkTolerance(tolerance_bps)
      await recorder(async (locking) => {
        checkReplayable(await lockRun(locking, id), id)
        const known = await getParity(locking, id)
        if (known?.state === 'pending') return { outcome: { writes: [], events: [] }, result: null }
        return { outcome: replayOutcome(id, tolerance_bps), result: null }
      })
      return parity(id)
    },
    async getParity(id) {
      const run = await getRun(reader, id)
      if (run === null) throw noRun(id)
      if (run.mode === 'backtest') throw isBacktest(id)
      return parity(id)
    },
  }
}

/** In a queue of its own: a run that goes on has ticks to do. */
function replayOutcome(run_id: string, tolerance_bps: number): Outcome {
  const changes = {
    state: 'pending',
    progress: 0,
    tolerance_bps,
    result: null,
    error: null,
    replayed_at: null,
  } as const
  return {
    writes: [{ kind: 'update_parity', run_id, changes }],
    events: [],
    jobs: [{ task: 'greta.replay_run', payload: { run_id }, queue: `replay:${run_id}` }],
  }
}

function checkReplayable(run: RunRow | null, id: string): void {
  if (run === null) throw noRun(id)
  if (run.mode === 'backtest') throw isBacktest(id)
  if (run.started_at !== null) return
  throw new DomainError('CONFLICT', `run ${id} has not been started: there is nothing to replay yet`, {
    status: run.status,
  })
}

function checkTolerance(bps: number): void {
  if (Number.isFinite(bps) && bps >= 0 && bps <= MOST_TOLERANCE_BPS) return
  const message = `tolerance_bps must be a number from 0 to ${MOST_TOLERANCE_BPS}`
  throw new DomainError('VALIDATION_ERROR', message, { issues: [{ path: 'tolerance_bps', message }] })
}

function noRun(id: string): DomainError {
  return new DomainError('NOT_FOUND', `there is no run ${id}`, {})
}

function isBacktest(id: string): DomainError {
  const why = 'only a paper or live run is replayed; a backtest is made again by cloning it, with the same result_hash'
  return new DomainError('INVALID_RUN_MODE', `run ${id} is a backtest: ${why}`, { mode: 'backtest' })
}
