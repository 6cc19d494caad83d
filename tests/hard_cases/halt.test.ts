/**
 * The kill switch on an account with real money, as far as an emulator has that: whatever is under way when it is pressed, each
 * case counts the orders that arrived at the venue and tells how they end there and on record.
 */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { Secret } from '../../db/secrets.ts'
import { haltCommand } from '../../jobs/cli/halt.ts'
import { readHaltFile } from '../../jobs/glados/halts/file.ts'
import { isOpen } from '../support/alpaca/book.ts'
import { openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const ORDERS = '/v2/orders'
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const RESTING = { type: 'limit', limit_price: '50' } as const
const all = process.env.WEAVER_ALL_FAULTS !== undefined

let at: WeaverAtAlpaca
let posted: number
beforeAll(async () => {
  at = await openWeaverAtAlpaca('live')
  posted = 0
})
afterEach(async () => {
  at.emulator.control.restoreKeys()
  await commands().resume('a test', CORR)
  await at.reset()
  posted = at.emulator.count('POST', ORDERS)
})
afterAll(() => at.close())

const commands = () => at.paper.weaver.control.commands
const press = () => commands().halt({ rule: 'kill_switch', reason: 'a test', by: 'me' }, CORR)
const posts = () => at.emulator.count('POST', ORDERS) - posted
/** A limit order's: nothing of it is filled. */
const openAtVenue = () => at.emulator.control.book.orders.filter(isOpen).length
const become = (wanted: string) =>
  at.until(`the order to be ${wanted}`, async () => (await at.orders())[0]?.status === wanted)
const ended = async () => {
  const { status, sent } = await at.outcome()
  return { status, sent, open: openAtVenue() }
}
const errors = async () => {
  const rows = await at.paper.query<{ message: string }>(
    `select payload #>> '{payload,message}' as message from weaver.outbox where type = 'system.Error' order by id`,
  )
  return rows.map(({ message }) => message)
}

test('pressed before an order is sent: it never is', async () => {
  await commands().pauseJobs('veda.submit_order')
  await at.trade(RESTING)
  await at.until('the order', async () => (await at.orders())[0]?.status === 'pending')
  await press()
  // It is asked to be cancelled, and ends before it was sent.
  await at.paper.pass(1_000)
  await commands().resumeJobs('veda.submit_order')
  await become('cancelled')
  expect(await ended()).toEqual({ status: 'cancelled', sent: [0, 0], open: 0 })
})

/** `WEAVER_ALL_FAULTS=1` tries all of them. */
const MOMENTS = [
  ['before it arrives', 'arrives', null, { sent: [1, 1], status: 'cancelled' }],
  ['and its answer is lost', 'arrives', 'accept_then_504', { sent: [1, 1], status: 'cancelled' }],
  ['before its answer', 'answers', null, { sent: [1, 1], status: 'cancelled' }],
  ['and it never arrives', 'arrives', '504', { sent: [1, 0], status: 'cancelled' }],
] as const

test.each(all ? MOMENTS : MOMENTS.slice(0, 2))(
  'pressed while an order is on its way, %s: not sent again, and gone',
  async (_what, moment, fault, end) => {
    const { faults } = at.emulator.control
    const released = Promise.withResolvers<void>()
    faults.delay('POST', ORDERS, { [moment]: released.promise })
    if (fault !== null) faults.next('POST', ORDERS, fault)
    await at.trade(RESTING)
    // Nobody waits for its job, which waits for the venue.
    await until('the order to leave', async () => {
      if (posts() === 0) await at.paper.leap(500)
      return posts() === 1
    })
    await press()
    released.resolve()
    await become(end.status)
    await at.paper.pass(30_000)
    expect(await ended()).toEqual({ ...end, open: 0 })
  },
)

test('pressed twice, resumed twice: one halt, and nothing leaves before the venue was asked', async () => {
  await at.resting(RESTING)
  const pressed = await Promise.all([press(), press()])
  expect(pressed.map(({ already }) => already).sort()).toEqual([false, true])
  await become('cancelled')
  expect(await ended()).toEqual({ status: 'cancelled', sent: [1, 1], open: 0 })
  // The venue does not answer: the account cannot be found out.
  const asked = Promise.withResolvers<void>()
  at.emulator.control.faults.delay('GET', '/v2/account', { answers: asked.promise })
  const resumed = await Promise.all([commands().resume('me', CORR), commands().resume('me', CORR)])
  expect(resumed.filter((one) => one !== null)).toHaveLength(1)
  expect(await at.account()).toEqual({ state: 'unknown', state_reason: 'it was halted: its venue is asked first' })
  await at.trade(RESTING)
  await at.until('the order', async () => (await at.orders())[0]?.status === 'pending')
  await at.paper.pass(10_000)
  expect(posts()).toBe(1)
  asked.resolve()
  await at.until('the order to be accepted', async () => (await at.order()).status === 'accepted')
  expect(posts()).toBe(2)
  const told = await at.paper.query<{ type: string }>(
    `select type from weaver.outbox where type like 'system.%ed' and run_id is null order by id desc limit 2`,
  )
  expect(told.map(({ type }) => type)).toEqual(['system.Resumed', 'system.Halted'])
})

test('keys that are revoked after the press: it is said, tried again, and done once they are good', async () => {
  await at.resting(RESTING)
  at.emulator.control.revokeKeys()
  await press()
  await at.paper.pass(20_000)
  expect(await errors()).toContainEqual(
    expect.stringMatching(/^halted, but alpaca live: cancels cannot be sent: .*It is tried again until the halt ends$/),
  )
  expect(openAtVenue()).toBe(1)
  at.emulator.control.restoreKeys()
  await become('cancelled')
  expect(await ended()).toEqual({ status: 'cancelled', sent: [1, 1], open: 0 })
})

test('Postgres is away when it is pressed: the venue is told directly, the file halts, and ends only when resumed', async () => {
  await at.resting(RESTING)
  const { config, log } = at.paper.weaver.system
  const printed: string[] = []
  const say = (text: string) => void printed.push(text)
  const away = { ...config, databaseUrl: new Secret('postgres://weaver:weaver@127.0.0.1:1/none') }
  const options = { drill: false, exchange: 'sim', anyway: false, reason: 'away' }
  expect(await haltCommand({ config: away, log, print: say, note: say }, options)).toBe(0)
  expect(printed.at(-1)).toBe('alpaca live: asked to cancel 1 open orders')
  expect([openAtVenue(), (await readHaltFile(config.dataDir))?.reason]).toEqual([0, 'away'])
  // Whoever runs on that directory makes a halt of it, by itself.
  const halt = await at.until('the halt', async () => (await commands().halts())[0])
  expect([halt.rule, halt.reason, halt.halted_by]).toEqual(['halt_file', 'away', 'weaver halt'])
  await become('cancelled')
  await at.trade(RESTING)
  await become('rejected')
  expect(posts()).toBe(1)
  await commands().resume('me', CORR)
  expect([await readHaltFile(config.dataDir), await commands().halts()]).toEqual([null, []])
})

test('a run that is to close its positions while all is halted stops with them, and sends nothing', async () => {
  at.emulator.control.autoFill(true)
  const run = await at.trade()
  await at.until('the fill', async () => (await at.orders())[0]?.status === 'filled')
  await press()
  await commands().stopRun(run.id, { cancel_orders: true, close_positions: true }, CORR)
  await at.until('the run to stop', async () => (await at.paper.run(run.id)).status === 'stopped')
  expect((await at.paper.run(run.id)).cautions).toContain('when it stopped it still held 9.975 BTC/USD')
  expect(posts()).toBe(1)
})

test('a run that breaks its daily loss is halted: its stop loss stays at the venue, and does its work', async () => {
  const { control } = at.emulator
  let close = 100
  control.market.serve('ETH/USD', '1Min', 60_000, (t) => ({ t, o: close, h: close, l: close, c: close, v: 10, n: 2 }))
  control.autoFill(true)
  const run = await at.paper.start({
    ...{ strategy_id: 'asks', mode: 'live', exchange: 'alpaca', symbols: ['ETH/USD'], config: { stop_loss: '80' } },
    risk: { max_order_notional: 1_000_000, max_daily_loss: 50 },
  })
  const statuses = async () => (await at.orders(run.id)).map(({ status }) => status)
  await at.until('entry and stop loss', async () => `${await statuses()}` === 'filled,accepted')
  control.setPrice('ETH/USD', '90')
  close = 90
  await at.until('the halt', async () => (await at.paper.run(run.id)).halted)
  expect((await at.paper.run(run.id)).halted?.rule).toBe('max_daily_loss')
  await at.paper.pass(60_000)
  expect(await statuses()).toEqual(['filled', 'accepted'])
  expect(posts()).toBe(2)
  const [, stop] = await at.orders(run.id)
  control.fill(stop?.client_order_id as string, '9.975', '79')
  await at.until('the stop loss to fill', async () => `${await statuses()}` === 'filled,filled')
  control.setPrice('ETH/USD', '100')
  await at.paper.stop(run.id)
})

test.runIf(all)(
  'WEAVER_ALL_FAULTS: a venue that answers cancels with 503 and 429 is asked until it has done it',
  async () => {
    await at.resting(RESTING)
    const { faults } = at.emulator.control
    faults.next('DELETE', ORDERS, '503_html', '429', '504')
    faults.next('DELETE', /^\/v2\/orders\//, '503_html', '504')
    await press()
    await become('cancelled')
    expect(await ended()).toEqual({ status: 'cancelled', sent: [1, 1], open: 0 })
  },
)

test.runIf(all)('WEAVER_ALL_FAULTS: cancels that the venue takes and does not carry out are told of', async () => {
  await at.resting(RESTING)
  const { control } = at.emulator
  control.keepCancels(true)
  await press()
  await at.paper.pass(60_000)
  expect(await errors()).toContainEqual(
    expect.stringMatching(/^halted, but alpaca live: 1 orders are still open there/),
  )
  control.finishCancel((await at.order()).client_order_id)
  control.keepCancels(false)
  await become('cancelled')
  expect(await ended()).toEqual({ status: 'cancelled', sent: [1, 1], open: 0 })
})
