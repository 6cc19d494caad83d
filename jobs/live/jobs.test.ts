import { afterAll, beforeAll, expect, test } from 'vitest'
import type { WriteTx } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import type { LogEvent, NewEvent } from '../../db/events/envelope.ts'
import { hopEventId, tickEventId } from '../../db/events/ids.ts'
import { DECISIONS, selectList } from '../../db/walle/columns.ts'
import { getClockTick } from '../../db/walle/queries/live_runs.ts'
import { readEquity } from '../../db/walle/queries/results.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import { record } from '../../db/walle/record.ts'
import type { DecisionRow, RunRow } from '../../db/walle/rows.ts'
import { defineStrategy, type StrategyDefinition, z } from '../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { answerWindows, boundary, emitTick, mustGet, startLiveRun, toldBy } from '../../tests/support/live_run.ts'
import { anOrder } from '../../tests/support/walle_rows.ts'
import { playHop } from '../hosts/hop_play.ts'
import { StrategyFailure } from '../marvin/failure.ts'
import { endRun } from './end.ts'
import { type LiveHopJobs, type LiveHopTask, runLiveHop } from './jobs.ts'
import { commandDone, getLiveCheckpoint, isOldestCommand } from './ticks.ts'

const S = 'BTC/USD'
const NOW = Date.parse('2026-03-02T00:00:01.000Z')

let database: TestDatabase
let count = 0
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await database.drop()
})

const nextRun = (changes = {}) => startLiveRun(database.db, ++count, changes)

class PutBack extends Error {}
const job = {
  signal: new AbortController().signal,
  finish: async () => {},
  putBack: async (): Promise<never> => {
    throw new PutBack()
  },
}

function jobsOf(strategy: StrategyDefinition, changes: Partial<LiveHopJobs> = {}): LiveHopJobs & { hops: string[] } {
  const hops: string[] = []
  return {
    hops,
    db: database.db,
    record: async (tx, outcome) => {
      // Without the jobs that it would set off: each hop is called by hand.
      const { events, jobs: _, ...rest } = outcome
      await record(tx, { ...rest, events: [] })
      await append(tx, events, { route: false })
    },
    hop: async (_run, view) => {
      hops.push(view.phase)
      try {
        return playHop(strategy, structuredClone(view))
      } catch (error) {
        throw new StrategyFailure({ message: (error as Error).message, stack: (error as Error).stack ?? '' })
      }
    },
    endRun: (tx, run, failure) => endRun({ now: () => NOW, newId: crypto.randomUUID.bind(crypto) }, tx, run, failure),
    now: () => NOW,
    ...changes,
  }
}

const hear = (jobs: LiveHopJobs, task: LiveHopTask, event: NewEvent) =>
  runLiveHop(jobs, task, { run_id: event.run_id as string, event_id: event.id }, job)

const done = (run: RunRow, command: string) =>
  database.db.write(async (tx: WriteTx) => {
    const writes = await commandDone(tx, (await lockRun(tx, run.id)) as RunRow, command, NOW)
    await record(tx, { writes, events: [] })
  })

const decisionsOf = (run: RunRow): Promise<DecisionRow[]> =>
  database.db.reader.query(
    `select ${selectList(DECISIONS)} from weaver.decisions where run_id = $1 order by bar_index, part`,
    [run.id],
  )

const plain = {
  id: 'plain',
  version: '1',
  description: 'For tests.',
  params: z.object({}),
  window: () => ({ bars: 2 }),
}

/** Buys 1 at every window; when it hears of an end it asks for one more, a cancel and a note. */
const eager = defineStrategy({
  ...plain,
  init: () => ({ windows: 0, heard: [] as string[] }),
  onWindow(ctx) {
    ctx.state.windows += 1
    ctx.buy({ symbol: S, qty: '1', type: 'market', reason: `cash ${ctx.cash}, equity ${ctx.equity}` })
    ctx.cancelAll()
  },
  onOrder(ctx, order) {
    ctx.state.heard.push(`${order.status} ${order.filled_qty} at ${ctx.ts}`)
    ctx.log('heard', { close: ctx.window(S).close.at(-1) ?? null, held: ctx.position(S).qty })
    if (order.status === 'cancelled') ctx.sell({ symbol: S, qty: '2', type: 'market' })
  },
}) as unknown as StrategyDefinition

/** Asks for nothing. */
const quiet = defineStrategy({
  ...plain,
  onWindow(ctx) {
    ctx.skip('nothing to do')
  },
}) as unknown as StrategyDefinition

async function playTick(jobs: LiveHopJobs, run: RunRow, barIndex: number, closes: number[], newest?: number) {
  await emitTick(database.db, run, barIndex)
  const event = await answerWindows(database.db, run, barIndex, { [S]: closes }, newest)
  await hear(jobs, 'marvin.on_live_window', event)
  return event
}

test('a tick asks for windows, decides on what came, and ends when its last command is carried out', async () => {
  const run = await nextRun()
  const jobs = jobsOf(eager)
  const id = (ordinal: number) => tickEventId(run.id, 0, ordinal)
  const first = `w-${run.id}-0-0`
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'insert_orders', rows: [resting(run)] }], events: [] }))
  await playTick(jobs, run, 0, [9, 10])
  const told = await toldBy(database.db, run.id)
  expect(told.map((event) => [event.type, event.id, event.causation_id])).toEqual([
    ['clock.Tick', id(0), null],
    ['strategy.FetchWindow', id(1), id(0)],
    ['live.FetchWindow', id(2), id(1)],
    ['data.WindowReady', id(3), id(2)],
    ['strategy.DecisionMade', id(4), id(3)],
    ['strategy.PlaceRequest', id(5), id(4)],
    ['live.PlaceOrder', id(6), id(5)],
    ['strategy.CancelRequest', id(7), id(4)],
    ['live.CancelOrder', id(8), id(7)],
  ])
  expect(new Set(told.map(({ corr_id }) => corr_id))).toEqual(new Set([id(0)]))
  expect(told[2]?.payload).toEqual({ bar_index: 0, requests: [{ symbol: S, timeframe: '1m', bars: 2 }] })
  expect(told[6]).toMatchObject({
    producer: 'glados',
    payload: {
      bar_index: 0,
      ordinal: 0,
      intent: { client_order_id: first, qty: '1', reason: 'cash 1000, equity 1000' },
    },
  })
  expect(told[8]?.payload).toEqual({ bar_index: 0, ordinal: 1, client_order_id: `resting ${run.id}` })
  expect(await decisionsOf(run)).toMatchObject([{ id: id(4), part: 0, bar_index: 0, ts: told[4]?.ts, corr_id: id(0) }])

  expect(await isOldestCommand(database.db.reader, run.id, id(8))).toBe(false)
  await done(run, id(6))
  expect(await mustGet(database.db, run.id)).toMatchObject({ open_corr_id: id(0), next_tick: 0 })
  await done(run, id(8))
  await done(run, id(8))
  expect(await mustGet(database.db, run.id)).toMatchObject({ open_corr_id: null, next_tick: 1 })
  expect((await getClockTick(database.db.reader, run.id, 0))?.done_at).toBe(new Date(NOW).toISOString())
  expect(await readEquity(database.db.reader, run.id)).toEqual({
    ts: Float64Array.of(boundary(run, 0)),
    equity: Float64Array.of(1000),
    exposure: Float64Array.of(0),
  })
  expect(jobs.hops).toEqual(['tick_window'])
  expect((await mustGet(database.db, run.id)).stats).toMatchObject({
    ...{ initial_cash: '1000', final_equity: '1000', total_trades: 0, total_pnl: '0', max_drawdown: 0, open_trades: 0 },
  })
})

const resting = (run: RunRow) =>
  anOrder(run.id, 0, { client_order_id: `resting ${run.id}`, status: 'accepted', symbol: S })

test('a hop that is played twice, also by two at once, leaves what one leaves', async () => {
  const run = await nextRun()
  const jobs = jobsOf(eager)
  await emitTick(database.db, run, 0)
  const event = await answerWindows(database.db, run, 0, { [S]: [9, 10] })
  await Promise.all([hear(jobs, 'marvin.on_live_window', event), hear(jobs, 'marvin.on_live_window', event)])
  await hear(jobs, 'marvin.on_live_window', event)
  const told = await toldBy(database.db, run.id)
  expect(told.map(({ type }) => type)).toEqual([
    ...['clock.Tick', 'strategy.FetchWindow', 'live.FetchWindow', 'data.WindowReady', 'strategy.DecisionMade'],
    ...['strategy.PlaceRequest', 'live.PlaceOrder'],
  ])
  expect((await getLiveCheckpoint(database.db.reader, run.id)).memory?.state).toEqual({ windows: 1, heard: [] })
})

test('a hop whose commit is lost leaves nothing, and played again makes the same events', async () => {
  const run = await nextRun()
  await emitTick(database.db, run, 0)
  const jobs = jobsOf(eager)
  const event = await answerWindows(database.db, run, 0, { [S]: [9, 10] })
  const before = await getLiveCheckpoint(database.db.reader, run.id)
  let lost: string[] = []
  const dying = jobsOf(eager, {
    record: async (tx, outcome) => {
      await jobs.record(tx, outcome)
      lost = outcome.events.map(({ id }) => id)
      throw new Error('the process dies')
    },
  })
  await expect(hear(dying, 'marvin.on_live_window', event)).rejects.toThrow('the process dies')
  expect(await getLiveCheckpoint(database.db.reader, run.id)).toEqual(before)
  await hear(jobsOf(eager), 'marvin.on_live_window', event)
  const told = await toldBy(database.db, run.id)
  expect(told.slice(4).map(({ id }) => id)).toEqual(lost)
  expect(lost).toHaveLength(3)
})

test('a tick waits until the one before it is done', async () => {
  const run = await nextRun()
  const jobs = jobsOf(eager)
  await playTick(jobs, run, 0, [9, 10])
  await emitTick(database.db, run, 1)
  const next = await answerWindows(database.db, run, 1, { [S]: [10, 11] })
  await expect(hear(jobs, 'marvin.on_live_window', next)).rejects.toThrow(PutBack)
  await done(run, tickEventId(run.id, 0, 6))
  await hear(jobs, 'marvin.on_live_window', next)
  expect((await getLiveCheckpoint(database.db.reader, run.id)).tick).toMatchObject({ bar_index: 1, stage: 'place' })
})

test('without a new bar, or with too few of them, the strategy is not called; a late bar is seen at the next tick', async () => {
  const run = await nextRun()
  const jobs = jobsOf(quiet)
  const minute = 60_000
  await playTick(jobs, run, 0, [9])
  await playTick(jobs, run, 1, [9, 10])
  await playTick(jobs, run, 2, [9, 10], boundary(run, 0))
  await playTick(jobs, run, 3, [10, 11], boundary(run, 1))
  expect(jobs.hops).toEqual(['tick', 'tick_window', 'tick_window'])
  const decided = (await toldBy(database.db, run.id)).filter(({ type }) => type === 'strategy.DecisionMade')
  expect(decided.map(({ payload }) => payload)).toEqual([
    { bar_index: 1, intents: [], skips: ['nothing to do'], logs: [] },
    { bar_index: 3, intents: [], skips: ['nothing to do'], logs: [] },
  ])
  expect(await decisionsOf(run)).toEqual([])
  const curve = await readEquity(database.db.reader, run.id)
  expect([...curve.ts]).toEqual([0, 1, 2, 3].map((tick) => boundary(run, 0) + tick * minute))
  expect(await mustGet(database.db, run.id)).toMatchObject({ next_tick: 4, open_corr_id: null })
})

test('windows that go back in time give nothing to decide on, and neither do those that come again', async () => {
  const run = await nextRun()
  const jobs = jobsOf(quiet)
  const told = async () => (await getLiveCheckpoint(database.db.reader, run.id)).told[`${S} 1m`]
  await playTick(jobs, run, 0, [9, 10])
  const newest = await playTick(jobs, run, 1, [10, 11])
  for (const [tick, of] of [-1, 0, -1, 0].entries()) {
    await playTick(jobs, run, tick + 2, [8, 9], boundary(run, of))
    // Where it finds the newest that it was told of.
    const { payload } = newest as Extract<LogEvent, { type: 'data.WindowReady' }>
    const [at] = payload.windows[0]?.columns?.time.slice(-1) ?? []
    expect(await told()).toMatchObject({ newest: at })
  }
  expect(jobs.hops).toEqual(['tick_window', 'tick_window'])
  const { newest: seen } = await getLiveCheckpoint(database.db.reader, run.id)
  expect(seen[S]?.time).toBe(boundary(run, 0))
})

async function tellOrder(run: RunRow, type: 'orders.Accepted' | 'orders.Cancelled' | 'orders.Rejected', n: number) {
  const order = { order_id: resting(run).id, client_order_id: `resting ${run.id}` }
  const ends = { reason: 'risk', ...(type === 'orders.Rejected' ? { rule: 'max_position', detail: null } : {}) }
  const event = {
    ...{ id: tickEventId(run.id, 99, n), type, run_id: run.id, corr_id: run.id, causation_id: null, producer: 'veda' },
    ...{ ts: '2026-03-02T00:00:30.000Z', payload: { ...order, ...(type === 'orders.Accepted' ? {} : ends) } },
  } as NewEvent
  await database.db.write((tx) => append(tx, [event], { route: false }))
  return event
}

test('between two ticks the strategy hears of an order, at the older tick, and what it asks for is a part of that decision', async () => {
  const run = await nextRun()
  const jobs = jobsOf(eager)
  await playTick(jobs, run, 0, [9, 10])
  await done(run, tickEventId(run.id, 0, 6))
  const [cash, held] = ['990', { run_id: run.id, symbol: S, qty: '1', avg_price: '10', realised_pnl: '0', cost: '10' }]
  const ledger = { run_id: run.id, cash, fees: '0', turnover: '10', next_order: 1, next_fill: 1 }
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'insert_orders', rows: [{ ...resting(run), status: 'cancelled' }] },
        { kind: 'save_run_ledgers', rows: [{ ...ledger, trade_matcher: null, risk_watch: null, splits: null }] },
        { kind: 'save_positions', rows: [{ ...held, last_price: null }] },
      ],
      events: [],
    }),
  )
  const accepted = await tellOrder(run, 'orders.Accepted', 0)
  const cancelled = await tellOrder(run, 'orders.Cancelled', 1)
  await hear(jobs, 'marvin.on_order', accepted)
  await hear(jobs, 'marvin.on_order', accepted)
  await hear(jobs, 'marvin.on_order', cancelled)
  const told = (await toldBy(database.db, run.id)).slice(-4)
  const id = (ordinal: number) => hopEventId(run.id, cancelled.id, ordinal)
  expect(told.map((event) => [event.type, event.id, event.causation_id, event.corr_id])).toEqual([
    ['strategy.DecisionMade', hopEventId(run.id, accepted.id, 0), accepted.id, tickEventId(run.id, 0, 0)],
    ['strategy.DecisionMade', id(0), cancelled.id, tickEventId(run.id, 0, 0)],
    ['strategy.PlaceRequest', id(1), id(0), tickEventId(run.id, 0, 0)],
    ['live.PlaceOrder', id(2), id(1), tickEventId(run.id, 0, 0)],
  ])
  expect(told[3]?.payload).toMatchObject({ ordinal: 1, intent: { client_order_id: `w-${run.id}-0-1`, side: 'sell' } })
  const [, first, second] = await decisionsOf(run)
  const ts = new Date(boundary(run, 0)).toISOString()
  expect([first, second]).toMatchObject([
    { part: 1, bar_index: 0, ts, intents: [], logs: [{ message: 'heard', data: { close: 10, held: '1' } }] },
    { part: 2, bar_index: 0, ts, intents: [{ side: 'sell', qty: '2' }] },
  ])
  const { memory, tick } = await getLiveCheckpoint(database.db.reader, run.id)
  expect(memory?.state).toEqual({
    windows: 1,
    heard: [`accepted 0 at ${boundary(run, 0)}`, `cancelled 0 at ${boundary(run, 0)}`],
  })
  expect(tick).toMatchObject({ stage: 'done', pending: [id(2)] })
  expect((await readEquity(database.db.reader, run.id)).ts).toHaveLength(1)
  await playTick(jobs, run, 1, [10, 11])
  const bought = tickEventId(run.id, 1, 6)
  expect((await getLiveCheckpoint(database.db.reader, run.id)).tick?.pending).toEqual([id(2), bought])
  expect(await isOldestCommand(database.db.reader, run.id, bought)).toBe(false)
  await done(run, id(2))
  await done(run, bought)
  expect(await mustGet(database.db, run.id)).toMatchObject({ next_tick: 2, open_corr_id: null })
})

test('an order that is heard of while the windows are waited for counts for the tick before, whose numbers go on', async () => {
  const run = await nextRun()
  const jobs = jobsOf(eager)
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'insert_orders', rows: [{ ...resting(run), status: 'cancelled' }] }], events: [] }),
  )
  await playTick(jobs, run, 0, [9, 10])
  await done(run, tickEventId(run.id, 0, 6))
  await emitTick(database.db, run, 1)
  await hear(jobs, 'marvin.on_order', await tellOrder(run, 'orders.Cancelled', 0))
  await hear(jobs, 'marvin.on_live_window', await answerWindows(database.db, run, 1, { [S]: [10, 11] }))
  const placed = (await toldBy(database.db, run.id)).filter(({ type }) => type === 'live.PlaceOrder').slice(1)
  expect(placed.map(({ payload }) => payload)).toMatchObject([
    { bar_index: 0, ordinal: 1, intent: { client_order_id: `w-${run.id}-0-1`, side: 'sell' } },
    { bar_index: 1, ordinal: 0, intent: { client_order_id: `w-${run.id}-1-0`, side: 'buy' } },
  ])
  await done(run, (placed[1] as NewEvent).id)
  expect((await mustGet(database.db, run.id)).open_corr_id).not.toBeNull()
  await done(run, (placed[0] as NewEvent).id)
  expect((await mustGet(database.db, run.id)).open_corr_id).toBeNull()
})

/** Notes what it sees in each of its methods, and looks at five minutes beside its own two bars. */
const curious = defineStrategy({
  ...plain,
  onTick(ctx) {
    const own = ctx.window(S)
    ctx.log('tick', { closes: [...own.close], equity: ctx.equity, bar: ctx.bar_index })
    if (ctx.bar_index > 0) ctx.fetch({ symbol: S, timeframe: '5m', bars: 1 })
  },
  onWindow(ctx) {
    ctx.log('window', { closes: [...ctx.window(S).close] })
    if (ctx.bar_index > 0) ctx.buy({ symbol: S, qty: '1', type: 'market', reason: String(ctx.window(S, '5m').length) })
  },
}) as unknown as StrategyDefinition

test('onTick sees the bars that closed at its tick, and what it fetches is there in onWindow', async () => {
  const run = await nextRun()
  const jobs = jobsOf(curious)
  const id = (ordinal: number) => tickEventId(run.id, 1, ordinal)
  await playTick(jobs, run, 0, [9, 10])
  await playTick(jobs, run, 1, [10, 11])
  const tick = async () => (await getLiveCheckpoint(database.db.reader, run.id)).tick
  expect(await tick()).toMatchObject({ bar_index: 1, stage: 'window', next_event: 6 })
  const fetched = await answerWindows(database.db, run, 1, { [S]: [8] }, boundary(run, 0) - 300_000, {
    ...{ command: 5, timeframe: '5m' },
  })
  await Promise.all([hear(jobs, 'marvin.on_live_window', fetched), hear(jobs, 'marvin.on_live_window', fetched)])
  expect(jobs.hops.slice(0, 3)).toEqual(['tick_window', 'tick_window', 'window'])
  const told = (await toldBy(database.db, run.id)).slice(-10)
  expect(told.map((event) => [event.type, event.id, event.causation_id])).toEqual([
    ['clock.Tick', id(0), null],
    ['strategy.FetchWindow', id(1), id(0)],
    ['live.FetchWindow', id(2), id(1)],
    ['data.WindowReady', id(3), id(2)],
    ['strategy.FetchWindow', id(4), id(3)],
    ['live.FetchWindow', id(5), id(4)],
    ['data.WindowReady', id(6), id(5)],
    ['strategy.DecisionMade', id(7), id(6)],
    ['strategy.PlaceRequest', id(8), id(7)],
    ['live.PlaceOrder', id(9), id(8)],
  ])
  expect((await getLiveCheckpoint(database.db.reader, run.id)).told).toEqual({
    [`${S} 1m`]: { newest: boundary(run, 0), event: id(3) },
    [`${S} 5m`]: { newest: boundary(run, 0) - 300_000, event: id(6) },
  })
  expect((await decisionsOf(run)).map(({ logs }) => logs)).toEqual([
    [
      { message: 'tick', data: { closes: [9, 10], equity: 1000, bar: 0 } },
      { message: 'window', data: { closes: [9, 10] } },
    ],
    [
      { message: 'tick', data: { closes: [10, 11], equity: 1000, bar: 1 } },
      { message: 'window', data: { closes: [10, 11] } },
    ],
  ])
  expect(await tick()).toMatchObject({ stage: 'place', pending: [id(9)] })
})

test('what was refused is kept as a reason, and a strategy without onOrder is not asked', async () => {
  const run = await nextRun()
  const jobs = jobsOf(quiet)
  await playTick(jobs, run, 0, [9, 10])
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'insert_orders', rows: [{ ...resting(run), status: 'rejected' }] }], events: [] }),
  )
  await hear(jobs, 'marvin.on_order', await tellOrder(run, 'orders.Rejected', 0))
  expect(jobs.hops).toEqual(['tick_window'])
  const skips = await database.db.reader.query('select kind, rule, reason from weaver.skips where run_id = $1', [
    run.id,
  ])
  expect(skips).toEqual(
    expect.arrayContaining([
      { kind: 'skipped', rule: null, reason: 'nothing to do' },
      { kind: 'risk', rule: 'max_position', reason: 'max_position' },
    ]),
  )
})

test('a strategy that throws ends its run, with the tick, and leaves nothing of the hop', async () => {
  const run = await nextRun()
  const broken = defineStrategy({
    ...plain,
    onWindow(ctx) {
      ctx.buy({ symbol: S, qty: '1', type: 'market' })
      throw new Error('no idea')
    },
  }) as unknown as StrategyDefinition
  const jobs = jobsOf(broken)
  const event = await playTick(jobs, run, 0, [9, 10])
  const ended = await mustGet(database.db, run.id)
  expect(ended).toMatchObject({
    status: 'error',
    error: { message: 'no idea', bar_index: 0, ts: new Date(boundary(run, 0)).toISOString() },
  })
  const told = await toldBy(database.db, run.id)
  expect(told.slice(-2).map(({ type }) => type)).toEqual(['data.WindowReady', 'run.Error'])
  await hear(jobs, 'marvin.on_live_window', event)
  expect(await toldBy(database.db, run.id)).toHaveLength(told.length)
})
