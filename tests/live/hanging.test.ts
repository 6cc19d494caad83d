/** A venue that does not answer keeps nothing from leaving but what waits for its answer. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { append } from '../../db/events/append.ts'
import { createRecorder } from '../../db/walle/record.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { createHaltCommands } from '../../jobs/glados/halt_commands.ts'
import { clearHaltFile, readHaltFile } from '../../jobs/glados/halts/file.ts'
import { VenueError } from '../../jobs/veda/venue.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startLiveRun } from '../support/live_run.ts'
import { type LiveWorld, openLiveWorld } from '../support/live_world.ts'
import { openOrderWorld } from '../support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue } from '../support/scripted_venue.ts'
import { until } from '../support/until.ts'

/** More than any pool has workers. */
const MANY = 8

let database: TestDatabase
let dataDir: string
let hanging: ScriptedVenue
let sound: ScriptedVenue
let world: LiveWorld
/** Ends the calls that hang. */
let release: (() => void)[]

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'weaver-hanging-'))
})
afterAll(() => rm(dataDir, { recursive: true }))
beforeEach(async () => {
  database = await createTestDatabase()
  hanging = createScriptedVenue({ exchange: 'hanging' })
  sound = createScriptedVenue({ exchange: 'sound' })
  release = []
  world = await openLiveWorld({
    ...{ url: database.url, db: database.db, venue: hanging, others: [sound] },
    hop: async () => {
      throw new Error('nothing is decided here')
    },
  })
})
afterEach(async () => {
  for (const end of release) end()
  await world.stop()
  await database.drop()
})

function hangs(): Promise<never> {
  return new Promise((_, reject) => {
    release.push(() => reject(new VenueError('unavailable', 'the test is over')))
  })
}

/** Gives what `cancelAll` of the venue resolves when it is called. */
function cancelsOf(venue: ScriptedVenue): Promise<void> {
  const called = Promise.withResolvers<void>()
  const { cancelAll } = venue
  venue.cancelAll = () => {
    called.resolve()
    return cancelAll()
  }
  return called.promise
}

function pressHalt(): Promise<unknown> {
  const { halt } = createHaltCommands({
    recorder: createRecorder(database.db),
    reader: database.db.reader,
    now: world.live.now,
    newId: wallClock.newId,
    forgetLosses: (watch) => watch,
    haltFile: { read: () => readHaltFile(dataDir), clear: () => clearHaltFile(dataDir) },
  })
  return halt({ rule: 'kill_switch', reason: null, by: 'a test' }, { corrId: wallClock.newId() })
}

/** An order on its way, and its job among the others. */
async function send(venue: ScriptedVenue): Promise<void> {
  const orders = await openOrderWorld(database.db, venue, { exchange: venue.exchange })
  await orders.place()
  await database.db.write((tx) => append(tx, [], { jobs: orders.waiting }))
}

test('the kill switch reaches the venue though more runs than there are workers wait for bars that never come', async () => {
  const cancelled = cancelsOf(hanging)
  const asked: string[] = []
  hanging.bars = ({ symbol }) => {
    asked.push(symbol)
    return hangs()
  }
  const runs = []
  for (let n = 0; n < MANY; n++) {
    const changes = { symbols: [`S${n}/USD`], exchange: hanging.exchange, bar_wait_ms: 3_600_000 }
    runs.push(await startLiveRun(database.db, n + 1, changes))
  }
  await world.tick(runs, 1)
  await until('all have asked', async () => asked.length === MANY || null)
  await pressHalt()
  await cancelled
  // A question goes on while its tick is put back.
  expect(asked).toHaveLength(MANY)
})

test('orders that hang on the way to one account keep neither those of another nor any cancel', async () => {
  const cancelled = cancelsOf(hanging)
  let sent = 0
  hanging.submit = () => {
    sent += 1
    return hangs()
  }
  for (let n = 0; n < MANY; n++) await send(hanging)
  await until('workers hang', async () => sent > 0 || null)
  await send(sound)
  await until('the order of the other', async () => sound.submits[0] ?? null)
  await pressHalt()
  await cancelled
  expect(hanging.book).toEqual([])
})

test('runs that start at a venue that hangs keep no other from starting', async () => {
  hanging.account = hangs
  const starts = async (number: number, { exchange }: ScriptedVenue) => {
    const { id } = await startLiveRun(database.db, number, { exchange })
    await database.db.write(async (tx) => {
      await tx.execute('delete from weaver.run_ledgers where run_id = $1', [id])
      await append(tx, [], { jobs: [{ task: 'veda.start_run', payload: { run_id: id }, queue: `run:${id}` }] })
    })
    return id
  }
  for (let n = 0; n < MANY; n++) await starts(100 + n, hanging)
  await until('one hangs', async () => release.length > 0 || null)
  const id = await starts(200, sound)
  await until('it has started', async () => {
    const [row] = await database.db.reader.query('select from weaver.run_ledgers where run_id = $1', [id])
    return row ?? null
  })
  expect(release).toHaveLength(1)
})
