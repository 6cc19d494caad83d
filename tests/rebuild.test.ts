/** Rows made again from the log: equal for every run that leaves one, and whatever was changed by hand is named and healed. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectOwner } from '../db/client.ts'
import type { LogEvent } from '../db/events/envelope.ts'
import { evolveRun, type RunState } from '../db/walle/projections/runs.ts'
import { getRun } from '../db/walle/queries/runs.ts'
import type { RunRow } from '../db/walle/rows.ts'
import { wallClock } from '../jobs/glados/clock.ts'
import { isRebuildable, type RunRebuild, rebuildRun } from '../jobs/history/rebuild.ts'
import { BREAKS } from './support/breaks.ts'
import { type InProcess, openInProcess } from './support/in_process.ts'
import { progressed } from './support/log.ts'
import { seededRun } from './support/seeded.ts'

const LIMIT = 60_000
const RUN = '6c84fb90-12c4-41e1-840d-7e9d1ba3ea59'
const SEEDS = [2, 4, 5, 8, 9, 12]
const MOST = 5

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess({ 'breaks/index.ts': BREAKS })
})
afterAll(() => weaver?.close())

function rebuild(run: RunRow, swap = false, onReport: (report: RunRebuild) => void = () => {}): Promise<RunRebuild> {
  return rebuildRun({ db: weaver.system.db, ...wallClock }, run, { swap, most: MOST, onReport })
}

async function played(seed: number, name: string, how: { driver: 'chain' } | { audit: 'full' }): Promise<RunRow> {
  const { strategy, params, columns, timeframe, fill, seed: runSeed } = seededRun(seed * 7919, 60)
  const symbol = `${name}${seed}/USD`
  await weaver.store(symbol, timeframe, columns)
  const request = { strategy_id: strategy.id, symbols: [symbol], timeframe, config: params, fill, seed: runSeed }
  const run = await weaver.backtest({ ...request, ...how }, columns)
  expect([run.status, run.error]).toEqual(['completed', null])
  return run
}

async function sql(text: string, values: unknown[] = []): Promise<void> {
  const owner = await connectOwner({ url: weaver.system.url, applicationName: 'tamper' })
  try {
    await owner.query(text, values)
  } finally {
    await owner.end()
  }
}

async function countOf(table: string, run: RunRow): Promise<number> {
  const [row] = await weaver.system.db.reader.query<{ n: number }>(
    `select count(*)::integer as n from weaver.${table} where run_id = $1`,
    [run.id],
  )
  return row?.n ?? -1
}

const found = (report: RunRebuild) =>
  report.tables.flatMap(({ table, differences }) => differences.map((one) => ({ table, ...one })))

test.each(SEEDS)(
  'seed %i: the log makes the very rows that the run stored',
  async (seed) => {
    for (const how of [{ audit: 'full' }, ...(seed === 5 ? [{ driver: 'chain' } as const] : [])] as const) {
      const run = await played(seed, 'driver' in how ? 'CHAIN' : 'FULL', how)
      const report = await rebuild(run)
      expect(found(report)).toEqual([])
      expect(report.left_out).toEqual([])
      const rows = Object.fromEntries(report.tables.map((table) => [table.table, table.rows]))
      expect(rows).toEqual({
        orders: await countOf('orders', run),
        fills: await countOf('fills', run),
        trades: await countOf('trades', run),
        decisions: await countOf('decisions', run),
        positions: 1,
        runs: 1,
      })
    }
  },
  LIMIT,
)

describe('a run that somebody changed by hand', () => {
  let run: RunRow
  let orders: { id: string; ordinal: number }[]
  let fills: { id: string; price: string }[]
  beforeAll(async () => {
    run = await played(4, 'HAND', { audit: 'full' })
    const { reader } = weaver.system.db
    orders = await reader.query('select id, ordinal from weaver.orders where run_id = $1 order by ordinal', [run.id])
    fills = await reader.query('select id, price from weaver.fills where run_id = $1 order by ordinal', [run.id])
    expect(fills.length).toBeGreaterThan(1)
  }, LIMIT)

  test('names table, row, column and both values, and changes nothing', async () => {
    await sql(`update weaver.fills set price = 1.25 where id = $1`, [fills[0]?.id])
    const report = await rebuild(run)
    expect(found(report)).toEqual([
      { table: 'fills', row: fills[0]?.id, column: 'price', stored: '1.25', rebuilt: fills[0]?.price },
    ])
    expect(await rebuild(run)).toEqual(report)
  })

  test('is as the log says after a swap, which the log tells of', async () => {
    const [first, second] = orders
    await sql(`update weaver.orders set status = 'expired', filled_qty = 7 where id = $1`, [first?.id])
    await sql(`delete from weaver.orders where id = $1`, [second?.id])
    await sql(`update weaver.positions set realised_pnl = realised_pnl + 1 where run_id = $1`, [run.id])
    await sql(`update weaver.trades set pnl = 0, mae = 9 where run_id = $1 and ordinal = 0`, [run.id])
    await sql(`update weaver.runs set result_hash = repeat('0', 64) where id = $1`, [run.id])
    await sql(
      `insert into weaver.decisions (id, run_id, bar_index, ts, corr_id)
       values (gen_random_uuid(), $1, 999, now(), gen_random_uuid())`,
      [run.id],
    )
    const reports: RunRebuild[] = []
    const report = await rebuild(run, true, (told) => reports.push(told))
    expect(reports.map(({ swapped }) => swapped)).toEqual([0])
    const named = found(report).map(({ table, column }) => `${table} ${column ?? 'row'}`)
    expect(named.toSorted()).toEqual([
      'decisions row',
      'fills price',
      'orders filled_qty',
      'orders row',
      'orders status',
      'positions realised_pnl',
      'runs result_hash',
      'trades mae',
      'trades pnl',
    ])
    expect(report.swapped).toBe(9)
    expect(found(await rebuild(run))).toEqual([])
    expect((await getRun(weaver.system.db.reader, run.id))?.result_hash).toBe(run.result_hash)
    const told = await weaver.system.db.reader.query(
      `select payload -> 'payload' as payload from weaver.outbox where run_id = $1 and type = 'run.Rebuilt'`,
      [run.id],
    )
    expect(told).toEqual([{ payload: { run_id: run.id, rows: 9 } }])
  })

  test('tells how much differs where not all of it is named', async () => {
    await sql(`update weaver.orders set reason = 'mine' where run_id = $1`, [run.id])
    const { tables } = await rebuild(run)
    expect(tables.find(({ table }) => table === 'orders')).toMatchObject({ total: orders.length })
    expect(found(await rebuild(run, true))).toHaveLength(Math.min(MOST, orders.length))
    expect(found(await rebuild(run))).toEqual([])
  })
})

test('a running run is compared, and left as it is', async () => {
  const run = await played(1, 'RUNS', { audit: 'full' })
  await sql(`update weaver.runs set status = 'running' where id = $1`, [run.id])
  expect(found(await rebuild(run))).toMatchObject([{ table: 'runs', column: 'status', stored: 'running' }])
  await expect(rebuild(run, true)).rejects.toThrow(
    `the run ${run.id} is running: its rows are replaced only after its end`,
  )
  expect((await getRun(weaver.system.db.reader, run.id))?.status).toBe('running')
})

test('revised candles leave trades and positions out, with the reason', async () => {
  const run = await played(3, 'REVISED', { audit: 'full' })
  const { columns, timeframe } = seededRun(3 * 7919, 60)
  const volume = columns.volume.map((one, index) => (index === 1 ? one + 1 : one))
  await weaver.store('REVISED3/USD', timeframe, { ...columns, volume })
  await sql(`update weaver.trades set pnl = 0 where run_id = $1`, [run.id])
  const report = await rebuild(run)
  expect(found(report)).toEqual([])
  expect(report.left_out).toEqual([expect.stringMatching(/^trades and positions: candles of the run were revised/)])
})

test('an event of another version, or a log that has lost its beginning, leaves the run out, with the reason', async () => {
  const run = await played(9, 'VERSION', { audit: 'full' })
  const change = (text: string) => sql(`set session_replication_role = replica; ${text}`)
  const [created] = await weaver.system.db.reader.query<{ event_id: string }>(
    `select event_id from weaver.outbox where run_id = $1 and type = 'orders.Created' order by id limit 1`,
    [run.id],
  )
  const where = `where run_id = '${run.id}' and event_id = '${created?.event_id}'`
  await change(`update weaver.outbox set payload = payload #- '{payload,ordinal}' ${where}`)
  const told = await rebuild(run)
  expect(found(told)).toEqual([])
  expect(told.left_out).toEqual([
    expect.stringMatching(
      /^all of it: event .* \(orders\.Created\) is of another version of Weaver, or changed: ordinal: Invalid input/,
    ),
  ])
  await change(`update weaver.outbox set payload = jsonb_set(payload, '{payload,ordinal}', '0') ${where}`)
  expect((await rebuild(run)).left_out).toEqual([])
  await change(`delete from weaver.outbox where run_id = '${run.id}' and type in ('run.Created', 'run.Started')`)
  expect((await rebuild(run)).left_out).toEqual(['all of it: its beginning is not in the log any more'])
})

test.each([{ audit: 'full' }, { driver: 'chain' }] as const)(
  'a run that failed is rebuilt as it ended, %o',
  async (how) => {
    const { columns, timeframe } = seededRun(9 * 7919, 60)
    await weaver.store('FAILS/USD', timeframe, columns)
    const run = await weaver.backtest({ strategy_id: 'breaks', symbols: ['FAILS/USD'], timeframe, ...how }, columns)
    expect(run).toMatchObject({ status: 'error', error: { message: expect.stringContaining('enough') } })
    expect(await countOf('fills', run)).toBe(20)
    const report = await rebuild(run)
    expect(found(report)).toEqual([])
    expect(report.left_out).toEqual([])
  },
)

test('a run that goes on after an error, and ends well, forgets the error as its row does', () => {
  const root = { ...progressed(RUN, 1), version: 1, kind: 'evt', trace_id: null, headers: {} } as const
  const told = (type: LogEvent['type'], payload: object, ts: string) =>
    ({ ...root, id: randomUUID(), type, payload: { run_id: RUN, ...payload }, ts }) as unknown as LogEvent
  const events = [
    told('run.Created', { mode: 'backtest' }, '2026-01-01T00:00:00.000Z'),
    told('run.Started', { mode: 'backtest' }, '2026-01-01T00:00:01.000Z'),
    told('run.Error', { message: 'gone', stack: null, bar_index: null, ts: null }, '2026-01-01T00:00:02.000Z'),
    told('run.Started', { mode: 'backtest' }, '2026-01-01T00:00:03.000Z'),
    told('run.Completed', { result_hash: 'abc', final_equity: '1' }, '2026-01-01T00:00:04.000Z'),
    told('run.Rebuilt', { rows: 1 }, '2026-01-01T00:00:05.000Z'),
  ]
  expect(events.slice(0, 3).reduce<RunState | null>(evolveRun, null)).toMatchObject({
    status: 'error',
    error: { message: 'gone' },
  })
  expect(events.reduce<RunState | null>(evolveRun, null)).toEqual({
    id: RUN,
    status: 'completed',
    started_at: '2026-01-01T00:00:01.000Z',
    stopped_at: '2026-01-01T00:00:04.000Z',
    stop_requested: null,
    error: null,
    result_hash: 'abc',
    last_event_id: events[4]?.id,
  })
})

test('of a backtest that leaves a summary there is nothing to rebuild', async () => {
  expect(isRebuildable({ mode: 'backtest', audit: 'summary' })).toBe(false)
  expect(isRebuildable({ mode: 'backtest', audit: 'acted' })).toBe(false)
  expect(isRebuildable({ mode: 'paper', audit: 'summary' })).toBe(true)
})
