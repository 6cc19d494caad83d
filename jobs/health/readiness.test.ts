import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectOwner, openDatabase } from '../../db/client.ts'
import type { ConsumerHealth } from '../../db/events/health.ts'
import type { AccountHealth } from '../../db/walle/queries/accounts.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import {
  type Check,
  checkReadiness,
  judgeAccounts,
  judgeClock,
  judgeConnections,
  judgeConsumers,
  judgeDisk,
  judgeHeartbeat,
  judgeListeners,
  judgeMessages,
  judgeMigrations,
  judgeNotifications,
  judgeRuns,
  judgeSequencer,
  judgeTransactions,
  judgeVenueClocks,
  judgeWorkers,
} from './readiness.ts'

const consumer = (changes: Partial<ConsumerHealth>): ConsumerHealth => ({
  ...{
    id: 'history',
    lag: 0,
    lagLimit: 100,
    state: 'ok',
    failures: 0,
    lastError: null,
    failingSeq: null,
    active: true,
  },
  ...changes,
})
const anAccount = (changes: Partial<AccountHealth>): AccountHealth => ({
  ...{ exchange: 'alpaca', mode: 'paper', state: 'ready', stream: 'up', state_reason: null, runs: 2 },
  ...{ reconciledSeconds: 300, pausedSymbols: [] },
  ...changes,
})
const aChannel = (failingSeconds: number | null) => ({
  channel: 'webhook' as const,
  counts: { to_send: 2, sent: 7, failed: 0, expired: 0, held: 0 },
  ...{ failingSeconds, lastError: 'webhook: answered 500', sentSeconds: 3 },
})
const aBeat = (at: number | null, problem: string | null) => ({
  id: 'heartbeat' as const,
  tried_at: new Date(0).toISOString(),
  beat_at: at === null ? null : new Date(at).toISOString(),
  problem,
})
const listener = (connected: boolean, heardAt: number | null) => ({
  ...{ channel: 'weaver_events', connected, heardAt, reconnects: 0, roundTripMs: 1 },
})
const oldest = (transactions: number | null, seconds: number | null) => ({
  transactions,
  seconds,
  holder: 'psql (process 7, idle)',
})
const log = (unsequenced: number, seconds: number | null) => ({
  head: 5,
  unsequenced,
  oldestUnsequencedSeconds: seconds,
})

test.each<[string, Check, Check['state'], string]>([
  ['migrated', judgeMigrations(11, 11), 'ok', 'at 11'],
  ['restored', judgeMigrations(9, 11), 'failing', 'weaver migrate'],
  ['newer', judgeMigrations(12, 11), 'degraded', 'restart with the newer Weaver'],
  ['room', judgeConnections({ connections: 87, mostConnections: 100, reserved: 3 }), 'ok', '87 of the 97'],
  ['full', judgeConnections({ connections: 88, mostConnections: 100, reserved: 3 }), 'degraded', 'max_connections'],
  ['workers', judgeWorkers(2), 'ok', '2 pools'],
  ['no workers', judgeWorkers(0), 'failing', 'weaver worker'],
  ['numbered', judgeSequencer(log(0, null)), 'ok', 'at 5'],
  ['just now', judgeSequencer(log(3, 10)), 'ok', 'at 5'],
  ['late', judgeSequencer(log(3, 10.1)), 'failing', '3 events have waited up to 10 s'],
  ['no accounts', judgeAccounts([anAccount({ runs: 0, state: 'refused' })]), 'ok', 'no running run uses one'],
  ['an account', judgeAccounts([anAccount({})]), 'ok', 'alpaca paper ready'],
  [
    'refused',
    judgeAccounts([anAccount({ state: 'refused', state_reason: '401' })]),
    'degraded',
    'alpaca paper, which 2 runs use, is refused (401): no order leaves',
  ],
  ['not compared', judgeAccounts([anAccount({ reconciledSeconds: 301 })]), 'degraded', 'for 301 s: start workers'],
  ['paused', judgeAccounts([anAccount({ pausedSymbols: ['AAPL'] })]), 'degraded', 'no order explains: AAPL'],
  ['no consumers', judgeConsumers([]), 'ok', 'there are none'],
  ['consumers', judgeConsumers([consumer({ lag: 3 })]), 'ok', 'history 3 behind'],
  [
    'fails',
    judgeConsumers([
      consumer({}),
      consumer({ id: 'b', state: 'failing', failures: 4, failingSeq: 9, lastError: 'why' }),
    ]),
    'degraded',
    'b fails at event 9, 4 times in a row (why)',
  ],
  ['lags', judgeConsumers([consumer({ state: 'lagging', lag: 101 })]), 'degraded', '101 events behind, more than 100'],
  ['stopped', judgeConsumers([consumer({ state: 'stopped', lag: 1, active: false })]), 'degraded', 'start workers'],
  ['stopped, with nothing to do', judgeConsumers([consumer({ state: 'stopped' })]), 'ok', 'history'],
  ['ahead', judgeConsumers([consumer({ state: 'ahead', lag: -1 })]), 'degraded', 'restored'],
  ['no messages', judgeMessages([]), 'ok', 'none was told yet'],
  ['messages', judgeMessages([aChannel(300)]), 'ok', 'webhook 7 sent'],
  [
    'unsent',
    judgeMessages([aChannel(301)]),
    'degraded',
    '2 messages wait for up to 301 s (webhook: answered 500): try `weaver notify test`',
  ],
  ['no heartbeat', judgeHeartbeat(null, false, 0), 'ok', 'is not set'],
  ['never called', judgeHeartbeat(null, true, 0), 'degraded', 'start workers'],
  ['beats', judgeHeartbeat(aBeat(0, null), true, 150_000), 'ok', 'heard 150 s ago'],
  ['silent', judgeHeartbeat(aBeat(0, 'why'), true, 151_000), 'degraded', 'was last heard 151 s ago: why'],
  ['nobody calls', judgeHeartbeat(aBeat(0, null), true, 151_000), 'degraded', 'no worker calls it'],
  ['never heard', judgeHeartbeat(aBeat(null, 'why'), true, 0), 'degraded', 'was never heard: why'],
  ['nobody listens', judgeListeners([], 0), 'ok', 'nothing'],
  ['just connected', judgeListeners([listener(true, null)], 0), 'ok', '1 hear'],
  ['hears', judgeListeners([listener(true, 0)], 30_000), 'ok', '1 hear'],
  ['deaf', judgeListeners([listener(true, 0)], 30_001), 'degraded', 'weaver_events does not hear itself'],
  ['away', judgeListeners([listener(false, 0)], 1), 'degraded', 'connects anew'],
  ['young', judgeTransactions(oldest(5_000_000, 3_600)), 'ok', '5000000 transactions, 3600 s'],
  ['old', judgeTransactions(oldest(1, 3_601)), 'degraded', 'psql (process 7, idle) has been open'],
  ['far', judgeTransactions(oldest(5_000_001, null)), 'degraded', 'end it'],
  ['empty', judgeNotifications(0.249), 'ok', '25 %'],
  ['fuller', judgeNotifications(0.25), 'degraded', 'end it'],
  ['full', judgeNotifications(0.9), 'failing', 'nothing can commit'],
  ['room', judgeDisk(1e9, 'here'), 'ok', '1.0 GB free where here lies'],
  ['runs get on', judgeRuns([]), 'ok', 'get on'],
  ['a run stands still', judgeRuns(['veda.submit_order has been due for 91 s']), 'degraded', 'weaver jobs'],
  ['no venue was asked', judgeVenueClocks([]), 'ok', '0 were asked'],
  ['a venue agrees', judgeVenueClocks([{ exchange: 'alpaca', mode: 'live', skew_ms: -1_000 }]), 'ok', '1 were asked'],
  [
    'ahead of a venue',
    judgeVenueClocks([{ exchange: 'alpaca', mode: 'live', skew_ms: 4_200 }]),
    'degraded',
    '4.2 s ahead of alpaca live, so that ticks decide without',
  ],
  ['clocks agree', judgeClock(-1_000), 'ok', 'agrees'],
  ['ahead of the database', judgeClock(90_000), 'degraded', 'clock is 90.0 s ahead of the database'],
  ['behind the database', judgeClock(-1_001), 'degraded', '1.0 s behind the database'],
  ['little room', judgeDisk(1e9 - 1, 'here'), 'degraded', 'make room soon'],
  ['no room', judgeDisk(2e8 - 1, 'here'), 'failing', 'Postgres stops'],
])('%s', (_, check, state, text) => {
  expect(check.state).toBe(state)
  expect(check.message).toContain(text)
})

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const never = () => new Promise<never>(() => {})
const states = (checks: Record<string, Check>) =>
  Object.fromEntries(Object.entries(checks).map(([name, { state }]) => [name, state]))

async function newest(): Promise<number> {
  const owner = await connectOwner({ url: database.url, applicationName: 'owner' })
  const { rows } = await owner.query<{ version: string }>(
    'select max(version) as version from public.weaver_migrations',
  )
  await owner.end()
  return Number(rows[0]?.version)
}

test('a real database is looked at in all its parts; without workers Weaver is not ready', async () => {
  const options = {
    db: database.db,
    dataDir: '.',
    beats: false,
    strategyTimeoutMs: 30_000,
    schemaVersion: await newest(),
    now: Date.now,
    sleep: never,
  }
  const checks = await checkReadiness(options)
  expect(states(checks)).toEqual({
    ...{ database: 'ok', migrations: 'ok', workers: 'failing', sequencer: 'ok', consumers: 'ok' },
    ...{
      runs: 'ok',
      accounts: 'ok',
      messages: 'ok',
      heartbeat: 'ok',
      venue_clocks: 'ok',
      clock: 'ok',
      transactions: 'ok',
      connections: checks.connections?.state,
      notifications: 'ok',
      listeners: 'ok',
      disk: checks.disk?.state,
    },
  })
})

test('a database that is away, or says nothing at all, is told as such and in time', async () => {
  const db = await openDatabase({ url: database.url, applicationName: 'weaver readiness' })
  const options = {
    db,
    dataDir: '.',
    beats: false,
    strategyTimeoutMs: 30_000,
    schemaVersion: 1,
    now: Date.now,
    sleep: never,
  }
  const silent = { ...db, read: never, health: db.health }
  const late = await checkReadiness({ ...options, db: silent, sleep: async () => {} })
  await db.close()
  const gone = await checkReadiness(options)
  for (const [checks, text] of [
    [late, 'no answer in 3 s'],
    [gone, 'Cannot use a pool after calling end'],
  ] as const) {
    expect(Object.keys(checks)).toEqual(['database', 'listeners', 'disk'])
    expect(checks.database).toMatchObject({
      state: 'failing',
      message: expect.stringContaining('is Postgres running?'),
    })
    expect(checks.database?.message).toContain(text)
  }
})
