import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

test('health is told without anything else', async () => {
  const answer = await createTestApi(database.db).get('/healthz')
  expect(answer.status).toBe(200)
  expect(await answer.json()).toEqual({ status: 'ok', version: '1.2.3' })
})

test('every list of an empty database is empty', async () => {
  const { get } = createTestApi(database.db)
  const read = async (path: string) => (await get(`/api/v1${path}`)).json()
  expect(await read('/runs')).toEqual({ items: [], total: 0, page: 1, page_size: 20 })
  expect(await read('/orders')).toEqual({ items: [], total: 0, page: 1, page_size: 50 })
  expect(await read('/candles?symbol=A&timeframe=1m')).toEqual({ symbol: 'A', timeframe: '1m', items: [] })
  expect(await read('/symbols')).toEqual({ items: [] })
  expect(await read('/datasets')).toEqual({ items: [] })
  expect(await read('/strategies')).toEqual({ items: [], errors: [] })
  expect(await read('/positions')).toEqual({ items: [], accounts: [] })
  expect(await read('/accounts')).toEqual({ items: [] })
  expect(await read('/events/tail')).toEqual({ items: [], next: -1 })
})

test('every route is described as one that may refuse, in the one shape', async () => {
  const answer = await createTestApi(database.db).get('/openapi.json')
  const { paths, components } = (await answer.json()) as {
    paths: Record<string, Record<string, { responses: Record<string, unknown> }>>
    components: { schemas: Record<string, { required: string[] }> }
  }
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  expect(operations.length).toBeGreaterThan(20)
  for (const { responses } of operations) {
    expect(responses.default).toMatchObject({
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    })
  }
  expect(components.schemas.Error?.required).toEqual(['code', 'message', 'details', 'correlation_id', 'timestamp'])
})

test('the description is OpenAPI 3.1 and names every route with its schema', async () => {
  const answer = await createTestApi(database.db).get('/openapi.json')
  const document = (await answer.json()) as {
    openapi: string
    paths: Record<string, object>
    components: { schemas: object }
  }
  expect(document.openapi).toBe('3.1.0')
  expect(Object.keys(document.paths).sort()).toEqual([
    '/api/v1/accounts',
    '/api/v1/accounts/{exchange}/{mode}/accept',
    '/api/v1/accounts/{exchange}/{mode}/attribute',
    '/api/v1/accounts/{exchange}/{mode}/reconcile',
    '/api/v1/accounts/{exchange}/{mode}/split',
    '/api/v1/alerts',
    '/api/v1/candles',
    '/api/v1/candles/fetch',
    '/api/v1/candles/fetch/{id}',
    '/api/v1/candles/fetch/{id}/cancel',
    '/api/v1/candles/import',
    '/api/v1/datasets',
    '/api/v1/events/stream',
    '/api/v1/events/tail',
    '/api/v1/info',
    '/api/v1/jobs',
    '/api/v1/jobs/{id}',
    '/api/v1/jobs/{id}/cancel',
    '/api/v1/jobs/{id}/retry',
    '/api/v1/orders',
    '/api/v1/orders/{id}',
    '/api/v1/orders/{id}/cancel',
    '/api/v1/orders/{id}/trace',
    '/api/v1/positions',
    '/api/v1/queues',
    '/api/v1/queues/{name}/pause',
    '/api/v1/queues/{name}/resume',
    '/api/v1/runs',
    '/api/v1/runs/{id}',
    '/api/v1/runs/{id}/band',
    '/api/v1/runs/{id}/clone',
    '/api/v1/runs/{id}/close',
    '/api/v1/runs/{id}/decisions',
    '/api/v1/runs/{id}/equity',
    '/api/v1/runs/{id}/events',
    '/api/v1/runs/{id}/fills',
    '/api/v1/runs/{id}/parity',
    '/api/v1/runs/{id}/replay',
    '/api/v1/runs/{id}/report',
    '/api/v1/runs/{id}/start',
    '/api/v1/runs/{id}/stop',
    '/api/v1/runs/{id}/ticks',
    '/api/v1/runs/{id}/trades',
    '/api/v1/session',
    '/api/v1/strategies',
    '/api/v1/symbols',
    '/api/v1/system/halt',
    '/api/v1/system/halts',
    '/api/v1/system/resume',
    '/healthz',
    '/metrics',
    '/readyz',
  ])
  expect(Object.keys(document.components.schemas)).toContain('RunCreate')
})
