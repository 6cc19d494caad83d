/** GLaDOS's commands on jobs. Whoever loses a job ends the run that waited for it: no run is left running for nothing. */
import type { Reader, WriteTx } from '../../db/database.ts'
import {
  cancelJob,
  type DeadLetter,
  deadLetter,
  discardDeadJob,
  type PauseKind,
  pauseJobs,
  pauseKindOf,
  resumeJobs,
  retryDeadJob,
} from '../../db/events/job_control.ts'
import { isTask, TASK_NAMES, TASKS } from '../../db/events/tasks.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { getCheckpoint } from '../../db/walle/queries/checkpoints.ts'
import { getJob, type JobRow } from '../../db/walle/queries/jobs.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import type { RunRow, RunStatus } from '../../db/walle/rows.ts'
import { awaitedReport, lostReport } from './awaited.ts'
import { type CommandContext, runEvent, stopOutcome } from './commands.ts'
import { DomainError } from './errors.ts'

export interface JobCommandDependencies {
  write: <T>(work: (tx: WriteTx) => Promise<T>) => Promise<T>
  record: (tx: WriteTx, outcome: Outcome) => Promise<unknown>
  reader: Reader
  now: () => number
  newId: () => string
  sleep: (ms: number) => Promise<void>
}

export interface JobAnswer {
  id: string
  task: string
  state: 'retried' | 'discarded' | 'cancelled'
  /** The job that goes on. */
  retried_as: string | null
  /** What became of its run. */
  run: { id: string; status: RunStatus } | null
  message: string
}

export interface PauseAnswer {
  name: string
  kind: PauseKind
  paused: boolean
  /** That were held back, or let go, by this. */
  jobs: number
}

/** A job that is just being fetched or recorded is asked for again. */
const BUSY = { times: 40, ms: 50 }

export function createJobCommands(deps: JobCommandDependencies) {
  return {
    retryJob: (id: string, context: CommandContext) => retryJob(deps, id, context),
    cancelJob: (id: string, context: CommandContext) => cancel(deps, id, context),
    pauseJobs: (name: string) => setPaused(deps, name, true),
    resumeJobs: (name: string) => setPaused(deps, name, false),
  }
}

export type JobCommands = ReturnType<typeof createJobCommands>

/** A dead job once more, with the same payload; a run that ended because of it goes on from its checkpoint. */
async function retryJob(deps: JobCommandDependencies, id: string, context: CommandContext): Promise<JobAnswer> {
  const known = await mustKnow(deps, id)
  return deps.write(async (tx) => {
    // First the run, then its jobs, like everyone.
    const run = known.run_id === null ? null : await lockRun(tx, known.run_id)
    const letter = await deadLetter(tx, id)
    if (letter === null) throw conflict(`job ${id} is ${known.state}: only a dead one can be retried`, known)
    if (letter.settled !== null) throw conflict(settledMessage(letter), known)
    if (letter.run_id !== null && run === null) throw conflict(`the run of job ${id} is deleted`, known)
    const reopened = run === null ? null : await reopening(deps, tx, letter, run, context)
    if (reopened !== null) await deps.record(tx, reopened)
    const awaited = run === null ? null : awaitedReport(letter.task, run.id)
    if (awaited !== null) await deps.record(tx, awaited)
    const retried = await retryDeadJob(tx, letter)
    if (retried === null) throw conflict(`job ${id} was retried or discarded just now`, known)
    const status = reopened === null ? run?.status : 'running'
    const goesOn = reopened === null ? '' : `, and its run, which had ended in error, goes on from its last checkpoint`
    return {
      id,
      task: letter.task,
      state: 'retried',
      retried_as: retried,
      run: run && status ? { id: run.id, status } : null,
      message: `job ${id} is tried again as job ${retried}${goesOn}`,
    }
  })
}

function settledMessage({ id, settled, retried_as }: DeadLetter): string {
  return settled === 'retried' ? `job ${id} was retried already, as job ${retried_as}` : `job ${id} was discarded`
}

/** What makes the run go on for which the job is; null when there is nothing to do. Refuses a job that could do nothing. */
async function reopening(
  deps: JobCommandDependencies,
  tx: WriteTx,
  { id, task }: DeadLetter,
  run: RunRow,
  context: CommandContext,
): Promise<Outcome | null> {
  if (!TASKS[task].drivesRun || run.status === 'running') return null
  const refuse = (why: string) =>
    new DomainError('CONFLICT', `job ${id} would do nothing: ${why}; make a new run of the same configuration`, {
      run_id: run.id,
      status: run.status,
    })
  if (run.status !== 'error') throw refuse(`its run is ${run.status}`)
  if (run.driver === 'chain') {
    throw refuse('its run went hop by hop and has ended in error, and the hops that waited behind it are gone')
  }
  const checkpoint = await getCheckpoint(tx, run.id)
  if (run.next_tick > 0 && checkpoint?.next_tick !== run.next_tick) {
    throw refuse('its run has ended in error and has no checkpoint to go on from')
  }
  const eventId = deps.newId()
  const payload = { run_id: run.id, mode: run.mode }
  return {
    writes: [
      {
        kind: 'update_run',
        id: run.id,
        changes: {
          status: 'running',
          error: null,
          stopped_at: null,
          last_event_id: eventId,
          open_corr_id: context.corrId,
        },
      },
    ],
    events: [runEvent(deps, run.id, context, eventId, 'run.Started', payload, run.last_event_id)],
  }
}

/** Out of the queue, also while it runs: its commit then fails. A dead one is discarded. */
async function cancel(deps: JobCommandDependencies, id: string, context: CommandContext): Promise<JobAnswer> {
  for (let tries = 0; tries < BUSY.times; tries++) {
    const known = await mustKnow(deps, id)
    const answer = known.state === 'dead' ? await discard(deps, known) : await cancelOnce(deps, known, context)
    if (answer !== null) return answer
    await deps.sleep(BUSY.ms)
  }
  throw new DomainError('CONFLICT', `job ${id} is just changing: try again`, { id })
}

async function discard(deps: JobCommandDependencies, { id, task }: JobRow): Promise<JobAnswer | null> {
  if (!(await deps.write((tx) => discardDeadJob(tx, id)))) return null
  return { id, task, state: 'discarded', retried_as: null, run: null, message: `the dead job ${id} is discarded` }
}

/** Null: ask again. */
async function cancelOnce(
  deps: JobCommandDependencies,
  known: JobRow,
  context: CommandContext,
): Promise<JobAnswer | null> {
  const { id, task } = known
  if (!['waiting', 'scheduled', 'paused', 'running'].includes(known.state)) {
    throw conflict(`job ${id} is ${known.state}: there is nothing to cancel`, known)
  }
  return deps.write(async (tx) => {
    const run = known.run_id === null ? null : await lockRun(tx, known.run_id)
    const was = await cancelJob(tx, id, `cancelled on request ${context.corrId}`)
    if (was === 'busy' || was === null) return null
    const lost = run === null ? null : lostReport(task, run.id, `its job ${id} was cancelled`)
    if (lost !== null) await deps.record(tx, lost)
    const stops = run?.status === 'running' && isTask(task) && TASKS[task].drivesRun
    const ended = run?.mode === 'backtest' ? 'stopped' : 'running'
    if (stops) {
      await deps.record(tx, stopOutcome(deps, run, { cancel_orders: true, close_positions: false }, context))
    }
    const told = was === 'running' ? `job ${id} was running: what it does now is not kept` : `job ${id} is cancelled`
    return {
      id,
      task,
      state: 'cancelled',
      retried_as: null,
      run: run && { id: run.id, status: stops ? ended : run.status },
      message: stops
        ? `${told}; its run, which cannot go on without it, ${ended === 'stopped' ? 'is stopped' : 'is to stop'}`
        : told,
    }
  })
}

async function setPaused(deps: JobCommandDependencies, name: string, paused: boolean): Promise<PauseAnswer> {
  const kind = pauseKindOf(name)
  if (kind === 'queue' && !name.includes(':')) {
    throw new DomainError(
      'VALIDATION_ERROR',
      `there is no task ${name}, and a queue has a name like run:<run id>: tasks are ${TASK_NAMES.join(', ')}`,
      { issues: [{ path: 'name', message: 'is no task and no queue' }] },
    )
  }
  const jobs = await deps.write((tx) => (paused ? pauseJobs(tx, kind, name) : resumeJobs(tx, kind, name)))
  return { name, kind, paused, jobs }
}

async function mustKnow({ reader }: JobCommandDependencies, id: string): Promise<JobRow> {
  const job = await getJob(reader, id)
  if (job === null) throw new DomainError('NOT_FOUND', `there is no job ${id.slice(0, 40)}`, {})
  return job
}

function conflict(message: string, { id, state, retried_as }: JobRow): DomainError {
  return new DomainError('CONFLICT', message, { id, state, retried_as })
}
