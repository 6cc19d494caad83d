/** Which bars a run saw, and which of them changed since. */
import type { WriteTx } from '../../database.ts'
import { cellText, columnNames, quoted, RUN_DATASETS } from '../columns.ts'
import type { Revision, RunDatasetRow } from '../rows.ts'

/** The first reading of a set counts: what it gives later is held against it. */
export async function saveRunDataset(tx: WriteTx, row: RunDatasetRow): Promise<void> {
  const { columns } = RUN_DATASETS
  const names = columnNames(columns)
  await tx.execute(
    `insert into weaver.run_datasets (${names.map(quoted).join(', ')})
     values (${names.map((name, i) => `$${i + 1}::${columns[name]}`).join(', ')})
     on conflict (run_id, symbol, timeframe, fetched) do nothing`,
    names.map((name) => cellText(row[name], columns[name])),
  )
}

/** Told twice of a revision it marks its runs once. */
export async function invalidateRuns(tx: WriteTx, revision: Revision): Promise<void> {
  const { event_id, symbol, timeframe, first, last, revised } = revision
  await tx.execute(
    `insert into weaver.run_invalidations (run_id, event_id, symbol, timeframe, first, last, revised)
     select distinct d.run_id, $1::uuid, $2, $3, $4::timestamptz, $5::timestamptz, $6::bigint
     from weaver.run_datasets d
     where d.symbol = $2 and d.source_timeframe = $3 and d.first <= $5::timestamptz and d.last >= $4::timestamptz
     on conflict (run_id, event_id) do nothing`,
    [event_id, symbol, timeframe, first, last, revised],
  )
}
