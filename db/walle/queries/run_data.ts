/** Which bars runs saw, and which runs saw bars that have changed since. */
import type { Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { RUN_DATASETS, selectList } from '../columns.ts'
import type { RunDatasetRow } from '../rows.ts'

/** In the order in which the run read them. */
export function listRunDatasets(reader: Reader, runId: string): Promise<RunDatasetRow[]> {
  return reader.query<RunDatasetRow>(
    `select ${selectList(RUN_DATASETS)} from weaver.run_datasets where run_id = $1 order by created_at, symbol, timeframe`,
    [runId],
  )
}

/** Runs are listed up to this many. */
const LISTED_RUNS = 20

/** Runs that saw stored candles of a range, the newest first. */
export async function runsThatSaw(
  reader: Reader,
  range: { symbol: string; timeframe: Timeframe; first: string | null; last: string | null },
): Promise<{ count: number; ids: string[] }> {
  const rows = await reader.query<{ id: string; count: number }>(
    `select r.id, count(*) over () as count from weaver.runs r
     where exists (
       select from weaver.run_datasets d
       where d.run_id = r.id and d.symbol = $1 and d.source_timeframe = $2
         and d.first <= $4::timestamptz and d.last >= $3::timestamptz)
     order by r.created_at desc, r.id limit ${LISTED_RUNS}`,
    [range.symbol, range.timeframe, range.first, range.last],
  )
  return { count: rows[0]?.count ?? 0, ids: rows.map(({ id }) => id) }
}

/** How candles that a run saw were revised after it had read them. */
export interface Invalidation {
  /** Revisions. */
  count: number
  /** When the first of them was recorded. */
  since: string
  symbols: string[]
  /** Open times of the first and the last candle of all revised ranges. */
  first: string
  last: string
}

/** What an invalidation says to whoever reads the result. */
export function invalidationText({ count, symbols, first, last }: Invalidation): string {
  const revisions = count === 1 ? 'a revision' : `${count} revisions`
  return `candles that this run saw were changed since by ${revisions} of ${symbols.join(', ')} between ${first} and ${last}: run it again`
}

/** By run, of those that are marked. */
export async function invalidationsOf(reader: Reader, ids: readonly string[]): Promise<Map<string, Invalidation>> {
  const rows = await reader.query<Invalidation & { run_id: string }>(
    `select run_id, count(*) as count, min(created_at) as since, array_agg(distinct symbol) as symbols,
       min(first) as first, max(last) as last
     from weaver.run_invalidations where run_id = any ($1::uuid[]) group by run_id`,
    [ids],
  )
  return new Map(rows.map(({ run_id, ...invalidation }) => [run_id, invalidation]))
}
