/** One order, cancelled by a person: by the API, through the real jobs, at the simulator. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestApi, type TestApi } from '../support/api.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'

/** Rests far below the market, and hears of what becomes of it. */
const RESTS = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'rests', version: '1', description: 'One order that rests.', params: z.object({}), window: () => ({ bars: 1 }),
  init: () => ({ placed: false }),
  onWindow(ctx) {
    if (ctx.state.placed) return
    ctx.state.placed = true
    ctx.buy({ symbol: ctx.symbols[0], qty: '1', type: 'limit', limit_price: '1', reason: 'to rest' })
  },
  onOrder(ctx, order) {
    ctx.log('heard ' + order.status)
  },
})
`

let paper: PaperWorld
let api: TestApi
beforeAll(async () => {
  paper = await openPaperWorld({}, { 'rests/index.ts': RESTS })
  const importCandles = () => Promise.reject(new Error('not here'))
  api = createTestApi(paper.weaver.system.db, { commands: { ...paper.weaver.control.commands, importCandles } })
}, 60_000)
afterAll(() => paper.close())

async function cancel(id: string) {
  const answer = await api.post(`/api/v1/orders/${id}/cancel`)
  return { status: answer.status, body: (await answer.json()) as { code?: string; status?: string } }
}

test('an order that rests is cancelled once, its strategy hears of it, and its run goes on', async () => {
  const run = await paper.start({ strategy_id: 'rests', symbols: ['SIM/USD'] })
  await paper.pass(90_000)
  const [order] = await paper.query<{ id: string; status: string }>('select id, status from weaver.orders')
  expect(order?.status).toBe('accepted')
  const id = order?.id as string
  expect(await Promise.all([cancel(id), cancel(id)])).toMatchObject([
    { status: 200, body: { status: 'accepted' } },
    { status: 200, body: { status: 'accepted' } },
  ])
  await paper.pass(10_000)
  expect(await paper.query('select status, reject_reason, reason from weaver.orders')).toMatchObject([
    { status: 'cancelled' },
  ])
  const events = await paper.query<{ type: string; by: string | null }>(
    `select type, payload #>> '{payload,by}' as by from weaver.outbox
     where type in ('live.CancelOrder', 'orders.Cancelled') order by id`,
  )
  const [ended, ...asked] = events.toReversed()
  expect(ended).toEqual({ type: 'orders.Cancelled', by: null })
  // Pressed twice, and carried out once.
  expect(asked).toEqual(asked.map(() => ({ type: 'live.CancelOrder', by: 'a person, by the API' })))
  expect(await paper.query('select client_order_id from weaver.sim_orders')).toHaveLength(1)
  expect(await cancel(id)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
  expect((await paper.run(run.id)).status).toBe('running')
  const heard = await paper.query<{ heard: boolean }>(
    `select logs::text like '%heard cancelled%' as heard from weaver.decisions where run_id = $1 and part > 0`,
    [run.id],
  )
  expect(heard.some((one) => one.heard)).toBe(true)
  await paper.stop(run.id)
}, 120_000)

test('an order that is not there, and one of a backtest, cannot be cancelled', async () => {
  expect(await cancel(randomUUID())).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
  expect(await cancel('no-id')).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
  const bars = Array.from({ length: 3 }, (_, index) => index)
  const columns = {
    time: Float64Array.from(bars, (index) => Date.UTC(2025, 0, 1) + index * 60_000),
    ...Object.fromEntries(
      ['open', 'high', 'low', 'close', 'volume'].map((name) => [name, Float64Array.from(bars, () => 10)]),
    ),
  }
  await paper.weaver.store('OLD/USD', '1m', columns as never)
  const run = await paper.weaver.backtest(
    { strategy_id: 'rests', symbols: ['OLD/USD'], timeframe: '1m' },
    columns as never,
  )
  const [order] = await paper.query<{ id: string }>('select id from weaver.orders where run_id = $1', [run.id])
  expect(await cancel(order?.id ?? '')).toMatchObject({ status: 422, body: { code: 'INVALID_RUN_MODE' } })
}, 60_000)
