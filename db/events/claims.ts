import type { WriteTx } from '../database.ts'

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
