/** Jobs that there are, and attempts that have ended, in one shape. */
import type { Reader } from '../../database.ts'
import type { Columns, Table } from '../columns.ts'
import { isUuid, listPage, type Page, type Paging } from './page.ts'

/** Of jobs that somebody may still do something about. */
const OPEN_STATES = ['waiting', 'scheduled', 'paused', 'running', 'dead'] as const
/** Of dead letters that are settled. */
const SETTLED_STATES = ['retried', 'discarded'] as const
/** Of attempts that have ended. */
const ENDED_STATES = ['done', 'failed', 'timed_out', 'crashed', 'cancelled'] as const
export const JOB_STATES = [...OPEN_STATES, ...SETTLED_STATES, ...ENDED_STATES] as const
export type JobState = (typeof JOB_STATES)[number]

export interface JobRow {
  id: string
  task: string
  queue: string | null
  run_id: string | null
  state: JobState
  attempts: number
  max_attempts: number | null
  priority: number | null
  /** Why the last attempt failed. */
  error: string | null
  created_at: string
  /** Since when it might run; in the future for a job that is to come later. */
  due_at: string | null
  started_at: string | null
  finished_at: string | null
  worker: string | null
  corr_id: string | null
  /** How often in a row its worker died while it ran. */
  crashes: number
  /** The job that a dead letter became. */
  retried_as: string | null
}

const COLUMNS: Columns<JobRow> = {
  id: 'text',
  task: 'text',
  queue: 'text',
  run_id: 'text',
  state: 'text',
  attempts: 'integer',
  max_attempts: 'integer',
  priority: 'integer',
  error: 'text',
  created_at: 'timestamptz',
  due_at: 'timestamptz',
  started_at: 'timestamptz',
  finished_at: 'timestamptz',
  worker: 'text',
  corr_id: 'uuid',
  crashes: 'integer',
  retried_as: 'text',
}

const OPEN: Table<JobRow> = {
  name: `(select id::text, id as number, task, queue, run_id, state, attempts, max_attempts, priority, last_error as error,
    created_at, run_at as due_at, locked_at as started_at, null::timestamptz as finished_at, locked_by as worker, corr_id,
    crashes, retried_as::text, attempts as attempt from weaver.job_overview) jobs`,
  columns: COLUMNS,
}

const ENDED: Table<JobRow> = {
  name: `(select id::text, id as number, task, queue, run_id::text, run_id as run, outcome as state, attempt as attempts,
    null::integer as max_attempts, null::integer as priority, error, created_at, due_at, started_at, finished_at, worker,
    corr_id, 0 as crashes, null::text as retried_as, attempt from weaver.job_history) jobs`,
  columns: COLUMNS,
}

export interface JobFilter {
  task?: string | undefined
  state?: JobState | undefined
  run_id?: string | undefined
}

const isEnded = (state: JobState | undefined): boolean => ENDED_STATES.some((ended) => ended === state)

/** Newest first. Without a state: the jobs that there are, and dead ones that nobody has settled. */
export async function listJobs(
  reader: Reader,
  { task, state, run_id, ...paging }: JobFilter & Paging,
): Promise<Page<JobRow>> {
  if (run_id !== undefined && !isUuid(run_id)) return { items: [], total: 0, total_is_estimate: false }
  const ended = isEnded(state)
  return listPage<JobRow>(reader, {
    table: ended ? ENDED : OPEN,
    filters: [
      ['task = ?', task],
      ['state = ?', state],
      ["state <> all (string_to_array(?, ','))", state === undefined ? SETTLED_STATES.join() : undefined],
      [ended ? 'run = ?::uuid' : 'run_id = ?', run_id],
    ],
    orderBy: 'number desc, attempt desc',
    ...paging,
  })
}

/** Null also for what is no job's id. */
export async function getJob(reader: Reader, id: string): Promise<JobRow | null> {
  if (!/^\d{1,18}$/.test(id)) return null
  for (const table of [OPEN, ENDED]) {
    const { items } = await listPage<JobRow>(reader, {
      table,
      filters: [['number = ?::bigint', id]],
      orderBy: 'attempt desc',
      page: 1,
      page_size: 1,
    })
    if (items[0]) return items[0]
  }
  return null
}

export interface DueJob {
  task: string
  run_id: string | null
  state: 'waiting' | 'paused'
  /** For which it might have run. */
  seconds: number
}

/** Of these tasks, the job that might have run for longest and nobody has taken; null: none is due. */
export async function oldestDueJob(reader: Reader, tasks: readonly string[]): Promise<DueJob | null> {
  const [job] = await reader.query<DueJob>(
    `select task, run_id, state, extract(epoch from now() - run_at)::float8 as seconds from weaver.job_overview
     where state in ('waiting', 'paused') and task = any ($1::text[]) and run_at <= now() order by run_at limit 1`,
    [tasks],
  )
  return job ?? null
}
