/** A keeper hears that somebody replaced orders at the venue. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { accountPositions, getAccount } from '../../../db/walle/queries/accounts.ts'
import { fillsOfOrder } from '../../../db/walle/queries/live_orders.ts'
import { getOrder } from '../../../db/walle/queries/orders.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { atVenue, aVenue, liveWith, NAME, sentOrder } from '../../../tests/support/kept_account.ts'
import { startLiveRun } from '../../../tests/support/live_run.ts'
import { until } from '../../../tests/support/until.ts'
import { recordReport } from '../orders/reports.ts'
import { createAccountKeeper, type Keeper } from './keeper.ts'

let database: TestDatabase
let keeper: Keeper

beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(async () => {
  await keeper.stop()
  await database.drop()
})

test('an order that somebody replaces while it is heard of is followed at once, whichever of the two is told of first', async () => {
  const { db } = database
  const run = await startLiveRun(db, 1, { symbols: ['BTC/USD'], initial_cash: '100000' })
  const venue = aVenue()
  const live = liveWith(venue, db)
  const limits = { tickMs: 20, standByMs: 50, settleMs: 150, reconcileMs: 600_000 }
  keeper = createAccountKeeper({ live, apply: (heard) => recordReport(live, heard), name: NAME, limits })
  keeper.start()
  await until('the account is ready', async () => (await getAccount(db.reader, NAME))?.state === 'ready')
  const orders = [await sentOrder(db, run, 0), await sentOrder(db, run, 1)] as const
  for (const order of orders) await atVenue(venue, order)
  const now = (order: OrderRow) => getOrder(db.reader, order.id)
  const seen = (order: OrderRow, exchange_order_id: string) =>
    until('it is followed', async () => (await now(order))?.exchange_order_id === exchange_order_id)
  const fills = async (order: OrderRow) =>
    (await fillsOfOrder(db.reader, order.id)).map(({ execution_id, qty, price }) => `${execution_id} ${qty}@${price}`)
  await seen(orders[0], 'x1')
  await seen(orders[1], 'x2')
  venue.fill('c0', '1', '99')
  const next = [venue.replace('c0', { qty: '4', limit_price: '98' }), venue.replace('c1', { qty: '5' }, true)] as const
  await seen(orders[0], 'x3')
  await seen(orders[1], 'x4')
  venue.fill(next[0], '4', '98')
  venue.fill(next[1], '2', '97')
  await until('both have filled', async () => (await fills(orders[1])).length === 1)
  expect(await now(orders[0])).toMatchObject({ status: 'filled', qty: '5', price: '98' })
  expect(await now(orders[1])).toMatchObject({ status: 'partial', qty: '5', price: '100' })
  expect([await fills(orders[0]), await fills(orders[1])]).toEqual([['e1 1@99', 'e2 4@98'], ['e3 2@97']])
  const positions = () => accountPositions(db.reader, NAME)
  await until('positions are compared', async () => (await positions())[0]?.runs_qty === '7')
  expect(await positions()).toMatchObject([{ venue_qty: '7', unattributed_qty: '0', paused_reason: null }])
  const found = await db.reader.query(`select from weaver.outbox where payload::text like '%foreign_order%'`)
  expect(found).toEqual([])
})
