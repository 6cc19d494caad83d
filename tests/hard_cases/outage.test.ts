/**
 * Postgres really away, with Weaver as a process of its own and a Postgres that is stopped; and the drill of the kill switch at
 * the emulated Alpaca. By the wall's clock, minutes go by: WEAVER_ALL_FAULTS=1 runs it.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { loadConfig } from '../../jobs/config/config.ts'
import { openControl } from '../../jobs/control.ts'
import type { RunRequest } from '../../jobs/glados/commands.ts'
import { readHaltFile } from '../../jobs/glados/halts/file.ts'
import { createLog } from '../../jobs/log.ts'
import { openSystem } from '../../jobs/system.ts'
import { isOpen } from '../support/alpaca/book.ts'
import { type Emulator, startEmulator } from '../support/alpaca/emulator.ts'
import { type OwnPostgres, startOwnPostgres } from '../support/own_postgres.ts'
import { until } from '../support/until.ts'
import { freePort, launchWeaver, type WeaverProcess } from '../support/weaver_process.ts'

const MINUTE = 60_000
const TWO_TICKS_MS = 2.5 * MINUTE
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const ENTRY = new URL('../../weaver.ts', import.meta.url).pathname
const OPENING: RunRequest = {
  ...{ strategy_id: 'buy_and_hold', exchange: 'alpaca', symbols: ['BTC/USD'], timeframe: '1m' },
  ...{ mode: 'paper', config: { qty: '1' } },
}

vi.setConfig({ testTimeout: 6 * MINUTE, hookTimeout: 2 * MINUTE })

describe.runIf(process.env.WEAVER_ALL_FAULTS)('WEAVER_ALL_FAULTS', () => {
  let emulator: Emulator
  let postgres: OwnPostgres
  let home: string
  let env: Record<string, string>
  let weaver: WeaverProcess
  beforeAll(async () => {
    emulator = await startEmulator({ ghostMs: 0, rateLimit: 100_000 })
    const { market } = emulator.control
    for (const [timeframe, step] of Object.entries({ '1Min': MINUTE, '1Hour': 60 * MINUTE })) {
      market.serve('BTC/USD', timeframe, step, (t) => ({ t, o: 100, h: 101, l: 99, c: 100, v: 10, n: 2 }))
    }
    emulator.control.setPrice('BTC/USD', '100')
    postgres = await startOwnPostgres({})
    home = await mkdtemp(join(tmpdir(), 'weaver-outage-'))
    env = {
      ...{ DATABASE_URL: postgres.url('postgres'), WEAVER_DATA_DIR: home, WEAVER_PORT: String(await freePort()) },
      ...{ WEAVER_LOG_LEVEL: 'error', WEAVER_WORKERS: '1', ...emulator.env },
    }
    weaver = launchWeaver('start', env)
    await weaver.ready
  })
  afterAll(async () => {
    await weaver?.end('SIGKILL')
    await emulator?.close()
    await postgres?.remove()
    await rm(home, { recursive: true, force: true })
  })

  const posts = () => emulator.count('POST', '/v2/orders')
  const openAtVenue = () => emulator.control.book.orders.filter(isOpen).length
  const cli = (...words: string[]) =>
    new Promise<{ code: number; output: string }>((resolve) => {
      execFile(process.execPath, [ENTRY, ...words], { env: { ...process.env, ...env } }, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code), output: `${out}${err}` })
      })
    })
  /** Another process's hands on the same database. */
  async function inDatabase<T>(work: (opened: Awaited<ReturnType<typeof open>>) => Promise<T>): Promise<T> {
    const opened = await open()
    try {
      return await work(opened)
    } finally {
      await opened.control.close()
      await opened.system.close()
    }
  }
  async function open() {
    const system = await openSystem(loadConfig(env), createLog('error'), 'weaver test')
    return { system, control: await openControl(system, { workers: false }) }
  }
  const startRun = () =>
    inDatabase(async ({ control: { commands } }) => {
      const { id } = await commands.createRun(OPENING, CORR)
      await commands.startRun(id, CORR)
      return id
    })
  const statuses = (runId: string) =>
    inDatabase(async ({ system }) => {
      const text = 'select status from weaver.orders where run_id = $1'
      return (await system.db.reader.query<{ status: string }>(text, [runId])).map(({ status }) => status)
    })

  test('the drill passes at Alpaca', async () => {
    const { code, output } = await cli('halt', '--drill', '--exchange', 'alpaca')
    expect(code, output).toBe(0)
    expect(output).toContain('The kill switch works. Nothing is halted.')
    expect([posts(), openAtVenue(), await readHaltFile(home)]).toEqual([1, 0, null])
  })

  test('Postgres is stopped: halt cancels at the venue, the file holds, and once it is back the halt is a row until resumed', async () => {
    const before = posts()
    const run = await startRun()
    await until('an order to rest at the venue', async () => openAtVenue() === 1, 2 * MINUTE)
    await until('its answer to be on record', async () => `${await statuses(run)}` === 'accepted')
    await postgres.stop()
    const pressed = Date.now()
    const { code, output } = await cli('halt', '--reason', 'away')
    process.stderr.write(`halted without Postgres in ${Date.now() - pressed} ms, exit ${code}:\n${output}`)
    expect([code, openAtVenue(), (await readHaltFile(home))?.reason]).toEqual([0, 0, 'away'])
    expect(output).toContain('alpaca paper: asked to cancel 1 open orders')

    await until('a boundary to pass', async () => Date.now() % MINUTE < 1_000, 2 * MINUTE)
    await postgres.start()
    const back = Date.now()
    const halt = await until('the halt to be a row', () =>
      inDatabase(async ({ control }) => (await control.commands.halts())[0] ?? null),
    )
    process.stderr.write(
      `the halt is a row ${Date.now() - back} ms after Postgres was back; Weaver ended: ${weaver.hasEnded()}\n`,
    )
    expect([halt.rule, halt.reason, halt.halted_by]).toEqual(['halt_file', 'away', 'weaver halt'])
    await until('the cancel to be known', async () => `${await statuses(run)}` === 'cancelled')
    // Asked for while it is halted: it never leaves.
    const second = await startRun()
    await until('the second run to be refused', async () => `${await statuses(second)}` === 'rejected', TWO_TICKS_MS)
    expect([posts() - before, openAtVenue(), weaver.isReady()]).toEqual([1, 0, true])

    expect((await cli('resume')).code).toBe(0)
    expect(await readHaltFile(home)).toBeNull()
    await startRun()
    await until('an order to leave again', async () => openAtVenue() === 1, TWO_TICKS_MS)
    expect(posts() - before).toBe(2)
  })
})
