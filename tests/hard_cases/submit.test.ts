/**
 * What happens to an order between Weaver and its venue: one order at most, and none lost. Each case counts what the venue
 * received, and tells how order, fills and positions end with both.
 */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Fault } from '../support/alpaca/faults.ts'
import { openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let at: WeaverAtAlpaca
beforeAll(async () => {
  at = await openWeaverAtAlpaca()
})
afterEach(() => at.reset())
afterAll(() => at.close())

const ORDERS = '/v2/orders'
const LOOKUP = '/v2/orders:by_client_order_id'
const NOT_THERE: Fault = { status: 404, body: { code: 40410000, message: 'order not found' } }
const FILLED = { status: 'filled', filled: '10', fills: ['10@100'], held: ['9.975', '9.975'], paused: [] }
const LIVED = ['Created', 'Submitted', 'Accepted', 'Filled']
const isAll = process.env.WEAVER_ALL_FAULTS !== undefined
/** The first alone, unless all are wanted. */
const some = (...faults: Fault[]) => faults.slice(0, isAll ? faults.length : 1).map((fault): [Fault] => [fault])

/** The venue fills the order once Weaver knows that it is there. */
async function fillsAfterwards() {
  await at.reach('accepted')
  at.emulator.control.autoFill(true)
  await at.ends('filled')
}

test('nothing goes wrong: one order, filled, and account and position agree', async () => {
  at.emulator.control.autoFill(true)
  const run = await at.trade()
  await at.ends('filled')
  expect(await at.outcome()).toEqual({ ...FILLED, sent: [1, 1], events: LIVED })
  expect(await at.account()).toEqual({ state: 'ready', state_reason: null })
  const text = 'select trim_scale(cash)::text as cash from weaver.run_ledgers where run_id = $1'
  expect(await at.paper.query(text, [run.id])).toEqual([{ cash: '99000' }])
  expect(await at.findings()).toEqual([])
})

// `WEAVER_ALL_FAULTS=1` tries each way in which an answer is lost; the adapter's own tests always do.
test.each(some('accept_then_504', 'accept_then_500', 'accept_then_reset', 'accept_then_cut', 'accept_then_hang'))(
  'a submit that was taken in and answered by %s is found, and not sent again (the others: WEAVER_ALL_FAULTS=1)',
  async (fault) => {
    at.emulator.control.faults.next('POST', ORDERS, fault)
    await at.trade()
    await fillsAfterwards()
    expect(await at.outcome()).toEqual({ ...FILLED, sent: [1, 1], events: LIVED })
  },
)

test('a submit that was taken in, unanswered, and filled before it was found, has the fee of its fill', async () => {
  const { control } = at.emulator
  control.faults.next('POST', ORDERS, 'accept_then_504')
  control.updates.drop(100)
  control.autoFill(true)
  const { id } = await at.trade()
  await at.ends('filled')
  expect(await at.outcome()).toEqual({ ...FILLED, sent: [1, 1], events: LIVED })
  const text = `select trim_scale(fee)::text as fee, trim_scale(fee_qty)::text as fee_qty from weaver.fills where run_id = $1`
  expect(await at.paper.query(text, [id])).toEqual([{ fee: '2.5', fee_qty: '0.025' }])
})

test('a submit that was taken in, unanswered, and not found at first, is the same order', async () => {
  const { control } = at.emulator
  control.faults.next('POST', ORDERS, 'accept_then_504')
  control.faults.next('GET', LOOKUP, ...Array.from({ length: 4 }, () => NOT_THERE))
  control.updates.drop(2)
  await at.trade()
  await fillsAfterwards()
  const { sent, ...outcome } = await at.outcome()
  expect(outcome).toEqual({ ...FILLED, events: LIVED })
  // Sent once more under the same id at most, and that one is refused for being there.
  expect(sent[0]).toBeLessThanOrEqual(2)
  expect(sent[1]).toBe(1)
})

test.each(some('504', '500', '503_html', 'reset', 'hang'))(
  'a submit that never arrived (%s) is sent again under the same id once nobody knows it (the others: WEAVER_ALL_FAULTS=1)',
  async (fault) => {
    at.emulator.control.faults.next('POST', ORDERS, fault)
    await at.trade()
    await fillsAfterwards()
    expect(await at.outcome()).toEqual({ ...FILLED, sent: [2, 1], events: LIVED })
    const { client_order_id: id } = await at.order()
    const looked = at.emulator.received.filter(({ query }) => query === `client_order_id=${id}`)
    expect(looked.length).toBeGreaterThanOrEqual(3)
  },
)

test('too many requests: the order waits and leaves once', async () => {
  at.emulator.control.faults.next('POST', ORDERS, '429', '429')
  await at.trade()
  await fillsAfterwards()
  expect(await at.outcome()).toEqual({ ...FILLED, sent: [3, 1], events: LIVED })
})

test.runIf(isAll)(
  'WEAVER_ALL_FAULTS: credentials that are revoked: the order is refused, nothing else leaves, and with good ones all goes on',
  async () => {
    const { control } = at.emulator
    control.faults.next('POST', ORDERS, { status: 401, body: { code: 40110000, message: 'request is not authorized' } })
    const first = await at.trade()
    const second = await at.trade({ at_bar: 3 })
    await at.reach('rejected', first.id)
    expect(await at.outcome(first.id)).toEqual({
      ...{ status: 'rejected', filled: '0', fills: [], held: ['0', '0'], paused: [] },
      ...{ sent: [1, 0], events: ['Created', 'Submitted', 'Rejected'] },
    })
    expect((await at.order(first.id)).reject_reason).toMatch(/^unauthorised: .*request is not authorized/)
    control.revokeKeys()
    await at.until('the account to be refused', async () => (await at.account()).state === 'refused')
    await at.reach('pending', second.id)
    await at.paper.pass(30_000)
    expect(await at.outcome(second.id)).toMatchObject({ status: 'pending', sent: [0, 0] })
    control.restoreKeys()
    control.autoFill(true)
    await at.ends('filled')
    expect(await at.outcome()).toEqual({ ...FILLED, sent: [1, 1], events: LIVED })
  },
)
