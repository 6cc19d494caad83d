import type { Reader, WriteTx } from '../database.ts'

/**
 * Claims an event for a consumer, in the transaction of the effect. False: it was handled before. While another
 * transaction is handling it, this waits for that one's end.
 */
export async function claim(tx: WriteTx, consumer: string, eventId: string): Promise<boolean> {
  const rows = await tx.execute(
    'insert into weaver.event_claims (consumer, event_id) values ($1, $2::uuid) on conflict do nothing',
    [consumer, eventId],
  )
  return rows === 1
}

/** Whether the event was handled before: spares the work, decides nothing. */
export async function isClaimed(reader: Reader, consumer: string, eventId: string): Promise<boolean> {
  const rows = await reader.query('select from weaver.event_claims where consumer = $1 and event_id = $2::uuid', [
    consumer,
    eventId,
  ])
  return rows.length > 0
}
