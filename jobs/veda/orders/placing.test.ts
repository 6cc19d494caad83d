/** What a strategy asks for becomes an order on record, once, or is refused in words; nothing is sent by it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { append } from '../../../db/events/append.ts'
import { createRecorder, record } from '../../../db/walle/record.ts'
import type { NewRun } from '../../../db/walle/rows.ts'
import type { Json } from '../../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, plainAsset } from '../../../tests/support/scripted_venue.ts'
import { createAccountCommands } from '../../glados/account_commands.ts'
import { wallClock } from '../../glados/clock.ts'
import { endStoppedRun } from '../../live/end.ts'
import { newLiveCheckpoint } from '../../live/ticks.ts'
import { placeOrder, unfinishedJobs } from './placing.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const venue = () => createScriptedVenue()
const opened = (changes: Partial<NewRun> = {}) => openOrderWorld(database.db, venue(), changes)
const refusal = async (world: OrderWorld, id: string) => {
  const { status, reject_reason, reject_rule } = await world.order(id)
  return [status, reject_reason, reject_rule]
}

test('the same command again, and by two at once: one order', async () => {
  const world = await opened()
  const intent = world.intent()
  await Promise.all([world.place(intent), world.place(intent)])
  await world.place(intent)
  expect(await world.told(intent.client_order_id)).toEqual(['Created'])
  expect(world.waiting).toHaveLength(1)
})

test('ordinals count the run’s orders, refused ones too', async () => {
  const world = await opened()
  const ids = [await world.place(), await world.place({ qty: '-1' }), await world.place()]
  const orders = await Promise.all(ids.map((id) => world.order(id)))
  expect(orders.map(({ ordinal, status }) => [ordinal, status])).toEqual([
    [0, 'pending'],
    [1, 'rejected'],
    [2, 'pending'],
  ])
})

test('nonsense is refused as in a backtest, and never sent', async () => {
  const world = await opened()
  const id = await world.place({ qty: 'many' })
  expect(await refusal(world, id)).toEqual(['rejected', 'invalid_order: qty "many" is not a decimal', null])
  expect(await world.send(id)).toBeNull()
  expect(world.waiting).toEqual([])
})

test('a limit on risk names its rule; a price that nobody knows is no price', async () => {
  const world = await opened({ risk: { max_order_notional: 1_000 } })
  const market = await world.place()
  expect(await refusal(world, market)).toEqual([
    'rejected',
    'risk: no price of BTC/USD is known yet',
    'max_order_notional',
  ])
  const limit = await world.place({ order_type: 'limit', limit_price: '501' })
  expect(await refusal(world, limit)).toEqual(['rejected', 'risk: 1002 is above 1000', 'max_order_notional'])
})

test('orders within a minute are counted over restarts, refused ones are not', async () => {
  const world = await opened({ risk: { max_orders_per_minute: 2, max_order_notional: 1_000 } })
  const small = { order_type: 'limit', limit_price: '100' } as const
  await world.place(small)
  await world.place({ order_type: 'limit', limit_price: '900' })
  await world.place(small)
  const third = await world.place(small)
  expect((await refusal(world, third))[2]).toBe('max_orders_per_minute')
  world.clock.now += 60_001
  const later = await world.place(small)
  expect(await refusal(world, later)).toEqual(['pending', null, null])
})

test('a run spends its own cash, whatever the account holds', async () => {
  const world = await opened({ initial_cash: '1000' })
  const checkpoint = { ...newLiveCheckpoint(), newest: { 'BTC/USD': { time: 0, close: 100 } } }
  await database.db.write((tx) =>
    record(tx, {
      writes: [{ kind: 'save_checkpoint', run_id: world.run.id, next_tick: 0, state: checkpoint as unknown as Json }],
      events: [],
    }),
  )
  const [most, more] = [await world.place({ qty: '9' }), await world.place({ qty: '2' })]
  expect(await refusal(world, most)).toEqual(['pending', null, null])
  expect(await refusal(world, more)).toEqual([
    'rejected',
    'insufficient_buying_power: 200 needed with 100 in cash and leverage 1',
    null,
  ])
})

test('what the venue would refuse is refused here', async () => {
  const world = await openOrderWorld(
    database.db,
    createScriptedVenue({ assets: [plainAsset('BTC/USD', { min_qty: '5' })] }),
  )
  const id = await world.place()
  expect(await refusal(world, id)).toEqual([
    'rejected',
    'invalid_order: qty 2 is below 5, the least of BTC/USD',
    'min_qty',
  ])
})

test('a venue that is away keeps no order from being placed', async () => {
  const world = await opened()
  const there = world.venue
  world.venue = null
  const id = await world.place()
  world.venue = there
  expect(await refusal(world, id)).toEqual(['pending', null, null])
})

test('a run sells what it holds, not what others in the account do', async () => {
  const [world, other] = [await opened(), await opened()]
  const bought = await other.place({ qty: '10' })
  await other.drain()
  await other.report((other.venue as ReturnType<typeof venue>).fill(bought, '10', '100'))
  const sold = await world.place({ side: 'sell', qty: '1' })
  expect((await refusal(world, sold))[1]).toMatch(/^short_not_allowed: selling 1 BTC\/USD with 0 held by the run/)
})

test('a fill slips from the newest close that its run had seen when the order was placed', async () => {
  const world = await opened()
  const account = world.venue as ReturnType<typeof venue>
  const blind = await world.place()
  const state = { ...newLiveCheckpoint(), newest: { 'BTC/USD': { time: 0, close: 100.25 } } }
  await database.db.write((tx) =>
    record(tx, {
      writes: [{ kind: 'save_checkpoint', run_id: world.run.id, next_tick: 0, state: state as unknown as Json }],
      events: [],
    }),
  )
  const seeing = await world.place()
  await world.drain()
  for (const id of [blind, seeing]) await world.report(account.fill(id, '2', '100.5'))
  expect([(await world.send(blind))?.decided_close, (await world.send(seeing))?.decided_close]).toEqual([
    null,
    '100.25',
  ])
  expect([await world.fills(blind), await world.fills(seeing)]).toMatchObject([
    [{ slippage: '0' }],
    [{ slippage: '0.5' }],
  ])
})

test('what a person sold of the account no run sells again: it cannot be accepted as nobody’s, and is taken from the run', async () => {
  const world = await opened()
  const bought = await world.place({ symbol: 'AAPL', qty: '10' })
  await world.drain()
  await world.report((world.venue as ReturnType<typeof venue>).fill(bought, '10', '100'))
  const name = { exchange: 'scripted', mode: 'paper' } as const
  const commands = createAccountCommands({ recorder: createRecorder(database.db), ...wallClock })
  const context = { corrId: wallClock.newId() }
  const run_id = (await world.order(bought)).run_id
  const row = { ...name, symbol: 'AAPL', venue_qty: '4', runs_qty: '10', unattributed_qty: '0', fee_adjustment: '0' }
  const paused = { ...row, equal_at: null, paused_reason: 'somebody sold 6', paused_class: 'traded_by_hand' }
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'save_account_positions', rows: [paused] }], events: [] }),
  )
  await expect(commands.acceptPosition(name, 'AAPL', context)).rejects.toMatchObject({
    message: `6 AAPL that runs hold are not in the account: hold them against a run first, \`weaver accounts attribute scripted paper AAPL ${run_id} -6\``,
  })
  await commands.attributePosition(name, { symbol: 'AAPL', run_id, qty: '-6', price: '101' }, context)
  expect(await commands.acceptPosition(name, 'AAPL', context)).toMatchObject({ runs_qty: '4', unattributed_qty: '0' })
  const more = await world.place({ symbol: 'AAPL', side: 'sell', qty: '5' })
  expect((await refusal(world, more))[1]).toBe(
    'short_not_allowed: selling 5 AAPL with 4 held by the run would go short; the fill option allow_short permits it',
  )
  const rest = await world.place({ symbol: 'AAPL', side: 'sell', qty: '4' })
  expect(await refusal(world, rest)).toEqual(['pending', null, null])
})

test('what is under way has a job for whoever keeps the account next', async () => {
  await database.db.write((tx) => tx.execute('delete from weaver.order_sends'))
  const world = await opened()
  const [waits, rests, done] = [
    await world.place({ order_type: 'limit', limit_price: '90' }),
    await world.place({ order_type: 'limit', limit_price: '91' }),
    await world.place({ order_type: 'limit', limit_price: '92' }),
  ]
  const jobs = world.waiting.splice(0)
  await world.step(jobs[1] as (typeof jobs)[0])
  await world.step(jobs[2] as (typeof jobs)[0])
  await world.cancel(rests)
  const found = await unfinishedJobs(database.db.reader, { exchange: 'scripted', mode: 'paper' })
  expect(found.map(({ task, payload }) => [task, (payload as { order_id: string }).order_id])).toEqual([
    ['veda.submit_order', (await world.order(waits)).id],
    ['veda.send_cancel', (await world.order(rests)).id],
  ])
  expect(await world.order(done)).toMatchObject({ status: 'accepted' })
  await database.db.write((tx) => append(tx, [], { jobs: found }))
  expect(await unfinishedJobs(database.db.reader, { exchange: 'scripted', mode: 'paper' })).toEqual([])
})

test('a fee in kind leaves a quantity between two steps: it can be closed, and its exits fit', async () => {
  const coins = createScriptedVenue({ assets: [plainAsset('BTC/USD', { qty_increment: '0.0001', min_qty: '0.0001' })] })
  const world = await openOrderWorld(database.db, coins)
  const id = await world.place({ qty: '0.1', stop_loss: '90' })
  await world.drain()
  await world.report(coins.fill(id, '0.1', '100', { fee_qty: '0.00025' }))
  await world.drain()
  expect(coins.submits.at(-1)).toMatchObject({ order_type: 'stop', qty: '0.0997' })
  const more = await world.place({ qty: '0.00025' })
  expect(await world.order(more)).toMatchObject({ status: 'pending', qty: '0.0002' })
  const free = await world.place({ qty: '0.00011' })
  expect(await refusal(world, free)).toEqual([
    'rejected',
    'invalid_order: qty 0.00011 is not a multiple of 0.0001',
    'qty_increment',
  ])
  await world.cancel(more)
  const close = await world.place({ side: 'sell', qty: '0.09975' })
  await world.drain()
  expect(coins.submits.at(-1)).toMatchObject({ order_type: 'market', qty: '0.0997' })
  await world.report(coins.fill(close, '0.0997', '100'))
  const rest = await world.place({ side: 'sell', qty: '0.00005' })
  expect((await refusal(world, rest))[2]).toBe('qty_increment')
  expect((await world.events()).filter(({ type }) => type === 'system.Error')).toEqual([])
})

test('a run that closes what it holds ends with what is less than a step, and says so', async () => {
  const coins = createScriptedVenue({ assets: [plainAsset('BTC/USD', { qty_increment: '0.0001' })] })
  const world = await openOrderWorld(database.db, coins)
  const id = await world.place({ qty: '0.1' })
  await world.drain()
  await world.report(coins.fill(id, '0.1', '100', { fee_qty: '0.00025' }))
  const { db } = database
  const run_id = world.run.id
  await db.write((tx) =>
    tx.execute(
      `update weaver.runs set stop_requested = '{"cancel_orders":true,"close_positions":true}' where id = $1`,
      [run_id],
    ),
  )
  const job = {
    signal: new AbortController().signal,
    finish: async () => {},
    putBack: async (): Promise<never> => {
      throw new Error('it is put back')
    },
  }
  const look = () => endStoppedRun(world.jobs, { run_id }, job as unknown as Parameters<typeof endStoppedRun>[2])
  await expect(look()).rejects.toThrow('put back')
  const [command] = await db.reader.query<{ id: string }>(
    `select event_id as id from weaver.outbox where run_id = $1 and type = 'live.PlaceOrder' order by outbox.id desc limit 1`,
    [run_id],
  )
  await placeOrder(world.jobs, { run_id, event_id: command?.id as string }, job)
  await world.drain()
  const close = coins.submits.at(-1)
  expect(close).toMatchObject({ side: 'sell', qty: '0.0997' })
  await world.report(coins.fill(close?.client_order_id as string, '0.0997', '100'))
  await look()
  const [run] = await db.reader.query<{ status: string; cautions: string[] }>(
    'select status, cautions from weaver.runs where id = $1',
    [run_id],
  )
  expect(run).toEqual({ status: 'stopped', cautions: ['when it stopped it still held 0.00005 BTC/USD'] })
})
