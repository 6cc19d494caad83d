import type { Database, WriteTx } from '../database.ts'
import { type LoggedEvent, readAfter } from './read.ts'

export interface ConsumeOptions {
  db: Database
  consumerId: string
  /** Events per transaction. */
  limit: number
  handle: (tx: WriteTx, events: readonly LoggedEvent[]) => Promise<void>
}

/**
 * Hands the next events to the consumer and moves its offset, in one transaction with the effect. Gives the number of
 * events; 0 also while another instance of the consumer is at work.
 */
export async function consume({ db, consumerId, limit, handle }: ConsumeOptions): Promise<number> {
  return db.write(async (tx) => {
    const [lock] = await tx.query<{ mine: boolean }>(
      `select pg_try_advisory_xact_lock(hashtextextended('weaver:consumer:' || $1, 0)) as mine`,
      [consumerId],
    )
    if (lock?.mine !== true) return 0
    const last = await offsetOf(tx, consumerId)
    const events = await readAfter(tx, last, limit)
    const newest = events.at(-1)
    if (newest === undefined) return 0
    await handle(tx, events)
    const moved = await tx.execute(
      'update weaver.consumer_offsets set last_offset = $3 where consumer_id = $1 and last_offset = $2',
      [consumerId, last, newest.seq],
    )
    if (moved !== 1) throw new Error(`the offset of consumer ${consumerId} was moved by someone else from ${last}`)
    return events.length
  })
}

async function offsetOf(tx: WriteTx, consumerId: string): Promise<number> {
  const select = 'select last_offset from weaver.consumer_offsets where consumer_id = $1'
  const [row] = await tx.query<{ last_offset: string | number }>(select, [consumerId])
  if (row !== undefined) return Number(row.last_offset)
  await tx.execute('insert into weaver.consumer_offsets (consumer_id) values ($1) on conflict do nothing', [consumerId])
  return -1
}
