/** How a consumer of the log keeps its place: the offset moves in the transaction of the effect, never past an event. */
import type { Database, WriteTx } from '../database.ts'
import { isReadable, type LoggedEvent, readLog, UnreadableEvent } from './read.ts'
import type { EventType } from './registry.ts'

export type StartAt = 'oldest' | 'head'

export interface ConsumeOptions {
  db: Database
  consumerId: string
  /** Where one begins that nobody knows yet. Absent: at the oldest event. */
  startAt?: StartAt
  /** Events per transaction. */
  limit: number
  /** Only these are handed over; the offset moves over the others. Absent: all. */
  types?: readonly EventType[]
  /** Of each statement in the transaction. */
  statementTimeoutMs?: number
  handle: (tx: WriteTx, events: readonly LoggedEvent[]) => Promise<void>
}

export interface Batch {
  /** That were handed over. */
  events: number
  /** The offset before and after. The same: there was nothing to do, or another instance is at it. */
  from: number
  to: number
  /** There was more in the log when the batch was taken. */
  more: boolean
}

/** What the handler threw, at which events; nothing of their effect is left. */
export class HandlerFailed extends Error {
  override readonly name = 'HandlerFailed'
  readonly events: readonly LoggedEvent[]

  constructor(events: readonly LoggedEvent[], cause: unknown) {
    const [first] = events
    const at = events.length === 1 && first ? `seq ${first.seq}, ${first.envelope.type} ${first.envelope.id}: ` : ''
    super(`${at}${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.events = events
  }
}

/** The log is shorter than the consumer remembers. */
export class OffsetAhead extends Error {
  override readonly name = 'OffsetAhead'
  constructor(consumerId: string, offset: number, head: number) {
    super(
      `consumer ${consumerId} is done with seq ${offset}, but the log ends at ${head}: it was restored to an older state. ` +
        `Make sure that what the consumer wrote was restored with it, then run \`weaver consumers rewind ${consumerId}\``,
    )
  }
}

/** A seq that retention has not taken away is not there. */
export class LogGap extends Error {
  override readonly name = 'LogGap'
}

/** With $2: it begins at the head. */
const FIRST_OFFSET = 'case when $2 then (select coalesce(max(seq), -1) from weaver.outbox_seq) else -1 end'
/** Seqs that one batch looks at, at most: those of other types are many. */
const LOOKED_AT = 10_000

/**
 * Hands the next events to the consumer and moves its offset, in one transaction with the effect. The row of the offset
 * is locked: of several instances one works, the others find nothing to do.
 */
export async function consume(options: ConsumeOptions): Promise<Batch> {
  const { db, consumerId } = options
  const idleAt = await restingPlace(db, consumerId)
  if (idleAt !== null) return { events: 0, from: idleAt, to: idleAt, more: false }
  const batch = await consumeNext(options)
  if (batch !== 'unknown') return batch
  // In a transaction of its own: another instance must not wait for the end of this one's batch.
  await db.write((tx) =>
    tx.execute(
      `insert into weaver.consumer_offsets (consumer_id, last_offset) values ($1, ${FIRST_OFFSET}) on conflict do nothing`,
      [consumerId, options.startAt === 'head'],
    ),
  )
  return consume(options)
}

function consumeNext(options: ConsumeOptions): Promise<Batch | 'unknown'> {
  const { db, consumerId, limit, types, handle, statementTimeoutMs } = options
  return db.write(async (tx) => {
    if (statementTimeoutMs !== undefined) {
      await tx.query(`select set_config('statement_timeout', $1, true)`, [String(statementTimeoutMs)])
    }
    const place = await lockPlace(tx, consumerId)
    if (place === 'unknown') return place
    if (place === 'busy') return { events: 0, from: -1, to: -1, more: false }
    const { last, head, horizon, failing } = place
    if (last > head) throw new OffsetAhead(consumerId, last, head)
    if (last === head) {
      if (failing) await moveTo(tx, consumerId, last)
      return { events: 0, from: last, to: last, more: false }
    }
    const upTo = Math.min(head, last + LOOKED_AT)
    const rows = await readLog(tx, last, limit, { upTo, ...(types && { types }) })
    const bad = rows.findIndex((row) => !isReadable(row))
    const events = (bad < 0 ? rows : rows.slice(0, bad)).filter(isReadable)
    const stuck = rows[bad]
    if (bad === 0 && stuck && !isReadable(stuck)) throw new UnreadableEvent(stuck)
    const to = bad < 0 && rows.length < limit ? upTo : (events.at(-1)?.seq ?? last)
    await mustBeWhole(tx, Math.max(last, horizon - 1), to)
    if (events.length > 0) {
      try {
        await handle(tx, events)
      } catch (error) {
        throw new HandlerFailed(events, error)
      }
    }
    // A crash that forgets it makes the consumer look at events of other types again.
    if (events.length === 0) await tx.query(`select set_config('synchronous_commit', 'off', true)`)
    await moveTo(tx, consumerId, to)
    return { events: events.length, from: last, to, more: to < head }
  })
}

/** The offset of a consumer that has nothing to do; null: look closer. Locking the row would use up a transaction id. */
async function restingPlace(db: Database, consumerId: string): Promise<number | null> {
  const [row] = await db.reader.query<{ last: string; resting: boolean }>(
    `select last_offset as last,
       failing_since is null and last_offset = (select coalesce(max(seq), -1) from weaver.outbox_seq) as resting
     from weaver.consumer_offsets where consumer_id = $1`,
    [consumerId],
  )
  return row?.resting === true ? Number(row.last) : null
}

interface Place {
  last: number
  head: number
  horizon: number
  failing: boolean
}

/** The head is read before the log, which so reaches at least as far. `busy`: another instance is at work. */
async function lockPlace(tx: WriteTx, consumerId: string): Promise<Place | 'busy' | 'unknown'> {
  const [row] = await tx.query<{ last: string; head: string; horizon: string; failing: boolean }>(
    `select c.last_offset as last, (select coalesce(max(seq), -1) from weaver.outbox_seq) as head,
       (select seq from weaver.outbox_horizon) as horizon, c.failing_since is not null as failing
     from weaver.consumer_offsets c where c.consumer_id = $1 for update skip locked`,
    [consumerId],
  )
  if (row) {
    return { last: Number(row.last), head: Number(row.head), horizon: Number(row.horizon), failing: row.failing }
  }
  const known = await tx.query('select from weaver.consumer_offsets where consumer_id = $1', [consumerId])
  return known.length > 0 ? 'busy' : 'unknown'
}

/** The consumer is done with all up to `seq`, and well. */
export async function moveTo(tx: WriteTx, consumerId: string, seq: number): Promise<void> {
  await tx.execute(
    `update weaver.consumer_offsets set last_offset = $2, failing_since = null, failing_seq = null, failures = 0,
       last_error = null, next_try_at = null
     where consumer_id = $1`,
    [consumerId, seq],
  )
}

async function mustBeWhole(tx: WriteTx, after: number, to: number): Promise<void> {
  if (to <= after) return
  const [row] = await tx.query<{ there: string }>(
    'select count(*) as there from weaver.outbox_seq where seq > $1 and seq <= $2',
    [after, to],
  )
  const missing = to - after - Number(row?.there ?? 0)
  if (missing === 0) return
  throw new LogGap(
    `${missing} events between seq ${after + 1} and ${to} are missing from the log, and retention has not taken them: ` +
      'restore the database from a backup',
  )
}

/** The instance has taken the consumer on. */
export async function takeOn(
  db: Database,
  consumerId: string,
  { lagLimit, holder, startAt }: { lagLimit: number | null; holder: string; startAt: StartAt },
): Promise<void> {
  await db.write((tx) =>
    tx.execute(
      `insert into weaver.consumer_offsets (consumer_id, last_offset, lag_limit, holder)
       values ($1, ${FIRST_OFFSET}, $3, $4)
       on conflict (consumer_id) do update set lag_limit = excluded.lag_limit, holder = excluded.holder`,
      [consumerId, startAt === 'head', lagLimit, holder],
    ),
  )
}

export interface Failure {
  /** Null: it is not one event that is in the way. */
  seq: number | null
  message: string
  retryMs: number
}

const LONGEST_ERROR = 2_000

export async function markFailing(db: Database, consumerId: string, failure: Failure): Promise<void> {
  await db.write((tx) =>
    tx.execute(
      `update weaver.consumer_offsets set failing_since = coalesce(failing_since, clock_timestamp()), failing_seq = $2,
         failures = failures + 1, last_error = $3, next_try_at = clock_timestamp() + $4 * interval '1 millisecond'
       where consumer_id = $1`,
      [consumerId, failure.seq, failure.message.slice(0, LONGEST_ERROR), failure.retryMs],
    ),
  )
}
