/** What venues say, heard and checked: against a venue whose answers are written down, with real rows. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectOwner, openDatabase } from '../../../db/client.ts'
import type { Database } from '../../../db/database.ts'
import type { PayloadOf } from '../../../db/events/registry.ts'
import { accountPositions, getAccount } from '../../../db/walle/queries/accounts.ts'
import { getOrder } from '../../../db/walle/queries/orders.ts'
import { record } from '../../../db/walle/record.ts'
import type { OrderRow, RunRow } from '../../../db/walle/rows.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { atVenue, aVenue, liveWith, NAME, sentOrder } from '../../../tests/support/kept_account.ts'
import { startLiveRun, toldBy } from '../../../tests/support/live_run.ts'
import type { ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { until } from '../../../tests/support/until.ts'
import { recordReport } from '../orders/reports.ts'
import { VenueError } from '../venue.ts'
import { createAccountKeeper, disownAccounts, type Keeper, type KeeperLimits } from './keeper.ts'

const QUICK: Partial<KeeperLimits> = {
  tickMs: 20,
  standByMs: 50,
  pollMs: 50,
  reconcileMs: 600_000,
  downMs: 300,
  settleMs: 150,
  mostMs: 3_000,
  aloneMs: 600_000,
  backoff: { firstMs: 50, mostMs: 200, refusedMostMs: 200 },
}

let database: TestDatabase
let db: Database
let run: RunRow
let keepers: Keeper[]

beforeEach(async () => {
  database = await createTestDatabase()
  db = database.db
  run = await startLiveRun(db, 1, { symbols: ['BTC/USD'], initial_cash: '100000' })
  keepers = []
})

afterEach(async () => {
  await Promise.all(keepers.map((keeper) => keeper.stop()))
  await database.drop()
})

function keep(venue: ScriptedVenue, limits: Partial<KeeperLimits> = {}, on = db): Keeper {
  const live = liveWith(venue, on)
  const keeper = createAccountKeeper({
    live,
    apply: (heard) => recordReport(live, heard),
    name: NAME,
    limits: { ...QUICK, ...limits },
  })
  keepers.push(keeper)
  keeper.start()
  return keeper
}

const account = () => getAccount(db.reader, NAME)
const ready = () => until('the account is ready', async () => (await account())?.state === 'ready')
const positionOf = async (symbol: string) =>
  (await accountPositions(db.reader, NAME)).find((row) => row.symbol === symbol) ?? null

const anSentOrder = (ordinal: number, changes: Partial<OrderRow> = {}) => sentOrder(db, run, ordinal, changes)

const fills = (order: OrderRow) =>
  db.reader.query<{ execution_id: string; qty: string; price: string }>(
    'select execution_id, qty, price from weaver.fills where order_id = $1 order by ordinal',
    [order.id],
  )

async function toldOfAccount<T extends 'account.Reconciled' | 'system.Error' | 'account.Updated'>(
  type: T,
): Promise<PayloadOf<T>[]> {
  const rows = await db.reader.query<{ payload: PayloadOf<T> }>(
    `select payload -> 'payload' as payload from weaver.outbox where type = $1 order by id`,
    [type],
  )
  return rows.map(({ payload }) => payload)
}

const findings = async () => (await toldOfAccount('account.Reconciled')).flatMap((one) => one.findings)

test('an account is unknown until the stream is acknowledged and the venue was asked', async () => {
  const venue = aVenue({ acknowledges: false })
  let asked = 0
  const { positions } = venue
  venue.positions = async () => {
    asked += 1
    return positions()
  }
  keep(venue, { downMs: 60_000 })
  await until('the keeper has the account', async () => (await account())?.keeper)
  expect((await account())?.state).toBe('unknown')
  expect(asked).toBe(0)
  await until('it listens', async () => {
    venue.streamState(true)
    return (await account())?.state === 'ready'
  })
  expect(await account()).toMatchObject({ state: 'ready', stream: 'up', cash: '100000', account_number: 'S1' })
  expect((await toldOfAccount('account.Reconciled')).map(({ cause }) => cause)[0]).toBe('start')
})

test('an order that filled, one that was cancelled and one that was rejected while Weaver was down are recovered', async () => {
  const venue = aVenue()
  const filled = await anSentOrder(0)
  const cancelled = await anSentOrder(1)
  const rejected = await anSentOrder(2)
  const expired = await anSentOrder(3)
  const replaced = await anSentOrder(4)
  for (const order of [filled, cancelled, rejected, expired, replaced]) await atVenue(venue, order)
  venue.fill('c0', '4', '99')
  venue.fill('c0', '6', '101')
  venue.fill('c1', '1', '100')
  venue.end('c1', 'cancelled')
  venue.end('c2', 'rejected', 'no such thing')
  venue.end('c3', 'expired')
  venue.replace('c4', { qty: '7' })
  keep(venue)
  await ready()
  const statusOf = async (order: OrderRow) => (await getOrder(db.reader, order.id))?.status
  expect(await Promise.all([filled, cancelled, rejected, expired, replaced].map(statusOf))).toEqual([
    'filled',
    'cancelled',
    'rejected',
    'expired',
    'accepted',
  ])
  expect(await getOrder(db.reader, replaced.id)).toMatchObject({ exchange_order_id: 'x6', qty: '7' })
  expect(await fills(filled)).toEqual([
    { execution_id: 'e1', qty: '4', price: '99' },
    { execution_id: 'e2', qty: '6', price: '101' },
  ])
  expect(await fills(cancelled)).toEqual([{ execution_id: 'e3', qty: '1', price: '100' }])
  expect(await positionOf('BTC/USD')).toMatchObject({
    venue_qty: '11',
    runs_qty: '11',
    unattributed_qty: '0',
    paused_reason: null,
  })
  const found = (await findings()).map((one) => `${one.client_order_id} ${one.class}`)
  expect(found.toSorted()).toEqual([
    ...['c0 missed_fill', 'c1 missed_fill', 'c2 order_state', 'c3 order_state', 'c4 order_state'],
  ])
})

test('an order whose answer was lost with the process is found, and nothing is sent', async () => {
  const venue = aVenue()
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  keep(venue)
  await ready()
  expect(await getOrder(db.reader, order.id)).toMatchObject({ status: 'accepted', exchange_order_id: 'x1' })
  expect((await findings()).map((found) => found.class)).toEqual(['order_found'])
  expect(venue.taken('c0')).toBe(1)
})

test('a stream that is cut in the middle of a partial fill loses nothing, and what is told twice counts once', async () => {
  const venue = aVenue()
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  keep(venue)
  await ready()
  const first = venue.fill('c0', '3', '100')
  await until('the first fill is known', async () => (await fills(order)).length === 1)
  venue.streamState(false)
  venue.pushing = false
  venue.fill('c0', '2', '101')
  const last = venue.fill('c0', '5', '102')
  venue.pushing = true
  venue.streamState(true)
  venue.push(last)
  venue.push(first)
  await until('it is filled', async () => (await getOrder(db.reader, order.id))?.status === 'filled')
  await until('it was reconciled', async () =>
    (await toldOfAccount('account.Reconciled')).some(({ cause }) => cause === 'reconnect'),
  )
  const booked = await fills(order)
  const total = booked.reduce((sum, { qty }) => sum + Number(qty), 0)
  const paid = booked.reduce((sum, { qty, price }) => sum + Number(qty) * Number(price), 0)
  expect([total, paid]).toEqual([10, 1012])
  await until('the position is compared', async () => (await positionOf('BTC/USD'))?.runs_qty === '10')
  expect(await positionOf('BTC/USD')).toMatchObject({ venue_qty: '10', unattributed_qty: '0', paused_reason: null })
})

test('a venue without a stream is polled, with the same results', async () => {
  const venue = aVenue({ features: { orderStream: false } })
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  keep(venue)
  await ready()
  expect((await account())?.stream).toBe('none')
  venue.fill('c0', '10', '100')
  await until('the fill is known', async () => (await getOrder(db.reader, order.id))?.status === 'filled')
  expect(await fills(order)).toEqual([{ execution_id: 'e1', qty: '10', price: '100' }])
  const told = (await toldBy(db, run.id)).map(({ type }) => type).filter((type) => type.startsWith('orders.'))
  expect(told).toEqual(['orders.Accepted', 'orders.Filled'])
})

test('while the stream is down for too long no order leaves, and polls keep the fills coming', async () => {
  const venue = aVenue()
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  keep(venue)
  await ready()
  venue.streamState(false, 'the line is cut')
  venue.pushing = false
  venue.fill('c0', '10', '100')
  await until('it is unknown', async () => (await account())?.state === 'unknown')
  expect((await account())?.state_reason).toBe('its stream of order updates is down: the line is cut')
  await until('the fill is known', async () => (await getOrder(db.reader, order.id))?.status === 'filled')
  venue.streamState(true)
  await ready()
})

test('a stream that cannot be had at all is stood in for by polls, and said, until it is there', async () => {
  const venue = aVenue({ acknowledges: false })
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  keep(venue, { aloneMs: 500 })
  await until('its orders are polled', async () => (await account())?.stream === 'none')
  await ready()
  expect((await account())?.state_reason).toBe('its orders are polled: it was never up')
  venue.pushing = false
  venue.fill('c0', '10', '100')
  await until('the fill is known', async () => (await getOrder(db.reader, order.id))?.status === 'filled')
  venue.streamState(true)
  await until('the stream is back', async () => (await account())?.stream === 'up')
  expect(await account()).toMatchObject({ state: 'ready', state_reason: null })
})

test('after an outage of the venue its account is looked at soon, however long that was', async () => {
  const venue = aVenue()
  let offset = 0
  const { account: told } = venue
  const live = liveWith(venue, db)
  live.now = () => Date.now() + offset
  let failures = 0
  venue.account = () => {
    failures += 1
    return Promise.reject(new VenueError('unavailable', '503'))
  }
  const keeper = createAccountKeeper({
    live,
    apply: (heard) => recordReport(live, heard),
    name: NAME,
    limits: { tickMs: 20, standByMs: 50, reconcileMs: 600_000 },
  })
  keepers.push(keeper)
  keeper.start()
  await until('pauses have doubled often', async () => {
    offset += 15_000
    return failures >= 12
  })
  venue.account = told
  offset += 15_000
  await ready()
})

test('a clock that was an hour ahead and is set right keeps no account from being looked at', async () => {
  const venue = aVenue()
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  let setBy = 3_600_000
  const live = liveWith(venue, db)
  live.now = () => Date.now() + setBy
  const limits = { ...QUICK, reconcileMs: 100 }
  const keeper = createAccountKeeper({ live, apply: (heard) => recordReport(live, heard), name: NAME, limits })
  keepers.push(keeper)
  keeper.start()
  await ready()
  setBy = 0
  venue.pushing = false
  venue.fill('c0', '10', '100')
  await until('the fill is known', async () => (await getOrder(db.reader, order.id))?.status === 'filled')
})

test('what the account held before is nobody’s; a position changed by hand pauses the symbol until a person accepts it', async () => {
  const venue = aVenue()
  venue.setPosition('AAPL', '7')
  keep(venue)
  await ready()
  expect(await positionOf('AAPL')).toMatchObject({
    venue_qty: '7',
    runs_qty: '0',
    unattributed_qty: '7',
    paused_reason: null,
  })
  venue.setPosition('AAPL', '5')
  await request()
  const paused = await until('it is paused', async () => (await positionOf('AAPL'))?.paused_reason)
  expect(paused).toBe(
    "the venue holds 5, the runs 0 and unattributed 7: no order explains -2. No new order in AAPL until it is explained, or `weaver accounts accept scripted paper AAPL` says that it is nobody's",
  )
  expect((await toldOfAccount('system.Error')).map(({ part }) => part)).toEqual(['account scripted paper'])
  expect((await account())?.state).toBe('ready')
  venue.setPosition('AAPL', '7')
  await request()
  await until('it goes on', async () => (await positionOf('AAPL'))?.paused_reason === null)
  expect((await findings()).map((found) => found.class)).toEqual(['position_mismatch', 'position_explained'])
})

async function request(): Promise<void> {
  await db.write((tx) => tx.execute(`update weaver.accounts set reconcile_requested_at = clock_timestamp();`))
}

test('twice what the books say with the cash unchanged looks like a split, and says what to do', async () => {
  const venue = aVenue()
  venue.setPosition('AAPL', '7')
  keep(venue)
  await ready()
  venue.setPosition('AAPL', '14')
  await request()
  await until('it is paused', async () => (await positionOf('AAPL'))?.paused_reason)
  const [found] = await findings()
  expect(found).toMatchObject({ class: 'split', symbol: 'AAPL' })
  expect(found?.detail).toContain('looks like a split of 2 for 1')
})

test('orders that are not Weaver’s are said, and what they fill counts as unattributed, once', async () => {
  const venue = aVenue()
  keep(venue)
  await ready()
  const foreign = venue.foreignOrder({ symbol: 'AAPL', qty: '3' })
  venue.fill(foreign.client_order_id, '2', '50')
  await until('it is counted', async () => (await positionOf('AAPL'))?.unattributed_qty === '2')
  await request()
  await until('asked again', async () =>
    (await toldOfAccount('account.Reconciled')).some(({ cause }) => cause === 'request'),
  )
  expect(await positionOf('AAPL')).toMatchObject({ venue_qty: '2', unattributed_qty: '2', paused_reason: null })
  expect((await findings()).map((found) => [found.class, found.symbol])).toContainEqual(['foreign_order', 'AAPL'])
})

test('an order that the venue acknowledged and no longer knows stays open, and is said', async () => {
  let offset = 0
  const venue = aVenue()
  const order = await anSentOrder(0, { status: 'accepted', exchange_order_id: 'x77' })
  const live = liveWith(venue, db)
  live.now = () => Date.now() + offset
  const keeper = createAccountKeeper({ live, apply: (heard) => recordReport(live, heard), name: NAME, limits: QUICK })
  keepers.push(keeper)
  keeper.start()
  await ready()
  for (let times = 2; times <= 3; times++) {
    offset += 20_000
    await request()
    await until(`asked ${times} times`, async () => venue.lookups.length >= times)
  }
  await until('it is said', async () => (await findings()).some((found) => found.class === 'order_missing'))
  expect((await getOrder(db.reader, order.id))?.status).toBe('accepted')
  expect(venue.submits).toEqual([])
})

test('refused credentials: the account says so and is looked at again until they are good', async () => {
  const venue = aVenue()
  const { account: told } = venue
  venue.account = () => Promise.reject(new VenueError('unauthorised', '401 the key is no good'))
  keep(venue)
  await until('it is refused', async () => (await account())?.state === 'refused')
  expect((await account())?.state_reason).toBe('401 the key is no good')
  venue.account = told
  await ready()
})

test('the keys of another account: no run goes on in it, and what it holds is nobody’s, until they are stopped', async () => {
  const first = keep(aVenue())
  await ready()
  await first.stop()
  const other = aVenue()
  Object.assign(other.money, { account_number: 'S2', cash: '7' })
  other.setPosition('BTC/USD', '3')
  keep(other)
  await until('it says why', async () => (await account())?.state_reason?.includes('S2') === true)
  expect(await account()).toMatchObject({
    ...{ state: 'unknown', account_number: 'S1', cash: '100000' },
    state_reason:
      'it cannot be checked: the credentials are those of the account S2, and runs trade in S1: set those of S1, or stop the runs',
  })
  expect(await positionOf('BTC/USD')).toBeNull()
  await db.write((tx) =>
    record(tx, { writes: [{ kind: 'update_run', id: run.id, changes: { status: 'stopped' } }], events: [] }),
  )
  await ready()
  expect(await account()).toMatchObject({ account_number: 'S2', cash: '7' })
})

test('of two keepers on one database one is at work; when it is gone the other goes on and nothing is lost', async () => {
  const venue = aVenue()
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  const other = await openDatabase({ url: database.url, applicationName: 'doomed', maxConnections: 3 })
  try {
    const doomed = keep(venue, {}, other)
    await ready()
    const first = (await account())?.keeper
    keep(venue)
    venue.fill('c0', '3', '100')
    await until('the fill is known', async () => (await fills(order)).length === 1)
    expect((await account())?.keeper).toBe(first)
    expect((await toldOfAccount('account.Reconciled')).filter(({ cause }) => cause === 'start').length).toBe(1)
    venue.pushing = false
    venue.fill('c0', '7', '101')
    venue.pushing = true
    await doomed.stop()
    await until('another keeps it', async () => {
      const row = await account()
      return row?.keeper !== first && row?.state === 'ready'
    })
    expect(await fills(order)).toEqual([
      { execution_id: 'e1', qty: '3', price: '100' },
      { execution_id: 'e2', qty: '7', price: '101' },
    ])
    expect((await getOrder(db.reader, order.id))?.status).toBe('filled')
  } finally {
    await Promise.all(keepers.map((keeper) => keeper.stop()))
    await other.close()
  }
})

test('an account whose keeper was killed is not ready when Weaver starts again, and one that is kept stays so', async () => {
  const venue = aVenue()
  const doomed = await openDatabase({ url: database.url, applicationName: 'doomed', maxConnections: 3 })
  const live = liveWith(venue, doomed)
  // Whoever is killed tidies nothing up.
  live.record = async (tx, outcome) => {
    if (
      outcome.writes.some((write) => write.kind === 'save_accounts' && write.rows[0]?.state === 'unknown' && tidying)
    ) {
      throw new Error('it was killed')
    }
    await record(tx, outcome)
  }
  let tidying = false
  const killed = createAccountKeeper({ live, apply: (heard) => recordReport(live, heard), name: NAME, limits: QUICK })
  keepers.push(killed)
  killed.start()
  await ready()
  await disownAccounts(liveWith(venue, db))
  expect((await account())?.state).toBe('ready')
  tidying = true
  await killed.stop()
  await doomed.close()
  expect((await account())?.state).toBe('ready')
  await disownAccounts(liveWith(venue, db))
  expect(await account()).toMatchObject({ state: 'unknown', state_reason: 'nobody keeps it yet' })
})

test('a keeper that loses its database connection takes the account up again, and what came meanwhile is there', async () => {
  const venue = aVenue()
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  keep(venue)
  await ready()
  const first = (await account())?.keeper
  const owner = await connectOwner({ url: database.url, applicationName: 'killer' })
  try {
    venue.pushing = false
    venue.fill('c0', '10', '100')
    await owner.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    )
  } finally {
    await owner.end()
  }
  await until('it is kept again', async () => {
    const row = await account().catch(() => null)
    return row !== null && row.keeper !== first && row.state === 'ready'
  })
  expect(await fills(order)).toEqual([{ execution_id: 'e1', qty: '10', price: '100' }])
  expect((await getOrder(db.reader, order.id))?.status).toBe('filled')
})

test('a stream that hears nothing of what the venue knows is opened anew', async () => {
  const venue = aVenue()
  let opened = 0
  const { stream } = venue
  venue.stream = (handlers) => {
    opened += 1
    return stream(handlers)
  }
  const order = await anSentOrder(0)
  await atVenue(venue, order)
  keep(venue, { deafMs: 0, reconcileMs: 200 })
  await ready()
  expect(opened).toBe(1)
  venue.pushing = false
  venue.fill('c0', '10', '100')
  await until('the fill is known', async () => (await getOrder(db.reader, order.id))?.status === 'filled')
  await until('the stream is another', async () => opened === 2)
  await ready()
})
