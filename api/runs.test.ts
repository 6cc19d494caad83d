import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Write } from '../db/walle/outcome.ts'
import { getRun } from '../db/walle/queries/runs.ts'
import { createRecorder, record } from '../db/walle/record.ts'
import type { Revision, RunDatasetRow, RunRow } from '../db/walle/rows.ts'
import { createAccountCommands } from '../jobs/glados/account_commands.ts'
import { createCandleFetchCommands } from '../jobs/glados/candle_fetches.ts'
import { wallClock } from '../jobs/glados/clock.ts'
import { createCloseCommands } from '../jobs/glados/close_commands.ts'
import { type CommandContext, createCommands, type RunRequest } from '../jobs/glados/commands.ts'
import { createHaltCommands } from '../jobs/glados/halt_commands.ts'
import { importCandles } from '../jobs/glados/import_candles.ts'
import { createJobCommands } from '../jobs/glados/job_commands.ts'
import { createOrderCommands } from '../jobs/glados/order_commands.ts'
import { createParityCommands } from '../jobs/glados/parity_commands.ts'
import { createTestApi, type TestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import { aDecision, aFill, anOrder, aRun, aSource, aTrade, idOf, T0 } from '../tests/support/walle_rows.ts'
import type { ApiCommands } from './dependencies.ts'
import { candle, dataset } from './schemas/market.ts'
import { order } from './schemas/orders.ts'
import { band, report } from './schemas/reports.ts'
import { decision, equityPoint, fill, position, run as runSchema, trade } from './schemas/runs.ts'

const RUN = idOf('run', 1)
const CSV = `timestamp,open,high,low,close,volume
2024-01-01T00:00:00Z,1,3,0.5,2,10
2024-01-01T00:01:00Z,2,4,1.5,3,20
2024-01-01T00:02:00Z,3,2,1,3,5
2024-01-01T00:03:00Z,3,5,2.5,4,30
2024-01-01T00:04:00Z,4,6,3.5,5,40
`

let database: TestDatabase
let api: TestApi
const asked: { request: RunRequest; context: CommandContext }[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  const { db } = database
  const commands = createCommands({
    recorder: createRecorder(db),
    reader: db.reader,
    resolveStrategy: async (_id, { params }) => ({ version: '1', source: aSource(), params, window_bars: 3 }),
    now: () => Date.parse(T0),
    newId: () => crypto.randomUUID(),
    version: '1.2.3',
    limits: {},
    exchanges: () => [{ exchange: 'sim', modes: ['paper'], configured: ['paper'], problems: [], accounts: [] }],
  })
  const all: ApiCommands = {
    ...commands,
    ...createAccountCommands({ recorder: createRecorder(db), ...wallClock }),
    ...createOrderCommands({ recorder: createRecorder(db), ...wallClock }),
    ...createCloseCommands({ recorder: createRecorder(db), exchanges: () => [], ...wallClock }),
    ...createHaltCommands({
      recorder: createRecorder(db),
      reader: db.reader,
      ...wallClock,
      forgetLosses: (watch) => watch,
      haltFile: { read: async () => null, clear: async () => {} },
    }),
    ...createJobCommands({ write: db.write, record, reader: db.reader, ...wallClock }),
    ...createParityCommands({ recorder: createRecorder(db), reader: db.reader }),
    ...createCandleFetchCommands({
      recorder: createRecorder(db),
      reader: db.reader,
      configured: () => [{ exchange: 'sim', mode: 'paper' }],
      ...wallClock,
    }),
    createRun(request, context) {
      asked.push({ request, context })
      return commands.createRun(request, context)
    },
    importCandles: (request) =>
      importCandles(
        async (write) => {
          const { candles } = await db.write((tx) => record(tx, { writes: [write], events: [] }))
          const [told] = candles
          const { stored, revised, unchanged = 0 } = told ?? {}
          const invalidated = { count: 0, ids: [] }
          return { stored: stored?.count ?? 0, revised: revised?.count ?? 0, unchanged, invalidated }
        },
        'UTC',
        request,
      ),
  }
  api = createTestApi(db, {
    commands: all,
    config: {
      apiKey: null,
      hostAllowed: null,
      clientAllowed: null,
      proxyTrusted: null,
      corsOrigins: [],
      timezone: 'America/New_York',
    },
  })
  const equity = Float64Array.from([100, 120, 90, 150, 75, 80, 150, 160])
  await db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        { kind: 'create_run', run: aRun(1, { initial_cash: '100' }) },
        { kind: 'insert_orders', rows: [anOrder(RUN, 0), anOrder(RUN, 1, { status: 'filled', symbol: 'ETH/USD' })] },
        { kind: 'insert_fills', rows: [aFill(RUN, 0), aFill(RUN, 1)] },
        { kind: 'insert_trades', rows: [aTrade(RUN, 0)] },
        { kind: 'insert_decisions', rows: [aDecision(RUN, 0, { skips: ['too quiet'] })] },
        {
          kind: 'save_skips',
          rows: [
            {
              ...{ run_id: RUN, ordinal: 0, kind: 'skipped', rule: null, reason: 'too quiet', ticks: 4 },
              ...{ first_tick: 0, last_tick: 3, first_ts: T0, last_ts: T0 },
            },
          ],
        },
        { kind: 'save_band', run_id: RUN, status: 'running', progress: 0.5, result: null, error: null },
        {
          kind: 'save_positions',
          rows: [
            { run_id: RUN, symbol: 'BTC/USD', qty: '-1', avg_price: '2', realised_pnl: '0', cost: '2', last_price: 3 },
          ],
        },
        {
          kind: 'append_equity',
          block: {
            run_id: RUN,
            first_tick: 0,
            ts: equity.map((_, n) => Date.parse(T0) + n * 60_000),
            equity,
            exposure: equity.map(() => 0.5),
          },
        },
      ],
      events: [],
    }),
  )
})
afterAll(() => database.drop())

type Body = Record<string, unknown> & { items: Record<string, unknown>[] }

async function read(path: string): Promise<Body> {
  const answer = await api.get(`/api/v1${path}`)
  const body = (await answer.json()) as Body
  expect([answer.status, body.message]).toEqual([200, undefined])
  return body
}

test('every answer is what its schema says, and nothing else', async () => {
  runSchema.strict().parse(await read(`/runs/${RUN}`))
  report.strict().parse(await read(`/runs/${RUN}/report`))
  for (const [path, schema] of [
    [`/runs/${RUN}/equity`, equityPoint.strict()],
    [`/runs/${RUN}/fills`, fill.strict()],
    [`/runs/${RUN}/trades`, trade.strict()],
    [`/runs/${RUN}/decisions`, decision.strict()],
    [`/positions?run_id=${RUN}`, position.strict()],
    ['/runs', runSchema.strict()],
    ['/orders', order.strict()],
  ] as const) {
    const { items } = await read(path)
    expect(items.length).toBeGreaterThan(0)
    for (const item of items) schema.parse(item)
  }
})

test('a backtest that is held back says what it waits for', async () => {
  const { db } = database
  expect(await read(`/runs/${RUN}`)).toMatchObject({ waits_for: null })
  const slow = `insert into weaver.consumer_offsets (consumer_id, last_offset, lag_limit) values ('slow', -100, 1)`
  const id = idOf('run', 77)
  await db.write(async (tx) => {
    await tx.execute(slow)
    const running: Write = { kind: 'update_run', id, changes: { status: 'running' } }
    await record(tx, { writes: [{ kind: 'create_run', run: aRun(77) }, running], events: [] })
  })
  const fresh = await createTestApi(db).get(`/api/v1/runs/${id}`)
  expect(await fresh.json()).toMatchObject({ waits_for: 'the consumer slow is 99 events behind, of 1 allowed' })
  await db.write(async (tx) => {
    await tx.execute(`delete from weaver.consumer_offsets where consumer_id = 'slow'`)
    const stopped: Write = { kind: 'update_run', id, changes: { status: 'stopped' } }
    await record(tx, { writes: [stopped, { kind: 'delete_run', id }], events: [] })
  })
})

test('a report has the reasons for doing nothing, the band, the trials and the command that makes it again', async () => {
  const told = report.strict().parse(await read(`/runs/${RUN}/report`))
  expect(told).toMatchObject({
    skips: [{ kind: 'skipped', reason: 'too quiet', ticks: 4 }],
    band: { status: 'running', progress: 0.5 },
    trials_now: 1,
  })
  expect(told.reproducibility.command).toContain(
    'npm run weaver -- backtest sample --symbol BTC/USD --timeframe 1m --start ',
  )
  expect(told.reproducibility.command).toContain(`--param 'nested={"list":[1,"two",null]}'`)
  band.strict().parse(await read(`/runs/${RUN}/band`))
  expect(await read(`/runs/${RUN}/decisions?kind=skipped`)).toMatchObject({
    total: 1,
    items: [{ bar_index: 0, ticks: 4 }],
  })
  expect(await read(`/runs/${RUN}/decisions?kind=acted`)).toMatchObject({ total: 1, items: [{ kind: 'acted' }] })
})

test('a report is a page for who wants to read it, under a policy that lets nothing load or run', async () => {
  const path = `/api/v1/runs/${RUN}/report`
  for (const answer of [
    await api.get(`${path}?format=html`),
    await api.get(path, { accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' }),
  ]) {
    expect(answer.headers.get('content-type')).toContain('text/html')
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'; style-src 'unsafe-inline'")
    expect(await answer.text()).toMatch(/^<!doctype html>[\s\S]*<\/html>\s*$/)
  }
  const data = await api.get(path, { accept: 'application/json, text/html' })
  expect(data.headers.get('content-type')).toContain('application/json')
  expect(data.headers.get('content-security-policy')).toContain("script-src 'self'")
})

test('a band is made of a completed backtest only', async () => {
  expect((await api.get(`/api/v1/runs/${idOf('run', 999)}/band`)).status).toBe(404)
  const answer = await api.post(`/api/v1/runs/${RUN}/band`)
  expect([answer.status, ((await answer.json()) as Body).code]).toEqual([409, 'CONFLICT'])
})

test('an order is created at the tick that placed it', async () => {
  const { items } = await read(`/orders?run_id=${RUN}&symbol=ETH/USD`)
  expect(items).toMatchObject([{ status: 'filled', created_at: '2024-01-02T03:05:05.678Z' }])
  expect(await read(`/orders/${items[0]?.id}`)).toEqual(items[0])
})

test('orders are asked for that may still fill, or that may not', async () => {
  const of = async (query: string) =>
    (await read(`/orders?run_id=${RUN}${query}`)).items.map(({ ordinal, status }) => [ordinal, status])
  expect(await of('')).toEqual([
    [1, 'filled'],
    [0, 'accepted'],
  ])
  expect(await of('&open=true')).toEqual([[0, 'accepted']])
  expect(await of('&open=false')).toEqual([[1, 'filled']])
})

test('times without a zone are read in the configured one', async () => {
  const ordinals = async (query: string) =>
    (await read(`/orders?run_id=${RUN}&${query}`)).items.map(({ ordinal }) => ordinal)
  expect(await ordinals('start_time=2024-01-02T03:05:00Z')).toEqual([1])
  expect(await ordinals('start_time=2024-01-01T22:05:00')).toEqual([1])
  expect(await ordinals('start_time=2024-01-02T04:05:00%2B01:00')).toEqual([1])
  expect(await ordinals('end_time=2024-01-01T22:05')).toEqual([0])
})

test('the equity curve keeps ends and extremes, with drawdowns of the whole curve', async () => {
  const { items, total } = await read(`/runs/${RUN}/equity?points=4`)
  expect(total).toBe(8)
  expect(items.map(({ equity, drawdown }) => [equity, drawdown])).toEqual([
    [100, 0],
    [75, 0.5],
    [160, 0],
  ])
})

test('candles are imported from a body and from a form, and bad rows are told by line', async () => {
  const post = async (path: string, body: BodyInit) => {
    const answer = await api.app.request(`/api/v1/candles/import${path}`, { method: 'POST', body })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const sent = await post('?symbol=BTC/USD&timeframe=1m', CSV)
  expect(sent).toMatchObject({
    status: 200,
    body: { rows_read: 5, rows_stored: 4, rows_rejected: 1, rejected: [{ line: 4 }], gaps: 1, missing_bars: 1 },
  })
  const form = new FormData()
  form.set('symbol', 'BTC/USD')
  form.set('timeframe', '1m')
  form.set('file', new File([CSV], 'bars.csv'))
  expect((await post('', form)).body).toMatchObject({ rows_stored: 0, rows_unchanged: 4 })
  form.set('strict', 'true')
  expect(await post('', form)).toMatchObject({ status: 422, body: { code: 'VALIDATION_ERROR' } })
  expect(await post('?symbol=BTC/USD', CSV)).toMatchObject({
    status: 422,
    body: { details: { issues: [{ path: 'timeframe' }] } },
  })
  expect(await post('?symbol=BTC/USD&timeframe=1m', 'nonsense\n')).toMatchObject({ status: 422 })
})

test('candles are listed as rows, or as columns of as many buckets as are asked for', async () => {
  const query = '/candles?symbol=BTC/USD&timeframe=1m'
  const rows = await read(`${query}&limit=2`)
  expect(rows.items.map(({ timestamp, close }) => [timestamp, close])).toEqual([
    ['2024-01-01T00:03:00.000Z', '4'],
    ['2024-01-01T00:04:00.000Z', '5'],
  ])
  for (const item of rows.items) candle.strict().parse(item)
  const start = Date.UTC(2024, 0, 1)
  expect(await read(`${query}&buckets=2`)).toEqual({
    symbol: 'BTC/USD',
    timeframe: '1m',
    bucket_ms: 180_000,
    columns: {
      time: [start, start + 180_000],
      open: [1, 3],
      high: [4, 6],
      low: [0.5, 2.5],
      close: [3, 5],
      volume: [30, 70],
    },
  })
  expect(await read(`${query}&buckets=9&start=2030-01-01`)).toMatchObject({ columns: { time: [] } })
})

test('data sets tell their range, holes and a fingerprint that follows their bars', async () => {
  const [before] = (await read('/datasets')).items
  dataset.strict().parse(before)
  expect(before).toMatchObject({
    start: '2024-01-01T00:00:00.000Z',
    end: '2024-01-01T00:04:00.000Z',
    bars: 4,
    gaps: 1,
    missing_bars: 1,
    adjustment: 'raw',
    feed: 'import',
    warnings: [
      'BTC/USD 1m: 1 bar missing in 1 gap, the longest 1 bar from 2024-01-01T00:02:00.000Z to 2024-01-01T00:02:00.000Z',
      expect.stringMatching(/^BTC\/USD 1m: 4 absurd jumps, /),
    ],
    fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
  })
  expect(await read('/datasets')).toEqual({ items: [before] })
  await api.app.request('/api/v1/candles/import?symbol=BTC/USD&timeframe=1m', {
    method: 'POST',
    body: CSV.replace('4,6,3.5,5,40', '4,6,3.5,5,41'),
  })
  expect((await read('/datasets')).items[0]?.fingerprint).not.toBe(before?.fingerprint)
  expect(await read('/symbols')).toEqual({ items: [{ symbol: 'BTC/USD', timeframes: ['1m'] }] })
})

test('a chart may ask for a timeframe that is not stored, within the years of the calendar', async () => {
  const { columns } = await read('/candles?symbol=BTC/USD&timeframe=5m&buckets=9')
  expect(columns).toMatchObject({ time: [Date.UTC(2024, 0, 1)], open: [1], high: [6], low: [0.5], close: [5] })
  const old = `${CSV.split('\n')[0]}\n1989-12-29T15:00:00Z,1,1,1,1,1\n`
  await api.app.request('/api/v1/candles/import?symbol=OLD&timeframe=1h', { method: 'POST', body: old })
  const refused = await api.get('/api/v1/candles?symbol=OLD&timeframe=1d&buckets=9')
  expect(refused.status).toBe(422)
  expect(await refused.json()).toMatchObject({
    code: 'VALIDATION_ERROR',
    message: expect.stringContaining('the exchange calendar does not know 1989-12-29T15:00:00.000Z'),
  })
})

test('candles of another adjustment than the stored ones are refused with what to do', async () => {
  const post = async (query: string) => {
    const path = `/api/v1/candles/import?symbol=MIX&timeframe=1m${query}`
    const answer = await api.app.request(path, { method: 'POST', body: CSV.replace('10\n', '11\n') })
    return [answer.status, ((await answer.json()) as { message?: string }).message]
  }
  const longer = `${CSV}2024-01-01T00:05:00Z,4,6,3.5,5,40\n`
  const first = '/api/v1/candles/import?symbol=MIX&timeframe=1m&adjustment=split&feed=sip'
  expect((await api.app.request(first, { method: 'POST', body: longer })).status).toBe(200)
  expect(await post('&adjustment=raw&feed=sip')).toEqual([
    422,
    expect.stringContaining('MIX 1m holds 5 candles with adjustment split, and these have adjustment raw: say adjust'),
  ])
  expect(await post('&adjustment=none')).toEqual([422, expect.stringContaining('use one of raw, split, all, unknown')])
  expect(await post('&feed=a%20b')).toEqual([422, expect.stringContaining('is not a name of a feed')])
  expect(await post('&adjustment=split&feed=sip')).toEqual([200, undefined])
  const set = (await read('/datasets')).items.find(({ symbol }) => symbol === 'MIX')
  expect(set).toMatchObject({ adjustment: 'split', feed: 'sip' })
})

test('a run whose candles were revised since says so, in the list, by itself and in its report', async () => {
  expect(await read(`/runs/${RUN}`)).toMatchObject({ invalidated_by: null })
  const range = { first: '2024-01-01T00:00:00.000Z', last: '2024-01-01T00:04:00.000Z' }
  const seen: RunDatasetRow = {
    ...{ run_id: RUN, symbol: 'BTC/USD', timeframe: '5m', fetched: false, source_timeframe: '1m', bars: 1 },
    ...{ ...range, adjustment: 'raw', feed: 'import', fingerprint: 'abc' },
  }
  const revision: Revision = {
    ...{ event_id: idOf('event', 99), symbol: 'BTC/USD', timeframe: '1m', revised: 1 },
    ...{ first: '2024-01-01T00:01:00.000Z', last: '2024-01-01T00:01:00.000Z' },
  }
  const writes: Write[] = [
    { kind: 'save_run_dataset', row: seen },
    { kind: 'invalidate_runs', revision },
  ]
  await database.db.write((tx) => record(tx, { writes, events: [] }))
  const { invalidated_by } = await read(`/runs/${RUN}`)
  const { first, last } = revision
  expect(invalidated_by).toEqual({ count: 1, since: expect.any(String), symbols: ['BTC/USD'], first, last })
  const listed = async (invalidated: boolean) =>
    (await read(`/runs?invalidated=${invalidated}`)).items.map(({ id }) => id === RUN)
  expect(await listed(true)).toEqual([true])
  expect(await listed(false)).not.toContain(true)
  const report = (await read(`/runs/${RUN}/report`)) as unknown as {
    reproducibility: { data: unknown[] }
    cautions: string[]
  }
  const { run_id, ...shown } = seen
  expect(report.reproducibility.data).toEqual([shown])
  expect(report.cautions.at(-1)).toBe(
    `candles that this run saw were changed since by a revision of BTC/USD between ${first} and ${last}: run it again`,
  )
})

test('a run is created, started, stopped and deleted, and refuses what its state does not allow', async () => {
  const answer = await api.post('/api/v1/runs', {
    strategy_id: 'sample',
    mode: 'backtest',
    symbols: ['BTC/USD'],
    start_time: '2023-12-31T19:00:00',
    end_time: '2024-01-01T00:05:00Z',
    config: { fast: 3 },
    initial_cash: 5000,
    label: 'mine',
  })
  expect(answer.status).toBe(201)
  const run = (await answer.json()) as RunRow
  expect(run).toMatchObject({
    status: 'pending',
    start_time: '2024-01-01T00:00:00.000Z',
    timeframe: '1m',
    config: { fast: 3 },
  })
  expect(Object.keys(run)).not.toContain('next_tick')
  expect(asked.at(-1)?.request.timeframe).toBe('1m')
  const act = async (method: string, what: string) => {
    const done = await api.app.request(`/api/v1/runs/${run.id}${what}`, { method })
    const body = done.status === 204 ? {} : ((await done.json()) as { code?: string; status?: string })
    return [done.status, body.code ?? body.status]
  }
  expect(await act('POST', '/stop')).toEqual([409, 'RUN_NOT_STOPPABLE'])
  expect(await act('POST', '/start')).toEqual([200, 'running'])
  expect(await act('POST', '/start')).toEqual([409, 'RUN_NOT_STARTABLE'])
  expect(await act('DELETE', '')).toEqual([409, 'CONFLICT'])
  expect(await act('POST', '/close')).toEqual([422, 'INVALID_RUN_MODE'])
  expect(await act('POST', '/stop')).toEqual([200, 'stopped'])
  expect(await act('POST', '/stop')).toEqual([200, 'stopped'])
  expect((await getRun(database.db.reader, run.id))?.stop_requested).toEqual({
    cancel_orders: true,
    close_positions: false,
  })
  expect(await act('DELETE', '')).toEqual([204, undefined])
  expect(await act('DELETE', '')).toEqual([404, 'NOT_FOUND'])
  expect(await act('POST', '/start')).toEqual([404, 'NOT_FOUND'])
})

test.each([
  ['live', {}, 'INVALID_RUN_MODE'],
  ['live', { exchange: 'sim' }, 'INVALID_RUN_MODE'],
  ['paper', { exchange: 'nowhere' }, 'INVALID_RUN_MODE'],
  ['backtest', { exchange: 'sim' }, 'INVALID_RUN_MODE'],
  ['backtest', { start_time: '2025-01-01', end_time: '2024-01-01' }, 'VALIDATION_ERROR'],
  ['backtest', { fill: { slippage: 1 } }, 'VALIDATION_ERROR'],
  ['backtest', { initial_cash: '-1' }, 'VALIDATION_ERROR'],
  ['backtest', { initial_cash: '9'.repeat(20_000) }, 'VALIDATION_ERROR'],
  ['backtest', { initial_cash: `1.${'9'.repeat(20_000)}` }, 'VALIDATION_ERROR'],
])('a %s with %o is refused as %s', async (mode, more, code) => {
  const range = { start_time: '2024-01-01', end_time: '2024-01-02' }
  const answer = await api.post('/api/v1/runs', {
    strategy_id: 'sample',
    mode,
    symbols: ['BTC/USD'],
    ...range,
    ...more,
  })
  const refusal = (await answer.json()) as { code: string; message: string }
  expect([answer.status, refusal.code]).toEqual([422, code])
  expect(refusal.message.length).toBeLessThan(200)
})
