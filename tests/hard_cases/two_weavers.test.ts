/**
 * Two Weavers on one database, in the wall clock's own time: the one that leads is killed with an order on its way, the other takes
 * over; then a third comes whose clock is ahead. Takes five minutes: WEAVER_ALL_FAULTS=1 runs it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { loadConfig } from '../../jobs/config/config.ts'
import { openControl } from '../../jobs/control.ts'
import { createLog } from '../../jobs/log.ts'
import { openSystem, type System } from '../../jobs/system.ts'
import { startEmulator } from '../support/alpaca/emulator.ts'
import { createEmptyDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { launchWeaver } from '../support/weaver_process.ts'

const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const MINUTE = 60_000
const SKEWED = new URL('../support/skewed_clock.mjs', import.meta.url).href
const AHEAD_MS = 1.5 * MINUTE

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

test.runIf(process.env.WEAVER_ALL_FAULTS)(
  'WEAVER_ALL_FAULTS: the other takes over; each tick once, each order once, also with a clock that is ahead',
  async () => {
    const emulator = await startEmulator({ ghostMs: 0, rateLimit: 100_000 })
    closing.push(() => emulator.close())
    const { control } = emulator
    control.market.serve('BTC/USD', '1Min', MINUTE, (t) => ({ t, o: 100, h: 101, l: 99, c: 100, v: 10, n: 2 }))
    control.setPrice('BTC/USD', '100')
    const database = await createEmptyDatabase()
    closing.push(() => database.drop())
    const homes = await mkdtemp(join(tmpdir(), 'weaver-two-'))
    closing.push(() => rm(homes, { recursive: true, force: true }))
    const env = (name: string) => ({
      ...{ DATABASE_URL: database.url, WEAVER_DATA_DIR: join(homes, name), WEAVER_LOG_LEVEL: 'error' },
      ...{ WEAVER_WORKERS: '1', ...emulator.env },
    })
    const system = await openSystem(loadConfig(env('here')), createLog('error'), 'weaver test')
    closing.push(() => system.close())
    const here = await openControl(system, { workers: false })
    closing.push(() => here.close())
    const launch = async (name: string, options: string[] = [], more: Record<string, string> = {}) => {
      const weaver = launchWeaver('worker', { ...env(name), ...more }, options)
      closing.push(() => weaver.end('SIGKILL'))
      await weaver.ready
      return weaver
    }
    const account = accountOf(system)
    const keptBy = (before: string | null) =>
      until('the account to be kept', async () => {
        const { state, keeper } = await account()
        return state === 'ready' && keeper !== before ? keeper : null
      })

    const first = await launch('first')
    const keeper = await keptBy(null)
    const second = await launch('second')
    const created = await here.commands.createRun(
      {
        ...{ strategy_id: 'buy_and_hold', mode: 'paper', exchange: 'alpaca', symbols: ['BTC/USD'], timeframe: '1m' },
        config: { qty: '1' },
      },
      CORR,
    )
    // Its answer never comes: whoever sent it dies waiting.
    control.faults.delay('POST', '/v2/orders', { answers: new Promise(() => {}) })
    await here.commands.startRun(created.id, CORR)
    await until('the order to be at the venue', async () => control.book.orders.length === 1, 90_000)
    // Over the next boundary: the lead and the order are taken over together.
    await until('the last second of the minute', async () => Date.now() % MINUTE > MINUTE - 1_000, 70_000)
    const killed = Date.now()
    await first.end('SIGKILL')
    const next = await keptBy(keeper)
    const kept = Date.now() - killed
    await until('the order to be known', async () => (await ordersOf(system, created.id))[0] === 'accepted')
    const resolved = Date.now() - killed
    const boundary = (Math.floor(killed / MINUTE) + 1) * MINUTE
    const tick = await until('the tick over which it was killed', async () => {
      const ticks = await ticksOf(system, created.id)
      return ticks.find(({ ts, drift_ms }) => ts === boundary && drift_ms !== null)
    })
    process.stderr.write(
      `taken over: keeper ${kept} ms, order ${resolved} ms after the kill, tick ${tick.drift_ms} ms after its boundary (${boundary - killed} ms after the kill)\n`,
    )
    expect(next).not.toBe(keeper)
    expect(tick.drift_ms).toBeLessThan(10_000)

    // One whose clock is ahead leads, then one whose clock is right again.
    const skewed = await launch('skewed', ['--import', SKEWED], { CHAOS_SKEW_MS: String(AHEAD_MS) })
    await second.end('SIGKILL')
    await until('a tick before its time', async () =>
      (await ticksOf(system, created.id)).some(({ ts, emitted }) => emitted && ts > Date.now() + MINUTE / 2),
    )
    await launch('third')
    await skewed.end('SIGKILL')
    const passed = (await ticksOf(system, created.id)).at(-1)?.ts as number
    await until(
      'a tick in its time',
      async () => ((await ticksOf(system, created.id)).at(-1)?.ts as number) > passed,
      300_000,
    )
    const ticks = await ticksOf(system, created.id)
    expect(ticks.map(({ ts }) => ts)).toEqual(ticks.map((_, index) => (ticks[0]?.ts as number) + index * MINUTE))
    expect(ticks.map(({ bar_index }) => bar_index)).toEqual(ticks.map((_, index) => index))
    expect([control.book.orders.length, await ordersOf(system, created.id)]).toEqual([1, ['accepted']])
    expect(new Set(postedIds(emulator.received)).size).toBe(1)
  },
  600_000,
)

function accountOf(system: System) {
  return async () => {
    const [row] = await system.db.reader.query<{ state: string; keeper: string | null }>(
      `select state, keeper from weaver.accounts where exchange = 'alpaca'`,
    )
    return row ?? { state: 'none', keeper: null }
  }
}

async function ordersOf(system: System, runId: string): Promise<string[]> {
  const rows = await system.db.reader.query<{ status: string }>('select status from weaver.orders where run_id = $1', [
    runId,
  ])
  return rows.map(({ status }) => status)
}

async function ticksOf(system: System, runId: string) {
  const rows = await system.db.reader.query<{ ts: string; bar_index: number; drift_ms: number | null; event: boolean }>(
    `select ts, bar_index, drift_ms, event_id is not null as event from weaver.clock_ticks where run_id = $1 order by bar_index`,
    [runId],
  )
  return rows.map(({ ts, bar_index, drift_ms, event }) => ({ ts: Date.parse(ts), bar_index, drift_ms, emitted: event }))
}

function postedIds(received: Awaited<ReturnType<typeof startEmulator>>['received']): unknown[] {
  return received
    .filter(({ method, path }) => method === 'POST' && path === '/v2/orders')
    .map(({ body }) => (body as { client_order_id: string }).client_order_id)
}
