import type { Mode } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { RUNS, selectList } from '../columns.ts'
import type { RunRow, RunStatus } from '../rows.ts'
import { isUuid, listPage, type Page, type Paging } from './page.ts'

export async function getRun(reader: Reader, id: string): Promise<RunRow | null> {
  if (!isUuid(id)) return null
  const [run] = await reader.query<RunRow>(`select ${selectList(RUNS)} from weaver.runs where id = $1`, [id])
  return run ?? null
}

/**
 * Reads the run and keeps it as it is until the transaction ends: whatever changes a run or appends its events holds
 * this lock. Needs a writer's connection, such as a Recorder gives; Postgres refuses it to others.
 */
export async function lockRun(tx: Reader, id: string): Promise<RunRow | null> {
  if (!isUuid(id)) return null
  const [run] = await tx.query<RunRow>(`select ${selectList(RUNS)} from weaver.runs where id = $1 for no key update`, [
    id,
  ])
  return run ?? null
}

/** Several, always in the same order: whoever locks some of them waits for nobody who waits for it. */
export function lockRuns(tx: Reader, ids: readonly string[]): Promise<RunRow[]> {
  return tx.query<RunRow>(
    `select ${selectList(RUNS)} from weaver.runs where id = any ($1::uuid[]) order by id for no key update`,
    [ids],
  )
}

export interface RunFilter {
  status?: RunStatus | undefined
  mode?: Mode | undefined
  strategy_id?: string | undefined
  /** Deleted, but kept. */
  archived?: boolean | undefined
  /** Candles that they saw were revised since, or were not. */
  invalidated?: boolean | undefined
}

/** Newest first. */
export function listRuns(reader: Reader, query: RunFilter & Paging): Promise<Page<RunRow>> {
  const { page, page_size } = query
  return listPage<RunRow>(reader, {
    table: RUNS,
    filters: [
      ['status = ?', query.status],
      ['mode = ?', query.mode],
      ['strategy_id = ?', query.strategy_id],
      ['(archived_at is not null) = ?::boolean', query.archived === undefined ? undefined : String(query.archived)],
      [
        'exists (select from weaver.run_invalidations i where i.run_id = weaver.runs.id) = ?::boolean',
        query.invalidated === undefined ? undefined : String(query.invalidated),
      ],
    ],
    orderBy: 'created_at desc, id',
    page,
    page_size,
  })
}

export interface RunCount {
  mode: Mode
  status: RunStatus
  count: number
}

export async function countRuns(reader: Reader): Promise<RunCount[]> {
  return reader.query<RunCount>(
    'select mode, status, count(*) as count from weaver.runs group by mode, status order by mode, status',
  )
}

/** The modes of the runs that exist. */
export async function modesOf(reader: Reader, ids: readonly string[]): Promise<Map<string, Mode>> {
  const rows = await reader.query<{ id: string; mode: Mode }>(
    'select id, mode from weaver.runs where id = any ($1::uuid[])',
    [ids],
  )
  return new Map(rows.map(({ id, mode }) => [id, mode]))
}
