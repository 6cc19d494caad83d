/** A run is stopped, and is to close what it holds: each position by one order, and none loses its stop loss for nothing. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { getRun } from '../../db/walle/queries/runs.ts'
import { endRun, endStoppedRun } from '../../jobs/live/end.ts'
import { placeOrder } from '../../jobs/veda/orders/placing.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type OrderWorld, openOrderWorld } from '../support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../support/scripted_venue.ts'

let database: TestDatabase
let venue: ScriptedVenue
let world: OrderWorld

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  await database.db.write((tx) => tx.execute('update weaver.halts set resumed_at = now() where resumed_at is null'))
  venue = createScriptedVenue()
  world = await openOrderWorld(database.db, venue)
  await world.pause('BTC/USD', null)
})

const job = {
  signal: new AbortController().signal,
  finish: async () => {},
  putBack: async (): Promise<never> => {
    throw new Error('put back')
  },
}
const openAtVenue = () =>
  venue.book
    .filter(({ status }) => status === 'accepted' || status === 'partial')
    .map(({ side, order_type, qty, symbol }) => `${side} ${order_type} ${qty} ${symbol}`)
const theRun = async () => (await getRun(database.db.reader, world.run.id)) as NonNullable<typeof world.run>

async function entered(symbol: string, exits: object = {}, side: 'buy' | 'sell' = 'buy'): Promise<string> {
  const id = await world.place({ symbol, qty: '10', side, ...exits })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  return id
}

async function toStop(): Promise<void> {
  await database.db.write((tx) =>
    tx.execute(
      `update weaver.runs set stop_requested = '{"cancel_orders":true,"close_positions":true}' where id = $1`,
      [world.run.id],
    ),
  )
}

/** One look at the run that is to stop. */
const look = () =>
  endStoppedRun(world.jobs, { run_id: world.run.id }, job).then(
    () => 'finished',
    (error: Error) => error.message,
  )

/** Ids of what it asked for to close its positions. */
const commands = async () =>
  (
    await database.db.reader.query<{ id: string }>(
      `select event_id as id from weaver.outbox where run_id = $1 and type = 'live.PlaceOrder'
         and payload -> 'payload' -> 'intent' ->> 'reason' = 'the run was stopped' order by outbox.id`,
      [world.run.id],
    )
  ).map(({ id }) => id)
const carryOut = (id: string | undefined) =>
  placeOrder(world.jobs, { run_id: world.run.id, event_id: id as string }, job)

/** Until the run has stopped, or there is nothing more to do than to wait. */
async function workOn(): Promise<string> {
  for (let looks = 0; looks < 4; looks++) {
    if ((await look()) === 'finished') return 'finished'
    for (const id of await commands()) await carryOut(id)
    await world.drain()
  }
  return 'waits'
}

test('the order that closes takes the exits’ place', async () => {
  await entered('BTC/USD', { stop_loss: '90', take_profit: '120' })
  await toStop()
  expect(await workOn()).toBe('waits')
  expect(openAtVenue()).toEqual(['sell market 10 BTC/USD'])
  await world.report(venue.fill(venue.submits.at(-1)?.client_order_id as string, '10', '99'))
  await world.drain()
  expect([await look(), openAtVenue(), world.waiting, (await theRun()).cautions]).toEqual(['finished', [], [], []])
})

test('a stop of the strategy’s own, which holds what is to be sold, is gone first', async () => {
  await entered('BTC/USD')
  await world.place({ side: 'sell', qty: '10', order_type: 'stop', stop_price: '90' })
  await world.drain()
  await toStop()
  await workOn()
  expect(openAtVenue()).toEqual(['sell market 10 BTC/USD'])
})

test.each([
  ['its run is halted', () => world.halt(world.run.id), /the run is halted/],
  ['its symbol is paused', () => world.pause('BTC/USD', 'positions differ'), /the symbol is paused: positions differ/],
  ['its account is not ready', () => world.account('unknown', 'its stream is down'), /not ready: its stream is down/],
] as const)(
  'where the close cannot leave, what protects stays, and the run says so: %s',
  async (_why, hinder, said) => {
    await entered('BTC/USD', { stop_loss: '90' })
    const own = await world.place({ side: 'sell', qty: '10', order_type: 'stop', stop_price: '80' })
    await world.drain()
    await hinder()
    await toStop()
    expect(await look()).toBe('put back')
    for (const id of await commands()) await carryOut(id)
    world.clock.now += 30_000
    expect(await look()).toBe('finished')
    expect(openAtVenue()).toEqual(['sell stop 10 BTC/USD', 'sell stop 10 BTC/USD'])
    expect([venue.cancels, (await world.send(own))?.cancel_requested_at]).toEqual([[], null])
    const { cautions } = await theRun()
    expect(cautions).toContain('when it stopped it still held 10 BTC/USD')
    expect(cautions.join('\n')).toMatch(said)
    expect(cautions.join('\n')).toContain('what protects was not taken away where no order could close: BTC/USD, ')
  },
)

test('of two positions one is closed before the other’s order is placed: the run waits for both', async () => {
  await entered('BTC/USD')
  await entered('AAPL')
  await toStop()
  expect(await look()).toBe('put back')
  const [first, second] = await commands()
  await carryOut(first)
  await world.drain()
  await world.report(venue.fill(venue.book.at(-1)?.client_order_id as string, '10', '100'))
  expect(await look()).toBe('put back')
  await carryOut(second)
  await world.drain()
  await world.report(venue.fill(venue.book.at(-1)?.client_order_id as string, '10', '100'))
  expect([await look(), (await theRun()).cautions, await commands()]).toEqual(['finished', [], [first, second]])
})

test.each(['stopped', 'error'] as const)(
  'an order that was to close and was not placed is on record as refused: %s',
  async (end) => {
    await entered('BTC/USD')
    await entered('AAPL')
    await toStop()
    await look()
    const [first, second] = await commands()
    await carryOut(first)
    await world.drain()
    await world.report(venue.fill(venue.book.at(-1)?.client_order_id as string, '10', '100'))
    world.clock.now += 30_000
    if (end === 'stopped') expect(await look()).toBe('finished')
    else {
      await database.db.write(async (tx) =>
        world.jobs.record(tx, await endRun(world.jobs, tx, await theRun(), { message: 'it threw' })),
      )
    }
    await carryOut(second)
    const [refused] = (await world.events()).filter(({ type }) => type === 'orders.Rejected')
    expect(refused?.payload).toMatchObject({ reason: 'run_ended' })
    expect([(await theRun()).status, world.waiting.length]).toEqual([end, 0])
  },
)

test.each(['buy', 'sell'] as const)(
  'a run that may go short, whose stop loss fills before its close is placed, opens nothing: %s',
  async (side) => {
    world = await openOrderWorld(database.db, venue, { fill: { allow_short: true } })
    const id = await entered('AAPL', { stop_loss: side === 'buy' ? '90' : '110' }, side)
    await toStop()
    await look()
    await world.report(venue.fill(`${id}-sl0`, '10', '90'))
    for (const command of await commands()) await carryOut(command)
    await world.drain()
    expect([await look(), openAtVenue(), venue.submits.length]).toEqual(['finished', [], 2])
  },
)
