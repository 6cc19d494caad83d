/**
 * Takes old events out of the log, a UTC day at a time: never one that a consumer still has to read, that is among the
 * newest, or that is kept for audit (of live and paper runs, of backtests with audit `full`, of the system). What stays
 * keeps its id and its seq.
 */
import type { Database } from '../database.ts'

export interface RetentionOptions {
  db: Database
  now: () => number
  retentionDays: number
  /** Null: what is kept for audit is kept for ever. */
  auditDays: number | null
  /** Newest events that stay however old they are: whoever follows the log may be that far behind. */
  replayEvents?: number
}

export interface RetainedDay {
  day: string
  /** `waiting`: a consumer, or a follower of the log, may still want it. `busy`: the log was in use all the time. */
  outcome: 'done' | 'waiting' | 'busy'
  kept: number
  dropped: number
}

export interface Retained {
  days: RetainedDay[]
  /** Claims of events whose jobs are gone. */
  claims: number
}

const DAY_MS = 86_400_000
export const REPLAY_EVENTS = 10_000
/** Of one transaction. */
const CLAIMS_AT_ONCE = 20_000
const LOCK_NOT_AVAILABLE = '55P03'

export async function retainOnce(options: RetentionOptions): Promise<Retained> {
  const { db, now, retentionDays, auditDays } = options
  const expired = new Date(now() - retentionDays * DAY_MS).toISOString()
  const auditExpired = auditDays === null ? null : new Date(now() - auditDays * DAY_MS).toISOString()
  const due = await db.write((tx) =>
    tx.query<{ day: string }>(`select to_char(day, 'YYYY-MM-DD') as day from weaver.expired_outbox_days($1, $2)`, [
      expired,
      auditExpired,
    ]),
  )
  const days: RetainedDay[] = []
  for (const { day } of due) {
    const retained = await retainDay(options, day, auditExpired)
    days.push(retained)
    // The days after it have later events still.
    if (retained.outcome !== 'done') break
  }
  return { days, claims: await pruneClaims(db, expired) }
}

async function retainDay(
  { db, replayEvents = REPLAY_EVENTS }: RetentionOptions,
  day: string,
  auditExpired: string | null,
): Promise<RetainedDay> {
  try {
    const [row] = await db.write((tx) =>
      tx.query<{ outcome: RetainedDay['outcome']; kept: string; dropped: string }>(
        `select outcome, rows_kept as kept, rows_dropped as dropped
         from weaver.retain_outbox_day($1::date, $2::timestamptz, $3::bigint)`,
        [day, auditExpired, replayEvents],
      ),
    )
    return { day, outcome: row?.outcome ?? 'busy', kept: Number(row?.kept ?? 0), dropped: Number(row?.dropped ?? 0) }
  } catch (error) {
    if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
    return { day, outcome: 'busy', kept: 0, dropped: 0 }
  }
}

async function pruneClaims(db: Database, expired: string): Promise<number> {
  let all = 0
  for (;;) {
    const [row] = await db.write((tx) =>
      tx.query<{ pruned: string }>('select weaver.prune_event_claims($1, $2) as pruned', [expired, CLAIMS_AT_ONCE]),
    )
    const pruned = Number(row?.pruned ?? 0)
    all += pruned
    if (pruned < CLAIMS_AT_ONCE) return all
  }
}
