/** Exits that are refused, lost or ended at the venue: what is held is not left without them, or somebody is told. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { cancelRun } from '../../glados/halts/jobs.ts'

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
})

async function entered(qty = '10', exits: object = { stop_loss: '90' }): Promise<string> {
  const id = await world.place({ qty, ...exits })
  await world.drain()
  await world.report(venue.fill(id, qty, '100'))
  await world.drain()
  return id
}

const openAtVenue = () =>
  venue.book
    .filter(({ status }) => status === 'accepted' || status === 'partial')
    .map(({ side, order_type, qty }) => `${side} ${order_type} ${qty}`)

const alarms = async () =>
  (await world.events())
    .filter(({ type }) => type === 'system.Error')
    .map(({ payload }) => (payload as { message: string }).message)

/** Whatever would trade with an open order of the other side is refused, as Alpaca does. */
function forbidWashTrades(): void {
  const { submit } = venue
  venue.submit = async (asked) => {
    const isOpposed = venue.book.some(
      ({ status, side, symbol }) =>
        (status === 'accepted' || status === 'partial') && symbol === asked.symbol && side !== asked.side,
    )
    if (!isOpposed || asked.order_type === 'limit') return submit(asked)
    venue.submits.push(asked)
    return { kind: 'rejected', reason: 'potential wash trade detected. use complex orders' }
  }
}

test.each(['cancelled', 'rejected'] as const)(
  'a stop loss that is %s there without Weaver’s wish is placed again once, and somebody is told each time',
  async (status) => {
    const id = await entered()
    await world.report(venue.end(`${id}-sl0`, status, 'by hand'))
    await world.drain()
    expect(openAtVenue()).toEqual(['sell stop 10'])
    expect(await alarms()).toEqual([expect.stringMatching(/-sl0 .*Another takes its place$/)])
    await world.report(venue.end(`${id}-sl0r1`, status, 'by hand'))
    await world.drain()
    expect(openAtVenue()).toEqual([])
    expect((await alarms()).at(-1)).toMatch(/-sl0r1 .*No other takes its place$/)
  },
)

test('of a pair the take profit does not stay alone', async () => {
  const id = await entered('10', { stop_loss: '90', take_profit: '120' })
  await world.report(venue.end(`${id}-sl0`, 'cancelled'))
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('a stop loss that ends there after the position was closed is not missed', async () => {
  const id = await entered()
  venue.onCancel('accept_silently')
  const close = await world.place({ side: 'sell', qty: '10' })
  await world.report(venue.fill(`${id}-sl0`, '10', '90'))
  await world.drain()
  await entered('3', { stop_loss: '80' })
  expect((await world.order(close)).status).not.toBe('filled')
  expect(openAtVenue()).toEqual(['sell stop 3'])
  expect(await alarms()).toEqual([])
})

test('what a halt of the system ended stays away, whoever asked the venue for it', async () => {
  const id = await entered()
  await world.halt(null)
  await venue.cancelAll()
  await world.report({ order: venue.snapshot(`${id}-sl0`) })
  await world.drain()
  await world.resume()
  await entered('1', {})
  expect(openAtVenue()).toEqual([])
  expect(await alarms()).toEqual([])
})

test('what a halt of the system ended stays away, also where it is heard of after the resume', async () => {
  const id = await entered()
  await world.halt(null)
  await venue.cancelAll()
  await world.resume()
  const compared = (at: string) =>
    database.db.write((tx) => tx.execute('update weaver.accounts set reconciled_at = $1::timestamptz', [at]))
  await compared('2000-01-01T00:00:00Z')
  await world.report({ order: venue.snapshot(`${id}-sl0`) })
  await world.drain()
  expect([openAtVenue(), await alarms()]).toEqual([[], []])
  await compared('2100-01-01T00:00:00Z')
})

test('a refused stop loss is tried again for as long as there is something to close; somebody is told once', async () => {
  venue.onSubmit('accept', 'reject', 'reject', 'reject', 'reject', 'reject')
  const id = await entered()
  expect(await world.send(`${id}-sl0`)).toMatchObject({ refusals: 4, state: 'to_send' })
  await world.drain()
  world.clock.now += 60_000
  await world.drain()
  world.clock.now += 60_000
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
  expect(await alarms()).toEqual([
    `the exit ${id}-sl0 (stop loss, sell 10 BTC/USD) is not at the venue: insufficient buying power. It is tried again for as long as there is something to close`,
  ])
})

test('a refused stop loss ends with what it was to close', async () => {
  venue.onSubmit('accept', 'reject', 'reject', 'reject', 'reject')
  const id = await entered()
  const close = await world.place({ side: 'sell', qty: '10' })
  await world.drain()
  await world.report(venue.fill(close, '10', '101'))
  await world.drain()
  expect(world.waiting).toEqual([])
  expect((await world.order(`${id}-sl0`)).status).toBe('cancelled')
  expect(openAtVenue()).toEqual([])
})

test('a venue that is busy or away has refused nothing', async () => {
  venue.onSubmit('accept', 'rate_limited', 'unavailable', 'rate_limited', 'unavailable', 'reject')
  const id = await entered()
  expect(openAtVenue()).toEqual(['sell stop 10'])
  expect(await world.send(`${id}-sl0`)).toMatchObject({ attempts: 6, refusals: 1 })
})

test('a part of an entry whose rest still stands in the way of its stop loss is protected once that has ended', async () => {
  forbidWashTrades()
  const id = await world.place({ symbol: 'AAPL', qty: '10', order_type: 'limit', limit_price: '100', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '4', '100'))
  await world.drain()
  expect(await alarms()).toEqual([expect.stringContaining('potential wash trade detected')])
  await world.report(venue.fill(id, '6', '100'))
  const { now } = world.clock
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 4', 'sell stop 6'])
  expect(world.clock.now - now).toBeLessThan(1_000)
})

test('a stop that the price has gone through is sold at the market, and not without the venue’s word for it', async () => {
  const { submit } = venue
  venue.submit = async (asked) => {
    if (asked.order_type !== 'stop') return submit(asked)
    venue.submits.push(asked)
    return { kind: 'rejected', reason: 'stop price must be less than current price', passed: true }
  }
  const id = await entered()
  expect(venue.submits.map(({ order_type, stop_price }) => [order_type, stop_price])).toEqual([
    ['market', null],
    ['stop', '90'],
    ['market', null],
  ])
  await world.report(venue.fill(`${id}-sl0`, '10', '85'))
  expect(await world.order(`${id}-sl0`)).toMatchObject({ status: 'filled', order_type: 'stop' })
  expect(await alarms()).toEqual([])
})

test('an exit waits for credentials that are gone, and is not given up', async () => {
  venue.onSubmit('accept', 'unauthorised')
  const id = await world.place({ qty: '10', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  const exit = world.waiting.shift()
  if (exit === undefined) throw new Error('there is no exit to send')
  expect(await world.step(exit)).toBeGreaterThan(0)
  expect(await world.step(exit)).toBeGreaterThan(0)
  expect((await world.order(`${id}-sl0`)).status).toBe('submitted')
  await world.account('ready')
  world.waiting.push(exit)
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('a stop loss is lost on its way while its run is halted: it is sent again', async () => {
  venue.onSubmit('accept', 'lose_then_unclear')
  const id = await world.place({ qty: '10', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  const exit = world.waiting.shift()
  if (exit === undefined) throw new Error('there is no exit to send')
  await world.step(exit)
  await world.halt(world.run.id)
  world.waiting.push(exit)
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('a stop loss is lost on its way while everything is halted: somebody is told', async () => {
  venue.onSubmit('accept', 'lose_then_unclear')
  const id = await world.place({ qty: '10', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  const exit = world.waiting.shift()
  if (exit === undefined) throw new Error('there is no exit to send')
  await world.step(exit)
  await world.halt(null)
  world.waiting.push(exit)
  await world.drain()
  expect(openAtVenue()).toEqual([])
  expect(await alarms()).toEqual([expect.stringContaining('it never reached the venue')])
})

test('an entry that fills after its run was halted is protected', async () => {
  const id = await world.place({ qty: '10', stop_loss: '90' })
  await world.drain()
  await world.halt(world.run.id)
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
})

test('a run is halted while its stop loss makes room for a market order: it comes back', async () => {
  await entered()
  await world.place({ side: 'sell', qty: '10' })
  const submit = world.waiting[0]
  if (submit === undefined) throw new Error('there is no order to send')
  await world.step(submit)
  await world.halt(world.run.id)
  const job = {
    signal: new AbortController().signal,
    finish: async () => {},
    putBack: async (): Promise<never> => {
      throw new Error('it is put back')
    },
  }
  await cancelRun(world.jobs, { run_id: world.run.id }, job)
  await world.drain()
  expect(openAtVenue()).toEqual(['sell stop 10'])
  expect(venue.submits.map(({ order_type }) => order_type)).toEqual(['market', 'stop', 'stop'])
})
