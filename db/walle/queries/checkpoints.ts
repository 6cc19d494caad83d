import type { Json } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'

export interface Checkpoint {
  next_tick: number
  state: Json
}

export async function getCheckpoint(reader: Reader, runId: string): Promise<Checkpoint | null> {
  const [checkpoint] = await reader.query<Checkpoint>(
    'select next_tick, state from weaver.run_checkpoints where run_id = $1',
    [runId],
  )
  return checkpoint ?? null
}
