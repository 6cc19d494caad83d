/** What was sold by hand of a run's position is not sold again by its exits. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRecorder, record } from '../../../db/walle/record.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { createAccountCommands } from '../../glados/account_commands.ts'
import { wallClock } from '../../glados/clock.ts'
import { fitExits } from './fit_exits.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

test('a stop loss is made as small as what is left, once, and goes when nothing is', async () => {
  const venue = createScriptedVenue()
  const world = await openOrderWorld(database.db, venue)
  const id = await world.place({ symbol: 'AAPL', qty: '10', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  const name = { exchange: 'scripted', mode: 'paper' } as const
  const row = { ...name, symbol: 'AAPL', venue_qty: '10', runs_qty: '10', unattributed_qty: '0', fee_adjustment: '0' }
  const rows = [{ ...row, equal_at: null, paused_reason: null, paused_class: null }]
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_account_positions', rows }], events: [] }))
  const { attributePosition } = createAccountCommands({ recorder: createRecorder(database.db), ...wallClock })
  const run_id = world.run.id
  const attribute = async (qty: string) => {
    await attributePosition(name, { symbol: 'AAPL', run_id, qty }, { corrId: randomUUID() })
    const told = (await world.events()).findLast(({ type }) => type === 'account.PositionAttributed')
    const event = { run_id, event_id: told?.id as string }
    for (let times = 0; times < 2; times++) await fitExits(world.jobs, event, { finish: async () => {} })
    await world.drain()
    for (const { client_order_id, status } of venue.book.filter((one) => one.status === 'cancelled')) {
      if ((await world.order(client_order_id)).status !== status) {
        await world.report({ order: venue.snapshot(client_order_id), execution: null })
      }
    }
    await world.drain()
    return venue.book.filter(({ status }) => status === 'accepted').map(({ side, qty: left }) => `${side} ${left}`)
  }
  const [waits, small] = [
    await world.place({ symbol: 'AAPL', side: 'sell', order_type: 'limit', limit_price: '120', qty: '5' }),
    await world.place({ symbol: 'AAPL', side: 'sell', order_type: 'limit', limit_price: '130', qty: '1' }),
  ]
  expect(await attribute('-6')).toContain('sell 1')
  expect([(await world.order(waits)).status, (await world.order(small)).status]).toEqual(['cancelled', 'accepted'])
  expect(venue.submits.some(({ client_order_id }) => client_order_id === waits)).toBe(false)
  expect(await attribute('-4')).toEqual([])
})
