/** What a keeper finds of its venue's clock is there for whoever asks, and as long as it was found lately. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { venueClocks } from '../../../db/walle/queries/accounts.ts'
import { record } from '../../../db/walle/record.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { startLiveRun } from '../../../tests/support/live_run.ts'
import { BELIEVED_MINUTES, createVenueClock } from './clock.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

test('a skew is on record until it is gone, and of accounts that no run uses nobody is told', async () => {
  const { db } = database
  let now = Date.UTC(2026, 0, 3, 12, 0)
  let theirs: number | null = now - 90_000
  const jobs = {
    ...{ db, now: () => now, newId: randomUUID, log: () => {} },
    record: async (...given: Parameters<typeof record>) => void (await record(...given)),
  }
  const clock = createVenueClock(jobs, { exchange: 'scripted', mode: 'paper' })
  const time = async () => theirs ?? Promise.reject(new Error('away'))
  const known = () => venueClocks(db.reader, BELIEVED_MINUTES)
  await clock.look({ time })
  expect(await known()).toEqual([])
  await startLiveRun(db, 1, { exchange: 'scripted' })
  expect(await known()).toEqual([{ exchange: 'scripted', mode: 'paper', skew_ms: 90_000 }])
  // A venue that does not say has not agreed.
  now += 600_000
  theirs = null
  await clock.look({ time })
  expect(await known()).toEqual([{ exchange: 'scripted', mode: 'paper', skew_ms: 90_000 }])
  now += 600_000
  theirs = now
  await clock.look({ time })
  expect(await known()).toEqual([{ exchange: 'scripted', mode: 'paper', skew_ms: 0 }])
  expect(await venueClocks(db.reader, 0)).toEqual([])
})
