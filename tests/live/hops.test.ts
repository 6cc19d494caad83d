/** Ticks, orders and fills of a paper run through the real jobs, to a venue and back to the strategy. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readEquity } from '../../db/walle/queries/results.ts'
import { record } from '../../db/walle/record.ts'
import type { OrderRow, RunRow } from '../../db/walle/rows.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { rebuildRun } from '../../jobs/history/rebuild.ts'
import { playHop } from '../../jobs/hosts/hop_play.ts'
import { liveStats } from '../../jobs/live/result.ts'
import { StrategyFailure } from '../../jobs/marvin/failure.ts'
import { readReport } from '../../jobs/report/data.ts'
import { reportHtml } from '../../jobs/report/report.ts'
import { defineStrategy, type StrategyDefinition, z } from '../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { mustGet, startLiveRun, toldBy } from '../support/live_run.ts'
import { type LiveWorld, openLiveWorld } from '../support/live_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../support/scripted_venue.ts'
import { until } from '../support/until.ts'

const S = 'BTC/USD'

/** Buys when it is flat, and sells as soon as the buy is filled. */
const swift = defineStrategy({
  id: 'swift',
  version: '1',
  description: 'For tests.',
  params: z.object({}),
  window: () => ({ bars: 2 }),
  init: () => ({ heard: [] as string[] }),
  onWindow(ctx) {
    if (ctx.position(S).qty === '0' && ctx.openOrders().length === 0) ctx.buy({ symbol: S, qty: '2', type: 'market' })
    else ctx.skip('busy')
  },
  onOrder(ctx, order) {
    ctx.state.heard.push(`${order.side} ${order.status} ${order.filled_qty}, ${ctx.position(S).qty} held, ${ctx.cash}`)
    if (order.side === 'buy' && order.status === 'filled') ctx.close(S, 'filled')
  },
}) as unknown as StrategyDefinition

/** Leaves an order, and throws when it hears of it. */
const broken = defineStrategy({
  ...{ id: 'broken', version: '1', description: 'For tests.', params: z.object({}), window: () => ({ bars: 2 }) },
  onWindow(ctx) {
    ctx.buy({ symbol: S, qty: '1', type: 'limit', limit_price: 1 })
  },
  onOrder() {
    throw new Error('no idea')
  },
}) as unknown as StrategyDefinition

let database: TestDatabase
let venue: ScriptedVenue
let world: LiveWorld
const errors: string[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  venue = createScriptedVenue()
  world = await openWorld()
})
afterAll(async () => {
  await world?.stop()
  await database.drop()
})

const openWorld = () =>
  openLiveWorld({
    ...{ url: database.url, db: database.db, venue },
    hop: async (run, view) => {
      try {
        return playHop(run.label === 'broken' ? broken : swift, structuredClone(view))
      } catch (error) {
        throw new StrategyFailure({ message: (error as Error).message })
      }
    },
    onError: (message) => errors.push(message),
  })

/** What the commands write to the log before the first tick. */
async function tellStart(run: RunRow): Promise<void> {
  const [created, started] = [wallClock.newId(), wallClock.newId()]
  const { id: run_id, strategy_id, mode, symbols, timeframe, label } = run
  const common = { run_id, corr_id: run_id, ts: run.started_at as string, producer: 'glados' } as const
  const shape = { run_id, strategy_id, mode, symbols, timeframe, label }
  await database.db.write((tx) =>
    record(tx, {
      writes: [{ kind: 'update_run', id: run_id, changes: { last_event_id: started } }],
      events: [
        { ...common, id: created, type: 'run.Created', causation_id: null, payload: shape },
        { ...common, id: started, type: 'run.Started', causation_id: created, payload: { run_id, mode } },
      ],
    }),
  )
}

const orderOf = async (run: RunRow, n: number, status: OrderRow['status']) => {
  const id = `w-${run.id}-0-${n}`
  await until(`order ${n} to be ${status}`, async () => {
    const [row] = await database.db.reader.query(
      'select from weaver.orders where client_order_id = $1 and status = $2',
      [id, status],
    )
    return row ?? null
  })
  return id
}

const idle = (run: RunRow) =>
  until('no job is left', async () => {
    const [row] = await database.db.reader.query<{ jobs: number }>(
      "select count(*)::int as jobs from weaver.job_overview where run_id = $1 and state <> 'done'",
      [run.id],
    )
    return row?.jobs === 0 && (await mustGet(database.db, run.id)).open_corr_id === null ? true : null
  })

test('a tick becomes an order, its fill is heard at once, and what the strategy asks for then reaches the venue too', async () => {
  const run = await startLiveRun(database.db, 1)
  await tellStart(run)
  world.bars(S, [99, 100], 0)
  await world.tick([run], 0)
  const buy = await orderOf(run, 0, 'accepted')
  await world.report(venue.fill(buy, '0.5', '100'))
  await world.report(venue.fill(buy, '1.5', '100'))
  const sell = await orderOf(run, 1, 'accepted')
  await world.report(venue.fill(sell, '2', '110'))
  await orderOf(run, 1, 'filled')
  await idle(run)
  expect(venue.submits.map(({ client_order_id, side, qty }) => [client_order_id, side, qty])).toEqual([
    [buy, 'buy', '2'],
    [sell, 'sell', '2'],
  ])
  world.bars(S, [99, 100, 120], 1)
  await world.tick([run], 1)
  const again = await until('the next buy', async () => venue.submits[2] ?? null)
  expect(again).toMatchObject({ client_order_id: `w-${run.id}-1-0`, side: 'buy' })
  await idle(run)

  const told = await toldBy(database.db, run.id)
  const first = told.find(({ type }) => type === 'clock.Tick')?.corr_id
  const ofFirst = told.filter(({ corr_id }) => corr_id === first).map(({ type }) => type)
  expect(ofFirst.filter((type) => type.startsWith('orders.'))).toEqual([
    ...['orders.Created', 'orders.Submitted', 'orders.Accepted', 'orders.PartiallyFilled', 'orders.Filled'],
    ...['orders.Created', 'orders.Submitted', 'orders.Accepted', 'orders.Filled'],
  ])
  const [state] = await database.db.reader.query<{ heard: string[] }>(
    "select state -> 'memory' -> 'state' -> 'heard' as heard from weaver.run_checkpoints where run_id = $1",
    [run.id],
  )
  expect(state?.heard.slice(0, 1)).toEqual(['buy accepted 0, 0 held, 1000'])
  expect(state?.heard.slice(2)).toEqual([
    'buy filled 2, 2 held, 800',
    'sell accepted 0, 2 held, 800',
    'sell filled 2, 0 held, 1020',
    'buy accepted 0, 0 held, 1020',
  ])
  expect([...(await readEquity(database.db.reader, run.id)).equity].at(-1)).toBe(1020)
  expect(await mustGet(database.db, run.id)).toMatchObject({ status: 'running', next_tick: 2, error: null })
  expect(errors).toEqual([])
})

test('every row of a paper run can be made again from its log', async () => {
  const [run] = await database.db.reader.query<{ id: string }>(
    "select id from weaver.runs where mode = 'paper' limit 1",
  )
  const row = await mustGet(database.db, run?.id ?? '')
  const options = { swap: false, most: 5, onReport: () => {} }
  const { tables, left_out } = await rebuildRun({ db: database.db, ...wallClock }, row, options)
  expect(left_out).toEqual([])
  expect(tables.map(({ table, rows, differences }) => [table, rows, differences])).toEqual([
    ['orders', 3, []],
    ['fills', 3, []],
    ['trades', 1, []],
    ['decisions', 3, []],
    ['positions', 1, []],
    ['runs', 1, []],
  ])
})

test('a paper run has the report, the curve and the statistics that a backtest has', async () => {
  const [first] = await database.db.reader.query<{ id: string }>(
    'select id from weaver.runs order by created_at limit 1',
  )
  const run = await mustGet(database.db, first?.id ?? '')
  const report = await readReport(database.db.reader, run)
  expect(report.curve?.ticks).toBe(2)
  expect(report.trades.first.map(({ pnl, qty, side }) => [side, qty, pnl])).toEqual([['long', '2', '20']])
  expect(report.skips).toEqual([])
  expect(await reportHtml(report)).toContain('paper of sample 1 on BTC/USD 1m, 2026-03-01 23:59 to')
  // Made at the first tick of the hour: before the trade.
  expect(report.stats).toMatchObject({ initial_cash: '1000', total_trades: 0 })
  expect(await liveStats(database.db.reader, run)).toMatchObject({
    ...{ final_equity: '1020', total_pnl: '20', total_trades: 1, winning_trades: 1, open_trades: 0, fees: '0' },
  })
})

test('workers that end in the middle of a tick are followed by others that go on with it, once', async () => {
  const run = await startLiveRun(database.db, 2)
  world.bars(S, [99, 100], 0)
  await world.stop()
  await world.tick([run], 0)
  world = await openWorld()
  await until(
    'the order',
    async () => venue.submits.find(({ client_order_id }) => client_order_id.includes(run.id)) ?? null,
  )
  await idle(run)
  const told = await toldBy(database.db, run.id)
  expect(told.filter(({ type }) => type === 'strategy.DecisionMade')).toHaveLength(1)
  expect(venue.submits.filter(({ client_order_id }) => client_order_id.includes(run.id))).toHaveLength(1)
})

test('when a strategy fails between two ticks its run ends, and its open order is cancelled at the venue', async () => {
  const run = await startLiveRun(database.db, 3, { label: 'broken' })
  world.bars(S, [99, 100, 120], 1)
  await world.tick([run], 1)
  const ended = await until('the end', async () => {
    const row = await mustGet(database.db, run.id)
    return row.status === 'running' ? null : row
  })
  expect(ended).toMatchObject({ status: 'error', error: { message: 'no idea', bar_index: 1 }, open_corr_id: null })
  await until('the cancel', async () => (venue.cancels.length > 0 ? true : null))
  const id = `w-${run.id}-1-0`
  expect(venue.snapshot(id).status).toBe('cancelled')
})
