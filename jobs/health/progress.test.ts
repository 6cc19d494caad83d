/** Paper and live runs that stand still while the clock ticks and accounts are ready: each is found, after what it may take. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pauseJobs, resumeJobs } from '../../db/events/job_control.ts'
import type { ClockTickRow } from '../../db/walle/live_rows.ts'
import { record } from '../../db/walle/record.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { aRun, aSource, idOf } from '../../tests/support/walle_rows.ts'
import { PATIENCE_MS, progressOf, standstills } from './progress.ts'

const RUN = idOf('run', 1)
const STRATEGY_MS = 30_000
const START = Date.UTC(2026, 0, 3, 12, 0)
/** The tick was emitted two seconds after its boundary, and waits for bars for as long as nothing else is said. */
const ENDS_BY = START + 2_000 + 5_000 + STRATEGY_MS + PATIENCE_MS

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        { kind: 'create_run', run: aRun(1, { mode: 'live', exchange: 'alpaca' }) },
        {
          kind: 'update_run',
          id: RUN,
          changes: { status: 'running', started_at: new Date(START).toISOString(), open_corr_id: RUN },
        },
      ],
      events: [],
    }),
  )
})
afterAll(() => database.drop())

const tick = (bar_index: number, changes: Partial<ClockTickRow>): ClockTickRow => ({
  ...{ run_id: RUN, bar_index, ts: new Date(START + bar_index * 60_000).toISOString(), event_id: null },
  ...{ missed_reason: null, drift_ms: null, done_at: null },
  ...changes,
})
const ticked = (...rows: ClockTickRow[]) =>
  database.db.write((tx) => record(tx, { writes: [{ kind: 'save_clock_ticks', rows }], events: [] }))
const found = async (now: number) =>
  standstills(await database.db.read((reader) => progressOf(reader)), STRATEGY_MS, now)

test('a tick that does not come to its end, though the clock has marked others as missed since', async () => {
  await ticked(tick(0, { drift_ms: 2_000 }), tick(1, { missed_reason: 'busy' }), tick(2, { missed_reason: 'busy' }))
  expect(await found(ENDS_BY)).toEqual([])
  expect(await found(ENDS_BY + 1)).toEqual([
    `a tick of 1 runs has not come to its end, such as of ${RUN} since 2026-01-03T12:00:02.000Z`,
  ])
  // Three days: there is no bound.
  expect(await found(START + 3 * 86_400_000)).toHaveLength(1)
  await ticked(tick(0, { drift_ms: 2_000, done_at: new Date(ENDS_BY).toISOString() }))
  expect(await found(ENDS_BY + 1)).toEqual([])
})

test('a job that nobody takes, and one that is paused; none of a backtest', async () => {
  await database.db.write((tx) =>
    record(tx, {
      writes: [],
      events: [],
      jobs: [
        { task: 'veda.submit_order', payload: { run_id: RUN, order_id: idOf('event', 1) } },
        { task: 'greta.start_run', payload: { run_id: RUN } },
      ],
    }),
  )
  const late = async () => {
    const { job } = await database.db.read((reader) => progressOf(reader))
    return standstills({ ticks: [], job: job && { ...job, seconds: job.seconds + 100 } }, STRATEGY_MS, START)
  }
  expect(await found(START)).toEqual([])
  expect(await late()).toEqual([`veda.submit_order of ${RUN} has been due for 100 s: no worker took it`])
  await database.db.write((tx) => pauseJobs(tx, 'task', 'veda.submit_order'))
  expect(await late()).toEqual([`veda.submit_order of ${RUN} has been due for 100 s: it is paused`])
  await database.db.write((tx) => resumeJobs(tx, 'task', 'veda.submit_order'))
})
