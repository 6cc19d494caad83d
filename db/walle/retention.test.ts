/** What is thinned out of the tables of paper and live runs, and what stays whatever its age. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun } from '../../tests/support/log.ts'
import { idOf } from '../../tests/support/walle_rows.ts'
import { TICKS_KEPT, thin } from './retention.ts'

const START = Date.UTC(2026, 0, 1)
const MINUTE = 60_000
const at = (minutes: number) => new Date(START + minutes * MINUTE).toISOString()

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.drop())

const write = (sql: string, values: unknown[] = []) => database.db.write((tx) => tx.execute(sql, values))

async function left(table: string, runId: string): Promise<number[]> {
  const rows = await database.db.reader.query<{ bar_index: number }>(
    `select bar_index from weaver.${table} where run_id = $1 order by bar_index`,
    [runId],
  )
  return rows.map(({ bar_index }) => Number(bar_index))
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

/** A tick a minute: each hundredth but seven was missed, and the fifth was never done. */
async function addTicks(runId: string, count: number): Promise<void> {
  await write(
    `insert into weaver.clock_ticks (run_id, bar_index, ts, event_id, missed_reason, drift_ms, done_at)
     select $1::uuid, n, $2::timestamptz + n * interval '1 minute', case when n % 100 <> 7 then gen_random_uuid() end,
       case when n % 100 = 7 then 'busy' end, 1, case when n <> 5 then now() end
     from generate_series(0, $3::integer - 1) n`,
    [runId, at(0), count],
  )
}

test('ticks of long ago go, but for the newest of each run, those that were missed and one that is not done', async () => {
  const [busy, slow] = [await insertRun(database.db), await insertRun(database.db)]
  // More than a transaction takes.
  await addTicks(busy, 9_000)
  await addTicks(slow, TICKS_KEPT)
  const isMissed = (n: number) => n % 100 === 7
  const stays = (below: number, keptBelow: (n: number) => boolean) => [
    ...range(0, below).filter(keptBelow),
    ...range(below, 9_000),
  ]

  // Of the last 2,500 all are young.
  expect(await thin(database.db, 'clock_ticks', { expired: at(6_500), auditedSince: null })).toBe(6_500 - 65 - 1)
  expect(await left('clock_ticks', busy)).toEqual(stays(6_500, (n) => isMissed(n) || n === 5))
  // Of the newest ones all stay, however old they are.
  const newest = 9_000 - TICKS_KEPT
  await thin(database.db, 'clock_ticks', { expired: at(20_000), auditedSince: null })
  expect(await left('clock_ticks', busy)).toEqual(stays(newest, (n) => isMissed(n) || n === 5))
  expect(await left('clock_ticks', slow)).toEqual(range(0, TICKS_KEPT))

  expect(await thin(database.db, 'missed_ticks', { expired: at(20_000), auditedSince: null })).toBe(0)
  expect(await thin(database.db, 'missed_ticks', { expired: at(20_000), auditedSince: at(1_000) })).toBe(10)
  expect(await left('clock_ticks', busy)).toEqual(stays(newest, (n) => (isMissed(n) && n >= 1_000) || n === 5))
  expect(await thin(database.db, 'clock_ticks', { expired: at(20_000), auditedSince: at(1_000) })).toBe(0)
})

test('what a run can be played again from stays as long as the log has all of it', async () => {
  const run = await insertRun(database.db)
  await write(
    `insert into weaver.hops (run_id, event_id, bar_index, phase, seen, created_at)
     select $1::uuid, gen_random_uuid(), n, 'tick_window', n, $2::timestamptz + n * interval '1 minute'
     from generate_series(0, 5999) n`,
    [run, at(0)],
  )
  expect(await thin(database.db, 'hops', { expired: at(6_000), auditedSince: null })).toBe(0)
  expect(await thin(database.db, 'hops', { expired: at(6_000), auditedSince: at(5_500) })).toBe(5_500)
  expect(await left('hops', run)).toEqual(range(5_500, 6_000))
  expect(await thin(database.db, 'hops', { expired: at(6_000), auditedSince: at(9_000) })).toBe(500)
})

test('what a venue may tell again stays, whatever the audit', async () => {
  await write(
    `insert into weaver.accounts (exchange, mode, currency, cash, equity, buying_power, reconciled_at)
     values ('sim', 'paper', 'USD', 0, 0, 0, $1), ('alpaca', 'paper', 'USD', 0, 0, 0, $2)`,
    [at(100_000), at(3 * 1440)],
  )
  await write(
    `insert into weaver.venue_updates (exchange, mode, source, payload, execution_id, created_at)
     select exchange, 'paper', 'stream', '{}', exchange || ' ' || n, $1::timestamptz + n * interval '1 day'
     from unnest(array['sim', 'alpaca']) exchange, generate_series(0, 4) n`,
    [at(0)],
  )
  expect(await thin(database.db, 'venue_updates', { expired: at(100_000), auditedSince: null })).toBe(0)
  await thin(database.db, 'venue_updates', { expired: at(100_000), auditedSince: at(4 * 1440) })
  const rows = await database.db.reader.query<{ execution_id: string }>(
    'select execution_id from weaver.venue_updates order by 1',
  )
  expect(rows.map(({ execution_id }) => execution_id)).toEqual(['alpaca 2', 'alpaca 3', 'alpaca 4', 'sim 4'])
})

test('fetches of history that have ended are forgotten, one that goes on is not', async () => {
  await write(
    `insert into weaver.candle_fetches (id, exchange, mode, symbol, timeframe, start_time, end_time, next_time, adjustment, status, created_at)
     select id, 'sim', 'paper', 'BTC/USD', '1m', $3::timestamptz, $3::timestamptz, $3::timestamptz, 'raw', status, $3::timestamptz
     from unnest($1::uuid[], $2::text[]) as given (id, status)`,
    [range(0, 4).map((n) => idOf('event', n)), ['running', 'completed', 'cancelled', 'error'], at(0)],
  )
  expect(await thin(database.db, 'candle_fetches', { expired: at(0), auditedSince: null })).toBe(0)
  expect(await thin(database.db, 'candle_fetches', { expired: at(1), auditedSince: null })).toBe(3)
})
