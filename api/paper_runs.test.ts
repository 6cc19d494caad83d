import { afterAll, beforeAll, expect, test } from 'vitest'
import { getRun } from '../db/walle/queries/runs.ts'
import { createRecorder, record } from '../db/walle/record.ts'
import { createCloseCommands } from '../jobs/glados/close_commands.ts'
import { type CommandDependencies, createCommands } from '../jobs/glados/commands.ts'
import { createTestApi, type TestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import { aSource, T0 } from '../tests/support/walle_rows.ts'
import type { ApiCommands } from './dependencies.ts'

let database: TestDatabase
let api: TestApi

beforeAll(async () => {
  database = await createTestDatabase()
  const { db } = database
  const deps: CommandDependencies = {
    recorder: createRecorder(db),
    reader: db.reader,
    resolveStrategy: async (_id, { params }) => ({ version: '1', source: aSource(), params, window_bars: 3 }),
    now: () => Date.parse(T0),
    newId: () => crypto.randomUUID(),
    version: '1.2.3',
    limits: {},
    exchanges: () => [{ exchange: 'sim', modes: ['paper'], configured: ['paper'], problems: [] }],
  }
  api = createTestApi(db, { commands: { ...createCommands(deps), ...createCloseCommands(deps) } as ApiCommands })
})
afterAll(() => database.drop())

/** Whatever a route answers, of what is looked at here. */
interface Answer {
  id: string
  status: string
  code: string
  message: string
  start_time: string | null
  end_time: string | null
  archived_at: string | null
  stopping: object | null
  items: { id: string; symbol: string; already: boolean; order_id: string }[]
  run: { id: string }
  differences: object[]
}

async function call(method: string, path: string, body?: object) {
  const answer = await api.app.request(`/api/v1${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: (answer.status === 204 ? {} : await answer.json()) as Answer }
}

const act = (id: string, path: string, more?: object) => call('POST', `/runs/${id}${path}`, more)

async function create(more: object = {}) {
  const { status, body } = await call('POST', '/runs', {
    ...{ strategy_id: 'sample', mode: 'paper', symbols: ['BTC/USD'], timeframe: '1m', config: { fast: 3 }, ...more },
  })
  return [status, body] as const
}

test('a paper run trades where there is an exchange for it, hop by hop and with all of its events', async () => {
  const [status, body] = await create()
  expect(status).toBe(201)
  expect(body).toMatchObject({ mode: 'paper', exchange: 'sim', status: 'pending', driver: 'chain', audit: 'full' })
  expect([body.start_time, body.end_time]).toEqual([null, null])
})

test.each([
  ['start_time', { start_time: '2024-01-01' }],
  ['end_time', { end_time: '2024-01-01' }],
  ['driver', { driver: 'chunk' }],
  ['audit', { audit: 'summary' }],
])('a paper run has no %s', async (field, more) => {
  const [status, body] = await create(more)
  expect([status, body.code, body.message]).toEqual([
    422,
    'VALIDATION_ERROR',
    `a paper run has no ${field}: leave it out`,
  ])
})

test('a paper run is refused without credentials, in words that say what to set', async () => {
  const [status, body] = await create({ mode: 'live' })
  expect([status, body.code]).toEqual([422, 'INVALID_RUN_MODE'])
  expect(body.message).toBe('no exchange is installed that has live trading')
  const [, simulated] = await create({ mode: 'live', exchange: 'sim' })
  expect(simulated.message).toBe('sim has no live trading, for it is no real market: choose another exchange or mode')
})

test('a paper run goes on running when it is to stop, until its job has ended it; asked twice it is the same', async () => {
  const [, { id }] = await create()
  expect((await act(id, '/start')).body).toMatchObject({ status: 'running' })
  for (const _ of [1, 2]) expect((await act(id, '/stop')).body).toMatchObject({ status: 'running' })
  const run = await getRun(database.db.reader, id)
  expect([run?.stop_requested, run?.open_corr_id]).toEqual([{ cancel_orders: true, close_positions: false }, null])
  const jobs = await database.db.reader.query<{ task: string }>(
    'select task from weaver.job_overview where run_id = $1 order by id',
    [id],
  )
  expect(jobs.map(({ task }) => task)).toEqual(['veda.start_run', 'veda.end_run', 'veda.end_run'])
  const events = await database.db.reader.query<{ type: string }>(
    'select type from weaver.outbox where run_id = $1 order by id',
    [id],
  )
  expect(events.map(({ type }) => type)).toEqual(['run.Created', 'run.Started', 'run.StopRequested'])
})

test('a run that is to stop says so, and may be asked for more meanwhile; nothing is taken back', async () => {
  const [, { id }] = await create()
  expect((await act(id, '/start')).body.stopping).toBeNull()
  const asked = async (body: object) => (await call('POST', `/runs/${id}/stop`, body)).body
  const plain = { cancel_orders: false, close_positions: false }
  expect(await asked({ cancel_orders: false })).toMatchObject({ status: 'running', stopping: plain })
  const closing = { cancel_orders: true, close_positions: true }
  expect(await asked({ close_positions: true })).toMatchObject({ status: 'running', stopping: closing })
  expect((await asked({ cancel_orders: false })).stopping).toEqual(closing)
  expect((await call('GET', `/runs/${id}`)).body.stopping).toEqual(closing)
  const events = await database.db.reader.query<{ payload: object }>(
    `select payload -> 'payload' as payload from weaver.outbox where run_id = $1 and type = 'run.StopRequested' order by id`,
    [id],
  )
  expect(events.map(({ payload }) => payload)).toEqual([
    { run_id: id, ...plain },
    { run_id: id, ...closing },
  ])
})

test('a paper run is deleted when it holds nothing, and kept in an archive when it does', async () => {
  const [, { id }] = await create()
  const [, { id: holder }] = await create({ label: 'holds' })
  const position = { symbol: 'BTC/USD', qty: '1', avg_price: '100', realised_pnl: '0', cost: '100', last_price: null }
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'save_positions', rows: [{ run_id: holder, ...position }] }], events: [] }),
  )
  for (const each of [id, holder]) expect((await call('DELETE', `/runs/${each}`)).status).toBe(204)
  expect((await call('GET', `/runs/${id}`)).status).toBe(404)
  expect((await call('GET', `/runs/${holder}`)).body.archived_at).toBe(T0)
  const listed = async (query: string) => {
    const { body } = await call('GET', `/runs?mode=paper&page_size=100${query}`)
    return body.items.some((run: { id: string }) => run.id === holder)
  }
  expect([await listed(''), await listed('&archived=true')]).toEqual([false, true])
})

test('what a paper run holds is closed when a person asks, of one symbol or of all, and once', async () => {
  const [, { id }] = await create({ symbols: ['BTC/USD', 'AAPL'] })
  const refused = async (body?: object) => {
    const { status, body: said } = await act(id, '/close', body)
    return [status, said.code]
  }
  expect(await refused()).toEqual([409, 'CONFLICT'])
  await act(id, '/start')
  expect(await refused({})).toEqual([409, 'CONFLICT'])
  const row = { run_id: id, qty: '-3', avg_price: '100', realised_pnl: '0', cost: '300', last_price: null }
  const rows = ['BTC/USD', 'AAPL'].map((symbol) => ({ ...row, symbol }))
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_positions', rows }], events: [] }))
  expect(await refused({ symbol: 'ETH/USD' })).toEqual([409, 'CONFLICT'])
  expect(await refused({ symbols: ['AAPL'] })).toEqual([422, 'VALIDATION_ERROR'])
  const one = await act(id, '/close', { symbol: 'AAPL' })
  expect(one.body.items).toMatchObject([{ symbol: 'AAPL', side: 'buy', qty: '3', already: false }])
  const all = await act(id, '/close')
  expect([all.status, all.body.items.map(({ symbol, already }) => [symbol, already])]).toEqual([
    200,
    [
      ['AAPL', true],
      ['BTC/USD', false],
    ],
  ])
  expect(all.body.items[0]?.order_id).toBe(one.body.items[0]?.order_id)
  const jobs = await database.db.reader.query(
    `select 1 from weaver.job_overview where run_id = $1 and task = 'veda.place_order'`,
    [id],
  )
  expect(jobs.length).toBe(2)
  expect((await act(crypto.randomUUID(), '/close')).status).toBe(404)
  // Another run like it holds nothing, and nothing is on its way there.
  const clone = (await act(id, '/clone')).body.run
  expect((await act(clone.id, '/close')).status).toBe(409)
})

test('a paper run is cloned, which tells in what they differ', async () => {
  const [, paper] = await create({ risk: { max_order_notional: 500 }, label: 'first' })
  const same = await act(paper.id, '/clone')
  expect([same.status, same.body.differences]).toEqual([201, []])
  expect(same.body.run.id).not.toBe(paper.id)
  const other = await act(paper.id, '/clone', {
    timeframe: '5m',
    config: { slow: 9 },
    risk: { max_order_notional: 50 },
  })
  expect(other.body.differences).toEqual([
    { field: 'timeframe', from: '1m', to: '5m' },
    { field: 'risk.max_order_notional', from: 500, to: 50 },
    { field: 'config.slow', from: null, to: 9 },
  ])
  expect(other.body.run).toMatchObject({ config: { fast: 3, slow: 9 }, label: 'first', status: 'pending' })
  expect((await act(paper.id, '/clone', { mode: 'live' })).body.code).toBe('INVALID_RUN_MODE')
  expect((await act('nonsense', '/clone')).status).toBe(404)
})

test('how the clock served a run: its newest tick, how late ticks were, and which were missed, with why', async () => {
  const [, { id }] = await create()
  const ticks = () => api.get(`/api/v1/runs/${id}/ticks`).then((answer) => answer.json())
  expect(await ticks()).toEqual({ last: null, ticks: 0, missed: [], drift_ms: null })
  const at = (minute: number) => new Date(Date.parse(T0) + minute * 60_000).toISOString()
  const emitted = (bar_index: number, drift_ms: number, done: boolean) => ({
    ...{ run_id: id, bar_index, ts: at(bar_index), event_id: crypto.randomUUID(), missed_reason: null, drift_ms },
    done_at: done ? at(bar_index) : null,
  })
  const missed = { event_id: null, missed_reason: 'busy', drift_ms: null, done_at: null }
  const rows = [
    ...[emitted(0, 1, true), emitted(1, 3, true)],
    { run_id: id, bar_index: 2, ts: at(2), ...missed },
    emitted(3, 2, false),
  ]
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_clock_ticks', rows }], events: [] }))
  expect(await ticks()).toEqual({
    last: { bar_index: 3, ts: at(3), drift_ms: 2, missed_reason: null, done_at: null },
    ticks: 4,
    missed: [{ reason: 'busy', count: 1, last_ts: at(2) }],
    drift_ms: { p50: 2, p99: 2.98, max: 3 },
  })
})
