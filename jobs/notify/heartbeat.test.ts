/** The dead man's switch: called each minute while all is well, and silent, with the reason on record, while it is not. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { registerPool } from '../../db/events/leases.ts'
import { Secret } from '../../db/secrets.ts'
import type { TickingRun } from '../../db/walle/queries/live_runs.ts'
import { getHeartbeat } from '../../db/walle/queries/notifications.ts'
import { record } from '../../db/walle/record.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { createFastTime, type FastTime } from '../../tests/support/fast_time.ts'
import { type Receiver, startReceiver } from '../../tests/support/receiver.ts'
import { until } from '../../tests/support/until.ts'
import { aRun, aSource, idOf } from '../../tests/support/walle_rows.ts'
import { BEAT_MS, createHeartbeat, overdueTicks } from './heartbeat.ts'

const RUN = idOf('run', 1)
let database: TestDatabase
let receiver: Receiver
let time: FastTime
/** Holds the lock that the clock of paper and live runs holds. */
let clock: Awaited<ReturnType<TestDatabase['db']['session']>>
const logged: string[] = []

const lead = () => clock.query(`select pg_advisory_lock(hashtext('weaver:clock'))`)
const account = (state: 'ready' | 'unknown', reconciled = Date.now()) =>
  database.db.write((tx) =>
    record(tx, {
      writes: [
        {
          kind: 'save_accounts',
          rows: [
            {
              ...{
                exchange: 'sim',
                mode: 'paper',
                account_number: 'S1',
                number_since: null,
                currency: 'USD',
                cash: '1',
                equity: '1',
              },
              ...{ buying_power: '1', state, state_reason: 'its stream is down', blocked: null, keeper: 'k' },
              ...{ stream: 'none', reconcile_requested_at: null, checked_at: null },
              reconciled_at: new Date(reconciled).toISOString(),
            },
          ],
        },
      ],
      events: [],
    }),
  )

beforeAll(async () => {
  database = await createTestDatabase()
  receiver = await startReceiver()
  const { db } = database
  clock = await db.session()
  const pools = await db.session()
  await lead()
  await registerPool(db, pools, { id: 'a pool', name: 'live', pid: 1, host: 'here' })
  await db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        { kind: 'create_run', run: aRun(1, { mode: 'paper', exchange: 'sim' }) },
        { kind: 'update_run', id: RUN, changes: { status: 'running', started_at: new Date().toISOString() } },
      ],
      events: [],
    }),
  )
  await account('ready')
  time = createFastTime(Date.now())
  heartbeat = createHeartbeat({
    ...{
      db,
      record,
      strategyTimeoutMs: 30_000,
      url: new Secret(`${receiver.url}/ping/of-the-test-0001`),
      now: time.now,
      sleep: time.sleep,
    },
    log: (level, fields, message) => logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
  })
  heartbeat.start()
  await until('the first beat', () => getHeartbeat(db.reader))
})
let heartbeat: ReturnType<typeof createHeartbeat>
afterAll(async () => {
  time.release()
  await heartbeat.stop()
  await database.drop()
  await receiver.close()
})
beforeEach(() => {
  receiver.received.length = 0
  logged.length = 0
})

/** A minute passes; gives what is on record of it then. */
async function minute() {
  const due = time.now() + BEAT_MS
  time.move(BEAT_MS - 500)
  return until('a try', async () => {
    time.move(500)
    const row = await getHeartbeat(database.db.reader)
    return row !== null && Date.parse(row.tried_at) >= due ? row : null
  })
}

test('while all is well it is called once a minute', async () => {
  const { problem, beat_at, tried_at } = await minute()
  expect({ problem, beat_at }).toEqual({ problem: null, beat_at: tried_at })
  expect(receiver.received.map(({ method, path }) => [method, path])).toEqual([['GET', '/ping/of-the-test-0001']])
  expect(logged).toEqual([])
})

test('what does not hear it is called once more, and what did not hear that is on record', async () => {
  receiver.answers.push(500)
  expect((await minute()).problem).toBeNull()
  expect(receiver.received).toHaveLength(2)
  receiver.answers.push(500, 500)
  const { problem, beat_at, tried_at } = await minute()
  expect(problem).toBe('called, and not heard: answered 500: not today')
  expect(beat_at).not.toBe(tried_at)
  expect(logged).toEqual(['warn the heartbeat is missing {"problem":"called, and not heard: answered 500: not today"}'])
  await minute()
  expect(logged[1]).toBe('info the heartbeat is back {}')
})

test('nothing is sent while no clock runs, an account in use is not ready or was long not compared', async () => {
  await clock.query(`select pg_advisory_unlock(hashtext('weaver:clock'))`)
  await account('unknown')
  expect((await minute()).problem).toBe(
    'not called: no process runs the clock; the account sim paper is unknown: its stream is down',
  )
  await lead()
  await account('ready', Date.now() - 400_000)
  expect((await minute()).problem).toMatch(
    /^not called: the account sim paper was not compared with its venue for 40\d s$/,
  )
  expect(receiver.received).toEqual([])
  await account('ready')
  expect((await minute()).problem).toBeNull()
})

test('a halt is no reason to be silent', async () => {
  const halted_at = new Date().toISOString()
  const halt = { id: idOf('event', 1), run_id: null, rule: 'kill_switch', reason: null, halted_at, halted_by: 'a test' }
  await database.db.write((tx) =>
    record(tx, {
      writes: [{ kind: 'save_halts', rows: [{ ...halt, resumed_at: null, resumed_by: null }] }],
      events: [],
    }),
  )
  expect((await minute()).problem).toBeNull()
  expect(receiver.received).toHaveLength(1)
})

test.each([
  ['a tick that is a moment late is on its way', 14_999, {}, 0],
  ['one that is not there after 15 s is overdue', 15_000, {}, 1],
  ['what is due while a tick is under way waits for it', 60_000, { open_corr_id: RUN }, 0],
  ['out of session nothing is due', 60_000, { symbols: ['AAPL'] }, 0],
])('%s', (_, lateMs, changes, overdue) => {
  // A Saturday.
  const start = Date.UTC(2026, 0, 3, 12, 0)
  const run: TickingRun = {
    ...{ id: RUN, mode: 'paper', symbols: ['BTC/USD'], timeframe: '1m', window_bars: 1, missed_ticks: 'skip' },
    ...{ open_corr_id: null, started_at: new Date(start).toISOString(), next_tick: 0, last_index: 0 },
    last_ts: new Date(start).toISOString(),
    ...changes,
  }
  expect(overdueTicks([run], start + 60_000 + lateMs)).toHaveLength(overdue)
})
