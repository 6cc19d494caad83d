/** What the venue does of itself, with the stream in whatever state: Weaver comes to the venue's truth. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type Outcome, openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let at: WeaverAtAlpaca
beforeAll(async () => {
  at = await openWeaverAtAlpaca()
})
afterEach(() => at.reset())
afterAll(() => at.close())

const sum = (fills: readonly string[]) => fills.reduce((total, fill) => total + Number(fill.split('@')[0]), 0)
/** Filled by whatever fills, each part of it once. */
function expectFilled({ fills, events, ...outcome }: Outcome) {
  expect(outcome).toEqual({ status: 'filled', filled: '10', held: ['9.975', '9.975'], sent: [1, 1], paused: [] })
  expect(sum(fills)).toBe(10)
  expect(events.slice(0, 3)).toEqual(['Created', 'Submitted', 'Accepted'])
  expect(events.filter((type) => type === 'Filled')).toHaveLength(1)
}

test('updates that come twice, late and in the wrong order tell of each fill once', async () => {
  const id = await at.resting()
  const { control } = at.emulator
  control.updates.hold()
  control.fill(id, '3', '99')
  control.fill(id, '3', '98')
  control.fill(id, '4', '97')
  control.updates.release('reversed')
  control.updates.replay(1)
  control.updates.replay(2)
  await at.ends('filled')
  expectFilled(await at.outcome())
  expect((await at.order()).filled_avg_price).toBe('97.9')
})

test('updates that are missing are found by comparing', async () => {
  const id = await at.resting()
  at.emulator.control.updates.drop(2)
  at.emulator.control.fill(id, '4', '99')
  at.emulator.control.fill(id, '6', '98')
  await at.ends('filled')
  expectFilled(await at.outcome())
  expect(await at.findings()).toContain('missed_fill')
})

test('a stream that is cut in the middle of a partial fill loses none of it', async () => {
  const id = await at.resting()
  const { control } = at.emulator
  control.fill(id, '4', '99')
  control.streams.cut()
  control.fill(id, '6', '98')
  await at.ends('filled')
  expectFilled(await at.outcome())
  expect((await at.order()).filled_avg_price).toBe('98.4')
})

test('fills that the stream and the activities call by different names are booked once', async () => {
  at.emulator.control.book.strangeActivityIds = true
  const id = await at.resting()
  at.emulator.control.fill(id, '4', '99')
  at.emulator.control.fill(id, '6', '98')
  await at.ends('filled')
  expectFilled(await at.outcome())
})

test('a coin’s fee that is less than was booked is counted as such, nothing is paused, and all of it can be sold', async () => {
  const id = await at.resting({ type: 'limit', limit_price: '90', close_after: 3 })
  await at.paper.pass(2_000)
  // The venue takes a maker's fee, and Weaver, which cannot be sure, booked a taker's.
  at.emulator.control.fill(id, '10', '90')
  await at.until('the fee to be compared', async () => (await at.findings()).includes('fee_adjustment'))
  at.emulator.control.autoFill(true)
  await at.until('both orders to be filled', async () => {
    const orders = await at.orders()
    return orders.length === 2 && orders.every(({ status }) => status === 'filled')
  })
  await at.settle()
  expect((await at.orders()).map(({ filled_qty }) => filled_qty)).toEqual(['10', '9.975'])
  const left = await at.paper.query(
    `select trim_scale(runs_qty)::text as runs, trim_scale(fee_adjustment)::text as fees, paused_reason from weaver.account_positions
    where symbol = 'BTC/USD' and exchange = 'alpaca'`,
  )
  expect(left).toEqual([expect.objectContaining({ fees: '0.01', paused_reason: null })])
  expect(await at.findings()).toEqual(['fee_adjustment'])
})

test('rejected by the venue after it was accepted', async () => {
  at.emulator.control.reject(await at.resting())
  await at.ends('rejected')
  expect(await at.outcome()).toEqual({
    ...{ status: 'rejected', filled: '0', fills: [], held: ['0', '0'], sent: [1, 1], paused: [] },
    events: ['Created', 'Submitted', 'Accepted', 'Rejected'],
  })
})

test('cancelled at the venue, by somebody else, after a part was filled', async () => {
  const id = await at.resting()
  at.emulator.control.fill(id, '4', '99')
  at.emulator.control.cancelAtVenue(id)
  await at.ends('cancelled')
  expect(await at.outcome()).toEqual({
    ...{ status: 'cancelled', filled: '4', fills: ['4@99'], held: ['3.99', '3.99'], sent: [1, 1], paused: [] },
    events: ['Created', 'Submitted', 'Accepted', 'PartiallyFilled', 'Cancelled'],
  })
})

test('expired at the venue', async () => {
  at.emulator.control.expire(await at.resting())
  await at.ends('expired')
  expect(await at.outcome()).toEqual({
    ...{ status: 'expired', filled: '0', fills: [], held: ['0', '0'], sent: [1, 1], paused: [] },
    events: ['Created', 'Submitted', 'Accepted', 'Expired'],
  })
})

test('replaced at the venue, by somebody else: Weaver’s order has ended, and what the other fills is nobody’s', async () => {
  const id = await at.resting()
  const other = at.emulator.control.replace(id, { qty: '8' })
  await at.reach('cancelled')
  await at.until('the other to be seen', async () => (await at.findings()).includes('foreign_order'))
  at.emulator.control.fill(other, '8', '99')
  await at.settle()
  expect(await at.outcome()).toEqual({
    ...{ status: 'cancelled', filled: '0', fills: [], held: ['0', '7.98'], sent: [1, 1], paused: [] },
    events: ['Created', 'Submitted', 'Accepted', 'Cancelled'],
  })
})

test('a position that somebody changes by hand pauses the symbol, and an exit waits, until a person accepts it', async () => {
  const id = await at.resting({ close_after: 4 })
  const { control } = at.emulator
  control.fill(id, '10', '99')
  await at.reach('filled')
  control.setPosition('BTC/USD', control.book.position('BTC/USD').minus('3').toString())
  await at.until('the symbol to be paused', async () => (await at.outcome()).paused.includes('BTC/USD'))
  await at.until('the order that closes', async () => (await at.orders()).length === 2)
  await at.paper.pass(30_000)
  expect((await at.orders()).map(({ status }) => status)).toEqual(['filled', 'pending'])
  control.setPosition('BTC/USD', control.book.position('BTC/USD').plus('5').toString())
  const account = { exchange: 'alpaca', mode: 'paper' } as const
  const corr = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
  await at.paper.weaver.control.commands.reconcileAccount(account)
  await at.paper.pass(5_000)
  await at.paper.weaver.control.commands.acceptPosition(account, 'BTC/USD', corr)
  control.autoFill(true)
  await at.until('both orders to be filled', async () => (await at.orders()).every(({ status }) => status === 'filled'))
})

test('credentials that are revoked with an order open: the account is refused, and ready with good ones; the fill is there', async () => {
  const id = await at.resting()
  const { control } = at.emulator
  control.revokeKeys()
  await at.until('the account to be refused', async () => (await at.account()).state === 'refused')
  control.fill(id, '10', '99')
  control.restoreKeys()
  await at.until('the account to be ready', async () => (await at.account()).state === 'ready')
  await at.ends('filled')
  expectFilled(await at.outcome())
})

test('a symbol that is halted leaves the order open, and it fills when trading goes on', async () => {
  const { control } = at.emulator
  control.halt('BTC/USD')
  control.autoFill(true)
  await at.resting()
  await at.paper.pass(30_000)
  expect(await at.outcome()).toMatchObject({ status: 'accepted', filled: '0', sent: [1, 1] })
  control.halt('BTC/USD', false)
  await at.ends('filled')
  expectFilled(await at.outcome())
})

test('a run that stops cancels its order once, and a fill that was faster counts', async () => {
  const id = await at.resting()
  const { control } = at.emulator
  control.keepCancels(true)
  const [run] = await at.paper.query<{ id: string }>(`select id from weaver.runs where status = 'running'`)
  const before = at.emulator.count('DELETE', /^\/v2\/orders\/.+/)
  const stopping = at.paper.stop(run?.id as string)
  await until('the cancel', async () => at.emulator.count('DELETE', /^\/v2\/orders\/.+/) > before)
  control.fill(id, '10', '99')
  await stopping
  await at.settle()
  expectFilled(await at.outcome())
})
