/** What paper and live runs leave in their tables. */
import type { WriteTx } from '../../database.ts'
import {
  ACCOUNT_POSITIONS,
  ACCOUNTS,
  CLOCK_TICKS,
  HALTS,
  ORDER_SENDS,
  RUN_LEDGERS,
  VENUE_CLOCKS,
  VENUE_UPDATES,
} from '../live_rows.ts'
import { BAR_COVERAGE, CANDLE_FETCHES, type MarketMarkRow, WINDOW_WAITS } from '../market_rows.ts'
import { HEARTBEATS, NOTIFICATIONS } from '../notice_rows.ts'
import type { LiveWrite } from '../outcome.ts'
import { HOPS } from '../parity_rows.ts'
import { insertMissing, insertRows, upsertRows } from './bulk.ts'
import { updateParity } from './parity.ts'

export function recordLive(tx: WriteTx, write: LiveWrite): Promise<void> {
  switch (write.kind) {
    case 'save_accounts':
      return upsertRows(tx, ACCOUNTS, ['exchange', 'mode'], write.rows)
    case 'save_venue_clocks':
      return upsertRows(tx, VENUE_CLOCKS, ['exchange', 'mode'], write.rows)
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
    case 'save_market_marks':
      return saveMarketMarks(tx, write.rows)
    case 'add_notifications':
      return insertMissing(tx, NOTIFICATIONS, ['id'], write.rows)
    case 'save_notifications':
      return upsertRows(tx, NOTIFICATIONS, ['id'], write.rows)
    case 'save_heartbeat':
      return upsertRows(tx, HEARTBEATS, ['id'], [write.row])
    case 'insert_venue_updates':
      return insertRows(tx, VENUE_UPDATES, write.rows)
    case 'update_parity':
      return updateParity(tx, write.run_id, write.changes)
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

/** Whoever kept the account before may have heard something newer. */
async function saveMarketMarks(tx: WriteTx, rows: readonly MarketMarkRow[]): Promise<void> {
  if (rows.length === 0) return
  await tx.execute(
    `insert into weaver.market_marks as m (exchange, mode, symbol, price, source, marked_at, bar_time, dropped)
     select * from unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::text[], $6::timestamptz[],
       $7::timestamptz[], $8::bigint[])
     on conflict (exchange, mode, symbol) do update set
       price = case when excluded.marked_at >= m.marked_at then excluded.price else m.price end,
       source = case when excluded.marked_at >= m.marked_at then excluded.source else m.source end,
       marked_at = greatest(m.marked_at, excluded.marked_at),
       bar_time = greatest(m.bar_time, excluded.bar_time),
       dropped = m.dropped + excluded.dropped`,
    [
      rows.map(({ exchange }) => exchange),
      rows.map(({ mode }) => mode),
      rows.map(({ symbol }) => symbol),
      rows.map(({ price }) => price),
      rows.map(({ source }) => source),
      rows.map(({ marked_at }) => marked_at),
      rows.map(({ bar_time }) => bar_time),
      rows.map(({ dropped }) => dropped),
    ],
  )
}
