import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { connectOwner } from '../../db/client.ts'
import { append } from '../../db/events/append.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import type { OrderSendRow } from '../../db/walle/live_rows.ts'
import { getRunLedger } from '../../db/walle/queries/live_runs.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import { record } from '../../db/walle/record.ts'
import type { OrderRow, RunChanges } from '../../db/walle/rows.ts'
import { endRun, endStoppedRun, protectors } from '../../jobs/live/end.ts'
import { startLiveRun } from '../../jobs/live/start.ts'
import { commandDone, newLiveCheckpoint } from '../../jobs/live/ticks.ts'
import { clientOrderId } from '../../jobs/marvin/contract.ts'
import { VenueError } from '../../jobs/veda/venue.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createScriptedVenue, plainAsset, type ScriptedVenue } from '../support/scripted_venue.ts'
import { anOrder, aRun, aSource, idOf } from '../support/walle_rows.ts'

const T = Date.parse('2024-07-02T12:00:00Z')
const iso = (time: number) => new Date(time).toISOString()

let database: TestDatabase
let venue: ScriptedVenue
let now = T
let count = 0

beforeAll(async () => {
  database = await createTestDatabase()
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'store_source', source: aSource() }], events: [] }))
})
afterAll(() => database.drop())
beforeEach(() => {
  now = T
  venue = createScriptedVenue({ exchange: 'scripted', mode: 'paper', assets: [plainAsset('BTC/USD')] })
})

const jobs = () => ({
  db: database.db,
  record: async (...given: Parameters<typeof record>) => {
    await record(...given)
  },
  venues: { get: async () => venue, configured: () => [], known: () => [], close: async () => {} },
  now: () => now,
  newId: randomUUID,
  sleep: () => new Promise<void>(() => {}),
  log: () => {},
})

class PutBack extends Error {}

/** One attempt at a job; says what became of it. */
async function attempt(work: (job: Parameters<typeof startLiveRun>[2]) => Promise<void>): Promise<string> {
  let end = 'nothing'
  const job = {
    signal: new AbortController().signal,
    finish: async () => {
      end = 'finished'
    },
    putBack: async () => {
      throw new PutBack()
    },
  }
  await work(job).catch((error) => {
    if (!(error instanceof PutBack)) throw error
    end = 'put back'
  })
  return end
}

const start = (run_id: string) => attempt((job) => startLiveRun(jobs(), { run_id }, job))
const end = (run_id: string) => attempt((job) => endStoppedRun(jobs(), { run_id }, job))

async function aPaperRun(changes: RunChanges = {}, symbols = ['BTC/USD']): Promise<string> {
  count += 1
  const run = aRun(count, { mode: 'paper', exchange: 'scripted', symbols, initial_cash: '1000' })
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'create_run', run },
        { kind: 'update_run', id: run.id, changes: { status: 'running', started_at: iso(T), ...changes } },
      ],
      events: [],
    }),
  )
  return run.id
}

async function put(run: string, ordinal: number, order: Partial<OrderRow>, send: Partial<OrderSendRow> = {}) {
  const row = anOrder(run, ordinal, { parent_order_id: null, ...order })
  const way = {
    ...{ order_id: row.id, run_id: run, exchange: 'scripted', mode: 'paper', state: 'answered', attempts: 1 },
    wanted_at: iso(T),
    ...{ lookups: 0, last_sent_at: null, last_error: null, cancel_requested_at: null, cancel_attempts: 0 },
    ...{
      cancel_reason: null,
      decided_close: null,
      refusals: 0,
      at_market: false,
      qty_increment: null,
      replaced_ids: [],
    },
    ...{ filled_before: '0', ...send },
  } as OrderSendRow
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'insert_orders', rows: [row] },
        { kind: 'save_order_sends', rows: [way] },
      ],
      events: [],
    }),
  )
  return row.id
}

/** Orders may leave. */
async function accountIsReady(): Promise<void> {
  const row = {
    ...{
      exchange: 'scripted',
      mode: 'paper' as const,
      account_number: 'S1',
      number_since: null,
      currency: 'USD',
      cash: '0',
      equity: '0',
    },
    ...{ buying_power: '0', state: 'ready' as const, state_reason: null, blocked: null, keeper: 'test' },
    ...{ stream: 'up' as const, checked_at: null, reconciled_at: null, reconcile_requested_at: null },
  }
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_accounts', rows: [row] }], events: [] }))
}

async function hold(run_id: string, qty: string): Promise<void> {
  const row = { run_id, symbol: 'BTC/USD', qty, avg_price: '100', realised_pnl: '0', cost: '100', last_price: null }
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_positions', rows: [row] }], events: [] }))
}

const query = <Row extends object>(text: string, ...values: unknown[]) => database.db.reader.query<Row>(text, values)
const toldOf = async (id: string) =>
  (await query<{ type: string }>('select type from weaver.outbox where run_id = $1 order by id', id)).map(
    ({ type }) => type,
  )
const cancelsOf = async (id: string) =>
  (
    await query<{ ordinal: number }>(
      `select o.ordinal from weaver.orders o join weaver.order_sends s on s.order_id = o.id
       where o.run_id = $1 and s.cancel_requested_at is not null order by 1`,
      id,
    )
  ).map(({ ordinal }) => ordinal)
const jobsOf = async (id: string) =>
  (await query<{ task: string }>('select task from weaver.job_overview where run_id = $1 order by id', id)).map(
    ({ task }) => task,
  )

/** As if the run's row had not been written for so long. */
async function leftAlone(id: string, age: string): Promise<void> {
  const owner = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  await owner.query('set session_replication_role = replica')
  await owner.query('update weaver.runs set updated_at = now() - $2::interval where id = $1', [id, age])
  await owner.end()
}

test('a run gets its ledger once its venue knows its account and symbols, and only once', async () => {
  const id = await aPaperRun()
  expect([await start(id), await start(id)]).toEqual(['finished', 'finished'])
  expect(await getRunLedger(database.db.reader, id)).toMatchObject({ cash: '1000', next_order: 0, next_fill: 0 })
  expect((await getRun(database.db.reader, id))?.status).toBe('running')
})

test('a symbol that the venue does not know, or does not trade, ends the run in words', async () => {
  venue = createScriptedVenue({ exchange: 'scripted', assets: [plainAsset('BTC/USD', { tradable: false })] })
  venue.asset = async (symbol) => (symbol === 'BTC/USD' ? plainAsset(symbol, { tradable: false }) : null)
  const id = await aPaperRun({}, ['BTC/USD', 'NO/USD'])
  expect(await start(id)).toBe('finished')
  const run = await getRun(database.db.reader, id)
  expect([run?.status, run?.error?.message]).toEqual([
    'error',
    'BTC/USD cannot be traded at scripted now; scripted does not know the symbol NO/USD',
  ])
  expect([await toldOf(id), await getRunLedger(database.db.reader, id)]).toEqual([['run.Error'], null])
})

test('a venue that refuses the bars of its symbols ends the run; one that has none just now does not', async () => {
  const asked: string[] = []
  const answers =
    (kind: 'refused' | 'unavailable') =>
    async ({ symbol }: { symbol: string }) => {
      asked.push(symbol)
      throw new VenueError(kind, 'not with this plan')
    }
  venue.asset = async (symbol) => plainAsset(symbol)
  venue.bars = answers('unavailable')
  const id = await aPaperRun({}, ['AAPL', 'BTC/USD', 'ETH/USD', 'SPY'])
  expect(await start(id)).toBe('finished')
  expect(await getRunLedger(database.db.reader, id)).not.toBeNull()
  // One of each class: they have a feed each.
  expect(asked).toHaveLength(2)
  venue.bars = answers('refused')
  const refused = await aPaperRun()
  expect(await start(refused)).toBe('finished')
  expect((await getRun(database.db.reader, refused))?.error?.message).toBe('scripted (paper): not with this plan')
})

test('a venue that does not answer is asked again for two minutes; wrong credentials end the run at once', async () => {
  const [silent, refused] = [await aPaperRun(), await aPaperRun()]
  venue.account = () => Promise.reject(new VenueError('unavailable', 'no route to it'))
  expect(await start(silent)).toBe('put back')
  expect((await getRun(database.db.reader, silent))?.status).toBe('running')
  // Another process may have another time; what counts is the database's.
  now = T + 600_000
  expect(await start(silent)).toBe('put back')
  await leftAlone(silent, '121 seconds')
  expect(await start(silent)).toBe('finished')
  expect((await getRun(database.db.reader, silent))?.error?.message).toBe('scripted (paper): no route to it')
  now = T
  venue.account = () => Promise.reject(new VenueError('unauthorised', 'it refuses the key'))
  expect(await start(refused)).toBe('finished')
  expect((await getRun(database.db.reader, refused))?.error?.message).toBe('scripted (paper): it refuses the key')
})

test.each([
  ['a stop of what is held', { order_type: 'stop', qty: '2' }, '2', true],
  ['a stop of more than is held', { order_type: 'stop', qty: '3' }, '2', false],
  ['the rest of a stop', { order_type: 'trailing_stop', qty: '3', filled_qty: '1' }, '2', true],
  ['a limit', { order_type: 'limit', qty: '2' }, '2', false],
  ['an attached take profit', { order_type: 'limit', qty: '2', parent_order_id: idOf('order', 1) }, '2', true],
  ['a stop that buys', { order_type: 'stop', side: 'buy', qty: '2' }, '2', false],
  ['a stop that buys, when short', { order_type: 'stop_limit', side: 'buy', qty: '2' }, '-2', true],
  ['a stop when nothing is held', { order_type: 'stop', qty: '2' }, '0', false],
  ['what a person closes', { order_type: 'market', qty: '2', client_order_id: 'w-1-close-1-0' }, '2', true],
  ['what closes more than is held', { order_type: 'market', qty: '3', client_order_id: 'w-1-close-1-0' }, '2', false],
] as const)('%s protects a position or does not', (_what, order, qty, protected_) => {
  const own = { client_order_id: 'w-1-0-0', symbol: 'A', side: 'sell', filled_qty: '0', parent_order_id: null } as const
  const row = { ...own, ...order }
  expect([...protectors([row], [{ symbol: 'A', qty }])]).toEqual(protected_ ? [row] : [])
})

test('of several stops those protect that together stop no more than is held; exits end with the position', () => {
  const stop = (qty: string, changes: object = {}) =>
    ({
      client_order_id: 'w-1-0-0',
      symbol: 'A',
      side: 'sell',
      qty,
      filled_qty: '0',
      parent_order_id: null,
      order_type: 'stop',
      ...changes,
    }) as const
  const attached = { parent_order_id: idOf('order', 1) }
  const open = [stop('3'), stop('3'), stop('2'), stop('0.1'), stop('5', attached), stop('5', { symbol: 'B' })]
  const kept = protectors(open, [{ symbol: 'A', qty: '5' }])
  expect(open.map((order) => kept.has(order))).toEqual([true, false, true, false, true, false])
})

test('an error cancels what is open but for what protects, and an order that was not sent stays so', async () => {
  const id = await aPaperRun()
  await hold(id, '2')
  await put(id, 0, { side: 'buy', order_type: 'limit' })
  await put(id, 1, { side: 'sell', order_type: 'stop', qty: '2' })
  await put(id, 2, { side: 'buy', order_type: 'market', status: 'pending' }, { state: 'to_send' })
  await put(id, 3, { status: 'filled' })
  await database.db.write(async (tx) => {
    const run = await getRun(tx, id)
    if (run) await record(tx, await endRun(jobs(), tx, run, { message: 'it threw', stack: 'at x' }))
  })
  expect([await cancelsOf(id), await jobsOf(id), await toldOf(id)]).toEqual([
    [0, 2],
    ['veda.send_cancel'],
    ['run.Error'],
  ])
  const run = await getRun(database.db.reader, id)
  expect([run?.status, run?.error, run?.open_corr_id]).toEqual(['error', { message: 'it threw', stack: 'at x' }, null])
})

test('an order that was asked for and not placed when the run ends is on record as refused, and what was not decided is named', async () => {
  const id = await aPaperRun()
  expect(await start(id)).toBe('finished')
  const commands = [0, 1, 2].map((n) => idOf('event', 1_000_000 + 100 * count + n))
  const intent = (n: number) => ({
    ...{ kind: 'place', client_order_id: clientOrderId(id, 4, n), symbol: 'BTC/USD', side: 'buy', qty: '1' },
    ...{ order_type: 'market', limit_price: null, stop_price: null, trail_price: null, trail_percent: null },
    ...{ time_in_force: 'gtc', extended_hours: false, take_profit: null, stop_loss: null, reason: null },
  })
  const told = { run_id: id, corr_id: idOf('event', 4), causation_id: null, ts: iso(T - 60_000), producer: 'glados' }
  await database.db.write((tx) =>
    append(
      tx,
      [
        { ...told, id: commands[0], type: 'live.PlaceOrder', payload: { bar_index: 4, ordinal: 0, intent: intent(0) } },
        {
          ...told,
          id: commands[1],
          type: 'live.CancelOrder',
          payload: { bar_index: 4, ordinal: 1, client_order_id: 'x' },
        },
        { ...told, id: commands[2], type: 'live.PlaceOrder', payload: { bar_index: 4, ordinal: 2, intent: intent(2) } },
      ] as NewEvent[],
      { route: false },
    ),
  )
  await aTickUnderWay(id, commands as string[], [intent(3)])
  await database.db.write(async (tx) => {
    const run = await getRun(tx, id)
    if (run) await record(tx, await endRun(jobs(), tx, run, { message: 'it threw' }))
  })
  const orders = await query(
    `select ordinal::int, client_order_id, status, reject_reason, placed_at, bar_index::int from weaver.orders
     where run_id = $1 order by ordinal`,
    id,
  )
  const refused = { status: 'rejected', reject_reason: expect.stringMatching(/^run_ended/), placed_at: iso(T - 60_000) }
  expect(orders).toEqual([
    { ...refused, ordinal: 0, client_order_id: clientOrderId(id, 4, 0), bar_index: 4 },
    { ...refused, ordinal: 1, client_order_id: clientOrderId(id, 4, 2), bar_index: 4 },
  ])
  expect((await toldOf(id)).slice(-5)).toEqual([
    ...['orders.Created', 'orders.Rejected', 'orders.Created', 'orders.Rejected', 'run.Error'],
  ])
  expect((await getRunLedger(database.db.reader, id))?.next_order).toBe(2)
  expect((await getRun(database.db.reader, id))?.cautions).toEqual([
    'when it ended it had not decided yet, and nothing was done of what it had asked for: buy 1 BTC/USD',
  ])
  // Nothing is left to be sent.
  expect(await query('select from weaver.order_sends where run_id = $1', id)).toEqual([])
})

test('a run that is to stop asks for its orders once, waits for the venue, and then says that it has stopped', async () => {
  const id = await aPaperRun({ stop_requested: { cancel_orders: true, close_positions: false } })
  const order = await put(id, 0, {})
  expect([await end(id), await end(id)]).toEqual(['put back', 'put back'])
  expect([await jobsOf(id), await toldOf(id)]).toEqual([['veda.send_cancel'], []])
  await database.db.write(async (tx) => {
    await tx.execute(`update weaver.orders set status = 'cancelled' where id = $1`, [order])
  })
  expect([await end(id), await end(id)]).toEqual(['finished', 'finished'])
  const run = await getRun(database.db.reader, id)
  expect([run?.status, run?.cautions, await toldOf(id)]).toEqual(['stopped', [], ['run.Stopped']])
})

test('a venue that never confirms holds up no stop for ever, and the run says what was left', async () => {
  const id = await aPaperRun({ stop_requested: { cancel_orders: true, close_positions: false } })
  await put(id, 0, { client_order_id: 'w-open' })
  expect(await end(id)).toBe('put back')
  now = T + 30_000
  expect(await end(id)).toBe('finished')
  const run = await getRun(database.db.reader, id)
  expect([run?.status, run?.cautions]).toEqual([
    'stopped',
    ['when it stopped the venue had not confirmed the end of w-open'],
  ])
})

test('with cancel_orders false everything stays; with close_positions one order closes each position', async () => {
  const stays = await aPaperRun({ stop_requested: { cancel_orders: false, close_positions: false } })
  await put(stays, 0, {})
  expect([await end(stays), await cancelsOf(stays)]).toEqual(['finished', []])

  await accountIsReady()
  const closes = await aPaperRun({ stop_requested: { cancel_orders: true, close_positions: true }, next_tick: 7 })
  await hold(closes, '-2.5')
  const stop = await put(closes, 0, { side: 'buy', order_type: 'stop', qty: '2.5' })
  expect([await end(closes), await cancelsOf(closes)]).toEqual(['put back', [0]])
  await database.db.write(async (tx) => {
    await tx.execute(`update weaver.orders set status = 'cancelled' where id = $1`, [stop])
  })
  expect([await end(closes), await end(closes)]).toEqual(['put back', 'put back'])
  const [told, again] = await query<{ intent: object }>(
    `select payload -> 'payload' -> 'intent' as intent from weaver.outbox where run_id = $1 and type = 'live.PlaceOrder'`,
    closes,
  )
  expect(again).toBeUndefined()
  const client_order_id = `w-${closes}-8-0`
  expect(told?.intent).toMatchObject({ client_order_id, side: 'buy', order_type: 'market', qty: '2.5' })
  expect(await jobsOf(closes)).toEqual(['veda.send_cancel', 'veda.place_order'])
  await put(closes, 1, { client_order_id, side: 'buy', order_type: 'market', placed_at: iso(now) })
  expect(await end(closes)).toBe('put back')
  await hold(closes, '0')
  await database.db.write(async (tx) => {
    await tx.execute(`update weaver.orders set status = 'filled' where client_order_id = $1`, [client_order_id])
  })
  expect(await end(closes)).toBe('finished')
  expect((await getRun(database.db.reader, closes))?.cautions).toEqual([])
})

/** As a person does, at `T`. */
async function askToStop(run_id: string, stop_requested: { cancel_orders: boolean; close_positions: boolean }) {
  const id = randomUUID()
  await database.db.write((tx) =>
    record(tx, {
      writes: [{ kind: 'update_run', id: run_id, changes: { stop_requested, last_event_id: id } }],
      events: [
        {
          ...{ id, type: 'run.StopRequested', run_id, corr_id: run_id, causation_id: null, ts: iso(T) },
          ...{ producer: 'glados', payload: { run_id, ...stop_requested } },
        },
      ],
    }),
  )
}

/** Tick 4 is under way, and nothing that it asked for is done. */
async function aTickUnderWay(run_id: string, commands: string[], intents: object[] = []): Promise<void> {
  const ts = iso(T - 60_000)
  const clockTick = {
    run_id,
    bar_index: 4,
    ts,
    event_id: idOf('event', 4),
    missed_reason: null,
    drift_ms: 1,
    done_at: null,
  }
  const corr_id = idOf('event', 4)
  const tick = {
    ...{ bar_index: 4, ts: T - 60_000, corr_id, stage: 'place' as const, next_event: 5, told: 0, parts: 0 },
    ...{ asked: { intents, skips: [], logs: [] }, pending: commands },
  }
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'save_clock_ticks', rows: [clockTick] },
        { kind: 'open_ticks', rows: [{ run_id, bar_index: 4, corr_id }] },
        { kind: 'save_checkpoint', run_id, next_tick: 4, state: { ...newLiveCheckpoint(), tick } },
      ],
      events: [],
    }),
  )
}

/** Its last command is carried out. */
async function theTickEnds(run_id: string): Promise<void> {
  await database.db.write(async (tx) => {
    const run = await getRun(tx, run_id)
    if (run) await record(tx, { writes: await commandDone(tx, run, idOf('event', 9), T), events: [] })
  })
}

test('a run stops when the tick that was under way is done: nothing that was asked for is forgotten', async () => {
  const id = await aPaperRun()
  await aTickUnderWay(id, [idOf('event', 9)])
  await askToStop(id, { cancel_orders: true, close_positions: false })
  expect([await end(id), await toldOf(id)]).toEqual(['put back', ['run.StopRequested']])
  // The tick's order is placed, and unwanted.
  const order = await put(id, 0, {})
  await theTickEnds(id)
  expect([await end(id), await cancelsOf(id)]).toEqual(['put back', [0]])
  await database.db.write(async (tx) => {
    await tx.execute(`update weaver.orders set status = 'cancelled' where id = $1`, [order])
  })
  expect([await end(id), (await getRun(database.db.reader, id))?.cautions]).toEqual(['finished', []])
})

test('what a strategy asked for between two ticks is waited for too, and a tick that never ends holds up no stop', async () => {
  const [between, stuck] = [await aPaperRun(), await aPaperRun()]
  await aTickUnderWay(between, [idOf('event', 9)])
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'update_run', id: between, changes: { open_corr_id: null } }], events: [] }),
  )
  await aTickUnderWay(stuck, [idOf('event', 9)])
  for (const id of [between, stuck]) await askToStop(id, { cancel_orders: true, close_positions: false })
  expect([await end(between), await end(stuck)]).toEqual(['put back', 'put back'])
  await theTickEnds(between)
  now = T + 60_000
  expect([await end(between), await end(stuck)]).toEqual(['finished', 'finished'])
  const cautions = async (id: string) => (await getRun(database.db.reader, id))?.cautions
  expect([await cautions(between), await cautions(stuck)]).toEqual([
    [],
    ['when it stopped its last tick was not done: of what was asked for there nothing more is placed'],
  ])
})

test('positions are closed by one order each, also when a tick ends after that was asked for', async () => {
  const id = await aPaperRun()
  await hold(id, '2')
  await aTickUnderWay(id, [idOf('event', 9)])
  await askToStop(id, { cancel_orders: true, close_positions: true })
  expect([await end(id), await jobsOf(id)]).toEqual(['put back', []])
  now = T + 60_000
  expect([await end(id), await jobsOf(id)]).toEqual(['put back', ['veda.place_order']])
  await theTickEnds(id)
  expect([await end(id), await jobsOf(id)]).toEqual(['put back', ['veda.place_order']])
})
