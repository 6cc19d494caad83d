import fc from 'fast-check'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { connectOwner } from '../db/client.ts'
import { DatabaseUnavailable } from '../db/database.ts'
import { DomainError, type ErrorCode } from '../jobs/glados/errors.ts'
import { createTestApi, type TestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import type { ApiCommands, Readiness } from './dependencies.ts'
import { ERROR_STATUS } from './errors.ts'

const RUN = '00000001-0000-4000-8000-000000000001'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

let database: TestDatabase
let api: TestApi
beforeAll(async () => {
  database = await createTestDatabase()
  api = createTestApi(database.db)
})
afterAll(() => database.drop())

function failing(error: unknown): TestApi {
  const fail = () => Promise.reject(error)
  const commands: ApiCommands = {
    createRun: fail,
    startRun: fail,
    stopRun: fail,
    deleteRun: fail,
    cloneRun: fail,
    retryJob: fail,
    cancelJob: fail,
    pauseJobs: fail,
    resumeJobs: fail,
    requestBand: fail,
    replayRun: fail,
    getParity: fail,
    reconcileAccount: fail,
    acceptPosition: fail,
    cancelOrder: fail,
    closePositions: fail,
    attributePosition: fail,
    splitPosition: fail,
    fetchCandles: fail,
    cancelCandleFetch: fail,
    halt: fail,
    haltByFile: fail,
    resume: fail,
    resumeRun: fail,
    halts: fail,
    importCandles: fail,
  }
  return createTestApi(database.db, { commands })
}

interface Refusal {
  code: string
  message: string
  details: { issues?: { path: string; message: string }[] }
  correlation_id: string
  timestamp: string
}

async function refusalOf(answer: Response): Promise<Refusal> {
  return (await answer.json()) as Refusal
}

test.each(Object.entries(ERROR_STATUS) as [ErrorCode, number][])(
  '%s is answered with %i, in the one shape',
  async (code, status) => {
    const { post } = failing(new DomainError(code, 'why', { rule: 'x' }))
    const answer = await post(`/api/v1/runs/${RUN}/start`, undefined, { 'x-correlation-id': 'mine-1' })
    expect(answer.status).toBe(status)
    const body = await refusalOf(answer)
    expect(body).toEqual({
      code,
      message: 'why',
      details: { rule: 'x' },
      correlation_id: 'mine-1',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
  },
)

test('an unexpected error says nothing of itself, and is logged under its correlation id', async () => {
  const { post, lines } = failing(new Error('password hunter2 of postgres://x'))
  const answer = await post(`/api/v1/runs/${RUN}/start`)
  expect(answer.status).toBe(500)
  const text = await answer.text()
  expect(text).not.toContain('hunter2')
  const body = JSON.parse(text) as Refusal
  expect(body).toMatchObject({ code: 'INTERNAL_ERROR', details: {} })
  const [line] = lines.filter(({ level }) => level === 'error')
  expect(line?.fields.correlation_id).toBe(body.correlation_id)
  expect(String(line?.fields.err)).toContain('hunter2')
})

test('a database that does not answer is SERVICE_UNAVAILABLE, also as the cause of another error', async () => {
  const away = new DatabaseUnavailable('Connection terminated unexpectedly', { code: '', cause: null })
  for (const error of [away, new Error('no run could be made', { cause: away })]) {
    const { post, lines } = failing(error)
    const answer = await post(`/api/v1/runs/${RUN}/start`)
    expect([answer.status, (await refusalOf(answer)).code]).toEqual([503, 'SERVICE_UNAVAILABLE'])
    expect(answer.headers.get('Retry-After')).toBe('5')
    expect(lines.find(({ level }) => level === 'warn')?.fields.err).toBe(error)
  }
})

test('a file that is not there is no database that is away', async () => {
  const { post } = failing(Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' }))
  expect((await post(`/api/v1/runs/${RUN}/start`)).status).toBe(500)
})

test('while Postgres takes no connections every route says 503, and works again after', async () => {
  const own = await createTestDatabase()
  const { get } = createTestApi(own.db)
  const name = new URL(own.url).pathname.slice(1)
  const owner = await connectOwner({ url: inject('testServer').url, applicationName: 'weaver tests' })
  const paths = [
    '/runs',
    `/runs/${RUN}/equity`,
    '/orders',
    '/candles?symbol=A&timeframe=1m',
    '/datasets',
    '/events/tail',
  ]
  const read = async () =>
    Promise.all([...paths, '/events/stream'].map(async (path) => (await get(`/api/v1${path}`)).status))
  try {
    await owner.query(`alter database ${name} allow_connections false`)
    await owner.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
    expect(new Set(await read())).toEqual(new Set([503]))
    await owner.query(`alter database ${name} allow_connections true`)
    expect((await get('/api/v1/runs')).status).toBe(200)
  } finally {
    await owner.end()
    await own.drop()
  }
})

test.each([
  '/api',
  '/api/v1',
  '/api/v1/nothing',
  '/api/v2/runs',
  '/api/v1/runs/not-an-id',
  `/api/v1/runs/${RUN}`,
  `/api/v1/runs/${RUN}/report`,
  `/api/v1/runs/${RUN}/equity`,
  `/api/v1/runs/${RUN}/fills`,
  `/api/v1/runs/${RUN}/trades`,
  `/api/v1/runs/${RUN}/decisions`,
  `/api/v1/runs/${RUN}/events`,
  '/api/v1/orders/7',
  `/api/v1/orders/${RUN}`,
])('%s is NOT_FOUND', async (path) => {
  const answer = await api.get(path)
  expect([answer.status, (await refusalOf(answer)).code]).toEqual([404, 'NOT_FOUND'])
})

test('no text in the place of an id is an internal error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 1, unit: 'binary' }), async (text) => {
      const id = encodeURIComponent(text.toWellFormed()).replace(/^\.+$/, 'dots')
      for (const path of [`/runs/${id}`, `/runs/${id}/equity`, `/orders/${id}`]) {
        expect((await api.get(`/api/v1${path}`)).status).toBe(404)
      }
      expect((await api.get(`/api/v1/orders?run_id=${id}`)).status).toBeLessThan(500)
      expect((await api.get(`/api/v1/candles?timeframe=1m&symbol=${id}`)).status).toBeLessThan(500)
      expect((await api.get(`/api/v1/candles?timeframe=1m&buckets=5&symbol=${id}`)).status).toBeLessThan(500)
      expect((await api.get(`/api/v1/candles?timeframe=1m&symbol=A&start=${id}`)).status).toBe(422)
      expect((await api.get(`/api/v1/events/tail?run_id=${id}`)).status).toBe(404)
      expect((await api.get(`/api/v1/runs?strategy_id=${id}`)).status).toBeLessThan(500)
    }),
    { numRuns: 40 },
  )
})

test('what is not JSON is BAD_REQUEST', async () => {
  for (const [body, type] of [
    ['{"a":', 'application/json'],
    ['a=1', 'application/x-www-form-urlencoded'],
    ['{}', 'text/plain'],
  ] as const) {
    const answer = await api.post('/api/v1/runs', body, { 'content-type': type })
    expect([answer.status, (await refusalOf(answer)).code]).toEqual([400, 'BAD_REQUEST'])
  }
})

const BACKTEST = {
  strategy_id: 's',
  mode: 'backtest',
  symbols: ['A'],
  start_time: '2024-01-01',
  end_time: '2024-01-02',
}

test.each([
  ['label', { label: 'a\0b' }],
  ['label', { label: 'a\ud800b' }],
  ['symbols.0', { symbols: ['\udfff'] }],
  ['config.a.0', { config: { a: ['x\0'] } }],
  ['config', { config: { 'a\0': 1 } }],
  ['config.b', { config: { b: { '\ud800': 1 } } }],
])('a text in %s that no database keeps is refused', async (path, more) => {
  const answer = await api.post('/api/v1/runs', { ...BACKTEST, ...more })
  expect(answer.status).toBe(422)
  const { code, details } = await refusalOf(answer)
  expect([code, details.issues?.[0]?.path]).toEqual(['VALIDATION_ERROR', path])
})

test.each([63, 8_000, 100_000])('a config that is nested %i deep is refused', async (depth) => {
  const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`
  const answer = await api.post('/api/v1/runs', `${JSON.stringify(BACKTEST).slice(0, -1)},"config":{"a":${nested}}}`)
  expect([answer.status, (await refusalOf(answer)).message]).toEqual([422, 'config: is nested deeper than 64 levels'])
})

test.each([
  ['0000-01-01T00:00:00Z', 'is not a time such as 2024-01-31T09:30:00Z'],
  ['0001-01-01T00:00:00+01:00', 'is not a time such as 2024-01-31T09:30:00Z'],
  ['1899-12-31T23:59:59Z', 'is not in the years 1900 to 2199'],
  ['9999-12-31T23:59:59', 'is not in the years 1900 to 2199'],
  ['2024-03-10T02:30:00', 'does not exist in America/New_York (clock change)'],
])('the time %s is refused everywhere, in the same words', async (time, message) => {
  const config = {
    apiKey: null,
    hostAllowed: null,
    clientAllowed: null,
    proxyTrusted: null,
    corsOrigins: [],
    timezone: 'America/New_York',
  }
  const { get, post } = createTestApi(database.db, { config })
  const query = encodeURIComponent(time)
  for (const [field, asking] of [
    ['start_time', post('/api/v1/runs', { ...BACKTEST, start_time: time })],
    ['end_time', get(`/api/v1/orders?end_time=${query}`)],
    ['start', get(`/api/v1/candles?symbol=A&timeframe=1m&start=${query}`)],
  ] as const) {
    const answer = await asking
    expect([answer.status, (await refusalOf(answer)).details.issues]).toEqual([422, [{ path: field, message }]])
  }
})

test('a POST of nothing is one of {}, whatever its type', async () => {
  for (const type of ['text/plain', 'text/plain;charset=UTF-8', 'application/json']) {
    const answer = await api.post(`/api/v1/runs/${RUN.replace(/1$/, 'x')}/stop`, '', { 'content-type': type })
    expect([type, answer.status]).toEqual([type, 404])
  }
})

test('more than 1 MB of JSON is PAYLOAD_TOO_LARGE', async () => {
  const answer = await api.post('/api/v1/runs', { label: 'x'.repeat(1024 * 1024) })
  expect([answer.status, (await refusalOf(answer)).code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
})

test('every problem of a body is named, and so is every unknown field', async () => {
  const answer = await api.post('/api/v1/runs', { mode: 'demo', symbols: [], cash: 1, start_time: '2024-02-30' })
  expect(answer.status).toBe(422)
  const { code, details } = await refusalOf(answer)
  expect(code).toBe('VALIDATION_ERROR')
  expect(details.issues?.map(({ path }) => path).sort()).toEqual([
    'cash',
    'mode',
    'start_time',
    'strategy_id',
    'symbols',
  ])
})

test.each(['page=0', 'page_size=101', 'status=done', 'page=x', 'mode=demo'])('a list refuses %s', async (query) => {
  const answer = await api.get(`/api/v1/runs?${query}`)
  expect([answer.status, (await refusalOf(answer)).code]).toEqual([422, 'VALIDATION_ERROR'])
})

test('a correlation id that is well formed is kept, any other is replaced', async () => {
  const sent = async (id: string) =>
    (await api.get('/healthz', { 'x-correlation-id': id })).headers.get('x-correlation-id')
  expect(await sent('my.id_1-2')).toBe('my.id_1-2')
  expect(await sent('with space')).toMatch(UUID)
  expect(await sent('x'.repeat(129))).toMatch(UUID)
  expect((await api.get('/nowhere.js')).headers.get('x-correlation-id')).toMatch(UUID)
})

test('events get a UUID of the correlation id: the same one, or one that follows from it', async () => {
  const seen: string[] = []
  const fail = () => Promise.reject(new DomainError('CONFLICT', 'why'))
  const commands: ApiCommands = {
    createRun: fail,
    startRun: (_id, { corrId }) => {
      seen.push(corrId)
      return fail()
    },
    stopRun: fail,
    deleteRun: fail,
    cloneRun: fail,
    retryJob: fail,
    cancelJob: fail,
    pauseJobs: fail,
    resumeJobs: fail,
    requestBand: fail,
    replayRun: fail,
    getParity: fail,
    reconcileAccount: fail,
    acceptPosition: fail,
    cancelOrder: fail,
    closePositions: fail,
    attributePosition: fail,
    splitPosition: fail,
    fetchCandles: fail,
    cancelCandleFetch: fail,
    halt: fail,
    haltByFile: fail,
    resume: fail,
    resumeRun: fail,
    halts: fail,
    importCandles: fail,
  }
  const { post } = createTestApi(database.db, { commands })
  for (const id of ['mine', 'mine', RUN]) await post(`/api/v1/runs/${RUN}/start`, {}, { 'x-correlation-id': id })
  expect(seen[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5/)
  expect(seen).toEqual([seen[0], seen[0], RUN])
})

test('not ready is 503 with what is wrong', async () => {
  const found: Readiness = {
    database: { state: 'ok', message: 'answers' },
    disk: { state: 'degraded', message: 'make room soon' },
    workers: { state: 'failing', message: 'none is running' },
  }
  const checks = Object.fromEntries(
    Object.entries(found).map(([name, one]) => [name, { ok: name === 'database', ...one }]),
  )
  const { get } = createTestApi(database.db, { readiness: async () => found })
  const answer = await get('/readyz')
  expect(answer.status).toBe(503)
  expect(await refusalOf(answer)).toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    message: 'Weaver is not ready: workers: none is running',
    details: { checks },
  })
})
