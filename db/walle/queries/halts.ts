import type { Reader } from '../../database.ts'
import { selectList } from '../columns.ts'
import { HALTS, type HaltRow, type TradingMode } from '../live_rows.ts'

/** The halts that hold: the system's first. */
export function activeHalts(reader: Reader): Promise<HaltRow[]> {
  return reader.query<HaltRow>(
    `select ${selectList(HALTS)} from weaver.halts where resumed_at is null order by run_id nulls first, halted_at`,
  )
}

/** The halt of a run, or with null of the system; it holds until it is resumed. */
export async function activeHalt(reader: Reader, runId: string | null): Promise<HaltRow | null> {
  const [halt] = await reader.query<HaltRow>(
    `select ${selectList(HALTS)} from weaver.halts where run_id is not distinct from $1::uuid and resumed_at is null`,
    [runId],
  )
  return halt ?? null
}

/** The system is halted, or was when the account was last compared with its venue: what ended there since may be the halt's doing. */
export async function haltedSinceCompared(
  reader: Reader,
  { exchange, mode }: { exchange: string | null; mode: string },
): Promise<boolean> {
  const [row] = await reader.query<{ halted: boolean }>(
    `select exists (
       select from weaver.halts h left join weaver.accounts a on a.exchange = $1 and a.mode = $2
       where h.run_id is null and (h.resumed_at is null or h.resumed_at > a.reconciled_at)
     ) as halted`,
    [exchange, mode],
  )
  return row?.halted === true
}

/** Until the transaction ends nobody else halts or resumes. */
export async function lockHalts(tx: Reader): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('weaver:halts', 0))`)
}

/** Runs with orders that are, or may be, open at a venue, and that nobody has asked to be cancelled. */
export async function runsWithOpenOrders(reader: Reader): Promise<string[]> {
  const rows = await reader.query<{ run_id: string }>(
    `select distinct s.run_id from weaver.order_sends s join weaver.orders o on o.id = s.order_id
     where o.status in ('pending', 'submitted', 'accepted', 'partial') and s.cancel_requested_at is null order by 1`,
  )
  return rows.map(({ run_id }) => run_id)
}

/** Accounts that Weaver trades in or has traded in. */
export function knownAccounts(reader: Reader): Promise<{ exchange: string; mode: TradingMode }[]> {
  return reader.query(
    `select exchange, mode from weaver.accounts
     union select exchange, mode from weaver.runs where mode <> 'backtest' and exchange is not null and status = 'running'
     order by 1, 2`,
  )
}

/** Orders of ours that lie open at their venues, or may. */
export async function openOrdersAtVenues(reader: Reader): Promise<number> {
  const [row] = await reader.query<{ open: number }>(
    `select count(*)::int as open from weaver.order_sends s join weaver.orders o on o.id = s.order_id
     where o.status in ('pending', 'submitted', 'accepted', 'partial') and s.state <> 'to_send'`,
  )
  return row?.open ?? 0
}
