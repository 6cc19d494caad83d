import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectOwner } from '../../db/client.ts'
import { DatabaseUnavailable } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import { workerProcesses } from '../../db/events/health.ts'
import { createSequencer } from '../../db/events/sequencer.ts'
import { createTestApi } from '../../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, progressed } from '../../tests/support/log.ts'
import { until } from '../../tests/support/until.ts'
import { createLog } from '../log.ts'
import type { System } from '../system.ts'
import { createMetrics } from './metrics.ts'
import { startSampling } from './process_samples.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const HOSTS = { counts: () => ({ open: 3, busy: 1, waiting: 2, started: 9, lost: 6 }) }

function metricsAt(now: () => number, db: Pick<TestDatabase['db'], 'read' | 'health'> = database.db) {
  return createMetrics({ db, hosts: HOSTS, version: '1.2.3', now })
}

/** Values by the name with its labels. */
function read(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

async function asOwner(text: string): Promise<void> {
  const client = await connectOwner({ url: database.url, applicationName: 'owner' })
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

test('the log, its consumers, the queue, its attempts, the runs and the server are told as they are', async () => {
  const { db } = database
  const run = await insertRun(db)
  await db.write((tx) => append(tx, [progressed(run, 1), progressed(run, 2), progressed(run, 3)]))
  await createSequencer({ db, sleep: async () => {}, onError: () => {} }).runOnce()
  await db.write((tx) =>
    append(tx, [progressed(run, 4)], { jobs: [{ task: 'greta.start_run', payload: { run_id: run } }] }),
  )
  await asOwner(
    `insert into weaver.consumer_offsets (consumer_id, last_offset, lag_limit, failing_since, failures, last_error)
       values ('history', 0, 100, null, 0, null), ('notes', 2, null, now(), 4, 'no');
     insert into weaver.job_runs (job_id, attempt, outcome, task, created_at, due_at, started_at, finished_at)
       select n, 1, 'done', 'greta.run_chunk', now(), now() - interval '20 seconds', now() - interval '10 seconds',
         now() - interval '10 seconds' + n * interval '1 second' from generate_series(1, 4) n;
     insert into weaver.accounts (exchange, mode, currency, cash, equity, buying_power, state, stream, reconciled_at)
       values ('sim', 'paper', 'USD', 1, 1, 1, 'ready', 'up', now());
     insert into weaver.account_positions (exchange, mode, symbol, venue_qty, runs_qty, paused_reason)
       values ('sim', 'paper', 'AAPL', 2, 1, 'no order explains 1');
     update weaver.runs set exchange = 'sim' where id = '${run}';
     insert into weaver.window_waits (run_id, bar_index, ts, in_hand_ms, missing, late)
       values ('${run}', 0, now(), 500, '[]', 0), ('${run}', 1, now(), 5000, '["X 1m"]', 0), ('${run}', 2, now(), 250, '[]', 1);
     insert into weaver.venue_updates (exchange, mode, source, payload) values ('sim', 'paper', 'stream', '{}');
     insert into weaver.orders (id, run_id, ordinal, client_order_id, symbol, side, order_type, qty, time_in_force, extended_hours,
         status, filled_qty, fees, placed_at, submitted_at, corr_id, last_event_id)
       select gen_random_uuid(), '${run}', n, 'c' || n, 'X', 'buy', 'market', 1, 'gtc', false,
         case n when 0 then 'accepted' else 'submitted' end, 0, 0, now(), now() - interval '9 seconds', gen_random_uuid(), gen_random_uuid()
       from generate_series(0, 1) n;
     insert into weaver.order_sends (order_id, run_id, exchange, mode, wanted_at, state, attempts, lookups, last_sent_at, created_at)
       select id, run_id, 'sim', 'paper', now() - interval '10 seconds', case ordinal when 0 then 'answered' else 'unclear' end, 1, 0,
         now() - interval '9 seconds', now() - interval '10 seconds' from weaver.orders;
     insert into weaver.venue_updates (exchange, mode, source, client_order_id, payload, created_at)
       values ('sim', 'paper', 'answer', 'c0', '{}', now() - interval '8 seconds'), ('sim', 'paper', 'poll', 'c0', '{}', now());
     insert into weaver.halts (id, run_id, rule, halted_at, halted_by) values (gen_random_uuid(), null, 'kill_switch', now(), 'a test');
     insert into weaver.notifications (id, channel, kind, level, type, title, body, ts, minute, state, attempts, sent_at)
       values (gen_random_uuid(), 'mail', 'halts', 'info', 'x', 'x', 'x', now(), now(), 'sent', 1, now()),
         (gen_random_uuid(), 'mail', 'halts', 'info', 'x', 'x', 'x', now(), now(), 'failed', 15, null);
     insert into weaver.heartbeats (id, tried_at, problem) values ('heartbeat', now(), 'why');
     insert into weaver.market_marks (exchange, mode, symbol, price, source, marked_at, dropped)
       values ('sim', 'paper', 'X', 1, 'bar', now(), 2), ('sim', 'paper', 'Y', 1, 'quote', now(), 3)`,
  )
  const sampling = startSampling({ db, log: createLog('silent') } as System, HOSTS)
  await until('the worker', async () => (await workerProcesses(db.reader)).length === 1)
  const found = read(await metricsAt(Date.now)())
  await sampling.stop()
  expect(await workerProcesses(db.reader)).toEqual([])
  const me = `{host="${hostname()}",pid="${process.pid}"}`
  expect(found.get(`weaver_worker_strategy_hosts_lost_total${me}`)).toBe(6)
  expect(found.get(`weaver_worker_resident_bytes${me}`)).toBeGreaterThan(1_000_000)
  const values = Object.fromEntries(
    [
      'weaver_log_head_seq',
      'weaver_events_sequenced_total',
      'weaver_events_appended_total',
      'weaver_events_unsequenced',
      'weaver_consumer_lag{consumer="history"}',
      'weaver_consumer_lag_limit{consumer="history"}',
      'weaver_consumer_state{consumer="notes",state="failing"}',
      'weaver_consumer_failures{consumer="notes"}',
      'weaver_jobs{task="greta.start_run",state="waiting"}',
      'weaver_job_attempts_recent{task="greta.run_chunk",outcome="done"}',
      'weaver_job_duration_recent_seconds{task="greta.run_chunk",outcome="done",quantile="0.5"}',
      'weaver_job_duration_recent_seconds{task="greta.run_chunk",outcome="done",quantile="1"}',
      'weaver_job_wait_recent_seconds{task="greta.run_chunk",outcome="done",quantile="0.95"}',
      'weaver_runs{mode="backtest",status="running"}',
      'weaver_account_state{exchange="sim",mode="paper",state="ready"}',
      'weaver_account_stream_up{exchange="sim",mode="paper"}',
      'weaver_account_paused_symbols{exchange="sim",mode="paper"}',
      'weaver_venue_updates_recent{exchange="sim",mode="paper",source="stream"}',
      'weaver_orders_unsettled{exchange="sim",mode="paper",state="unclear"}',
      'weaver_order_sent_recent_seconds{exchange="sim",mode="paper",quantile="0.5"}',
      'weaver_order_answered_recent_seconds{exchange="sim",mode="paper",quantile="1"}',
      'weaver_halted',
      'weaver_halted_runs',
      'weaver_windows_recent{exchange="sim"}',
      'weaver_window_in_hand_recent_seconds{exchange="sim",quantile="0.5"}',
      'weaver_window_in_hand_recent_seconds{exchange="sim",quantile="1"}',
      'weaver_windows_without_bar_recent{exchange="sim"}',
      'weaver_late_bars_recent{exchange="sim"}',
      'weaver_notifications{channel="mail",state="sent"}',
      'weaver_notifications{channel="mail",state="failed"}',
      'weaver_notifications{channel="mail",state="to_send"}',
      'weaver_notifications_unsent_seconds{channel="mail"}',
      'weaver_heartbeat_missing',
      'weaver_heartbeat_seconds',
      'weaver_market_mark_oldest_seconds{exchange="sim",mode="paper"}',
      'weaver_market_events_dropped_total{exchange="sim",mode="paper"}',
      'weaver_process_strategy_hosts{state="idle"}',
      'weaver_process_strategy_hosts_lost_total',
      'weaver_process_pool_connections{pool="read",state="waiting"}',
    ].map((name) => [name, found.get(name)]),
  )
  expect(values).toEqual({
    weaver_log_head_seq: 2,
    weaver_events_sequenced_total: 3,
    weaver_events_appended_total: 4,
    weaver_events_unsequenced: 1,
    'weaver_consumer_lag{consumer="history"}': 2,
    'weaver_consumer_lag_limit{consumer="history"}': 100,
    'weaver_consumer_state{consumer="notes",state="failing"}': 1,
    'weaver_consumer_failures{consumer="notes"}': 4,
    'weaver_jobs{task="greta.start_run",state="waiting"}': 1,
    'weaver_job_attempts_recent{task="greta.run_chunk",outcome="done"}': 4,
    'weaver_job_duration_recent_seconds{task="greta.run_chunk",outcome="done",quantile="0.5"}': 2,
    'weaver_job_duration_recent_seconds{task="greta.run_chunk",outcome="done",quantile="1"}': 4,
    'weaver_job_wait_recent_seconds{task="greta.run_chunk",outcome="done",quantile="0.95"}': 10,
    'weaver_runs{mode="backtest",status="running"}': 1,
    'weaver_account_state{exchange="sim",mode="paper",state="ready"}': 1,
    'weaver_account_stream_up{exchange="sim",mode="paper"}': 1,
    'weaver_account_paused_symbols{exchange="sim",mode="paper"}': 1,
    'weaver_venue_updates_recent{exchange="sim",mode="paper",source="stream"}': 1,
    'weaver_orders_unsettled{exchange="sim",mode="paper",state="unclear"}': 1,
    'weaver_order_sent_recent_seconds{exchange="sim",mode="paper",quantile="0.5"}': 1,
    'weaver_order_answered_recent_seconds{exchange="sim",mode="paper",quantile="1"}': 1,
    weaver_halted: 1,
    weaver_halted_runs: 0,
    'weaver_windows_recent{exchange="sim"}': 3,
    'weaver_window_in_hand_recent_seconds{exchange="sim",quantile="0.5"}': 0.5,
    'weaver_window_in_hand_recent_seconds{exchange="sim",quantile="1"}': 5,
    'weaver_windows_without_bar_recent{exchange="sim"}': 1,
    'weaver_late_bars_recent{exchange="sim"}': 1,
    'weaver_notifications{channel="mail",state="sent"}': 1,
    'weaver_notifications{channel="mail",state="failed"}': 1,
    'weaver_notifications{channel="mail",state="to_send"}': 0,
    'weaver_notifications_unsent_seconds{channel="mail"}': 0,
    weaver_heartbeat_missing: 1,
    // It was never heard.
    weaver_heartbeat_seconds: undefined,
    // Nothing is held.
    'weaver_market_mark_oldest_seconds{exchange="sim",mode="paper"}': undefined,
    'weaver_market_events_dropped_total{exchange="sim",mode="paper"}': 5,
    'weaver_process_strategy_hosts{state="idle"}': 2,
    weaver_process_strategy_hosts_lost_total: 6,
    'weaver_process_pool_connections{pool="read",state="waiting"}': 0,
  })
  expect(found.get('weaver_events_unsequenced_oldest_seconds')).toBeGreaterThan(0)
  expect(found.get('weaver_database_bytes')).toBeGreaterThan(1_000_000)
  expect(found.get('weaver_table_bytes{table="weaver.outbox"}')).toBeGreaterThan(10_000)
  // Today and seven days, and where others lie.
  expect(found.get('weaver_log_partitions')).toBe(9)
  expect(found.get('weaver_postgres_connections')).toBeGreaterThan(0)
  expect(found.get('process_resident_memory_bytes')).toBeGreaterThan(1_000_000)
  const parts = [...found].filter(([name]) => name.startsWith('weaver_metrics_part_ok'))
  expect(parts.length).toBe(15)
  expect(new Set(parts.map(([, value]) => value))).toEqual(new Set([1]))
})

test('the text is what Prometheus reads: every family once, said what it is, before its samples', async () => {
  const text = await metricsAt(Date.now)()
  const types = [...text.matchAll(/^# TYPE (\S+) (gauge|counter|histogram)$/gm)].map(([, name]) => name as string)
  expect(types.length).toBe(new Set(types).size)
  for (const line of text.split('\n').filter((one) => one !== '' && !one.startsWith('#'))) {
    expect(line).toMatch(/^[a-z_0-9]+(\{([a-z]+="([^"\\\n]|\\.)*",?)+\})? -?(\d+(\.\d+)?(e[-+]\d+)?|Nan|NaN|\+Inf)$/)
    // A histogram's samples are its family's, with an ending.
    const name = /^[a-z_0-9]+/.exec(line)?.[0] ?? ''
    expect(
      [name, name.replace(/_(bucket|sum|count)$/, '')].some((one) => types.includes(one)),
      line,
    ).toBe(true)
  }
})

test('one part that cannot be read is missing and named; the others are there', async () => {
  await asOwner('alter table weaver.job_runs rename to hidden')
  const text = await metricsAt(Date.now)()
  await asOwner('alter table weaver.hidden rename to job_runs')
  const found = read(text)
  expect(found.get('weaver_metrics_part_ok{part="attempts"}')).toBe(0)
  expect(found.get('weaver_metrics_part_ok{part="log"}')).toBe(1)
  expect(text).not.toContain('weaver_job_attempts_recent')
  expect(found.get('weaver_log_head_seq')).toBe(2)
})

test('without a database there is still what the process knows of itself', async () => {
  const away = () => Promise.reject(new DatabaseUnavailable('gone', { code: '08006', cause: null }))
  const found = read(await metricsAt(Date.now, { read: away, health: () => database.db.health() })())
  expect(found.get('weaver_metrics_part_ok{part="server"}')).toBe(0)
  expect(found.get('weaver_process_info{version="1.2.3"}')).toBe(1)
  expect(found.has('weaver_log_head_seq')).toBe(false)
})

test('however many scrape, each question is asked once in its time', async () => {
  let now = 0
  let asked = 0
  const { db } = database
  const read: typeof db.read = (work) => {
    asked += 1
    return db.read(work)
  }
  const metrics = metricsAt(() => now, { read, health: () => db.health() })
  await Promise.all([metrics(), metrics(), metrics()])
  expect(asked).toBe(14)
  now = 999
  await metrics()
  expect(asked).toBe(14)
  now = 1_000
  await metrics()
  expect(asked).toBe(20)
  now = 10_000
  await metrics()
  // Of all but the sizes.
  expect(asked).toBe(33)
  now = 60_000
  await metrics()
  expect(asked).toBe(47)
})

test('an open transaction is told by its age and its holder', async () => {
  const { db } = database
  const done = Promise.withResolvers<void>()
  const open = Promise.withResolvers<void>()
  const holding = db.write(async (tx) => {
    await tx.query('select pg_current_xact_id()')
    open.resolve()
    await done.promise
  })
  await open.promise
  await db.write((tx) => tx.query('select pg_current_xact_id()'))
  await db.write((tx) => tx.query('select pg_current_xact_id()'))
  const found = read(await metricsAt(Date.now)())
  done.resolve()
  await holding
  expect(found.get('weaver_postgres_xmin_age_transactions')).toBeGreaterThanOrEqual(2)
  expect(found.get('weaver_postgres_xmin_age_seconds')).toBeGreaterThan(0)
})

test('every family is in the manual', async () => {
  const manual = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const text = `${await metricsAt(Date.now)()}\n${await (await createTestApi(database.db).get('/metrics')).text()}`
  const names = [...text.matchAll(/^# TYPE (weaver_\S+) /gm)].map(([, name]) => name as string)
  expect(names.length).toBeGreaterThan(30)
  // A row names the first in full and of the others what differs.
  const missing = names.filter((name) => {
    const ends = name.split('_').map((_, n, words) => `…_${words.slice(n).join('_')}`)
    return !manual.includes(`\`${name}`) && !ends.some((end) => manual.includes(`\`${end}`))
  })
  expect(missing).toEqual([])
})

test('how late ticks were, and why boundaries were missed, is told of the last hour', async () => {
  const run = await insertRun(database.db)
  await asOwner(
    `insert into weaver.clock_ticks (run_id, bar_index, ts, event_id, missed_reason, drift_ms, created_at)
     select '${run}', n, now() - n * interval '1 minute', gen_random_uuid(), null, n, now() from generate_series(1, 3) n;
     insert into weaver.clock_ticks (run_id, bar_index, ts, missed_reason, created_at) values
       ('${run}', 10, now() - interval '10 minutes', 'busy', now()),
       ('${run}', 11, now() - interval '2 hours', 'late', now() - interval '2 hours')`,
  )
  const values = read(await metricsAt(Date.now)())
  const ticks = [...values].filter(([name]) => name.startsWith('weaver_tick'))
  expect(Object.fromEntries(ticks)).toEqual({
    'weaver_ticks_recent{outcome="emitted"}': 3,
    'weaver_ticks_recent{outcome="busy"}': 1,
    'weaver_tick_drift_recent_seconds{quantile="0.5"}': 0.002,
    'weaver_tick_drift_recent_seconds{quantile="0.99"}': expect.closeTo(0.00298, 9),
    'weaver_tick_drift_recent_seconds{quantile="1"}': 0.003,
  })
})
