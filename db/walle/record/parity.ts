/** What replays of paper and live runs leave. */
import type { WriteTx } from '../../database.ts'
import { cellText } from '../columns.ts'
import type { ParityRow } from '../parity_rows.ts'

export type ParityChanges = Partial<Omit<ParityRow, 'run_id' | 'created_at' | 'updated_at'>>

/** A new report needs its state and its tolerance. One whose run was deleted is not made again by its progress. */
export async function updateParity(tx: WriteTx, run_id: string, changes: ParityChanges): Promise<void> {
  const { state, progress, tolerance_bps, result, error, replayed_at } = changes
  const given = [
    ['state', 'text', state],
    ['progress', 'float8', progress],
    ['tolerance_bps', 'float8', tolerance_bps],
    ['result', 'jsonb', result],
    ['error', 'text', error],
    ['replayed_at', 'timestamptz', replayed_at],
  ] as const
  const set = given.filter(([, , value]) => value !== undefined)
  const values = set.map(([, type, value]) => cellText(value, type))
  const names = set.map(([name]) => name)
  const typed = set.map(([, type], index) => `$${index + 2}::${type}`)
  const updated = await tx.execute(
    `update weaver.parity_reports set ${names.map((name, index) => `${name} = ${typed[index]}`).join(', ')} where run_id = $1`,
    [run_id, ...values],
  )
  if (updated > 0 || state === undefined || tolerance_bps === undefined) return
  await tx.execute(`insert into weaver.parity_reports (run_id, ${names.join(', ')}) values ($1, ${typed.join(', ')})`, [
    run_id,
    ...values,
  ])
}
