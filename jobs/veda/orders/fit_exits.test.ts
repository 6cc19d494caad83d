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

const NAME = { exchange: 'scripted', mode: 'paper' } as const

async function heldByRun(): Promise<void> {
  const row = { ...NAME, symbol: 'AAPL', venue_qty: '10', runs_qty: '10', unattributed_qty: '0', fee_adjustment: '0' }
  const rows = [{ ...row, equal_at: '2100-01-01T00:00:00.000Z', paused_reason: null, paused_class: null }]
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_account_positions', rows }], events: [] }))
}

test('a stop loss is made as small as what is left, once, and goes when nothing is', async () => {
  const venue = createScriptedVenue()
  const world = await openOrderWorld(database.db, venue)
  const id = await world.place({ symbol: 'AAPL', qty: '10', stop_loss: '90' })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  await heldByRun()
  const { attributePosition } = createAccountCommands({ recorder: createRecorder(database.db), ...wallClock })
  const run_id = world.run.id
  const attribute = async (qty: string) => {
    await attributePosition(NAME, { symbol: 'AAPL', run_id, qty }, { corrId: randomUUID() })
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

test.each([
  ['of a run that goes on', 'running', false],
  ['of a run that has ended', 'stopped', false],
  ['of a run that has ended, placed again after the venue had cancelled it', 'stopped', true],
] as const)(
  'a stop loss and nothing else, %s, goes when all of the position is taken',
  async (_what, status, isLost) => {
    const venue = createScriptedVenue()
    const world = await openOrderWorld(database.db, venue)
    const id = await world.place({ symbol: 'AAPL', qty: '10', stop_loss: '90' })
    await world.drain()
    await world.report(venue.fill(id, '10', '100'))
    await world.drain()
    await heldByRun()
    const run_id = world.run.id
    const changes = status === 'stopped' ? { status, stopped_at: new Date().toISOString() } : { status }
    await database.db.write((tx) => record(tx, { writes: [{ kind: 'update_run', id: run_id, changes }], events: [] }))
    if (isLost) {
      venue.end(`${id}-sl0`, 'cancelled')
      await world.report({ order: venue.snapshot(`${id}-sl0`), execution: null }, 'poll')
      await world.drain()
    }
    const { attributePosition } = createAccountCommands({ recorder: createRecorder(database.db), ...wallClock })
    await attributePosition(NAME, { symbol: 'AAPL', run_id, qty: '-10' }, { corrId: randomUUID() })
    const told = (await world.events()).findLast(({ type }) => type === 'account.PositionAttributed')
    await fitExits(world.jobs, { run_id, event_id: told?.id as string }, { finish: async () => {} })
    await world.drain()
    expect(venue.book.filter(({ status: now }) => now === 'accepted')).toEqual([])
  },
)
