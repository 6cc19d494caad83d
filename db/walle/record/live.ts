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
import { BAR_COVERAGE, CANDLE_FETCHES, WINDOW_WAITS } from '../market_rows.ts'
import type { LiveWrite } from '../outcome.ts'
import { HOPS } from '../parity_rows.ts'
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
    case 'save_bar_coverage':
      return upsertRows(tx, BAR_COVERAGE, ['symbol', 'timeframe'], write.rows)
    case 'save_window_waits':
      return upsertRows(tx, WINDOW_WAITS, ['run_id', 'bar_index'], write.rows)
    case 'save_candle_fetches':
      return upsertRows(tx, CANDLE_FETCHES, ['id'], write.rows)
    case 'insert_venue_updates':
      return insertRows(tx, VENUE_UPDATES, write.rows)
    case 'insert_hops':
      return insertRows(tx, HOPS, write.rows)
    case 'open_ticks':
      return openTicks(tx, write.rows)
  }
}

async function openTicks(
  tx: WriteTx,
  rows: readonly { run_id: string; bar_index: number; corr_id: string }[],
): Promise<void> {
  if (rows.length === 0) return
  await tx.execute(
    `update weaver.runs r set next_tick = n.bar_index, open_corr_id = n.corr_id
     from unnest($1::uuid[], $2::bigint[], $3::uuid[]) as n (run_id, bar_index, corr_id) where r.id = n.run_id`,
    [rows.map(({ run_id }) => run_id), rows.map(({ bar_index }) => bar_index), rows.map(({ corr_id }) => corr_id)],
  )
}
