import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { aDecision, aFill, anOrder, aRun, aSource, aTrade, idOf, T0 } from '../../tests/support/walle_rows.ts'
import type { Outcome, Write } from './outcome.ts'
import { getCheckpoint } from './queries/checkpoints.ts'
import { getOrder, listOpenOrders, listOrders } from './queries/orders.ts'
import {
  getDecision,
  getResult,
  hashedRows,
  listFills,
  listPositions,
  listTrades,
  pageDecisions,
  readEquity,
  summariseSkips,
  tickRange,
} from './queries/results.ts'
import { getRun, listRuns, lockRun } from './queries/runs.ts'
import { getSource } from './queries/sources.ts'
import { createRecorder, record } from './record.ts'
import type { FillRow, OrderRow, SkipRow } from './rows.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
  await store({ kind: 'store_source', source: aSource() })
})

afterAll(() => database?.drop())

function store(...writes: Write[]) {
  return database.db.write((tx) => record(tx, { writes, events: [] }))
}

async function collect<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const row of rows) all.push(row)
  return all
}

const NASTY = 'tab\t, new\nline, return\r, back\\slash, \\N, \\t, "quotes", {braces}, null, ünïcödé 🦊'

test('a run reads back as it was created, with the defaults of the rest', async () => {
  const run = aRun(1, { symbols: ['BTC/USD', 'a"b\\c, {d}', 'NULL'], seed: 4294967295, label: NASTY })
  await store({ kind: 'create_run', run })
  const stored = await getRun(database.db.reader, run.id)
  expect(stored).toMatchObject({ ...run, initial_cash: '100000.5' })
  expect(stored).toMatchObject({ status: 'pending', progress: 0, next_tick: 0, stats: null, cautions: [] })
  expect(stored?.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('a run is changed in the columns that are named, null included, and in no other', async () => {
  const run = aRun(2)
  await store({ kind: 'create_run', run })
  const halted = { rule: 'max_drawdown', at: T0 }
  await store({
    kind: 'update_run',
    id: run.id,
    changes: { status: 'running', progress: 0.25, next_tick: 7, halted, cautions: ['few trades'], label: null },
  })
  expect(await getRun(database.db.reader, run.id)).toMatchObject({
    ...run,
    initial_cash: '100000.5',
    label: null,
    status: 'running',
    progress: 0.25,
    next_tick: 7,
    halted,
    cautions: ['few trades'],
  })
})

test('a change of a column that no run has, or of a run that is not there, is an error', async () => {
  const changes = { status: 'running', 'x = 1; --': 1 } as never
  await expect(store({ kind: 'update_run', id: idOf('run', 2), changes })).rejects.toThrow(
    'a run has no column to change called x = 1; --',
  )
  await expect(store({ kind: 'update_run', id: idOf('run', 999), changes: { progress: 1 } })).rejects.toThrow(
    `there is no run ${idOf('run', 999)}`,
  )
})

test.each([3, 120])(
  '%i orders, fills and decisions read back as written, whatever is in their texts',
  async (count) => {
    const run = aRun(10 + count)
    const numbers = Array.from({ length: count }, (_, n) => n)
    const orders = numbers.map((n) =>
      anOrder(run.id, n, { reason: `${NASTY} ${n}`, price: n % 2 === 0 ? null : '0.0000001' }),
    )
    const fills = numbers.map((n) => aFill(run.id, n))
    const decisions = numbers.map((n) =>
      aDecision(run.id, n, { skips: [NASTY], logs: [{ message: NASTY, data: { n } }] }),
    )
    const trades = numbers.map((n) => aTrade(run.id, n))
    await store(
      { kind: 'create_run', run },
      { kind: 'insert_orders', rows: orders },
      { kind: 'insert_fills', rows: fills },
      { kind: 'insert_trades', rows: trades },
      { kind: 'insert_decisions', rows: decisions },
    )
    const { reader } = database.db
    expect(orders).toMatchObject(await collect(hashedRows(reader, run.id, 7).orders))
    expect(fills).toMatchObject(await collect(hashedRows(reader, run.id, 60).fills))
    expect(decisions).toMatchObject(await collect(hashedRows(reader, run.id, 1).decisions))
    expect(await listFills(reader, run.id)).toEqual(fills)
    expect(await listTrades(reader, run.id)).toEqual(trades)
    expect(await getDecision(reader, run.id, 2)).toEqual(decisions[2])
    const page = await pageDecisions(reader, run.id, { page: 2, page_size: 2 })
    const shown = decisions.slice(2, 4).map(({ part, ...decision }) => decision)
    expect(page).toMatchObject({ items: shown, total: count, total_is_estimate: false })
  },
)

test('decisions and the ticks that did nothing are one list by time, and ranges grow in place', async () => {
  const run = aRun(20)
  const range = (ordinal: number, changes: Partial<SkipRow> = {}): SkipRow => ({
    ...{ run_id: run.id, ordinal, kind: 'skipped', rule: null, reason: NASTY, first_tick: 3, last_tick: 5 },
    ...{ first_ts: T0, last_ts: T0, ticks: 2 },
    ...changes,
  })
  await store(
    { kind: 'create_run', run },
    {
      kind: 'insert_decisions',
      rows: [aDecision(run.id, 3), aDecision(run.id, 8, { intents: [], logs: [{ message: 'm' }] })],
    },
    { kind: 'save_skips', rows: [range(0), range(1, { kind: 'risk', rule: 'r', reason: 'r', first_tick: 1 })] },
  )
  await store({ kind: 'save_skips', rows: [range(0, { last_tick: 9, ticks: 4 })] })
  const { reader } = database.db
  const list = async (kind?: 'acted' | 'skipped') =>
    (await pageDecisions(reader, run.id, { page: 1, page_size: 10, kind })).items.map((row) => [
      ...[row.bar_index, row.last_bar_index, row.kind, row.ticks],
    ])
  const [refused, acted, skipped, noted] = [
    [1, 5, 'risk', 2],
    [3, 3, 'acted', 1],
    [3, 9, 'skipped', 4],
    [8, 8, 'noted', 1],
  ]
  expect(await list()).toEqual([refused, acted, skipped, noted])
  const newest = await pageDecisions(reader, run.id, { page: 1, page_size: 2, order: 'desc' })
  expect(newest.items.map(({ kind }) => kind)).toEqual(['noted', 'skipped'])
  expect(await list('acted')).toEqual([acted])
  expect(await list('skipped')).toEqual([refused, skipped])
  expect(await summariseSkips(reader, run.id, 1)).toEqual([
    { kind: 'skipped', rule: null, reason: NASTY, ticks: 4, first_ts: T0, last_ts: T0 },
  ])
  await store({ kind: 'delete_run', id: run.id })
  expect(await reader.query('select from weaver.skips where run_id = $1', [run.id])).toEqual([])
})

test('what Postgres cannot store in a text becomes the replacement character', async () => {
  const run = aRun(30)
  const rows = Array.from({ length: 60 }, (_, n) => anOrder(run.id, n, { reason: 'a\0b' }))
  const logs = [{ message: 'a\0b', data: { 'k\0': 'half \ud83e', kept: '\\u0000' } }]
  await store(
    { kind: 'create_run', run },
    { kind: 'insert_orders', rows },
    { kind: 'insert_decisions', rows: [aDecision(run.id, 0, { logs })] },
  )
  expect((await getOrder(database.db.reader, rows[59]?.id ?? ''))?.reason).toBe('a\uFFFDb')
  expect((await getDecision(database.db.reader, run.id, 0))?.logs).toEqual([
    { message: 'a\uFFFDb', data: { 'k\uFFFD': 'half \uFFFD', kept: '\\u0000' } },
  ])
})

test('orders are updated by id, all of them or none', async () => {
  const run = aRun(40)
  const orders = [anOrder(run.id, 0), anOrder(run.id, 1)]
  await store({ kind: 'create_run', run }, { kind: 'insert_orders', rows: orders })
  const filled: OrderRow = { ...(orders[0] as OrderRow), status: 'filled', filled_qty: '2.5', filled_at: T0 }
  await store({ kind: 'update_orders', rows: [filled] })
  expect(await getOrder(database.db.reader, filled.id)).toEqual(filled)
  expect(await listOpenOrders(database.db.reader, run.id)).toEqual([orders[1]])

  const strange = anOrder(run.id, 77)
  await expect(store({ kind: 'update_orders', rows: [{ ...filled, status: 'cancelled' }, strange] })).rejects.toThrow(
    '2 rows of weaver.orders were to be updated, but only 1 of them exist',
  )
  expect((await getOrder(database.db.reader, filled.id))?.status).toBe('filled')
})

test('orders are listed newest first, by page and filter', async () => {
  const run = aRun(41)
  const orders = Array.from({ length: 5 }, (_, n) => anOrder(run.id, n, { symbol: n === 3 ? 'ETH/USD' : 'BTC/USD' }))
  await store({ kind: 'create_run', run }, { kind: 'insert_orders', rows: orders })
  const { reader } = database.db
  const paging = { page: 1, page_size: 2 }
  expect(await listOrders(reader, { run_id: run.id, ...paging })).toEqual({
    items: [orders[4], orders[3]],
    total: 5,
    total_is_estimate: false,
  })
  expect((await listOrders(reader, { run_id: run.id, symbol: 'ETH/USD', ...paging })).items).toEqual([orders[3]])
  const range = { start_time: orders[1]?.placed_at, end_time: orders[2]?.placed_at }
  expect((await listOrders(reader, { run_id: run.id, ...range, ...paging })).items).toEqual([orders[2], orders[1]])
  expect((await listOrders(reader, { symbol: 'ETH/USD', ...paging })).items).toEqual([orders[3]])
  expect(await listOrders(reader, { run_id: 'no-id', ...paging })).toMatchObject({ items: [], total: 0 })
})

test('runs are listed newest first and filtered', async () => {
  await store({ kind: 'create_run', run: aRun(50, { strategy_id: 'listed' }) })
  await store({ kind: 'create_run', run: aRun(51, { strategy_id: 'listed', mode: 'paper', exchange: 'sim' }) })
  const { reader } = database.db
  const listed = await listRuns(reader, { strategy_id: 'listed', page: 1, page_size: 20 })
  expect(listed.items.map(({ id }) => id)).toEqual([idOf('run', 51), idOf('run', 50)])
  const paper = await listRuns(reader, {
    strategy_id: 'listed',
    mode: 'paper',
    status: 'pending',
    page: 1,
    page_size: 20,
  })
  expect(paper).toMatchObject({ total: 1, total_is_estimate: false })
  expect(await listRuns(reader, { strategy_id: 'listed', status: 'error', page: 1, page_size: 20 })).toMatchObject({
    total: 0,
  })
})

test('a total above 10,000 is an estimate and says so', async () => {
  const run = aRun(60)
  const rows: OrderRow[] = Array.from({ length: 10_001 }, (_, n) => anOrder(run.id, n))
  await store({ kind: 'create_run', run }, { kind: 'insert_orders', rows })
  const listed = await listOrders(database.db.reader, { run_id: run.id, page: 3, page_size: 100 })
  expect(listed.items.map(({ ordinal }) => ordinal)).toEqual(Array.from({ length: 100 }, (_, n) => 9_800 - n))
  expect(listed.total_is_estimate).toBe(true)
  expect(listed.total).toBeGreaterThan(10_000)
})

test('a curve that grows tick by tick is one, in few rows', async () => {
  const run = aRun(71)
  const ticks = Array.from({ length: 150 }, (_, n) => n * 2)
  await store({ kind: 'create_run', run })
  for (const tick of ticks) {
    const point = { ts: 60_000 * tick, equity: 100_000 - tick, exposure: tick / 1_000 }
    await store({ kind: 'add_equity', run_id: run.id, tick, point })
  }
  expect(await readEquity(database.db.reader, run.id)).toEqual({
    ts: Float64Array.from(ticks, (tick) => 60_000 * tick),
    equity: Float64Array.from(ticks, (tick) => 100_000 - tick),
    exposure: Float64Array.from(ticks, (tick) => tick / 1_000),
  })
  const rows = await database.db.reader.query<{ points: number }>(
    'select points from weaver.equity_blocks where run_id = $1 order by first_tick',
    [run.id],
  )
  expect(rows.map(({ points }) => points)).toEqual([64, 64, 22])
  expect(await tickRange(database.db.reader, run.id)).toEqual({ first: 0, last: 60_000 * 298 })
})

test('equity blocks are read back as one curve, in the order of their ticks', async () => {
  const run = aRun(70)
  const block = (first_tick: number, values: number[]): Write => ({
    kind: 'append_equity',
    block: {
      run_id: run.id,
      first_tick,
      ts: Float64Array.from(values, (_, i) => 60_000 * (first_tick + i)),
      equity: Float64Array.from(values),
      exposure: Float64Array.from(values, (value) => value / 8),
    },
  })
  await store({ kind: 'create_run', run }, block(2, [Number.MIN_VALUE, -0]), block(0, [0.1, 1e300]))
  expect(await readEquity(database.db.reader, run.id)).toEqual({
    ts: Float64Array.of(0, 60_000, 120_000, 180_000),
    equity: Float64Array.of(0.1, 1e300, Number.MIN_VALUE, -0),
    exposure: Float64Array.of(0.1 / 8, 1e300 / 8, 0, -0),
  })
})

test('a checkpoint comes back to the character: its keys in their order, whatever its texts hold', async () => {
  const run = aRun(901)
  const state = { z: 1, a: { '10': 'ten', b: '\u0000 and \ud800 and "\\' }, m: [null, -1.5e-7] }
  await store({ kind: 'create_run', run }, { kind: 'save_checkpoint', run_id: run.id, next_tick: 1, state })
  const back = await getCheckpoint(database.db.reader, run.id)
  expect(JSON.stringify(back?.state)).toBe(JSON.stringify(state))
})

test('checkpoint, result and positions overwrite what was there; deleting the run takes all of it', async () => {
  const run = aRun(80)
  const { reader } = database.db
  await store({ kind: 'create_run', run }, { kind: 'save_checkpoint', run_id: run.id, next_tick: 1, state: { a: 1 } })
  await store({ kind: 'save_checkpoint', run_id: run.id, next_tick: 2, state: null })
  expect(await getCheckpoint(reader, run.id)).toEqual({ next_tick: 2, state: null })
  await store({ kind: 'drop_checkpoint', run_id: run.id })
  expect(await getCheckpoint(reader, run.id)).toBeNull()

  const position = {
    run_id: run.id,
    symbol: 'BTC/USD',
    qty: '-1.5',
    avg_price: '10',
    realised_pnl: '0',
    cost: '10',
    last_price: 10.5,
  }
  await store({ kind: 'save_positions', rows: [{ ...position, qty: '9' }] })
  await store({ kind: 'save_positions', rows: [position] })
  expect(await listPositions(reader, run.id)).toEqual([position])

  const result = { stats: { sharpe_ratio: null, total_trades: 3 }, result_hash: 'ab', final_equity: '100000.1' }
  await store({ kind: 'save_result', run_id: run.id, ...result, final_equity: '1' })
  await store({ kind: 'save_result', run_id: run.id, ...result })
  expect(await getResult(reader, run.id)).toEqual(result)

  await store({ kind: 'insert_fills', rows: [aFill(run.id, 0)] }, { kind: 'delete_run', id: run.id })
  expect(await getRun(reader, run.id)).toBeNull()
  expect(await listFills(reader, run.id)).toEqual([])
  expect(await getResult(reader, run.id)).toBeNull()
})

test('a source is stored once, by its hash', async () => {
  await store({ kind: 'store_source', source: aSource({ version: 'another' }) })
  expect(await getSource(database.db.reader, aSource().hash)).toEqual(aSource())
  expect(await getSource(database.db.reader, 'unknown')).toBeNull()
})

test('when anything in an outcome fails, nothing of it is stored', async () => {
  const run = aRun(90)
  const fill: FillRow = aFill(run.id, 0)
  const outcome: Outcome = {
    writes: [
      { kind: 'create_run', run },
      { kind: 'insert_fills', rows: [fill] },
    ],
    events: [{ type: 'run.Nonsense' } as never],
  }
  await expect(database.db.write((tx) => record(tx, outcome))).rejects.toThrow("'run.Nonsense' is not registered")
  expect(await getRun(database.db.reader, run.id)).toBeNull()
})

test('a recorder reads under lock, records the outcome and gives the result', async () => {
  const run = aRun(91)
  await store({ kind: 'create_run', run })
  const recorder = createRecorder(database.db)
  const status = await recorder(async (reader) => {
    const locked = await lockRun(reader, run.id)
    const writes: Write[] = [{ kind: 'update_run', id: run.id, changes: { status: 'running' } }]
    return { outcome: { writes, events: [] }, result: locked?.status }
  })
  expect(status).toBe('pending')
  expect((await getRun(database.db.reader, run.id))?.status).toBe('running')
})

test.each(['40P01', '40001'])(
  'what Postgres gave up with %s for the sake of others is recorded at the second time, or said to be away',
  async (code) => {
    const recorder = createRecorder(database.db)
    const run = aRun(code === '40001' ? 92 : 93)
    const giveUp = `do $$ begin raise exception using errcode = '${code}', message = 'deadlock detected'; end $$`
    let tries = 0
    const recorded = (conflicts: number) =>
      recorder(async (reader) => {
        tries += 1
        if (tries <= conflicts) await reader.query(giveUp)
        return { outcome: { writes: [{ kind: 'create_run', run }], events: [] }, result: tries }
      })
    await expect(recorded(2)).rejects.toMatchObject({ name: 'DatabaseUnavailable', code })
    expect([tries, await getRun(database.db.reader, run.id)]).toEqual([2, null])
    tries = 0
    expect(await recorded(1)).toBe(2)
    expect((await getRun(database.db.reader, run.id))?.id).toBe(run.id)
    tries = 0
    // Another error is told at once.
    await expect(recorded(0)).rejects.toMatchObject({ code: '23505' })
    expect(tries).toBe(1)
  },
)

test('who holds a reader can neither write nor lock (I1)', async () => {
  const { reader } = database.db
  await expect(reader.query('delete from weaver.runs')).rejects.toMatchObject({
    code: expect.stringMatching(/42501|25006/),
  })
  await expect(lockRun(reader, idOf('run', 1))).rejects.toMatchObject({ code: expect.stringMatching(/42501|25006/) })
  await expect(
    reader
      .query('set default_transaction_read_only = off')
      .then(() => reader.query("update weaver.runs set label = 'x'")),
  ).rejects.toMatchObject({ code: expect.stringMatching(/42501|25006/) })
})

test('a malformed id is simply not found', async () => {
  const { reader } = database.db
  expect(await getRun(reader, 'x')).toBeNull()
  expect(await getOrder(reader, "'; drop table weaver.runs; --")).toBeNull()
  expect(await database.db.write((tx) => lockRun(tx, 'x'))).toBeNull()
})
