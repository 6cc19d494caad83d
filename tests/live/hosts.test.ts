/** Strategies of paper and live runs in their hosts: hop by hop, many runs in one process. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunRow } from '../../db/walle/rows.ts'
import { specOf } from '../../jobs/backtest/jobs.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { createHostRuns } from '../../jobs/hosts/client.ts'
import type { HopView } from '../../jobs/hosts/hop_view.ts'
import { createHostPool, HOST_ENTRY, type HostPool } from '../../jobs/marvin/host_pool.ts'
import { sourcesFolder } from '../../jobs/marvin/sources.ts'
import type { OrderView } from '../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startLiveRun } from '../support/live_run.ts'
import { strategySource } from '../support/strategy_source.ts'

const S = 'BTC/USD'
/** Longer than a new host takes to start on a machine that is busy. */
const TIMEOUT_MS = 4_000

const STRATEGY = `import { defineStrategy, z } from './api.ts'
let hops = 0
export default defineStrategy({
  id: 'counter', version: '1', description: 'For tests.', params: z.object({}), window: () => ({ bars: 2 }),
  init: () => ({ own: 0 }),
  onWindow(ctx) {
    hops += 1
    ctx.state.own += 1
    ctx.log('window', { hops, own: ctx.state.own, close: [...ctx.window('${S}').close], equity: ctx.equity })
  },
  onOrder(ctx, order) {
    if (order.status === 'expired') while (true) {}
    ctx.log('order', { status: order.status, at: ctx.ts, cash: ctx.cash })
    ctx.buy({ symbol: '${S}', qty: 1, type: 'market' })
  },
})
`

let database: TestDatabase
let dataDir: string
let hosts: HostPool
let runs: RunRow[]
let runHop: ReturnType<typeof createHostRuns>['hop']
beforeAll(async () => {
  database = await createTestDatabase()
  dataDir = await mkdtemp(join(tmpdir(), 'weaver-live-hosts-'))
  hosts = createHostPool({
    ...{ size: 1, entry: HOST_ENTRY, readable: [sourcesFolder(dataDir)], timeoutMs: TIMEOUT_MS, memoryLimitMb: 512 },
    ...{ now: wallClock.now, sleep: wallClock.sleep, log: () => {}, inspectEveryMs: 20 },
  })
  runHop = createHostRuns({ db: database.db, hosts, dataDir }).hop
  const source = await strategySource('counter', STRATEGY)
  runs = [await startLiveRun(database.db, 1, {}, source), await startLiveRun(database.db, 2, {}, source)]
})
afterAll(async () => {
  await hosts?.close()
  await database.drop()
  await rm(dataDir, { recursive: true, force: true })
})

const viewOf = (run: RunRow, changes: Partial<HopView> = {}): HopView => {
  const close = Float64Array.of(9, 10)
  const columns = { time: Float64Array.of(0, 60_000), open: close, high: close, low: close, close, volume: close }
  return {
    ...{ spec: specOf(run), phase: 'window', ts: 120_000, bar_index: 4, memory: null, cash: '990', equity: 1_000 },
    ...{ positions: [{ qty: '1', avg_price: '10' }], open_orders: [], changed: [] },
    ...{ windows: [{ symbol: S, timeframe: '1m', columns }], ...changes },
  }
}

const orderView = (status: OrderView['status']): OrderView => ({
  ...{ id: 'o', symbol: S, side: 'buy', type: 'market', qty: '1', limit_price: null, stop_price: null },
  ...{ time_in_force: 'gtc', status, filled_qty: '0', filled_avg_price: null, parent_id: null, reject_reason: null },
})

test('runs that share a host share nothing else, and what a run keeps comes with each hop', async () => {
  const [one, other] = runs as [RunRow, RunRow]
  const first = await runHop(one, viewOf(one))
  const second = await runHop(one, viewOf(one, { memory: first.memory }))
  const another = await runHop(other, viewOf(other))
  const logged = [first, second, another].map(({ asked }) => asked.logs[0]?.data)
  expect(logged).toEqual([
    { hops: 1, own: 1, close: [9, 10], equity: 1_000 },
    { hops: 2, own: 2, close: [9, 10], equity: 1_000 },
    { hops: 1, own: 1, close: [9, 10], equity: 1_000 },
  ])
  expect(hosts.counts()).toMatchObject({ started: 1 })
})

test('an order is heard at the time of the older tick, and ids go on from what that tick asked for', async () => {
  const [run] = runs as [RunRow]
  const memory = { state: { own: 1 }, random: 0, tick: { bar_index: 4, intents: 2 } }
  const answer = await runHop(run, viewOf(run, { phase: 'order', memory, changed: [orderView('accepted')] }))
  expect(answer.asked.logs).toEqual([{ message: 'order', data: { status: 'accepted', at: 120_000, cash: '990' } }])
  expect(answer.asked.intents).toMatchObject([{ client_order_id: `w-${run.id}-4-2` }])
  expect(answer.hears).toEqual({ ticks: false, orders: true })
})

test('one that hangs when it hears of an order fails alone: the next run finds a host', async () => {
  const [one, other] = runs as [RunRow, RunRow]
  const hanging = runHop(one, viewOf(one, { phase: 'order', changed: [orderView('expired')] }))
  const next = runHop(other, viewOf(other))
  await expect(hanging).rejects.toThrow(`ran longer than ${TIMEOUT_MS} ms`)
  expect((await next).asked.logs[0]?.data).toMatchObject({ hops: 1, own: 1 })
})
