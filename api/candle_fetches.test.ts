import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSequencer } from '../db/events/sequencer.ts'
import { createRecorder, record } from '../db/walle/record.ts'
import { createCandleFetchCommands } from '../jobs/glados/candle_fetches.ts'
import { wallClock } from '../jobs/glados/clock.ts'
import { createTestApi, type TestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import { answerWindows, boundary, emitTick, startLiveRun } from '../tests/support/live_run.ts'
import type { ApiCommands } from './dependencies.ts'

let database: TestDatabase
let api: TestApi

beforeAll(async () => {
  database = await createTestDatabase()
  const { db } = database
  const commands = createCandleFetchCommands({
    recorder: createRecorder(db),
    reader: db.reader,
    configured: () => [{ exchange: 'sim', mode: 'paper' }],
    ...wallClock,
  })
  api = createTestApi(db, { commands: commands as unknown as ApiCommands })
})
afterAll(async () => {
  await database.drop()
})

const BODY = { symbol: 'BTC/USD', timeframe: '1m', start: '2026-01-01', end: '2026-01-02T00:00:00Z' }

test('a fetch of candles is begun, read and cancelled', async () => {
  const answer = await api.post('/api/v1/candles/fetch', BODY)
  expect(answer.status).toBe(201)
  const begun = await answer.json()
  expect(begun).toMatchObject({
    ...{ exchange: 'sim', symbol: 'BTC/USD', timeframe: '1m', status: 'running', progress: 0, error: null },
    ...{ start_time: '2026-01-01T00:00:00.000Z', end_time: '2026-01-02T00:00:00.000Z', adjustment: 'raw', feed: null },
  })
  const path = `/api/v1/candles/fetch/${begun.id}`
  expect(await (await api.post('/api/v1/candles/fetch', BODY)).json()).toMatchObject({ id: begun.id })
  expect(await (await api.get('/api/v1/candles/fetch')).json()).toMatchObject({ items: [{ id: begun.id }] })
  expect(await (await api.get(path)).json()).toMatchObject({ id: begun.id, status: 'running' })
  for (const _ of ['once', 'twice']) {
    expect(await (await api.post(`${path}/cancel`)).json()).toMatchObject({ status: 'cancelled' })
  }
})

test.each([
  ['no symbol', { ...BODY, symbol: undefined }, 'symbol'],
  ['an exchange that is not there', { ...BODY, exchange: 'nowhere' }, 'exchange'],
  ['a time that is none', { ...BODY, start: 'yesterday' }, 'start'],
  ['a range of the future', { ...BODY, start: '2190-01-01', end: undefined }, 'start'],
])('%s is refused by its field', async (_, body, path) => {
  const answer = await api.post('/api/v1/candles/fetch', body)
  expect(answer.status).toBe(422)
  expect(await answer.json()).toMatchObject({ code: 'VALIDATION_ERROR', details: { issues: [{ path }] } })
})

test('what is not there is not found', async () => {
  const path = '/api/v1/candles/fetch/0f0e0d0c-0b0a-4908-8706-050403020100'
  expect((await api.get(path)).status).toBe(404)
  expect((await api.post(`${path}/cancel`)).status).toBe(404)
})

test('what a run has seen is drawn before it is stored', async () => {
  const { db } = database
  const run = await startLiveRun(db, 1, { symbols: ['BTC/USD'] })
  await emitTick(db, run, 0)
  await answerWindows(db, run, 0, { 'BTC/USD': [1, 2, 3] })
  await createSequencer({ db, sleep: async () => {}, onError: () => {} }).runOnce()
  const drawn = async (more: string, id = run.id) => {
    const answer = await api.get(`/api/v1/candles?symbol=BTC/USD&timeframe=1m&buckets=9&run_id=${id}${more}`)
    return [answer.status, (await answer.json()).columns]
  }
  const time = [-3, -2, -1].map((minute) => boundary(run, minute))
  const closes = { open: [1, 2, 3], high: [1, 2, 3], low: [1, 2, 3], close: [1, 2, 3], volume: [1, 1, 1] }
  expect(await drawn('')).toEqual([200, { time, ...closes }])
  const price = { open: '9', high: '9', low: '9', close: '9', volume: '9', trade_count: null }
  const candles = [{ time: time[1] as number, ...price }]
  await db.write((tx) =>
    record(tx, { writes: [{ kind: 'store_candles', symbol: 'BTC/USD', timeframe: '1m', candles }], events: [] }),
  )
  expect(await drawn('')).toMatchObject([200, { time: time.slice(1), close: [9, 3] }])
  expect(await drawn('&end=2026-03-01T23:58:00Z')).toMatchObject([200, { time: [time[1]], close: [9] }])
  expect(await drawn('', '0f0e0d0c-0b0a-4908-8706-050403020100')).toEqual([404, undefined])
})
