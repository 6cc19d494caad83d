/**
 * Boundary -> bar in hand -> order accepted: from the moment at which a tick is emitted until its bar, which is there
 * already, is in hand, and on through every hop of the chain, a strategy in its host included, until the venue has taken
 * the order. One run alone on a boundary, then many. The venue answers at once, so this is what Weaver itself takes; a hop
 * in the host alone is measured beside it. BENCH_TICKS, BENCH_RUNS: of the run alone; how many together.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase, openOwnerPool } from '../../db/client.ts'
import { createSequencer } from '../../db/events/sequencer.ts'
import { migrate } from '../../db/migrate.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { createHostRuns } from '../../jobs/hosts/client.ts'
import { createHostPool, HOST_ENTRY } from '../../jobs/marvin/host_pool.ts'
import { sourcesFolder } from '../../jobs/marvin/sources.ts'
import { migrateJobs } from '../../jobs/runner.ts'
import { startLiveRun } from '../support/live_run.ts'
import { openLiveWorld } from '../support/live_world.ts'
import { startOwnPostgres } from '../support/own_postgres.ts'
import { createScriptedVenue } from '../support/scripted_venue.ts'
import { strategySource } from '../support/strategy_source.ts'
import { pause, until } from '../support/until.ts'
import { printMachine, printTable, quantile } from './table.ts'

const ALONE_TICKS = Number(process.env.BENCH_TICKS ?? 60)
const TOGETHER_RUNS = Number(process.env.BENCH_RUNS ?? 100)
const TOGETHER_TICKS = 5
const WARM_UP_TICKS = 5
const HOSTS = 2
const SYMBOL = 'BTC/USD'
const barsAt = (tick: number) => Array.from({ length: 31 }, (_, n) => 100 + Math.sin(tick + n))

const STRATEGY = `import { defineStrategy, z } from './api.ts'
export default defineStrategy({
  id: 'eager', version: '1', description: 'Buys at every bar.', params: z.object({}), window: () => ({ bars: 31 }),
  onWindow(ctx) {
    const { close } = ctx.window('${SYMBOL}')
    let sum = 0
    for (const value of close) sum += value
    ctx.buy({ symbol: '${SYMBOL}', qty: '1', type: 'limit', limit_price: '1', reason: String(sum) })
  },
})
`

const postgres = await startOwnPostgres({})
const dataDir = await mkdtemp(join(tmpdir(), 'weaver-bench-'))
try {
  const url = postgres.url('postgres')
  const owner = openOwnerPool(url)
  await migrate(owner, { before: migrateJobs })
  await owner.end()
  const db = await openDatabase({ url, applicationName: 'weaver bench' })
  const hosts = createHostPool({
    ...{ size: HOSTS, entry: HOST_ENTRY, readable: [sourcesFolder(dataDir)], timeoutMs: 30_000, memoryLimitMb: 1_024 },
    ...{ now: wallClock.now, sleep: wallClock.sleep, log: (line: string) => process.stderr.write(`${line}\n`) },
  })
  const hopTimes: number[] = []
  const { hop } = createHostRuns({ db, hosts, dataDir })
  const venue = createScriptedVenue()
  venue.pushing = false
  const accepted = new Map<string, number>()
  venue.whileSubmitting = async (order) => {
    if (order) accepted.set(order.client_order_id, performance.now())
  }
  const world = await openLiveWorld({
    ...{ url, db, venue },
    async hop(run, view) {
      const from = performance.now()
      const answer = await hop(run, view)
      hopTimes.push(performance.now() - from)
      return answer
    },
    onError: (message) => process.stderr.write(`${message}\n`),
  })
  const sequencer = createSequencer({ db, sleep: wallClock.sleep, onError: () => {} })
  sequencer.start()
  const source = await strategySource('eager', STRATEGY)
  let next = 0
  const open = (): Promise<RunRow> => startLiveRun(db, ++next, { window_bars: 31, initial_cash: '1000000' }, source)

  interface Latencies {
    /** From the boundary until each run's bar is in hand, and until its order is accepted; ms. */
    inHand: number[]
    accepted: number[]
  }

  async function round(runs: readonly RunRow[], tick: number): Promise<Latencies> {
    world.bars(SYMBOL, barsAt(tick), tick)
    const boundary = performance.now()
    await world.tick(runs, tick)
    const ids = runs.map(({ id }) => `w-${id}-${tick}-0`)
    await until('the orders', async () => (ids.every((id) => accepted.has(id)) ? true : null))
    await until('the ticks to end', async () => {
      const [row] = await db.reader.query<{ busy: number }>(
        `select count(*)::int as busy from weaver.runs where id = any ($1::uuid[])
           and (open_corr_id is not null or exists (select from weaver.job_overview j where j.run_id = weaver.runs.id::text))`,
        [runs.map(({ id }) => id)],
      )
      return row?.busy === 0 ? true : null
    })
    const waits = await db.reader.query<{ run_id: string; in_hand_ms: number }>(
      'select run_id, in_hand_ms from weaver.window_waits where bar_index = $1 and run_id = any ($2::uuid[])',
      [tick, runs.map(({ id }) => id)],
    )
    const inHand = new Map(waits.map(({ run_id, in_hand_ms }) => [run_id, in_hand_ms]))
    return {
      inHand: runs.map(({ id }) => inHand.get(id) as number),
      accepted: ids.map((id) => (accepted.get(id) as number) - boundary),
    }
  }

  async function measure(
    runs: readonly RunRow[],
    from: number,
    ticks: number,
  ): Promise<Latencies & { chain: number[]; worst: number[] }> {
    for (let tick = from; tick < from + WARM_UP_TICKS; tick++) await round(runs, tick)
    hopTimes.length = 0
    const all = { inHand: [] as number[], accepted: [] as number[], chain: [] as number[], worst: [] as number[] }
    for (let tick = from + WARM_UP_TICKS; tick < from + WARM_UP_TICKS + ticks; tick++) {
      await pause(20)
      const { inHand, accepted } = await round(runs, tick)
      all.inHand.push(...inHand)
      all.accepted.push(...accepted)
      all.chain.push(...accepted.map((ms, n) => ms - (inHand[n] as number)))
      all.worst.push(Math.max(...accepted))
    }
    return all
  }

  const rows: (string | number)[][] = []
  const add = (title: string, values: readonly number[]) =>
    rows.push([title, values.length, quantile(values, 0.5), quantile(values, 0.99), Math.max(...values)])
  const alone = await measure([await open()], 0, ALONE_TICKS)
  add('1 run: boundary -> bar in hand', alone.inHand)
  add('1 run: bar in hand -> accepted', alone.chain)
  add('1 run: hop in the host', [...hopTimes])
  const many = await Promise.all(Array.from({ length: TOGETHER_RUNS }, open))
  const together = await measure(many, ALONE_TICKS + WARM_UP_TICKS, TOGETHER_TICKS)
  add(`${TOGETHER_RUNS} runs: boundary -> bar in hand`, together.inHand)
  add(`${TOGETHER_RUNS} runs: bar in hand -> accepted`, together.chain)
  add(`${TOGETHER_RUNS} runs: boundary -> all of them accepted`, together.worst)
  add(`${TOGETHER_RUNS} runs: hop in the host, with the wait for one`, [...hopTimes])
  printMachine()
  printTable(
    [
      { title: '' },
      { title: 'n' },
      { title: 'p50 ms', digits: 1 },
      { title: 'p99 ms', digits: 1 },
      { title: 'worst ms', digits: 1 },
    ],
    rows,
  )
  process.stdout.write('budget: bar in hand -> accepted, 1 run: p50 40, p99 100; 100 runs: all accepted within 3000\n')
  await world.stop()
  await sequencer.stop()
  await hosts.close()
  await db.close()
} finally {
  await postgres.remove()
  await rm(dataDir, { recursive: true, force: true })
}
