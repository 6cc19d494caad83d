/** What paper and live runs leave in their tables. */
import type { WriteTx } from '../../database.ts'
import {
  ACCOUNT_POSITIONS,
  ACCOUNTS,
  CLOCK_TICKS,
  HALTS,
  ORDER_SENDS,
  RUN_LEDGERS,
  VENUE_UPDATES,
} from '../live_rows.ts'
import type { LiveWrite } from '../outcome.ts'
import { insertRows, upsertRows } from './bulk.ts'

export function recordLive(tx: WriteTx, write: LiveWrite): Promise<void> {
  switch (write.kind) {
    case 'save_accounts':
      return upsertRows(tx, ACCOUNTS, ['exchange', 'mode'], write.rows)
    case 'save_account_positions':
      return upsertRows(tx, ACCOUNT_POSITIONS, ['exchange', 'mode', 'symbol'], write.rows)
    case 'save_run_ledgers':
      return upsertRows(tx, RUN_LEDGERS, ['run_id'], write.rows)
    case 'save_order_sends':
      return upsertRows(tx, ORDER_SENDS, ['order_id'], write.rows)
    case 'save_clock_ticks':
      return upsertRows(tx, CLOCK_TICKS, ['run_id', 'bar_index'], write.rows)
    case 'save_halts':
      return upsertRows(tx, HALTS, ['id'], write.rows)
    case 'insert_venue_updates':
      return insertRows(tx, VENUE_UPDATES, write.rows)
  }
}
