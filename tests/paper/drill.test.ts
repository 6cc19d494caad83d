/** `weaver halt --drill` beside a Weaver that is at work, in real time. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CliContext } from '../../jobs/cli/context.ts'
import { haltCommand } from '../../jobs/cli/halt.ts'
import { readHaltFile } from '../../jobs/glados/halts/file.ts'
import type { OrderToSend } from '../../jobs/veda/venue.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'
import { until } from '../support/until.ts'

let weaver: InProcess
let printed: string[] = []
const drill = { drill: true, exchange: 'sim', anyway: false }
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }

beforeAll(async () => {
  weaver = await openInProcess()
}, 60_000)
afterAll(() => weaver.close())

function context(): CliContext {
  printed = []
  const say = (text: string) => void printed.push(text)
  return { config: weaver.system.config, log: weaver.system.log, print: say, note: say }
}

const query = <Row>(text: string) => weaver.system.db.reader.query<Row & Record<string, unknown>>(text)

test('a drill shows each step with its time, leaves nothing halted, and is in the log', async () => {
  expect(await haltCommand(context(), drill), printed.join('\n')).toBe(0)
  const steps = printed.filter((line) => line.startsWith('✓')).map((line) => line.replace(/ \(\d+ ms\)$/, ''))
  expect(steps).toEqual([
    '✓ the sim paper account is ready',
    '✓ the run of the drill is ready',
    '✓ an order rests at the venue',
    '✓ halted, and the last open order is cancelled at the venue and on record',
    '✓ from the press to the last cancel confirmed',
    '✓ an order asked for is refused, by reason of the halt',
    '✓ the venue has still got 1 order(s), and does not know that one',
    '✓ the halt is there for another process',
    '✓ resumed: the account was asked, and orders may leave',
    '✓ the halt file alone halts',
    '✓ an order asked for meanwhile ends without being sent',
    '✓ the venue has still got 1 order(s), and does not know that one',
    '✓ resumed: the file is gone, and orders may leave',
    '✓ the run of the drill is stopped',
  ])
  const told = await query<{ type: string; payload: { rule?: string; reason?: string; by: string } }>(
    `select type, payload -> 'payload' as payload from weaver.outbox
     where type in ('system.Halted', 'system.Resumed') order by id`,
  )
  const by = 'weaver halt --drill'
  expect(told.map(({ type, payload }) => ({ type, ...payload }))).toEqual([
    { type: 'system.Halted', rule: 'drill', reason: 'drill', by },
    { type: 'system.Resumed', by },
    { type: 'system.Halted', rule: 'drill', reason: 'drill', by },
    { type: 'system.Resumed', by },
  ])
  // The last one was on record when the halt came, or was not.
  const orders = await query<{ status: string }>(
    'select status, submitted_at is null as unsent from weaver.orders order by ordinal',
  )
  expect(orders).toEqual([
    { status: 'cancelled', unsent: false },
    { status: 'rejected', unsent: true },
    { status: expect.stringMatching(/^(rejected|cancelled)$/), unsent: true },
  ])
  expect(await query('select status from weaver.sim_orders')).toEqual([{ status: 'cancelled' }])
  expect(await readHaltFile(weaver.system.config.dataDir)).toBeNull()
}, 90_000)

test('a drill halts nothing where orders lie open, or where it is halted already', async () => {
  const venue = await weaver.control.venues.get('sim', 'paper')
  const foreign: OrderToSend = {
    ...{ client_order_id: 'by-hand', symbol: 'SIM/USD', side: 'buy', order_type: 'limit', qty: '1', limit_price: '1' },
    ...{ stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc', extended_hours: false },
  }
  expect((await venue.submit(foreign)).kind).toBe('accepted')
  await expect(haltCommand(context(), drill)).rejects.toThrow(
    '1 order(s) lie open at sim paper, and would be cancelled: cancel them, or give --anyway',
  )
  expect((await venue.orderByClientId('by-hand'))?.status).toBe('accepted')
  const { commands } = weaver.control
  await commands.halt({ rule: 'kill_switch', reason: null, by: 'me' }, CORR)
  await expect(haltCommand(context(), drill)).rejects.toThrow(/^it is halted already, since .*: weaver resume first$/)
  await commands.resume('me', CORR)
}, 60_000)

test('weaver halt waits until nothing is open, weaver resume until the venue was asked', async () => {
  const venue = await weaver.control.venues.get('sim', 'paper')
  expect(await haltCommand(context(), { ...drill, drill: false, reason: 'enough' })).toBe(0)
  expect(printed).toEqual([
    'Halted: no order leaves but cancels. weaver resume ends the halt.',
    'No order of Weaver is open at any venue.',
  ])
  await until('the account to be cleared', async () => (await venue.orders({ open: true })).length === 0)
  expect(await readHaltFile(weaver.system.config.dataDir)).toBeNull()
  const [before] = await query<{ reconciled_at: string }>('select reconciled_at from weaver.accounts')
  await weaver.control.commands.resume('me', CORR)
  await until('the account to be ready', async () => {
    const [now] = await query<{ state: string; reconciled_at: string }>(
      'select state, reconciled_at from weaver.accounts',
    )
    return now?.state === 'ready' && now.reconciled_at > (before?.reconciled_at ?? '')
  })
}, 60_000)
