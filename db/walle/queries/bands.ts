/** Assumption bands of runs. */
import type { Reader } from '../../database.ts'
import type { BandRow } from '../rows.ts'

export async function getBand(reader: Reader, runId: string): Promise<BandRow | null> {
  const [band] = await reader.query<BandRow>(
    'select run_id, status, progress, result, error, created_at, updated_at from weaver.bands where run_id = $1',
    [runId],
  )
  return band ?? null
}
