/**
 * Each transaction on an order's way, from the strategy's wish to the last fill, loses its COMMIT or the answer to it, one
 * after the other: whichever it was, the venue takes every order once, and everything is booked once.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase } from '../../db/client.ts'
import type { Database } from '../../db/database.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type OrderWorld, openOrderWorld } from '../support/order_world.ts'
import { type CommitFate, type PgProxy, startPgProxy } from '../support/pg_proxy.ts'
import { createScriptedVenue, type ScriptedVenue } from '../support/scripted_venue.ts'

let database: TestDatabase
let proxy: PgProxy
let proxied: Database

beforeAll(async () => {
  database = await createTestDatabase()
  const target = new URL(database.url)
  proxy = await startPgProxy({ host: target.hostname, port: Number(target.port) })
  target.port = String(proxy.port)
  proxied = await openDatabase({ url: target.href, applicationName: 'weaver test', maxConnections: 4 })
})
afterAll(async () => {
  proxy.onCommit = () => 'pass'
  await proxied.close()
  await proxy.close()
  await database.drop()
})

/** An entry with a stop loss, then a close. */
async function live(world: OrderWorld, venue: ScriptedVenue): Promise<string[]> {
  const entry = await world.place({ qty: '2', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(entry, '2', '100.5'))
  await world.drain()
  const close = await world.place({ side: 'sell', qty: '2' })
  await world.drain()
  await world.report(venue.fill(close, '2', '110'))
  await world.drain()
  return [entry, close]
}

async function play(fate: (commit: number) => CommitFate) {
  const venue = createScriptedVenue()
  const world = await openOrderWorld(database.db, venue, {}, proxied)
  let commits = 0
  proxy.onCommit = () => fate(commits++)
  const [entry, close] = (await live(world, venue)) as [string, string]
  proxy.onCommit = () => 'pass'
  const events = await world.events()
  const [ledger] = await database.db.reader.query<{ cash: string; next_order: number; next_fill: number }>(
    'select cash, next_order, next_fill from weaver.run_ledgers where run_id = $1',
    [world.run.id],
  )
  const statuses = await database.db.reader.query<{ status: string }>(
    'select status from weaver.orders where run_id = $1 order by ordinal',
    [world.run.id],
  )
  return {
    commits,
    events: events.map(({ id }) => id),
    seen: {
      ledger,
      types: events
        .map(({ type }) => type)
        .filter((type) => type.startsWith('orders.'))
        .sort(),
      statuses: statuses.map(({ status }) => status),
      taken: venue.book.map(({ client_order_id }) => venue.taken(client_order_id)),
      fills: [await world.fills(entry), await world.fills(close)].map((fills) =>
        fills.map(({ qty, price }) => [qty, price]),
      ),
    },
  }
}

test.each(['lose_answer', 'lose_commit'] as const)('%s of every transaction in turn', async (fate) => {
  const whole = await play(() => 'pass')
  expect(whole.seen).toMatchObject({
    ledger: { cash: '100019', next_order: 3, next_fill: 2 },
    statuses: ['filled', 'cancelled', 'filled'],
    taken: [1, 1, 1],
  })
  // A lost COMMIT is a rollback like any other: every second one will do.
  for (let lost = 0; lost < whole.commits; lost += fate === 'lose_commit' ? 2 : 1) {
    const { seen, events } = await play((commit) => (commit === lost ? fate : 'pass'))
    expect({ lost, ...seen }).toEqual({ lost, ...whole.seen })
    expect(new Set(events).size).toBe(events.length)
  }
})
