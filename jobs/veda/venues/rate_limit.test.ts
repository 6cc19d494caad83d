import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectOwner, openDatabase } from '../../../db/client.ts'
import type { Database } from '../../../db/database.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { VenueError } from '../venue.ts'
import { bucketOf, createRateLimiter, type RateLimiter } from './rate_limit.ts'

let database: TestDatabase
let other: Database
beforeAll(async () => {
  database = await createTestDatabase()
  other = await openDatabase({ url: database.url, applicationName: 'weaver test 2', maxConnections: 5 })
})
afterAll(async () => {
  await other.close()
  await database.drop()
})

class Slept extends Error {}
/** Nobody sleeps: who would have to wait is refused. */
const limiterOf = (db: Database): RateLimiter =>
  createRateLimiter({
    db,
    now: () => 0,
    sleep: async () => {
      throw new Slept()
    },
  })

async function taken(limiters: readonly RateLimiter[], bucket: string, urgent: boolean, perMinute: number) {
  let count = 0
  await Promise.all(
    limiters.map(async (limiter) => {
      for (;;) {
        try {
          await limiter.takeToken(bucket, urgent, { perMinute })
          count += 1
        } catch (error) {
          if (error instanceof Slept || (error instanceof VenueError && error.kind === 'rate_limited')) return
          throw error
        }
      }
    }),
  )
  return count
}

async function passed(bucket: string, seconds: number): Promise<void> {
  const client = await connectOwner({ url: database.url, applicationName: 'weaver tests' })
  await client.query(
    `update weaver.rate_buckets set updated_at = updated_at - make_interval(secs => $2) where id = $1`,
    [bucket, seconds],
  )
  await client.end()
}

test('what may come at once and what flows in are together never more than the limit in a minute', () => {
  for (const perMinute of [2, 10, 60, 200, 1_000]) {
    const { capacity, perSecond } = bucketOf({ perMinute })
    expect(capacity + perSecond * 60).toBeCloseTo(perMinute, 9)
  }
})

test('two processes share one limit', async () => {
  const limiters = [limiterOf(database.db), limiterOf(other)]
  // 200 a minute: 50 at once, and 2.5 a second; the test itself takes time.
  const started = performance.now()
  const first = await taken(limiters, 'shared', true, 200)
  await passed('shared', 10)
  const second = await taken(limiters, 'shared', true, 200)
  const flown = ((performance.now() - started) / 1_000) * 2.5 + 1
  expect(first).toBeGreaterThanOrEqual(50)
  expect(second).toBeGreaterThanOrEqual(25)
  expect(first + second).toBeLessThanOrEqual(75 + flown)
})

test('reads leave a reserve to orders', async () => {
  const [limiter] = [limiterOf(database.db)]
  // One a minute flows in, nearly: 10 at once and 0.5 a second, of which reads leave 4.
  const reads = await taken([limiter], 'reserve', false, 40)
  const orders = await taken([limiter], 'reserve', true, 40)
  expect(reads).toBeGreaterThanOrEqual(6)
  expect(reads).toBeLessThan(10)
  expect(orders).toBeGreaterThanOrEqual(4)
})

test('a refusal of the venue empties the bucket for everybody, for as long as it says', async () => {
  const [limiter, second] = [limiterOf(database.db), limiterOf(other)]
  await limiter.emptyBucket('refused', 30_000, { perMinute: 40 })
  const refused = await second.takeToken('refused', true, { perMinute: 40 }).catch((error: unknown) => error)
  expect(refused).toMatchObject({ kind: 'rate_limited' })
  expect((refused as VenueError).retryAfterMs).toBeGreaterThan(25_000)
  expect((refused as VenueError).retryAfterMs).toBeLessThanOrEqual(30_000)
  await passed('refused', 31)
  await second.takeToken('refused', true, { perMinute: 40 })
  // An empty bucket is not filled by a shorter refusal.
  await limiter.emptyBucket('refused', 60_000, { perMinute: 40 })
  await limiter.emptyBucket('refused', 1, { perMinute: 40 })
  await expect(second.takeToken('refused', true, { perMinute: 40 })).rejects.toMatchObject({ kind: 'rate_limited' })
})

test('who may wait does so, then goes on', async () => {
  const bucket = 'waits'
  await taken([limiterOf(database.db)], bucket, true, 200)
  const slept: number[] = []
  const limiter = createRateLimiter({
    db: database.db,
    now: () => 0,
    sleep: async (ms) => {
      slept.push(ms)
      await passed(bucket, ms / 1_000)
    },
  })
  await limiter.takeToken(bucket, true, { perMinute: 200 })
  expect(slept.every((ms) => ms > 0 && ms <= 400)).toBe(true)
})
