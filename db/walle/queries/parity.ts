/** What replays of paper and live runs read, and what they left. */
import type { Reader } from '../../database.ts'
import { DECISIONS, selectList } from '../columns.ts'
import { HOPS, type HopRow, type ParityClass, type ParityResult, type ParityRow } from '../parity_rows.ts'
import type { DecisionRow, RunRow } from '../rows.ts'

export async function getParity(reader: Reader, runId: string): Promise<ParityRow | null> {
  const [row] = await reader.query<ParityRow>(
    `select run_id, state, progress, tolerance_bps, result, error, replayed_at, created_at, updated_at
     from weaver.parity_reports where run_id = $1`,
    [runId],
  )
  return row ?? null
}

/** A replay as it is shown; `none`: the run was never replayed. */
export type Parity = Omit<
  ParityRow,
  'state' | 'progress' | 'tolerance_bps' | 'result' | 'created_at' | 'updated_at'
> & {
  state: ParityRow['state'] | 'none'
  progress: number | null
  tolerance_bps: number | null
} & { [Name in keyof ParityResult]: ParityResult[Name] | null }

const NOTHING_YET: { [Name in keyof ParityResult]: null } = {
  verdict: null,
  first_divergence: null,
  counts: null,
  differences: null,
  differences_total: null,
  ticks: null,
  orders: null,
  fills: null,
  unjudged: null,
  through: null,
  slippage: null,
  fees: null,
  notes: null,
}

export function parityOf(run_id: string, row: ParityRow | null): Parity {
  return {
    run_id,
    state: row?.state ?? 'none',
    progress: row?.progress ?? null,
    tolerance_bps: row?.tolerance_bps ?? null,
    error: row?.error ?? null,
    replayed_at: row?.replayed_at ?? null,
    ...(row?.result ?? NOTHING_YET),
  }
}

/** What somebody wants to know of a run's parity before a run is made of it. */
export interface ParitySummary {
  state: Parity['state']
  verdict: ParityResult['verdict'] | null
  counts: Record<ParityClass, number> | null
  replayed_at: string | null
}

export async function paritySummary(reader: Reader, runId: string): Promise<ParitySummary> {
  const { state, verdict, counts, replayed_at } = parityOf(runId, await getParity(reader, runId))
  return { state, verdict, counts, replayed_at }
}

/** A hop and its place among the run's. */
export type PlacedHop = HopRow & { id: number }

/** The next hops of a run, in the order in which its strategy was spoken to. */
export function listHops(reader: Reader, runId: string, after: number, limit: number): Promise<PlacedHop[]> {
  return reader.query<PlacedHop>(
    `select id, ${selectList(HOPS)} from weaver.hops where run_id = $1 and id > $2 order by id limit $3`,
    [runId, after, limit],
  )
}

/** The newest of a run's hops; 0: there is none. */
export async function lastHop(reader: Reader, runId: string): Promise<number> {
  const [row] = await reader.query<{ id: number }>(
    'select coalesce(max(id), 0) as id from weaver.hops where run_id = $1',
    [runId],
  )
  return Number(row?.id ?? 0)
}

/** Decisions that are too large for their events. */
export async function getDecisionById(reader: Reader, id: string): Promise<DecisionRow | null> {
  const [row] = await reader.query<DecisionRow>(`select ${selectList(DECISIONS)} from weaver.decisions where id = $1`, [
    id,
  ])
  return row ?? null
}

/** The most that a venue ever reported of an order, with what was reported of those whose place it took. */
export interface VenueSaid {
  client_order_id: string
  filled_qty: string
  filled_avg_price: string | null
}

export function listVenueSaid(reader: Reader, runId: string): Promise<VenueSaid[]> {
  return reader.query<VenueSaid>(
    `with said as (
       select distinct on (u.client_order_id, t.place) u.client_order_id, t.filled_qty,
         u.payload #>> '{order,filled_avg_price}' as filled_avg_price
       from weaver.orders o join weaver.venue_updates u on u.client_order_id = o.client_order_id
         left join weaver.order_sends s on s.order_id = o.id
         cross join lateral (select greatest((u.payload #>> '{order,filled_qty}')::numeric,
           (u.payload #>> '{execution,cum_qty}')::numeric) as filled_qty,
           case when s.replaced_ids <> '[]' then coalesce(u.payload #>> '{order,exchange_order_id}',
             u.payload #>> '{execution,exchange_order_id}') else '' end as place) t
       where o.run_id = $1 and t.filled_qty is not null
         and (t.place = '' or t.place = o.exchange_order_id or s.replaced_ids ? t.place)
       order by u.client_order_id, t.place, t.filled_qty desc, u.id desc)
     select client_order_id, trim_scale(sum(filled_qty))::text as filled_qty,
       case when count(*) = 1 then min(filled_avg_price)
         when bool_or(filled_qty > 0 and filled_avg_price is null) or sum(filled_qty) = 0 then null
         else trim_scale(round(sum(filled_qty * coalesce(filled_avg_price, '0')::numeric) / sum(filled_qty), 12))::text
       end as filled_avg_price
     from said group by client_order_id order by client_order_id`,
    [runId],
  )
}

/** A difference of positions that was one of fees. */
export interface FeeAdjustment {
  /** `outbox.id` */
  place: number
  ts: string
  symbol: string
  detail: string
  /** Another run of the account bought the symbol since it was found out last, or since this run began. */
  shared: boolean
}

/** Found at the run's account, in its symbols, between two places in the log, oldest first; `to` null: up to now. */
export function listFeeAdjustments(
  reader: Reader,
  run: Pick<RunRow, 'id' | 'exchange' | 'mode' | 'symbols' | 'started_at'>,
  { from, to }: { from: number; to: number | null },
): Promise<FeeAdjustment[]> {
  return reader.query<FeeAdjustment>(
    `with found as (
       select o.id as place, o.payload ->> 'ts' as ts, f.symbol, f.detail,
         lag(o.payload ->> 'ts', 1, $7::text) over (partition by f.symbol order by o.id) as since
       from weaver.outbox o cross join lateral jsonb_to_recordset(o.payload #> '{payload,findings}')
         as f (class text, symbol text, detail text)
       where o.type = 'account.Reconciled' and o.id > $1::bigint and ($2::bigint is null or o.id <= $2) and o.payload #>> '{payload,exchange}' = $3
         and o.payload #>> '{payload,mode}' = $4 and f.class = 'fee_adjustment' and f.symbol = any ($5::text[]))
     select place, ts, symbol, detail, exists (
         select from weaver.runs r join weaver.fills l on l.run_id = r.id
         where r.exchange = $3 and r.mode = $4 and r.id <> $6 and l.symbol = found.symbol and l.side = 'buy'
           and l."timestamp" > found.since::timestamptz and l."timestamp" <= found.ts::timestamptz) as shared
     from found order by place`,
    [from, to, run.exchange, run.mode, run.symbols, run.id, run.started_at],
  )
}

/** Why the run's orders were to be cancelled, where they were. */
export function listCancelReasons(reader: Reader, runId: string): Promise<{ order_id: string; reason: string }[]> {
  return reader.query(
    `select order_id, coalesce(cancel_reason, '') as reason from weaver.order_sends
     where run_id = $1 and cancel_requested_at is not null`,
    [runId],
  )
}
