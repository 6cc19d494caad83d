/** What is recorded to be told, and how a message is sent: on a real database, with the time in the test's hand. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { append } from '../../db/events/append.ts'
import { type Consumer, createConsumer } from '../../db/events/consumer.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { createSequencer } from '../../db/events/sequencer.ts'
import type { NotificationRow } from '../../db/walle/notice_rows.ts'
import { record } from '../../db/walle/record.ts'
import { thin } from '../../db/walle/retention.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { pause } from '../../tests/support/until.ts'
import { aRun, aSource, idOf } from '../../tests/support/walle_rows.ts'
import type { Channel, Message } from './channels.ts'
import type { NotifyConfig } from './config.ts'
import { forgetNotifications, notificationConsumer, sendNotification } from './notifications.ts'

const START = Date.UTC(2026, 0, 2, 3, 4, 10)
const MINUTE = 60_000
const PAPER = idOf('run', 1)
const BACKTEST = idOf('run', 2)

let database: TestDatabase
let now = START
let consumer: Consumer
/** What a channel was given, and what it answers the next ones: an error, or nothing. */
const sent: { channel: string; message: Message }[] = []
const failures: string[] = []

const channel = (name: Channel['name']): Channel => ({
  name,
  target: 'a test',
  async send(message) {
    sent.push({ channel: name, message })
    const failure = failures.shift()
    if (failure !== undefined) throw new Error(failure)
  },
})
const ALL: NotifyConfig['kinds'] = ['fills', 'rejects', 'errors', 'halts', 'mismatches', 'jobs']
const settings = { kinds: ALL, modes: ['paper', 'live'] as NotifyConfig['modes'], maxAgeMs: 3_600_000, perMinute: 3 }

function consumerWith(config: Partial<typeof settings>, channels: Channel[] = [channel('webhook')]): Consumer {
  return createConsumer(
    notificationConsumer({ record, config: { ...settings, ...config }, channels, now: () => now }),
    {
      db: database.db,
      sleep: pause,
      lagLimit: 10,
      holder: 'test',
      log: { info: () => {}, error: () => {} },
    },
  )
}

function event(type: NewEvent['type'], payload: unknown, changes: Partial<NewEvent> = {}): NewEvent {
  const id = randomUUID()
  const ts = new Date(now).toISOString()
  const base = { id, type, run_id: null, corr_id: id, causation_id: null, ts, producer: 'glados', payload }
  return { ...base, ...changes } as NewEvent
}

const halt = (changes: Partial<NewEvent> = {}) =>
  event('system.Halted', { rule: 'kill_switch', reason: 'prices look wrong', by: 'a person' }, changes)

const order = { order_id: idOf('order', 1), client_order_id: 'w-1' }
const fill = (runId: string, producer: NewEvent['producer'] = 'veda') =>
  event(
    'orders.Filled',
    {
      ...{ ...order, symbol: 'BTC/USD', side: 'buy', ordinal: 0, qty: '1', price: '100', fee: '0.25', fee_qty: '0' },
      ...{ slippage: '0', timestamp: new Date(now).toISOString(), filled_qty: '2', filled_avg_price: '99.5' },
      ...{ fees: '0.5', ambiguous: false, execution_id: 'e1' },
    },
    { run_id: runId, producer },
  )

async function log(...events: NewEvent[]): Promise<void> {
  const { db } = database
  await db.write((tx) => append(tx, events, { route: false }))
  await createSequencer({ db, sleep: pause, onError: () => {} }).runOnce()
}

const rows = () =>
  database.db.reader.query<NotificationRow>('select * from weaver.notifications order by created_at, type desc, id')
const jobs = async () =>
  (
    await database.db.reader.query<{ n: number }>(
      `select count(*)::int as n from weaver.job_overview where task = 'glados.send_notification'`,
    )
  )[0]?.n

beforeAll(async () => {
  database = await createTestDatabase()
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        { kind: 'create_run', run: aRun(1, { mode: 'paper', exchange: 'sim', label: null }) },
        { kind: 'create_run', run: aRun(2) },
      ],
      events: [],
    }),
  )
})
afterAll(() => database.drop())

beforeEach(async () => {
  now += 10 * MINUTE
  sent.length = 0
  failures.length = 0
  await database.db.write((tx) => tx.execute('delete from weaver.notifications'))
  await forgetNotifications(database.db)
  consumer = consumerWith({})
})

test('it begins with what comes from then on, and each event is told once on each channel, with a job', async () => {
  await log(halt())
  const before = (await jobs()) ?? 0
  const two = consumerWith({}, [channel('webhook'), channel('telegram')])
  expect(await two.runOnce()).toMatchObject({ events: 0 })
  const halted = halt()
  await log(halted, event('system.Started', { version: '1' }))
  expect(await two.runOnce()).toMatchObject({ events: 1 })
  const told = await rows()
  expect(told.map(({ channel, event_id, state }) => [channel, event_id, state]).toSorted()).toEqual([
    ['telegram', halted.id, 'to_send'],
    ['webhook', halted.id, 'to_send'],
  ])
  expect(new Set(told.map(({ id }) => id)).size).toBe(2)
  expect(await jobs()).toBe(before + 2)
  // A database that was restored may hand it over again.
  await database.db.write((tx) =>
    notificationConsumer({ record, config: settings, channels: [channel('webhook')], now: () => now }).handle(tx, [
      { seq: 0, envelope: { ...halted, kind: 'evt', version: 1, trace_id: null, headers: {} } as never },
    ]),
  )
  expect(await rows()).toEqual(told)
})

test('of paper and live runs, of the wanted kinds and modes; of backtests only jobs that were lost', async () => {
  const error = { message: 'broken', stack: null, bar_index: 1, ts: null }
  const job = { task: 'greta.run_chunk', job_id: '7', error: 'no room' }
  const events = () => [
    fill(PAPER),
    fill(BACKTEST, 'greta'),
    event('run.Error', { run_id: PAPER, ...error }, { run_id: PAPER }),
    event('run.Error', { run_id: BACKTEST, ...error }, { run_id: BACKTEST }),
    event('job.Failed', { ...job, run_id: BACKTEST }),
    event('job.Failed', { ...job, task: 'glados.send_notification', run_id: null }),
  ]
  await consumer.runOnce()
  await log(...events())
  await consumer.runOnce()
  const told = (await rows()).map(({ kind, run_id, title, body }) => ({ kind, run_id, title, body }))
  expect(told.toSorted((one, other) => one.kind.localeCompare(other.kind))).toEqual([
    { kind: 'errors', run_id: PAPER, title: 'sample sim paper has ended with an error', body: 'broken' },
    {
      ...{ kind: 'fills', run_id: PAPER },
      ...{ title: 'Bought 2 BTC/USD at 99.5 (sample sim paper)', body: 'Order w-1 is filled. Fees: 0.5.' },
    },
    {
      ...{ kind: 'jobs', run_id: BACKTEST },
      ...{ title: 'The job greta.run_chunk of first backtest has failed for good', body: 'Job 7: no room' },
    },
  ])
  await database.db.write((tx) => tx.execute('delete from weaver.notifications'))
  await log(...events(), halt())
  await consumerWith({ kinds: ['fills', 'halts'], modes: ['live'] }).runOnce()
  expect((await rows()).map(({ kind }) => kind)).toEqual(['halts'])
})

test('beyond what a minute may tell of a kind, one message sums up; other kinds and the next minute are free', async () => {
  now = Math.floor(now / MINUTE) * MINUTE
  const minute = new Date(now).toISOString()
  await consumer.runOnce()
  await log(...Array.from({ length: 5 }, () => fill(PAPER)))
  await consumer.runOnce()
  await log(fill(PAPER), halt())
  now += MINUTE - 1
  await consumer.runOnce()
  const states = async () =>
    (
      await database.db.reader.query<{ told: string }>(
        `select kind || ' ' || state || ' ' || case when event_id is null then 'summary' else 'event' end || ' ' || count(*) as told
       from weaver.notifications group by kind, state, event_id is null order by 1`,
      )
    ).map(({ told }) => told)
  expect(await states()).toEqual([
    'fills held event 3',
    'fills to_send event 3',
    'fills to_send summary 1',
    'halts to_send event 1',
  ])
  const summary = (await rows()).find(({ event_id }) => event_id === null)
  const again: number[] = []
  const putBack = async (ms: number) => {
    again.push(ms)
    throw new Error('put back')
  }
  const send = () => sendNotification(sending(), { notification_id: summary?.id as string }, { ...job(), putBack })
  await expect(send()).rejects.toThrow('put back')
  expect({ again, sent }).toEqual({ again: [30_001], sent: [] })
  now += 30_001
  await send()
  expect(sent[0]?.message).toMatchObject({
    type: 'notify.Summary',
    title: `And 3 more fills in the minute from ${minute}`,
    text: Array(3).fill('Bought 2 BTC/USD at 99.5 (sample sim paper)').join('\n'),
  })
  await log(fill(PAPER))
  await consumer.runOnce()
  expect((await rows()).filter(({ kind, state }) => kind === 'fills' && state === 'to_send')).toHaveLength(4)
})

test('what happened too long ago is recorded, and not told', async () => {
  await consumer.runOnce()
  const ts = (ageMs: number) => new Date(now - ageMs).toISOString()
  await log(halt({ ts: ts(3_600_001) }), halt({ ts: ts(3_600_000) }))
  await consumer.runOnce()
  expect((await rows()).map(({ state, ts }) => [state, new Date(ts).getTime()]).toSorted()).toEqual([
    ['expired', now - 3_600_001],
    ['to_send', now - 3_600_000],
  ])
})

test('a halt that still holds is told however long ago it was pressed', async () => {
  await consumer.runOnce()
  const at = new Date(now - 2 * 3_600_000).toISOString()
  const row = { id: idOf('event', 77), run_id: null, rule: 'kill_switch', reason: null, halted_at: at, halted_by: 'me' }
  const save = (resumed_at: string | null) =>
    database.db.write((tx) =>
      record(tx, { writes: [{ kind: 'save_halts', rows: [{ ...row, resumed_at, resumed_by: null }] }], events: [] }),
    )
  await save(null)
  await log(halt({ ts: at }), halt({ ts: new Date(now - 3 * 3_600_000).toISOString() }))
  await consumer.runOnce()
  await save(new Date(now).toISOString())
  await log(halt({ ts: at }))
  await consumer.runOnce()
  expect((await rows()).map(({ state, ts }) => [state, now - new Date(ts).getTime()]).toSorted()).toEqual(
    [
      ['expired', 3 * 3_600_000],
      ['expired', 2 * 3_600_000],
      ['to_send', 2 * 3_600_000],
    ].toSorted(),
  )
})

const finished: string[] = []
const job = (attempts = 1) => ({
  attempts,
  finish: async () => {
    finished.push('finished')
  },
  putBack: () => Promise.reject(new Error('not due')),
})
const sending = (channels = [channel('webhook')]) => ({
  ...{ db: database.db, record, channels, pageUrl: 'http://127.0.0.1:8000', now: () => now },
})

async function oneToSend(events = [fill(PAPER)]): Promise<string> {
  await consumer.runOnce()
  await log(...events)
  await consumer.runOnce()
  return (await rows())[0]?.id as string
}

test('a message is sent with its id, and one that was sent is not sent again', async () => {
  const id = await oneToSend()
  finished.length = 0
  await sendNotification(sending(), { notification_id: id }, job())
  await sendNotification(sending(), { notification_id: id }, job())
  expect(sent).toEqual([
    {
      channel: 'webhook',
      message: {
        id,
        kind: 'fills',
        type: 'orders.Filled',
        level: 'info',
        title: 'Bought 2 BTC/USD at 99.5 (sample sim paper)',
        text: 'Order w-1 is filled. Fees: 0.5.',
        run_id: PAPER,
        order_id: order.order_id,
        mode: 'paper',
        ts: new Date(now).toISOString(),
        url: `http://127.0.0.1:8000/runs/${PAPER}`,
      },
    },
  ])
  expect(finished).toEqual(['finished'])
  expect(await rows()).toMatchObject([{ state: 'sent', attempts: 1, last_error: null }])
})

test('a failure is kept with its words and tried again under the same id; the last one gives up', async () => {
  const id = await oneToSend()
  failures.push('webhook: answered 500', 'webhook: answered 502')
  await expect(sendNotification(sending(), { notification_id: id }, job())).rejects.toThrow('answered 500')
  expect(await rows()).toMatchObject([{ state: 'to_send', attempts: 1, last_error: 'webhook: answered 500' }])
  await expect(sendNotification(sending(), { notification_id: id }, job(15))).rejects.toThrow('answered 502')
  expect(await rows()).toMatchObject([{ state: 'failed', attempts: 2, last_error: 'webhook: answered 502' }])
  // A person has the dead job tried again.
  await sendNotification(sending(), { notification_id: id }, job())
  expect(await rows()).toMatchObject([{ state: 'sent', attempts: 3, last_error: null }])
  expect(new Set(sent.map(({ message }) => message.id))).toEqual(new Set([id]))
})

test('a channel that is not configured any more is no failure that comes again', async () => {
  const id = await oneToSend([halt()])
  await sendNotification(sending([]), { notification_id: id }, job())
  expect(await rows()).toMatchObject([{ state: 'failed', last_error: 'webhook is not configured any more' }])
})

test('what waited for days, while its channel was not set, is not told any more', async () => {
  const id = await oneToSend([halt()])
  now += 2 * 86_400_000 + 2 * MINUTE
  await sendNotification(sending(), { notification_id: id }, job())
  expect(await rows()).toMatchObject([{ state: 'expired', attempts: 0 }])
  expect(sent).toEqual([])
})

test('what is done with is dropped in time', async () => {
  const id = await oneToSend()
  await sendNotification(sending(), { notification_id: id }, job())
  await log(halt())
  await consumer.runOnce()
  const before = new Date(Date.now() + MINUTE).toISOString()
  expect(await thin(database.db, 'notifications', { expired: before, auditedSince: null })).toBe(1)
  expect(await rows()).toMatchObject([{ kind: 'halts', state: 'to_send' }])
})
