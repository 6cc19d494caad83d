/** The kill switch between its row and its file, and the cancels that it sends: whatever fails, nothing may leave. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createRecorder, record } from '../../../db/walle/record.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { VenueError } from '../../veda/venue.ts'
import { wallClock } from '../clock.ts'
import { createHaltCommands, DRILL, type HaltCommands } from '../halt_commands.ts'
import { clearHaltFile, haltFilePath, readHaltFile, writeHaltFile } from './file.ts'
import { cancelAll, cancelRun } from './jobs.ts'

const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const ACCOUNT = { exchange: 'scripted', mode: 'paper' } as const
const LIMIT = { order_type: 'limit', limit_price: '90' } as const

let database: TestDatabase
let dataDir: string
let venue: ScriptedVenue
let world: OrderWorld
/** So many transactions from now the database is away. */
let lives: number

beforeAll(async () => {
  database = await createTestDatabase()
  dataDir = await mkdtemp(join(tmpdir(), 'weaver-halt-'))
})
afterAll(async () => {
  await database.drop()
  await rm(dataDir, { recursive: true, force: true })
})
beforeEach(async () => {
  lives = Number.POSITIVE_INFINITY
  await clearHaltFile(dataDir)
  await database.db.write((tx) => tx.execute('update weaver.halts set resumed_at = now() where resumed_at is null'))
  venue = createScriptedVenue()
  world = await openOrderWorld(database.db, venue)
})

function commandsOf(haltFile: { read?: () => ReturnType<typeof readHaltFile> } = {}): HaltCommands {
  const recorder = createRecorder(database.db)
  return createHaltCommands({
    recorder: async (work) => {
      lives -= 1
      if (lives < 0) throw new Error('the database is away')
      return recorder(work)
    },
    reader: database.db.reader,
    now: () => world.clock.now,
    newId: wallClock.newId,
    forgetLosses: (watch) => watch,
    haltFile: { read: () => readHaltFile(dataDir), clear: () => clearHaltFile(dataDir), ...haltFile },
  })
}

const note = { reason: 'away', by: 'weaver halt', at: '2026-01-01T00:00:00.000Z' }
const request = { rule: 'kill_switch', reason: null, by: 'me' }
const held = async () => (await commandsOf().halts()).map(({ rule }) => rule)

test.each([0, 1])(
  'the database goes away %i transactions into a resume of what only the file says: it is halted still',
  async (after) => {
    await writeHaltFile(dataDir, note)
    lives = after
    await expect(commandsOf().resume('me', CORR)).rejects.toThrow('the database is away')
    expect([(await readHaltFile(dataDir)) !== null, (await held()).length > 0].filter(Boolean)).toHaveLength(1)
    lives = Number.POSITIVE_INFINITY
    expect((await commandsOf().resume('me', CORR))?.rule).toBe('halt_file')
    expect([await readHaltFile(dataDir), await held()]).toEqual([null, []])
  },
)

test('whoever read the file before it was taken away halts nothing after the resume', async () => {
  await writeHaltFile(dataDir, note)
  await commandsOf().resume('me', CORR)
  expect(await commandsOf().haltByFile(CORR)).toBeNull()
  expect(await held()).toEqual([])
})

test('a file beside a halt changes nothing of it, and one resume ends both', async () => {
  await commandsOf().halt(request, CORR)
  await writeHaltFile(dataDir, note)
  expect(await commandsOf().haltByFile(CORR)).toBeNull()
  expect(await held()).toEqual(['kill_switch'])
  await commandsOf().resume('me', CORR)
  expect([await readHaltFile(dataDir), await held()]).toEqual([null, []])
})

describe('a drill', () => {
  const drill = { rule: DRILL, reason: DRILL, by: 'weaver halt --drill' }
  const drillFile = { ...note, by: drill.by, reason: DRILL, drill: true }
  const holds = async () => (await commandsOf().halts()).map(({ rule, reason, halted_by }) => [rule, reason, halted_by])
  const meant = { rule: 'kill_switch', reason: 'it buys and buys', by: 'Ann' }
  const ends = (id: string) => commandsOf().resume(drill.by, CORR, id)

  test('a halt that a person presses meanwhile outlives it', async () => {
    const { halt } = await commandsOf().halt(drill, CORR)
    expect((await commandsOf().halt(meant, CORR)).already).toBe(false)
    await expect(ends(halt.id)).rejects.toThrow('another halt holds, which is not ended: kill_switch by Ann')
    expect(await holds()).toEqual([['kill_switch', 'it buys and buys', 'Ann']])
    expect((await commandsOf().halt(drill, CORR)).already).toBe(true)
    expect((await commandsOf().resume('Ann', CORR))?.rule).toBe('kill_switch')
  })

  test('so does one that only a file tells of, beside its row and in the place of its file', async () => {
    const { halt } = await commandsOf().halt(drill, CORR)
    await writeHaltFile(dataDir, note)
    await expect(ends(halt.id)).rejects.toThrow('another halt holds, which is not ended: halt_file by weaver halt')
    expect([await holds(), (await readHaltFile(dataDir))?.reason]).toEqual([
      [['halt_file', 'away', 'weaver halt']],
      'away',
    ])
    await commandsOf().resume('Ann', CORR)
    await writeHaltFile(dataDir, drillFile)
    const byFile = await commandsOf().haltByFile(CORR)
    expect(byFile?.halt.rule).toBe(DRILL)
    await writeHaltFile(dataDir, note)
    await expect(ends(byFile?.halt.id as string)).rejects.toThrow('another halt holds')
    expect(await holds()).toEqual([['halt_file', 'away', 'weaver halt']])
  })

  test('its own row and file end together', async () => {
    await writeHaltFile(dataDir, drillFile)
    const byFile = await commandsOf().haltByFile(CORR)
    expect((await ends(byFile?.halt.id as string))?.rule).toBe(DRILL)
    expect([await readHaltFile(dataDir), await holds()]).toEqual([null, []])
  })
})

test('a file of which nothing could be written, on a full disk, halts', async () => {
  await writeFile(haltFilePath(dataDir), '')
  expect((await commandsOf().haltByFile(CORR))?.halt.reason).toContain('says nothing that can be read')
})

test('a resume wants the accounts asked first, also one that is being found out, but says nothing of one that is refused', async () => {
  const account = () =>
    database.db.reader.query<{ state: string; state_reason: string | null; reconcile_requested_at: string | null }>(
      `select state, state_reason, reconcile_requested_at from weaver.accounts where exchange = 'scripted'`,
    )
  await commandsOf().halt(request, CORR)
  await world.account('refused', '401')
  await commandsOf().resume('me', CORR)
  expect(await account()).toEqual([{ state: 'refused', state_reason: '401', reconcile_requested_at: null }])
  const reconcile_requested_at = new Date(world.clock.now).toISOString()
  await commandsOf().halt(request, CORR)
  await world.account('unknown', 'waiting for its stream of order updates')
  await commandsOf().resume('me', CORR)
  expect(await account()).toEqual([
    { state: 'unknown', state_reason: 'waiting for its stream of order updates', reconcile_requested_at },
  ])
  await commandsOf().halt(request, CORR)
  await world.account('ready')
  await commandsOf().resume('me', CORR)
  expect(await account()).toEqual([
    {
      state: 'unknown',
      state_reason: 'it was halted: its venue is asked first',
      reconcile_requested_at: new Date(world.clock.now).toISOString(),
    },
  ])
})

/** The job, as often as it comes again, at most `times`; gives the waits. */
async function cancelling(times: number): Promise<number[]> {
  const waits: number[] = []
  const job = {
    signal: new AbortController().signal,
    finish: async () => {},
    putBack: async (ms: number): Promise<never> => {
      waits.push(ms)
      throw new Error('put back')
    },
  }
  for (let time = 0; time < times; time++) {
    const done = await cancelAll({ ...world.jobs, record: recorded }, ACCOUNT, job).then(
      () => true,
      () => false,
    )
    if (done) return waits
    world.clock.now += waits.at(-1) as number
  }
  return waits
}

const recorded: OrderWorld['jobs']['record'] = async (tx, outcome) => void (await record(tx, outcome))
const alarms = () =>
  database.db.reader.query<{ message: string }>(
    `select payload #>> '{payload,message}' as message from weaver.outbox
     where type = 'system.Error' and corr_id = (select id from weaver.halts where resumed_at is null) order by id`,
  )

test('cancels that cannot be sent are tried until they can, at longer and longer intervals, and told of once', async () => {
  await commandsOf().halt(request, CORR)
  const { cancelAll: works } = venue
  let calls = 0
  venue.cancelAll = async () => {
    calls += 1
    if (calls <= 20) throw new VenueError('unauthorised', '401 the keys were revoked')
    return works()
  }
  const waits = await cancelling(50)
  expect(calls).toBe(21)
  expect([waits[0], Math.max(...waits)]).toEqual([2_000, waits.at(-1)])
  expect((await alarms()).map(({ message }) => message)).toEqual([
    'halted, but scripted paper: cancels cannot be sent: 401 the keys were revoked. It is tried again until the halt ends',
  ])
})

test('an account in which something stays open is asked again, and somebody is told', async () => {
  const id = await world.place(LIMIT)
  await world.drain()
  await commandsOf().halt(request, CORR)
  venue.cancelAll = async () => 1
  expect(await cancelling(12)).toHaveLength(12)
  expect((await alarms()).map(({ message }) => message)).toEqual([
    'halted, but scripted paper: 1 orders are still open there: look at its own page. It is tried again until the halt ends',
  ])
  await venue.cancel({ exchange_order_id: (await world.order(id)).exchange_order_id as string })
  expect(await cancelling(1)).toEqual([])
})

test('a halt of a run cancels its entries and leaves what protects what it holds; one of the system leaves nothing', async () => {
  const entry = await world.place()
  await world.drain()
  await world.report(venue.fill(entry, '2', '100'))
  const [more, stop] = [
    await world.place(LIMIT),
    await world.place({ side: 'sell', order_type: 'stop', stop_price: '80' }),
  ]
  await world.drain()
  const finish = { signal: new AbortController().signal, finish: async () => {}, putBack: async () => neverBack() }
  const wishes = async () =>
    Promise.all([more, stop].map(async (id) => (await world.send(id))?.cancel_requested_at !== null))
  await cancelRun(world.jobs, { run_id: world.run.id }, finish)
  expect(await wishes()).toEqual([false, false])
  await world.halt(world.run.id)
  await cancelRun(world.jobs, { run_id: world.run.id }, finish)
  expect(await wishes()).toEqual([true, false])
  await commandsOf().halt(request, CORR)
  await cancelRun(world.jobs, { run_id: world.run.id }, finish)
  expect(await wishes()).toEqual([true, true])
  await world.drain()
  expect([(await world.order(more)).status, (await world.order(stop)).status]).toEqual(['cancelled', 'cancelled'])
})

function neverBack(): never {
  throw new Error('put back')
}
