/** What the clock and the life of paper and live runs ask. */
import type { Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { ORDERS, POSITIONS, RUNS, selectList } from '../columns.ts'
import { CLOCK_TICKS, type ClockTickRow, RUN_LEDGERS, type RunLedgerRow } from '../live_rows.ts'
import type { OrderRow, PositionRow, RunRow } from '../rows.ts'

/** The runs that the clock looks after: those whose ledger is open, until somebody wants them to stop. */
const TICKING = `r.mode <> 'backtest' and r.status = 'running' and r.stop_requested is null
  and exists (select from weaver.run_ledgers l where l.run_id = r.id)`
const LAST_TICK = `left join lateral (
    select t.bar_index, t.ts from weaver.clock_ticks t where t.run_id = r.id order by t.bar_index desc limit 1
  ) last on true`

/** Of the runs that tick, those with a boundary between their last tick and the newest boundary of their timeframe. */
export async function runsWithBoundaries(
  reader: Reader,
  newest: readonly { timeframe: Timeframe; ts: number }[],
): Promise<string[]> {
  const rows = await reader.query<{ id: string }>(
    `select r.id from weaver.runs r
       join unnest($1::text[], $2::timestamptz[]) as newest (timeframe, ts) on newest.timeframe = r.timeframe
       ${LAST_TICK}
     where ${TICKING} and newest.ts > coalesce(last.ts, r.started_at)
     order by r.id`,
    [newest.map(({ timeframe }) => timeframe), newest.map(({ ts }) => new Date(ts).toISOString())],
  )
  return rows.map(({ id }) => id)
}

/** `exchange mode`: what a run trades through. */
export async function accountOfRun(reader: Reader, runId: string): Promise<string> {
  const sql = `select concat_ws(' ', exchange, mode) as account from weaver.runs where id = $1`
  const [row] = await reader.query<{ account: string }>(sql, [runId])
  return row?.account ?? ''
}

export type TickingRun = Pick<
  RunRow,
  'id' | 'mode' | 'symbols' | 'timeframe' | 'window_bars' | 'missed_ticks' | 'open_corr_id' | 'started_at' | 'next_tick'
> & {
  /** Of its last tick, emitted or missed; null: it had none. */
  last_index: number | null
  last_ts: string | null
}

const TICKING_RUNS = `select r.id, r.mode, r.symbols, r.timeframe, r.window_bars, r.missed_ticks, r.open_corr_id, r.started_at,
    r.next_tick, last.bar_index as last_index, last.ts as last_ts
  from weaver.runs r ${LAST_TICK}`

/** Locks those of the runs that nobody else holds: a run at which somebody is must not hold up all others. */
export async function lockTickingRuns(tx: Reader, ids: readonly string[]): Promise<TickingRun[]> {
  if (ids.length === 0) return []
  const locked = await tx.query<{ id: string }>(
    'select id from weaver.runs where id = any ($1::uuid[]) order by id for no key update skip locked',
    [ids],
  )
  // A statement of its own: it sees what was committed before the locks were given.
  return tx.query<TickingRun>(`${TICKING_RUNS} where r.id = any ($1::uuid[]) and ${TICKING} order by r.id`, [
    locked.map(({ id }) => id),
  ])
}

/** The runs that tick, as they are. */
export function tickingRuns(reader: Reader): Promise<TickingRun[]> {
  return reader.query<TickingRun>(`${TICKING_RUNS} where ${TICKING} order by r.id`)
}

export interface OpenTick {
  run_id: string
  bar_wait_ms: number | null
  /** When the clock emitted it. */
  opened_at: string
}

/** Ticks of running runs that have not come to their end. Those that were missed meanwhile are none. */
export function openTicks(reader: Reader): Promise<OpenTick[]> {
  return reader.query<OpenTick>(
    `select r.id as run_id, r.bar_wait_ms,
       last.ts + coalesce(last.drift_ms, 0) * interval '1 millisecond' as opened_at
     from weaver.runs r join lateral (
       select t.ts, t.drift_ms, t.done_at from weaver.clock_ticks t
       where t.run_id = r.id and t.missed_reason is null order by t.bar_index desc limit 1
     ) last on last.done_at is null
     where r.mode <> 'backtest' and r.status = 'running' and r.open_corr_id is not null order by 3, 1`,
  )
}

export function listClockTicks(reader: Reader, runId: string): Promise<ClockTickRow[]> {
  return reader.query<ClockTickRow>(
    `select ${selectList(CLOCK_TICKS)} from weaver.clock_ticks where run_id = $1 order by bar_index`,
    [runId],
  )
}

export async function getClockTick(reader: Reader, runId: string, barIndex: number): Promise<ClockTickRow | null> {
  const [row] = await reader.query<ClockTickRow>(
    `select ${selectList(CLOCK_TICKS)} from weaver.clock_ticks where run_id = $1 and bar_index = $2`,
    [runId, barIndex],
  )
  return row ?? null
}

/** Of the run's newest tick, emitted or missed; null: it had none. */
export async function lastBarIndex(reader: Reader, runId: string): Promise<number | null> {
  const [row] = await reader.query<{ last: number | null }>(
    'select max(bar_index) as last from weaver.clock_ticks where run_id = $1',
    [runId],
  )
  return row?.last ?? null
}

export async function getRunLedger(reader: Reader, runId: string): Promise<RunLedgerRow | null> {
  const [row] = await reader.query<RunLedgerRow>(
    `select ${selectList(RUN_LEDGERS)} from weaver.run_ledgers where run_id = $1`,
    [runId],
  )
  return row ?? null
}

export interface RecentTicks {
  emitted: number
  /** By reason. */
  missed: { reason: string; count: number }[]
  /** Milliseconds after the boundary: median, 99th percentile, most. Null: there was none. */
  drift: (number | null)[]
}

/** Ticks of the last minutes. */
export async function recentTicks(reader: Reader, minutes: number): Promise<RecentTicks> {
  const rows = await reader.query<{ reason: string | null; count: number; drift: (number | null)[] }>(
    `select missed_reason as reason, count(*) as count,
       array[percentile_cont(0.5) within group (order by drift_ms),
         percentile_cont(0.99) within group (order by drift_ms), max(drift_ms)] as drift
     from weaver.clock_ticks where created_at > now() - make_interval(mins => $1) group by missed_reason
     order by missed_reason`,
    [minutes],
  )
  const emitted = rows.find(({ reason }) => reason === null)
  return {
    emitted: emitted?.count ?? 0,
    missed: rows.flatMap(({ reason, count }) => (reason === null ? [] : [{ reason, count }])),
    drift: emitted?.drift ?? [null, null, null],
  }
}

export interface TickSummary {
  last: Pick<ClockTickRow, 'bar_index' | 'ts' | 'drift_ms' | 'missed_reason' | 'done_at'> | null
  ticks: number
  missed: { reason: string; count: number; last_ts: string }[]
  /** Null: none was emitted. */
  drift_ms: { p50: number; p99: number; max: number } | null
}

/** Of the run's newest ticks. */
export async function summariseTicks(reader: Reader, runId: string, most: number): Promise<TickSummary> {
  const newest = `(select * from weaver.clock_ticks where run_id = $1 order by bar_index desc limit $2)`
  const [last = null] = await reader.query<NonNullable<TickSummary['last']>>(
    `select bar_index, ts, drift_ms, missed_reason, done_at from ${newest} newest`,
    [runId, 1],
  )
  const rows = await reader.query<{ reason: string | null; count: number; last_ts: string; drift: number[] }>(
    `select missed_reason as reason, count(*) as count, max(ts) as last_ts,
       array[percentile_cont(0.5) within group (order by drift_ms),
         percentile_cont(0.99) within group (order by drift_ms), max(drift_ms)] as drift
     from ${newest} newest group by missed_reason order by missed_reason`,
    [runId, most],
  )
  const [p50, p99, max] = rows.find(({ reason }) => reason === null)?.drift ?? []
  return {
    last,
    ticks: rows.reduce((sum, { count }) => sum + count, 0),
    missed: rows.flatMap(({ reason, count, last_ts }) => (reason === null ? [] : [{ reason, count, last_ts }])),
    drift_ms: p50 === undefined || p99 === undefined || max === undefined ? null : { p50, p99, max },
  }
}

export type SentOrder = OrderRow & { cancel_requested_at: string | null }

/** The run's orders that may still fill, and whether somebody asked to cancel them; oldest first. */
export function openSentOrders(reader: Reader, runId: string): Promise<SentOrder[]> {
  return reader.query<SentOrder>(
    `select o.*, s.cancel_requested_at from (
       select ${selectList(ORDERS)} from weaver.orders
       where run_id = $1 and status in ('pending', 'submitted', 'accepted', 'partial')
     ) o left join weaver.order_sends s on s.order_id = o.id order by o.ordinal`,
    [runId],
  )
}

/** What the run holds. */
export function openPositions(reader: Reader, runId: string): Promise<PositionRow[]> {
  return reader.query<PositionRow>(
    `select ${selectList(POSITIONS)} from weaver.positions where run_id = $1 and qty <> 0 order by symbol`,
    [runId],
  )
}

/** Paper and live runs that are running, for those who keep what they need. */
export function runningLiveRuns(reader: Reader): Promise<RunRow[]> {
  return reader.query<RunRow>(
    `select ${selectList(RUNS)} from weaver.runs where mode <> 'backtest' and status = 'running' order by created_at`,
  )
}

/** Since a run's row was last written, by the database's clock: those of two machines may be minutes apart. */
export async function msSinceChanged(reader: Reader, runId: string): Promise<number> {
  const [row] = await reader.query<{ ms: number }>(
    'select (extract(epoch from clock_timestamp() - updated_at) * 1000)::float8 as ms from weaver.runs where id = $1',
    [runId],
  )
  return row?.ms ?? 0
}
