/**
 * Thins out what paper and live runs leave with every tick and every order, in small transactions: rows of long ago, which
 * nobody waits for. What a run can be played again from goes only behind the horizon of the log's audit.
 */
import type { Database, WriteTx } from '../database.ts'

export interface Horizons {
  /** WEAVER_RETENTION_DAYS ago. */
  expired: string
  /** From when on the log is whole of what is kept for audit; null: it is whole. */
  auditedSince: string | null
}

/** Of each run so many newest ticks stay: that is what its page and `GET /runs/{id}/ticks` sum up. */
export const TICKS_KEPT = 1_440
/** Of one transaction. */
const ROWS_AT_ONCE = 5_000

/** A statement that deletes at most $2 rows of before $1. */
interface Thinned {
  before: (horizons: Horizons) => string | null
  sql: string
}

const olderThan = ({ expired }: Horizons): string => expired
const unaudited = ({ auditedSince }: Horizons): string | null => auditedSince

/**
 * Those of before $1 that are not among the newest of their run, by whose very newest its clock goes. Run by run, from
 * either end of an index: neither the runs that ended long ago nor the ticks of this month are read.
 */
const thinnedTicks = (which: string): string => `with recursive ticking as (
    (select run_id, bar_index from weaver.clock_ticks order by run_id desc, bar_index desc limit 1)
    union all
    select next.run_id, next.bar_index from ticking cross join lateral (
      select t.run_id, t.bar_index from weaver.clock_ticks t where t.run_id < ticking.run_id
      order by t.run_id desc, t.bar_index desc limit 1
    ) next
  )
  delete from weaver.clock_ticks where id in (
    select old.id from ticking
      cross join lateral (
        select t.bar_index from weaver.clock_ticks t where t.run_id = ticking.run_id and t.ts < $1::timestamptz
        order by t.ts desc limit 1
      ) expired
      cross join lateral (
        select t.id from weaver.clock_ticks t
        where t.run_id = ticking.run_id and t.bar_index <= least(expired.bar_index, ticking.bar_index - ${TICKS_KEPT}) and ${which}
        order by t.bar_index limit $2
      ) old
    limit $2)`

export const THINNED = {
  /** Those that were emitted: the log has them as clock.Tick. */
  clock_ticks: { before: olderThan, sql: thinnedTicks('t.event_id is not null and t.done_at is not null') },
  /** Nothing else tells that a tick was missed. */
  missed_ticks: { before: unaudited, sql: thinnedTicks('t.event_id is null') },
  /** In the order in which they came. */
  hops: {
    before: unaudited,
    sql: `delete from weaver.hops where id in (
      select h.id from weaver.hops h
      where h.id < coalesce((select first.id from weaver.hops first where first.created_at >= $1::timestamptz order by first.id limit 1),
        9223372036854775807)
      order by h.id limit $2)`,
  },
  /** What a venue may tell again stays: it is asked for what came since its account was compared last. */
  venue_updates: {
    before: unaudited,
    sql: `delete from weaver.venue_updates where id in (
      select u.id from weaver.venue_updates u
      where u.created_at < $1::timestamptz and not exists (
        select from weaver.accounts a
        where a.exchange = u.exchange and a.mode = u.mode and u.created_at > a.reconciled_at - interval '2 days'
      ) order by u.created_at limit $2)`,
  },
  /** Bars that came late are counted as long as their run goes on. */
  window_waits: {
    before: olderThan,
    sql: `delete from weaver.window_waits where id in (
      select w.id from weaver.window_waits w
      where w.created_at < $1::timestamptz and (w.late = 0 or not exists (
        select from weaver.runs r where r.id = w.run_id and r.status = 'running'
      )) order by w.created_at limit $2)`,
  },
  notifications: {
    before: olderThan,
    sql: `delete from weaver.notifications where id in (
      select id from weaver.notifications where created_at < $1::timestamptz and state <> 'to_send' limit $2)`,
  },
  candle_fetches: {
    before: olderThan,
    sql: `delete from weaver.candle_fetches where id in (
      select id from weaver.candle_fetches where created_at < $1::timestamptz and status <> 'running' limit $2)`,
  },
} as const satisfies Record<string, Thinned>

export type ThinnedName = keyof typeof THINNED

/** Gives how many rows went. */
export async function thin(db: Pick<Database, 'write'>, name: ThinnedName, horizons: Horizons): Promise<number> {
  const { before, sql } = THINNED[name]
  const time = before(horizons)
  if (time === null) return 0
  const batch = (tx: WriteTx) => tx.execute(sql, [time, ROWS_AT_ONCE])
  let all = 0
  for (;;) {
    // Nobody was told of it: it may be lost in a crash, and is done again.
    const rows = await db.write(batch, { flush: false })
    all += rows
    if (rows < ROWS_AT_ONCE) return all
  }
}
