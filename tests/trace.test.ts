/** An order's causal chain: from the log, or derived again by playing the run's record; the same either way. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectOwner } from '../db/client.ts'
import type { NewEvent } from '../db/events/envelope.ts'
import { listOrders } from '../db/walle/queries/orders.ts'
import type { Hop } from '../db/walle/queries/trace.ts'
import type { OrderRow, RunRow } from '../db/walle/rows.ts'
import { createTestApi } from './support/api.ts'
import { BREAKS } from './support/breaks.ts'
import { type InProcess, openInProcess } from './support/in_process.ts'
import { playPure } from './support/pure_run.ts'
import { seededRun } from './support/seeded.ts'

const LIMIT = 60_000
const ALL = { page: 1, page_size: 1000 }
/** With cancels, exits, fills in parts and positions that are closed at the end. */
const SEEDS = [2, 4, 5, 9]

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess({ 'breaks/index.ts': BREAKS })
})
afterAll(() => weaver?.close())

async function ordersOf(run: RunRow): Promise<OrderRow[]> {
  const { items } = await listOrders(weaver.system.db.reader, { run_id: run.id, ...ALL })
  return items.sort((a, b) => a.ordinal - b.ordinal)
}

interface Stored {
  id: number
  type: string
  event_id: string
  corr_id: string
  causation_id: string | null
  order_id: string | null
}

function logOf(run: RunRow): Promise<Stored[]> {
  return weaver.system.db.reader.query<Stored>(
    `select id, type, event_id, corr_id, causation_id, payload #>> '{payload,order_id}' as order_id
     from weaver.outbox where run_id = $1 order by id`,
    [run.id],
  )
}

/** Without what a hop has of the wall's time. */
function bare({ created_at, latency_ms, ...hop }: Hop) {
  return hop
}

async function seeded(seed: number, name: string) {
  const made = seededRun(seed * 7919, 60)
  const { strategy, params, columns, timeframe, fill } = made
  const symbol = `${name}${seed}/USD`
  await weaver.store(symbol, timeframe, columns)
  const request = { strategy_id: strategy.id, symbols: [symbol], timeframe, config: params, fill, seed: made.seed }
  return { ...made, symbol, request }
}

/** What spec section 3 says of causation_id and corr_id. */
function checkCausality(log: Stored[], corrOfRequest: string): void {
  const byId = new Map(log.map((event) => [event.event_id, event]))
  for (const event of log) {
    const cause = event.causation_id === null ? null : byId.get(event.causation_id)
    expect(cause, `the cause of ${event.type} is in the log`).not.toBe(undefined)
    if (cause == null) expect(['run.Created', 'clock.Tick']).toContain(event.type)
    else expect(cause.id, `${event.type} comes after its cause`).toBeLessThan(event.id)
    if (event.type === 'clock.Tick') expect(event.corr_id).toBe(event.event_id)
    else if (event.type.startsWith('run.')) expect(event.corr_id).toBe(corrOfRequest)
    else if (event.type !== 'orders.Cancelled' && event.type !== 'orders.Created') {
      expect(event.corr_id, event.type).toBe(cause?.corr_id)
    }
  }
  const created = new Map(
    log.filter((event) => event.type === 'orders.Created').map((event) => [event.order_id, event]),
  )
  for (const event of log) if (event.order_id) expect(event.corr_id).toBe(created.get(event.order_id)?.corr_id)
  expect([...log.filter((event) => event.causation_id === null)].filter((e) => e.type === 'run.Created')).toHaveLength(
    1,
  )
}

describe.each(SEEDS)('seed %i', (seed) => {
  test(
    'every cause is in the log before its effect, in chains and in chunks of any audit',
    async () => {
      const { request, columns } = await seeded(seed, 'CAUSE')
      const chain = seed === 5 ? [{ driver: 'chain' } as const] : []
      for (const how of [...chain, { audit: 'full' }, { audit: 'acted' }] as const) {
        const run = await weaver.backtest({ ...request, ...how }, columns)
        const log = await logOf(run)
        checkCausality(log, '0f0e0d0c-0b0a-4908-8706-050403020100')
        const orders = new Set(log.filter((event) => event.type === 'orders.Created').map((event) => event.order_id))
        expect(orders).toEqual(new Set((await ordersOf(run)).map((order) => order.id)))
      }
    },
    LIMIT,
  )

  test(
    'what is derived of a summary run is what the log of the same run would have said',
    async () => {
      const {
        request,
        columns,
        strategy,
        params,
        symbol,
        timeframe,
        fill,
        seed: runSeed,
      } = await seeded(seed, 'DERIVE')
      const summary = await weaver.backtest({ ...request, audit: 'summary' }, columns)
      const told = playPure({
        ...{ strategy, params, columns, symbol, timeframe, fill, seed: runSeed },
        ...{ audit: 'full', cash: '100000', runId: summary.id },
      }).events
      for (const order of await ordersOf(summary)) {
        const { derived, hops } = await weaver.control.tracer.trace(order.id)
        expect(derived).toBe(true)
        expect(hops.map(({ created_at, latency_ms }) => [created_at, latency_ms])).toEqual(hops.map(() => [null, null]))
        expect(hops.map(bare)).toEqual(chainOf(told, order.id))
      }
    },
    LIMIT,
  )

  test(
    'the log of a full run tells the same of each order as deriving would',
    async () => {
      const { request, columns } = await seeded(seed, 'LOGGED')
      const full = await weaver.backtest({ ...request, audit: 'full' }, columns)
      for (const order of await ordersOf(full)) {
        const { derived, hops } = await weaver.control.tracer.trace(order.client_order_id)
        expect(derived).toBe(false)
        const events = (await envelopesOf(full)).filter((event) => !event.type.startsWith('run.'))
        expect(hops.map(bare)).toEqual(chainOf(events, order.id))
        expect(hops[0]?.type).toBe('clock.Tick')
        expect(hops.slice(1).every((hop) => hop.latency_ms !== null && hop.latency_ms >= 0)).toBe(true)
      }
    },
    LIMIT,
  )
})

test(
  'of a run that failed, or was stopped, what is derived goes as far as its rows',
  async () => {
    const { columns, timeframe } = seededRun(9 * 7919, 60)
    await weaver.store('FAILS/USD', timeframe, columns)
    const run = await weaver.backtest({ strategy_id: 'breaks', symbols: ['FAILS/USD'], timeframe }, columns)
    expect(run).toMatchObject({ status: 'error', error: { bar_index: 20 } })
    const orders = await ordersOf(run)
    const last = orders.at(-1) as OrderRow
    expect([orders.length, last.status]).toEqual([20, 'filled'])
    const { derived, hops } = await weaver.control.tracer.trace(last.id)
    expect([derived, hops.at(-1)?.type, hops.at(-1)?.event_id]).toEqual([true, 'orders.Filled', last.last_event_id])
  },
  LIMIT,
)

describe('what cannot be told', () => {
  const trace = (order: string) => weaver.control.tracer.trace(order)
  let run: RunRow
  let order: OrderRow
  beforeAll(async () => {
    const { request, columns } = await seeded(4, 'REFUSE')
    run = await weaver.backtest({ ...request, audit: 'summary' }, columns)
    order = (await ordersOf(run)).at(-1) as OrderRow
  }, LIMIT)

  async function sql(text: string): Promise<void> {
    const owner = await connectOwner({ url: weaver.system.url, applicationName: 'tamper' })
    await owner.query(text).finally(() => owner.end())
  }

  test('an order that nobody placed', async () => {
    await expect(trace('w-nothing-0-0')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'there is no order w-nothing-0-0',
    })
  })

  test('a run that has not ended', async () => {
    await sql(`update weaver.runs set status = 'running' where id = '${run.id}'`)
    await expect(trace(order.id)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/cannot be derived: the run .*: it is running: wait for its end, or stop it$/),
    })
    await sql(`update weaver.runs set status = 'completed' where id = '${run.id}'`)
    expect((await trace(order.id)).derived).toBe(true)
  })

  test('a record that another course of events belongs to', async () => {
    await sql(`update weaver.runs set config = '{"period": 9}', weaver_version = '0.0.9' where id = '${run.id}'`)
    await expect(trace(order.id)).rejects.toThrow(
      /another course than its record: it was made by Weaver 0\.0\.9, this is /,
    )
    await sql(`update weaver.runs set config = '${JSON.stringify(run.config)}' where id = '${run.id}'`)
    expect((await trace(order.id)).derived).toBe(true)
  })

  test('candles that were revised', async () => {
    const { columns, timeframe } = seededRun(4 * 7919, 60)
    const volume = columns.volume.map((one, index) => (index === 1 ? one + 1 : one))
    await weaver.store('REFUSE4/USD', timeframe, { ...columns, volume })
    await expect(trace(order.id)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('its candles were revised since: run it again on the new ones'),
    })
  })

  test('the API gives the chain, and the reason where there is none', async () => {
    const { request, columns } = await seeded(1, 'API')
    const told = await weaver.backtest({ ...request, audit: 'full' }, columns)
    const [first] = (await ordersOf(told)) as [OrderRow]
    const api = createTestApi(weaver.system.db, { trace })
    const answer = await api.get(`/api/v1/orders/${first.client_order_id}/trace`)
    const { hops, ...rest } = await trace(first.id)
    expect(await answer.json()).toEqual({
      derived: rest.derived,
      hops,
      order: expect.objectContaining({ id: first.id }),
    })
    const refused = await api.get(`/api/v1/orders/${order.id}/trace`)
    expect([refused.status, (await refused.json()).code]).toEqual([409, 'CONFLICT'])
    const unknown = await api.get('/api/v1/orders/w-nothing-0-0/trace')
    expect([unknown.status, (await unknown.json()).code]).toEqual([404, 'NOT_FOUND'])
    await api.close()
  })
})

async function envelopesOf(run: RunRow): Promise<NewEvent[]> {
  const rows = await weaver.system.db.reader.query<{ payload: NewEvent }>(
    'select payload from weaver.outbox where run_id = $1 order by id',
    [run.id],
  )
  return rows.map(({ payload }) => payload)
}

/** The rule in other words: the order's events, their effects, and the causes of all these. */
function chainOf(events: readonly NewEvent[], orderId: string) {
  const byId = new Map(events.map((event) => [event.id, event]))
  const wanted = new Set<string>()
  for (const event of events) {
    const own = (event.payload as { order_id?: string }).order_id === orderId
    const effect = event.causation_id !== null && wanted.has(event.causation_id)
    if (own || effect) wanted.add(event.id)
  }
  for (const id of wanted) {
    const cause = byId.get(id)?.causation_id
    if (cause) wanted.add(cause)
  }
  return events
    .filter((event) => wanted.has(event.id))
    .map((event, index) => ({
      n: index + 1,
      type: event.type,
      at: event.ts,
      event_id: event.id,
      causation_id: event.causation_id,
      corr_id: event.corr_id,
      producer: event.producer,
      summary: expect.any(String),
      payload: event.payload,
    }))
}
