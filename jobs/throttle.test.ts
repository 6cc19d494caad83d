/** A consumer that is too far behind holds back what makes events in bulk, and nothing is lost by it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openOwnerPool } from '../db/client.ts'
import { append } from '../db/events/append.ts'
import { head } from '../db/events/read.ts'
import { createThrottle } from '../db/events/throttle.ts'
import { getRun } from '../db/walle/queries/runs.ts'
import { type InProcess, openInProcess } from '../tests/support/in_process.ts'
import { systemStarted } from '../tests/support/log.ts'
import { seededRun } from '../tests/support/seeded.ts'
import { pause, until } from '../tests/support/until.ts'
import { refuseWhileThrottled, waitWhileThrottled } from './throttle.ts'

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess()
})
afterAll(() => weaver.close())

/** A consumer that has read nothing, as its process would leave it when it is stuck. */
async function stuck(lagLimit: number | null): Promise<void> {
  const pool = openOwnerPool(weaver.system.url)
  await pool.query(
    `insert into weaver.consumer_offsets (consumer_id, lag_limit) values ('stuck', $1)
     on conflict (consumer_id) do update set lag_limit = excluded.lag_limit`,
    [lagLimit],
  )
  await pool.end()
}

function jobs(): Promise<{ id: number; run_id: string; task: string; attempts: number }[]> {
  return weaver.system.db.reader.query('select id, run_id, task, attempts from weaver.job_overview')
}

test('backtests wait for the consumer with all their attempts, and end as they would have', async () => {
  const { columns, timeframe } = seededRun(3, 40)
  await weaver.store('WAIT/USD', timeframe, columns)
  const { db } = weaver.system
  await db.write((tx) => append(tx, [systemStarted(), systemStarted(), systemStarted()]))
  await until('the log has been numbered', async () => (await head(db.reader)) >= 2)
  await stuck(1)
  const request = { strategy_id: 'buy_and_hold', symbols: ['WAIT/USD'], timeframe }
  const ended = Promise.all(
    (['chunk', 'chain'] as const).map((driver) => weaver.backtest({ ...request, driver }, columns)),
  )
  // A job that is put back comes again under another id.
  const ids = new Map<string, Set<number>>()
  const putBack = until('both jobs were put back twice', async () => {
    for (const { id, run_id, task, attempts } of await jobs()) {
      expect([task, attempts <= 1]).toEqual(['greta.start_run', true])
      ids.set(run_id, (ids.get(run_id) ?? new Set()).add(id))
    }
    return ids.size === 2 && [...ids.values()].every((seen) => seen.size >= 3)
  })
  const early = ended.then(() => {
    throw new Error('they were not held back')
  })
  await Promise.race([putBack, early])
  const { reader } = db
  const runs = await reader.query<{ id: string }>(`select id from weaver.runs where status = 'running'`)
  for (const { id } of runs) expect(await getRun(reader, id)).toMatchObject({ next_tick: 0, ticks_total: null })

  early.catch(() => {})
  await stuck(null)
  const [chunk, chain] = await ended
  expect([chunk?.status, chain?.status]).toEqual(['completed', 'completed'])
  expect(chain?.result_hash).toBe(chunk?.result_hash)
}, 90_000)

test('imports are refused, or wait, by name; the log tells of it once', async () => {
  await stuck(null)
  const told: (string | null)[] = []
  let time = 0
  const throttle = createThrottle({
    reader: weaver.system.db.reader,
    now: () => time,
    onChange: (consumer) => told.push(consumer),
  })
  const later = () => {
    time += 1_000
  }
  expect(await throttle()).toBe(null)
  await stuck(1)
  // The answer is good for a moment: asking costs nothing.
  expect(await throttle()).toBe(null)
  later()
  expect(await throttle()).toMatch(/^the consumer stuck is \d+ events behind, of 1 allowed$/)
  later()
  await expect(refuseWhileThrottled(throttle)).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    message: expect.stringMatching(/^imports wait: the consumer stuck is \d+ events behind/),
  })
  const notes: string[] = []
  const note = (text: string) => notes.push(text)
  await expect(waitWhileThrottled(throttle, { longestMs: 0, note })).rejects.toThrow('Nothing was imported')
  const waiting = waitWhileThrottled(throttle, { longestMs: 60_000, note })
  await until('it says that it waits', async () => notes.length === 1)
  await stuck(null)
  const clock = (async () => {
    for (;;) {
      later()
      if (await Promise.race([waiting.then(() => true), pause(20)])) return
    }
  })()
  await Promise.all([waiting, clock])
  expect(notes).toHaveLength(1)
  expect(told).toEqual(['stuck', null])
})
