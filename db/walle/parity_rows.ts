/** Rows of replays of paper and live runs (migration 015), in the notation of rows.ts. */
import type { Table } from './columns.ts'

/** The strategy of a paper or live run was spoken to. */
export interface HopRow {
  run_id: string
  /** Of what it was told. */
  event_id: string
  /** The newest tick: what it asks for counts as asked there. */
  bar_index: number
  phase: 'tick' | 'window' | 'tick_window' | 'order'
  /** Place in the log of the newest event of its run that the account it was shown had taken in. */
  seen: number
  /** Of its memory afterwards; null: windows came that it had not to be asked about. */
  memory_hash: string | null
}

export const HOPS: Table<HopRow> = {
  name: 'weaver.hops',
  columns: {
    run_id: 'uuid',
    event_id: 'uuid',
    bar_index: 'bigint',
    phase: 'text',
    seen: 'bigint',
    memory_hash: 'text',
  },
}
