import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRecorder } from '../db/walle/record.ts'
import { createCandleFetchCommands } from '../jobs/glados/candle_fetches.ts'
import { wallClock } from '../jobs/glados/clock.ts'
import { createTestApi, type TestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
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
