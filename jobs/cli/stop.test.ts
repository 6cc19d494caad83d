/** `weaver stop` of a paper run, with no worker at work but its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { getRun } from '../../db/walle/queries/runs.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { startLiveRun } from '../../tests/support/live_run.ts'
import { runCli } from './main.ts'

let database: TestDatabase
let home: string
let printed = { out: '', err: '' }
let runs = 0

beforeAll(async () => {
  database = await createTestDatabase()
  home = await mkdtemp(join(tmpdir(), 'weaver-stop-'))
})
afterAll(async () => {
  await database?.drop()
  await rm(home, { recursive: true, force: true })
})
beforeEach(() => {
  vi.stubEnv('DATABASE_URL', database.url)
  vi.stubEnv('WEAVER_DATA_DIR', join(home, 'data'))
  vi.stubEnv('WEAVER_LOG_LEVEL', 'error')
  printed = { out: '', err: '' }
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed.out += text
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed.err += text
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

const aPaperRun = async () => (await startLiveRun(database.db, ++runs, { exchange: 'sim' })).id

test('it says that the run is stopping, works on that itself where nobody else does, and waits for the end', async () => {
  const id = await aPaperRun()
  expect(await runCli(['stop', id, '--keep-orders'])).toBe(0)
  expect(printed.out).toBe(`run ${id} is stopped\n`)
  // Nothing is said of a wait that there was not: it may be over at the first look.
  expect(['', `run ${id} is stopping: 0 orders open, 0 positions held\n`]).toContain(printed.err)
  const run = await getRun(database.db.reader, id)
  expect([run?.status, run?.stop_requested]).toEqual(['stopped', { cancel_orders: false, close_positions: false }])
  expect(await runCli(['stop', id])).toBe(0)
  expect(printed.out.endsWith(`run ${id} is stopped\n`)).toBe(true)
})

test('positions are not closed without a worker that stays, and nothing is begun', async () => {
  const id = await aPaperRun()
  expect(await runCli(['stop', id, '--close-positions'])).toBe(1)
  expect(printed.err).toMatch(/^weaver: no worker runs, .*: start Weaver first, or stop the run without/)
  const run = await getRun(database.db.reader, id)
  expect([run?.status, run?.stop_requested]).toEqual(['running', null])
})

test('nothing is closed by hand without one either', async () => {
  const id = await aPaperRun()
  expect(await runCli(['close', id])).toBe(1)
  expect(printed.err).toMatch(/^weaver: no worker runs, .*: start Weaver first/)
  const asked = `select 1 from weaver.outbox where run_id = $1 and type = 'live.PlaceOrder'`
  expect(await database.db.reader.query(asked, [id])).toEqual([])
})
