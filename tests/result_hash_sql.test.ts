/** docs/result-hash.md tells a stranger how to compute a run's hash from SQL. What it tells is run here. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { record } from '../db/walle/record.ts'
import type { PlaceIntent } from '../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { playPure } from './support/pure_run.ts'
import { hashOf, seededRun } from './support/seeded.ts'
import { aRun, aSource, idOf } from './support/walle_rows.ts'

const page = readFileSync(new URL('../docs/result-hash.md', import.meta.url), 'utf8')
const statement = (/```sql\n([\s\S]*?);\n```/.exec(page)?.[1] ?? '').replaceAll(":'run'", '$1')

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'store_source', source: aSource() }], events: [] }))
})

afterAll(() => database?.drop())

/** Plays a backtest, stores what it left, and gives the hash from memory and that from SQL. */
async function bothHashes(seed: number): Promise<{ memory: string; sql: string | undefined; intents: string[] }> {
  const run = aRun(seed)
  const stretch = playPure({ ...seededRun(seed, 120), runId: run.id })
  const [last] = stretch.decisions.slice(-1)
  last?.intents.push({ kind: 'cancel', client_order_id: 'no such order' })
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'create_run', run },
        { kind: 'insert_orders', rows: stretch.newOrders },
        { kind: 'insert_fills', rows: stretch.fills },
        { kind: 'insert_decisions', rows: stretch.decisions },
      ],
      events: [],
    }),
  )
  const [row] = await database.db.reader.query<{ result_hash: string }>(statement, [run.id])
  const kinds = stretch.decisions.flatMap(({ intents }) => intents)
  return {
    memory: hashOf(stretch),
    sql: row?.result_hash,
    intents: kinds.map((intent) => (intent as Partial<PlaceIntent>).order_type ?? intent.kind),
  }
}

test('the SQL of docs/result-hash.md gives the hash of stored runs', async () => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 20; seed++) {
    const { memory, sql, intents } = await bothHashes(seed)
    expect(sql, `seed ${seed}`).toBe(memory)
    for (const kind of intents) seen.add(kind)
  }
  expect([...seen]).toEqual(expect.arrayContaining(['market', 'limit', 'stop', 'cancel']))
})

test('the SQL of docs/result-hash.md gives the hash of nothing for a run that did nothing', async () => {
  const [row] = await database.db.reader.query<{ result_hash: string }>(statement, [idOf('run', 999)])
  expect(row?.result_hash).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})
