/**
 * Takes old events out of the log, a UTC day at a time: never one that a consumer still has to read, that is among the
 * newest, or that is kept for audit (of live and paper runs, of backtests with audit `full`, of the system). What stays
 * keeps its id and its seq, and is put together by the month. Then what the queue has left behind.
 */
import type { Database, Reader } from '../database.ts'

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
  /** The month that is being put together, and how far that is; null: none is. */
  folded: { month: string; outcome: 'done' | 'begun' | 'busy' | 'again' } | null
  /** Claims of events whose jobs are gone. */
  claims: number
  /** Dead letters that were tried again or discarded long ago. */
  letters: number
}

const DAY_MS = 86_400_000
export const REPLAY_EVENTS = 10_000
/** Of one transaction. */
const ROWS_AT_ONCE = 20_000
/** Of one round: a month of many runs is copied in some hours, beside everything else that the disk has to do. */
const COPIES_OF_A_ROUND = 30
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
  const folded = await foldMonth(db, expired)
  return { days, folded, claims: await pruneClaims(db, expired), letters: await dropSettledLetters(db, expired) }
}

/** Null: what is kept for audit is whole. Else since when it is: nothing of a run that began before can be played again. */
export async function auditHorizon(reader: Reader): Promise<string | null> {
  const [row] = await reader.query<{ since: string }>(
    `select s.created_at as since from weaver.outbox_horizon h join weaver.outbox_seq s on s.seq >= h.audit_seq
     where h.audit_seq > 0 order by s.seq limit 1`,
  )
  return row?.since ?? null
}

/** Goes on with the oldest month that still lies in days, each of which is done. */
async function foldMonth(db: Database, expired: string): Promise<Retained['folded']> {
  const [due] = await db.write((tx) =>
    tx.query<{ month: string | null }>(`select to_char(weaver.foldable_outbox_month($1), 'YYYY-MM-DD') as month`, [
      expired,
    ]),
  )
  if (due === undefined || due.month === null) return null
  const month = due.month.slice(0, 7)
  for (let copies = 0; copies < COPIES_OF_A_ROUND; copies += 1) {
    const copied = await copyMonth(db, due.month)
    if (copied < 0) return { month, outcome: 'busy' }
    if (copied < ROWS_AT_ONCE) return { month, outcome: await exchangeMonth(db, due.month) }
  }
  return { month, outcome: 'begun' }
}

async function copyMonth(db: Database, month: string): Promise<number> {
  const [row] = await db.write((tx) =>
    tx.query<{ copied: number }>('select weaver.copy_outbox_month($1::date, $2) as copied', [month, ROWS_AT_ONCE]),
  )
  return row?.copied ?? -1
}

async function exchangeMonth(db: Database, month: string): Promise<'done' | 'busy' | 'again'> {
  const exchanged = () =>
    db.write((tx) =>
      tx.query<{ outcome: 'done' | 'busy' | 'again' }>('select weaver.exchange_outbox_month($1::date) as outcome', [
        month,
      ]),
    )
  const rows = await exchanged().catch(ofBusyLog)
  return rows?.[0]?.outcome ?? 'busy'
}

function ofBusyLog(error: unknown): null {
  if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
  return null
}

async function retainDay(
  { db, replayEvents = REPLAY_EVENTS }: RetentionOptions,
  day: string,
  auditExpired: string | null,
): Promise<RetainedDay> {
  const retained = () =>
    db.write((tx) =>
      tx.query<{ outcome: RetainedDay['outcome']; kept: string; dropped: string }>(
        `select outcome, rows_kept as kept, rows_dropped as dropped
         from weaver.retain_outbox_day($1::date, $2::timestamptz, $3::bigint)`,
        [day, auditExpired, replayEvents],
      ),
    )
  const [row] = (await retained().catch(ofBusyLog)) ?? []
  return { day, outcome: row?.outcome ?? 'busy', kept: Number(row?.kept ?? 0), dropped: Number(row?.dropped ?? 0) }
}

function pruneClaims(db: Database, expired: string): Promise<number> {
  return inBatches(async () => {
    const [row] = await db.write((tx) =>
      tx.query<{ pruned: string }>('select weaver.prune_event_claims($1, $2) as pruned', [expired, ROWS_AT_ONCE]),
    )
    return Number(row?.pruned ?? 0)
  })
}

/** What nobody has decided about stays. */
function dropSettledLetters(db: Database, expired: string): Promise<number> {
  return inBatches(() =>
    db.write((tx) =>
      tx.execute(
        `delete from weaver.job_dead_letters where id in (
           select id from weaver.job_dead_letters where settled is not null and settled_at < $1::timestamptz limit $2)`,
        [expired, ROWS_AT_ONCE],
      ),
    ),
  )
}

async function inBatches(batch: () => Promise<number>): Promise<number> {
  let all = 0
  for (;;) {
    const rows = await batch()
    all += rows
    if (rows < ROWS_AT_ONCE) return all
  }
}
