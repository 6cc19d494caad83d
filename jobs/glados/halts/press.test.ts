/** The kill switch by HTTP while what it leans on is away: the database, the workers, the data directory; counted at the venue. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { isOpen } from '../../../tests/support/alpaca/book.ts'
import { type Emulator, startEmulator } from '../../../tests/support/alpaca/emulator.ts'
import { createTestApi } from '../../../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type PgProxy, startPgProxy } from '../../../tests/support/pg_proxy.ts'
import { pause } from '../../../tests/support/until.ts'
import { loadConfig } from '../../config/config.ts'
import { createLog } from '../../log.ts'
import { openExisting, type System } from '../../system.ts'
import type { OrderToSend } from '../../veda/venue.ts'
import { openVenuesAlone } from '../../veda/venues/world.ts'
import { wallClock } from '../clock.ts'
import { readHaltFile } from './file.ts'
import { openHaltCommands } from './halt.ts'
import { pressHalt } from './press.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const WORDS = { reason: 'it buys and buys', by: 'Ann' }
const LOG = createLog('silent')
const RESTING: OrderToSend = {
  ...{ client_order_id: 'resting', symbol: 'BTC/USD', side: 'buy', order_type: 'limit', qty: '1', limit_price: '50' },
  ...{ stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc', extended_hours: false },
}

let database: TestDatabase
let proxy: PgProxy
let emulator: Emulator
let home: string
let system: System
let url: string
/** Nobody here waits ten seconds for a database that says nothing. */
let patienceMs: number
let orders = 0

beforeAll(async () => {
  database = await createTestDatabase()
  const target = new URL(database.url)
  proxy = await startPgProxy({ host: target.hostname, port: Number(target.port) })
  target.port = String(proxy.port)
  emulator = await startEmulator({ ghostMs: 0, rateLimit: 100_000 })
  emulator.control.setPrice('BTC/USD', '100')
  home = await mkdtemp(join(tmpdir(), 'weaver-press-'))
  url = target.href
})
beforeEach(async () => {
  const config = loadConfig({ DATABASE_URL: url, WEAVER_DATA_DIR: join(home, 'data'), ...emulator.env })
  system = await openExisting(config, LOG, 'weaver test')
  await rm(config.dataDir, { recursive: true, force: true })
  await mkdir(config.dataDir)
  const venues = await openVenuesAlone(config, LOG, wallClock)
  const venue = await venues.get('alpaca', 'paper')
  expect((await venue.submit({ ...RESTING, client_order_id: `resting-${++orders}` })).kind).toBe('accepted')
  expect(openAtVenue()).toBe(1)
})
afterEach(async () => {
  proxy.thaw()
  await system.close()
  await database.db.write((tx) => tx.execute('update weaver.halts set resumed_at = now() where resumed_at is null'))
})
afterAll(async () => {
  await proxy.close()
  await emulator.close()
  await database.drop()
  await rm(home, { recursive: true, force: true })
})

const openAtVenue = () => emulator.control.book.orders.filter(isOpen).length
const held = async () =>
  (await openHaltCommands({ db: database.db, config: system.config }).halts()).map(({ rule, reason, halted_by }) => [
    rule,
    reason,
    halted_by,
  ])

/** By HTTP. */
async function press() {
  const world = { config: system.config, log: LOG, open: async () => system, patience: () => pause(patienceMs) }
  const api = createTestApi(system.db, { pressHalt: (request, context) => pressHalt(world, request, context) })
  const answer = await api.post('/api/v1/system/halt', WORDS)
  await api.close()
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

const ASKED = { exchange: 'alpaca', mode: 'paper', cancels: 1, problem: null }

test('no worker is at work: it is on record, and the venue is asked from here', async () => {
  patienceMs = 20_000
  const { status, body } = await press()
  expect([status, body.by, body.already, body.runs]).toEqual([200, 'database', false, 0])
  expect(body.asked).toContainEqual(ASKED)
  expect(body.said).toEqual(
    expect.arrayContaining(['No worker is at work.', 'alpaca paper: asked to cancel 1 open orders']),
  )
  expect([openAtVenue(), await held(), await readHaltFile(system.config.dataDir)]).toEqual([
    0,
    [['kill_switch', 'it buys and buys', 'Ann']],
    null,
  ])
})

test.each([
  ['says nothing', () => proxy.freeze()],
  ['is cut off', () => proxy.cut()],
])('the database %s: the file halts, the venue is asked, and the answer says so', async (_, away) => {
  patienceMs = 300
  proxy.onCommit = () => 'lose_commit'
  away()
  const { status, body } = await press()
  proxy.onCommit = () => 'pass'
  expect([status, body.by, body.halt, body.runs]).toEqual([200, 'file', null, null])
  expect(body.asked).toEqual([ASKED])
  expect(body.said).toContainEqual(expect.stringMatching(/^Halted by .*halt\.json: Weaver sends no order until/))
  expect([openAtVenue(), await readHaltFile(system.config.dataDir)]).toMatchObject([0, WORDS])
})

test('neither the database nor a data directory: NOT halted, which is an error, and the venue is asked all the same', async () => {
  patienceMs = 300
  proxy.freeze()
  await rm(system.config.dataDir, { recursive: true })
  const { status, body } = await press()
  expect([status, body.code]).toEqual([503, 'SERVICE_UNAVAILABLE'])
  expect(body.message).toContain('NOT halted: neither the database nor a halt file says so. Stop Weaver itself.')
  expect(body.details).toEqual({ asked: [ASKED] })
  expect(openAtVenue()).toBe(0)
})

test('a venue that cannot be asked is named, and keeps no other from being asked', async () => {
  patienceMs = 20_000
  emulator.control.revokeKeys()
  const { status, body } = await press()
  emulator.control.restoreKeys()
  expect([status, body.by]).toEqual([200, 'database'])
  expect(body.asked).toEqual([
    { exchange: 'alpaca', mode: 'paper', cancels: null, problem: expect.stringMatching(/40[13]/) },
    { exchange: 'sim', mode: 'paper', cancels: 0, problem: null },
  ])
})
