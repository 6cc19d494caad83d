/** What happens to an order between Weaver and its venue: one order at most, and none lost. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Fault } from '../support/alpaca/faults.ts'
import { openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 60_000 })

let at: WeaverAtAlpaca
beforeAll(async () => {
  at = await openWeaverAtAlpaca()
}, 60_000)
afterEach(() => at.reset(), 60_000)
afterAll(() => at.close())

const accepted = () =>
  at.until('the order to be accepted', async () => (await at.orders()).some(({ status }) => status === 'accepted'))
const status = (wanted: string) =>
  at.until(`the order to be ${wanted}`, async () => (await at.orders()).some((order) => order.status === wanted))

test('nothing goes wrong: one order, filled, and account and position agree', async () => {
  at.emulator.control.autoFill(true)
  await at.buyAndHold()
  await status('filled')
  expect([at.posts(), at.taken()]).toEqual([1, 1])
  expect(await at.order()).toMatchObject({ filled_qty: '10', filled_avg_price: '100' })
  await at.paper.pass(120_000)
  expect(await at.paused()).toEqual([])
  expect(await at.account()).toEqual({ state: 'ready', state_reason: null })
})

/** `WEAVER_ALL_FAULTS=1` tries each way in which an answer is lost; the adapter's own tests always do. */
const LOST: [Fault][] = [['accept_then_504'], ['accept_then_reset'], ['accept_then_cut']]

test.each<[Fault]>(process.env.WEAVER_ALL_FAULTS ? LOST : LOST.slice(0, 1))(
  'a submit that was taken in and answered by %s is found, and not sent again',
  async (fault) => {
    at.emulator.control.faults.next('POST', '/v2/orders', fault)
    await at.buyAndHold()
    await accepted()
    await at.paper.pass(120_000)
    expect([at.posts(), at.taken()]).toEqual([1, 1])
  },
)

test('a submit that was taken in, unanswered, and not found at first, is the same order', async () => {
  const { control } = at.emulator
  control.faults.next('POST', '/v2/orders', 'accept_then_504')
  control.faults.next(
    'GET',
    '/v2/orders:by_client_order_id',
    ...Array.from({ length: 4 }, (): Fault => ({ status: 404, body: { code: 40410000, message: 'order not found' } })),
  )
  at.emulator.control.updates.drop(100)
  await at.buyAndHold()
  await accepted()
  await at.paper.pass(60_000)
  // Sent once more under the same id at most, and that one is refused for being there.
  expect(at.posts()).toBeLessThanOrEqual(2)
  expect(at.taken()).toBe(1)
})

test.each<[Fault]>([['504']])(
  'a submit that never arrived (%s) is sent again under the same id once nobody knows it',
  async (fault) => {
    at.emulator.control.faults.next('POST', '/v2/orders', fault)
    await at.buyAndHold()
    await accepted()
    expect([at.posts(), at.taken()]).toEqual([2, 1])
    const { client_order_id: id } = await at.order()
    const sent = at.emulator.received.filter(
      ({ method, body }) => method === 'POST' && (body as { client_order_id: string }).client_order_id === id,
    )
    expect(sent).toHaveLength(2)
    const looked = at.emulator.received.filter(({ query }) => query === `client_order_id=${id}`)
    expect(looked.length).toBeGreaterThanOrEqual(3)
  },
)
