/** What a person can see of the log's consumers, and do about one that cannot go on. */
import type { Database, Reader, WriteTx } from '../database.ts'
import { moveTo } from './offsets.ts'

export interface ConsumerState {
  id: string
  state: 'ok' | 'lagging' | 'failing' | 'ahead' | 'stopped'
  last_offset: number
  head: number
  lag: number
  lag_limit: number | null
  failing_since: string | null
  failing_seq: number | null
  failures: number
  last_error: string | null
  next_try_at: string | null
  holder: string | null
}

export async function listConsumers(reader: Reader): Promise<ConsumerState[]> {
  return reader.query<ConsumerState>(
    `select consumer_id as id, state, last_offset::float8 as last_offset, head::float8 as head, lag::float8 as lag,
       lag_limit::float8 as lag_limit, failing_since, failing_seq::float8 as failing_seq, failures, last_error,
       next_try_at, holder
     from weaver.consumer_overview order by consumer_id`,
  )
}

/** What was asked for does not fit the consumer's state; says why. */
export class NotPossible extends Error {
  override readonly name = 'NotPossible'
}

export interface Skip {
  consumerId: string
  seq: number
  reason: string
  skippedBy: string
}

/** Has a consumer leave out the one event that it cannot get past, and records who wanted it and why. */
export async function skipEvent(db: Database, { consumerId, seq, reason, skippedBy }: Skip): Promise<void> {
  await db.write(async (tx) => {
    const { failing_seq, last_error } = await lockConsumer(tx, consumerId)
    if (failing_seq === null) throw new NotPossible(`consumer ${consumerId} is not stuck at an event`)
    if (failing_seq !== seq) {
      throw new NotPossible(
        `consumer ${consumerId} is stuck at seq ${failing_seq}, not at ${seq}: only that one can be skipped`,
      )
    }
    await tx.execute(
      `insert into weaver.consumer_skips (consumer_id, seq, event_id, type, error, reason, skipped_by)
       select $1, s.seq, o.event_id, s.type, $3, $4, $5
       from weaver.outbox_seq s left join weaver.outbox o on o.created_at = s.created_at and o.id = s.outbox_id
       where s.seq = $2`,
      [consumerId, seq, last_error ?? '', reason, skippedBy],
    )
    await moveTo(tx, consumerId, seq)
  })
}

/** Sets a consumer whose place lies beyond the end of the log back to its end; gives that. */
export async function rewindToHead(db: Database, consumerId: string): Promise<number> {
  return db.write(async (tx) => {
    const { last_offset, head } = await lockConsumer(tx, consumerId)
    if (last_offset <= head)
      throw new NotPossible(`consumer ${consumerId} is not ahead of the log: it is at ${last_offset} of ${head}`)
    await moveTo(tx, consumerId, head)
    return head
  })
}

/** Forgets a consumer that no version runs any more: neither retention nor the throttle waits for it. */
export async function removeConsumer(db: Database, consumerId: string): Promise<void> {
  await db.write(async (tx) => {
    await lockConsumer(tx, consumerId)
    const [lock] = await tx.query<{ free: boolean }>(
      'select pg_try_advisory_xact_lock(weaver.consumer_key($1)) as free',
      [consumerId],
    )
    if (lock?.free !== true)
      throw new NotPossible(`consumer ${consumerId} is at work: stop the worker that runs it first`)
    await tx.execute('delete from weaver.consumer_offsets where consumer_id = $1', [consumerId])
  })
}

interface Locked {
  last_offset: number
  head: number
  failing_seq: number | null
  last_error: string | null
}

async function lockConsumer(tx: WriteTx, consumerId: string): Promise<Locked> {
  const [row] = await tx.query<Locked>(
    `select last_offset::float8 as last_offset, (select coalesce(max(seq), -1) from weaver.outbox_seq)::float8 as head,
       failing_seq::float8 as failing_seq, last_error
     from weaver.consumer_offsets where consumer_id = $1 for update`,
    [consumerId],
  )
  if (row) return row
  const known = (await listConsumers(tx)).map(({ id }) => id).join(', ')
  throw new NotPossible(`there is no consumer ${consumerId}; there ${known === '' ? 'is none' : `are: ${known}`}`)
}
