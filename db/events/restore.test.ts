/** A log that was restored into another cluster, whose transaction ids mean nothing here: it goes on by itself. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { systemStarted } from '../../tests/support/log.ts'
import { pause } from '../../tests/support/until.ts'
import { connectOwner } from '../client.ts'
import { append } from './append.ts'
import type { NewEvent } from './envelope.ts'
import { readAfter } from './read.ts'
import { createSequencer } from './sequencer.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

const sequence = () => createSequencer({ db: database.db, sleep: pause, onError: () => {} }).runOnce()
const appendAll = (...events: NewEvent[]) => database.db.write((tx) => append(tx, events))
const order = async () => (await readAfter(database.db.reader, -1, 100)).map(({ seq, envelope }) => [seq, envelope.id])

/**
 * What a dump of another cluster leaves: its system's id, transactions of far ahead or of long ago, and a snapshot that
 * speaks of them.
 */
async function asIfRestored(txid: string, snapshot: string): Promise<void> {
  const owner = await connectOwner({ url: database.url, applicationName: 'weaver test owner' })
  try {
    await owner.query(`set weaver.retention = 'on'`)
    await owner.query('update weaver.outbox set txid = $1', [txid])
    await owner.query('update weaver.sequencer set system_id = 1, snapshot = $1', [snapshot])
  } finally {
    await owner.end()
  }
}

test.each([
  ['of far ahead', '4000000000', '3999999990:3999999990:'],
  ['of long ago', '10', '5:5:'],
  ['of which none is known', '10', '5000000000:5000000000:'],
])('transactions %s: what has no seq gets one, nothing gets two, and appends go on', async (_, txid, snapshot) => {
  const events = Array.from({ length: 5 }, (__, n) => systemStarted(String(n)))
  await appendAll(...events.slice(0, 2))
  expect(await sequence()).toEqual({ numbered: 2 })
  await appendAll(...events.slice(2, 4))
  await asIfRestored(txid, snapshot)

  expect(await sequence()).toEqual({ numbered: 2 })
  expect(await sequence()).toEqual({ numbered: 0 })
  await appendAll(events[4] as NewEvent)
  expect(await sequence()).toEqual({ numbered: 1 })
  expect(await sequence()).toEqual({ numbered: 0 })
  expect(await order()).toEqual(events.map(({ id }, seq) => [seq, id]))
  const [row] = await database.db.reader.query<{ here: boolean; told: boolean }>(
    `select system_id = (select system_identifier from pg_control_system()) as here,
       rebased_at > created_at as told from weaver.sequencer`,
  )
  expect(row).toEqual({ here: true, told: true })
})

test('an append under way while the log is numbered anew gets its seq once, after it', async () => {
  const [before, during] = [systemStarted('before'), systemStarted('during')]
  await appendAll(before)
  await asIfRestored('4000000000', '3999999990:3999999990:')
  const appended = Promise.withResolvers<void>()
  const mayCommit = Promise.withResolvers<void>()
  const slow = database.db.write(async (tx) => {
    await append(tx, [during])
    appended.resolve()
    await mayCommit.promise
  })
  await appended.promise
  const sequencing = sequence()
  mayCommit.resolve()
  await slow
  expect(await sequencing).toEqual({ numbered: 2 })
  expect(await sequence()).toEqual({ numbered: 0 })
  expect((await order()).map(([, id]) => id)).toEqual([before.id, during.id])
})
