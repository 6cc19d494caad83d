/** The kill switch on a paper run that does something at every tick: what leaves, what is cancelled, what goes on. */
import { writeFile } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { haltFilePath, readHaltFile, writeHaltFile } from '../../jobs/glados/halts/file.ts'
import type { OrderToSend } from '../../jobs/veda/venue.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const MINUTE = 60_000

/** Buys one at once, and at every tick lets one more order rest far below the market. */
const PATIENT = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'patient', version: '1', description: 'Waits for a crash.', params: z.object({}), window: () => ({ bars: 1 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    if (ctx.bar_index === 0) ctx.buy({ symbol, qty: '1', type: 'market' })
    ctx.buy({ symbol, qty: '1', type: 'limit', limit_price: '1' })
  },
})
`

let paper: PaperWorld
beforeEach(async () => {
  paper = await openPaperWorld({}, { 'patient/index.ts': PATIENT })
  return () => paper.close()
}, 60_000)

/** What is open, and how many orders the venue was ever sent. */
async function books(): Promise<{ ours: number; venue: number; sent: number; ticks: number }> {
  const [row] = await paper.query<{ ours: number; venue: number; sent: number; ticks: number }>(
    `select
       (select count(*)::int from weaver.orders where status in ('pending', 'submitted', 'accepted', 'partial')) as ours,
       (select count(*)::int from weaver.sim_orders where status in ('accepted', 'partial')) as venue,
       (select count(*)::int from weaver.sim_orders) as sent,
       (select count(*)::int from weaver.clock_ticks where done_at is not null) as ticks`,
  )
  if (!row) throw new Error('no books')
  return row
}

/** With an order of its own open at the venue. */
async function tradingRun(): Promise<string> {
  const { id } = await paper.start({ strategy_id: 'patient', symbols: ['SIM/USD'] })
  await until(
    'an open order',
    async () => {
      await paper.pass(MINUTE)
      return (await books()).venue > 0 ? true : null
    },
    60_000,
  )
  return id
}

test('halt cancels what is open at the venue and lets nothing leave until it is resumed; ticks go on', async () => {
  const id = await tradingRun()
  const { commands } = paper.weaver.control
  const pressed = await commands.halt({ rule: 'kill_switch', reason: 'a test', by: 'me' }, CORR)
  expect([pressed.already, pressed.halt.run_id, pressed.runs]).toEqual([false, null, 1])
  await paper.pass(5_000)
  const halted = await books()
  expect([halted.ours, halted.venue]).toEqual([0, 0])

  await paper.pass(4 * MINUTE)
  const later = await books()
  expect([later.venue, later.sent]).toEqual([0, halted.sent])
  expect(later.ticks).toBeGreaterThanOrEqual(halted.ticks + 3)
  expect((await paper.run(id)).status).toBe('running')
  const refused = await paper.query<{ reject_reason: string }>(
    `select distinct reject_reason from weaver.orders where reject_reason like 'halt%'`,
  )
  expect(refused).toEqual([{ reject_reason: 'halt: the system is halted' }])

  const again = await commands.halt({ rule: 'kill_switch', reason: 'once more', by: 'me' }, CORR)
  expect([again.already, again.halt.id]).toEqual([true, pressed.halt.id])
  expect((await commands.resume('me', CORR))?.id).toBe(pressed.halt.id)
  expect(await commands.resume('me', CORR)).toBeNull()
  expect(await commands.halts()).toEqual([])
  await until(
    'orders that leave again',
    async () => {
      await paper.pass(MINUTE)
      return (await books()).sent > halted.sent ? true : null
    },
    60_000,
  )
  const told = await paper.query<{ type: string }>(
    `select type from weaver.outbox where type in ('system.Halted', 'system.Resumed') order by id`,
  )
  expect(told.map(({ type }) => type)).toEqual(['system.Halted', 'system.Resumed'])
}, 180_000)

test('what was open in the account without being ours is cancelled too', async () => {
  await tradingRun()
  const venue = await paper.weaver.control.venues.get('sim', 'paper')
  const foreign: OrderToSend = {
    client_order_id: 'by-hand',
    symbol: 'SIM/USD',
    side: 'buy',
    order_type: 'limit',
    qty: '1',
    limit_price: '1',
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'gtc',
    extended_hours: false,
  }
  expect((await venue.submit(foreign)).kind).toBe('accepted')
  await paper.weaver.control.commands.halt({ rule: 'kill_switch', reason: null, by: 'me' }, CORR)
  await paper.pass(5_000)
  expect((await venue.orderByClientId('by-hand'))?.status).toBe('cancelled')
  expect((await books()).venue).toBe(0)
}, 180_000)

test('a halt file becomes a halt, also one that nobody can read, and resuming takes it away', async () => {
  const { dataDir } = paper.weaver.system.config
  const { commands } = paper.weaver.control
  await writeHaltFile(dataDir, { reason: 'Postgres was away', by: 'weaver halt', at: '2026-01-01T00:00:00.000Z' })
  const first = await until('the halt', async () => (await commands.halts())[0] ?? null, 10_000)
  expect([first.rule, first.reason, first.halted_by]).toEqual(['halt_file', 'Postgres was away', 'weaver halt'])
  await commands.resume('me', CORR)
  expect(await readHaltFile(dataDir)).toBeNull()
  await writeFile(haltFilePath(dataDir), '{"reason":')
  const second = await until('the halt', async () => (await commands.halts())[0] ?? null, 10_000)
  expect(second.reason).toContain('says nothing that can be read')
  await commands.resume('me', CORR)
}, 60_000)

test('a run that loses more than its limit is halted, says so, and trades again once resumed', async () => {
  const risk = { max_daily_loss: 0.000001 }
  const { id } = await paper.start({ strategy_id: 'patient', symbols: ['SIM/USD'], risk })
  const run = await until(
    'the limit to be broken',
    async () => {
      await paper.pass(MINUTE)
      const found = await paper.run(id)
      return found.halted ? found : null
    },
    90_000,
  )
  expect([run.status, run.halted?.rule]).toEqual(['running', 'max_daily_loss'])
  const { sent } = await books()
  await paper.pass(2 * MINUTE)
  // What waited for a crash waits no longer; nothing else leaves.
  expect(await books()).toMatchObject({ sent, venue: 0, ours: 0 })
  const { commands } = paper.weaver.control
  const [halt] = await commands.halts()
  expect([halt?.run_id, halt?.rule]).toEqual([id, 'max_daily_loss'])
  await commands.resumeRun(id, 'me', CORR)
  expect([(await paper.run(id)).halted, await commands.halts()]).toEqual([null, []])
}, 180_000)
