/**
 * How often venues may be asked: one bucket of tokens for each limit, in Postgres, so that all processes together keep
 * it. Orders go before reads, which leave a reserve untouched.
 */
import type { Database } from '../../../db/database.ts'
import { type BucketSize, emptyBucket, takeToken } from '../../../db/walle/rate_buckets.ts'
import { type RateLimit, VenueError, type VenueWorld } from '../venue.ts'

/** Of a venue that does not say. */
const DEFAULT_LIMIT: RateLimit = { perMinute: 200 }
/** Part of a minute's requests that may come at once. */
const BURST = 0.25
/** Part of the bucket that reads leave to orders. */
const RESERVE = 0.4
/** An order that waits for its turn is on record as sent, and no halt holds it back: its job waits, not its call. */
const LONGEST_WAIT_MS = { urgent: 1_000, read: 5_000 }
/** A wait is cut into such steps: the bucket may be fuller by then than it seemed. */
const LONGEST_STEP_MS = 1_000
/** After a refusal that does not say when to come again. */
const DEFAULT_RETRY_MS = 5_000
/** What a venue says beyond this is not believed. */
const LONGEST_RETRY_MS = 300_000

export interface RateLimitOptions {
  db: Pick<Database, 'write'>
  now: () => number
  sleep: (ms: number) => Promise<void>
}

/** In no minute are there more than `perMinute`: what may come at once is taken off what flows in. */
export function bucketOf({ perMinute }: RateLimit): BucketSize {
  const capacity = Math.max(1, Math.floor(perMinute * BURST))
  return { capacity, perSecond: Math.max(1, perMinute - capacity) / 60 }
}

export type RateLimiter = Pick<VenueWorld, 'takeToken' | 'emptyBucket'>

export function createRateLimiter({ db, now, sleep }: RateLimitOptions): RateLimiter {
  return {
    async takeToken(bucket, urgent, limit = DEFAULT_LIMIT) {
      const size = bucketOf(limit)
      const reserve = urgent ? 0 : Math.floor(size.capacity * RESERVE)
      const until = now() + (urgent ? LONGEST_WAIT_MS.urgent : LONGEST_WAIT_MS.read)
      for (;;) {
        const waitMs = await db.write((tx) => takeToken(tx, bucket, size, reserve))
        if (waitMs === 0) return
        if (now() + waitMs > until) {
          throw new VenueError('rate_limited', `${bucket}: its ${limit.perMinute} requests a minute are used up`, {
            retryAfterMs: waitMs,
          })
        }
        await sleep(Math.min(waitMs, LONGEST_STEP_MS))
      }
    },
    async emptyBucket(bucket, retryAfterMs, limit = DEFAULT_LIMIT) {
      const waitMs = Math.min(LONGEST_RETRY_MS, Math.max(0, retryAfterMs ?? DEFAULT_RETRY_MS))
      await db.write((tx) => emptyBucket(tx, bucket, bucketOf(limit).perSecond, waitMs))
    },
  }
}
