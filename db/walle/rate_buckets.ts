/** Buckets of tokens, one for each limit of a venue, shared by all processes. */
import type { WriteTx } from '../database.ts'

export interface BucketSize {
  /** Requests that may be made at once after a rest. */
  capacity: number
  perSecond: number
}

/** Takes a token if more than `reserve` are there and gives 0; else gives the milliseconds until there may be. */
export async function takeToken(
  tx: WriteTx,
  bucket: string,
  { capacity, perSecond }: BucketSize,
  reserve: number,
): Promise<number> {
  const [row] = await tx.query<{ wait_ms: number }>('select weaver.take_token($1, $2, $3, $4) as wait_ms', [
    bucket,
    capacity,
    perSecond,
    reserve,
  ])
  return row?.wait_ms ?? 0
}

/** The venue has said to come again after `waitMs`. */
export async function emptyBucket(tx: WriteTx, bucket: string, perSecond: number, waitMs: number): Promise<void> {
  await tx.query('select weaver.empty_bucket($1, $2, $3)', [bucket, perSecond, waitMs])
}
