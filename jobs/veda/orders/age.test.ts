/** What an order was decided on grows old: after an outage nothing is bought by the bars from before it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { append } from '../../../db/events/append.ts'
import type { NewEvent } from '../../../db/events/envelope.ts'
import { venueEventId } from '../../../db/events/ids.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { emitTick } from '../../../tests/support/live_run.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { latestEmission } from '../../glados/boundaries.ts'
import { furtherPart, tickDecision } from '../../live/decisions.ts'
import { newLiveCheckpoint } from '../../live/ticks.ts'
import { SEND_WITHIN_MS } from './hindrances.ts'
import { placeOrder } from './placing.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const PATIENCE_MS = SEND_WITHIN_MS + latestEmission('1m')

/** The order that the strategy decides on at its tick, or between two, when it hears of another order's news. */
async function decide(world: OrderWorld, tickAgo: number, newsAgo: number | null = null): Promise<string> {
  const { db } = database
  const { run, clock } = world
  const ts = clock.now - tickAgo
  const tick = await emitTick(db, run, 0, { at: ts })
  const intent = world.intent()
  const asked = { intents: [intent], skips: [], logs: [] }
  const checkpoint = newLiveCheckpoint()
  checkpoint.tick = {
    ...{ bar_index: 0, ts, corr_id: tick.id, stage: 'place', next_event: 10 },
    ...{ asked, told: 0, parts: 0, pending: [] },
  }
  const news = {
    ...{ id: venueEventId(run.id, 'another', 'submitted'), type: 'orders.Submitted', run_id: run.id, corr_id: tick.id },
    ...{ causation_id: null, ts: new Date(clock.now - (newsAgo ?? 0)).toISOString(), producer: 'veda' },
    payload: { order_id: run.id, client_order_id: 'another' },
  } as NewEvent
  const told =
    newsAgo === null
      ? tickDecision(run, checkpoint, { due: true, cause: tick.id })
      : furtherPart(run, checkpoint, asked, news.id)
  const events = [...(newsAgo === null ? [] : [news]), ...told.events]
  await db.write((tx) => append(tx, events, { route: false }))
  const payload = { run_id: run.id, event_id: events.at(-1)?.id as string }
  const putBack = async (): Promise<never> => {
    throw new Error('put back')
  }
  await placeOrder(world.jobs, payload, { signal: new AbortController().signal, finish: async () => {}, putBack })
  return intent.client_order_id
}

test.each<[string, number, number | null, string | null]>([
  ['at a tick just now', 1_000, null, null],
  ['at a tick that was as late as may be', PATIENCE_MS, null, null],
  ['at a tick before an outage', PATIENCE_MS + 1_000, null, 'too_late: it was decided on what was known 307 s ago'],
  ['on news of just now, long after its tick', 3_000_000, 1_000, null],
  [
    'on news from before an outage',
    3_000_000,
    PATIENCE_MS + 1_000,
    'too_late: it was decided on what was known 307 s ago',
  ],
])('an order that was decided %s', async (_, tickAgo, newsAgo, reason) => {
  const world = await openOrderWorld(database.db, createScriptedVenue())
  const id = await decide(world, tickAgo, newsAgo)
  await world.drain()
  const { status, reject_reason } = await world.order(id)
  expect([status, reject_reason]).toEqual([reason === null ? 'accepted' : 'rejected', reason])
  expect(world.venue?.submits).toHaveLength(reason === null ? 1 : 0)
})
