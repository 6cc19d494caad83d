import { afterAll, beforeAll, expect, test } from 'vitest'
import { listRuns } from '../../db/walle/queries/runs.ts'
import { createRecorder } from '../../db/walle/record.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { aSource } from '../../tests/support/walle_rows.ts'
import type { Control } from '../control.ts'
import { createCommands } from '../glados/commands.ts'
import { loadDemo } from './demo.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

function controlWith(exchanges: readonly string[]) {
  const { db } = database
  const commands = createCommands({
    recorder: createRecorder(db),
    reader: db.reader,
    resolveStrategy: async (_id, { params }) => ({ version: '1', source: aSource(), params, window_bars: 3 }),
    now: () => Date.now(),
    newId: () => crypto.randomUUID(),
    version: '1.2.3',
    limits: {},
    exchanges: () =>
      exchanges.map((exchange) => ({ exchange, modes: ['paper'], configured: ['paper'], problems: [], accounts: [] })),
  })
  const configured = () => exchanges.map((exchange) => ({ exchange, mode: 'paper' }))
  return { commands, venues: { configured } } as unknown as Control
}

async function runs() {
  const { items } = await listRuns(database.db.reader, { page: 1, page_size: 10 })
  return items.map(({ label, mode, exchange, status }) => [label, mode, exchange, status]).sort()
}

const BACKTEST = ['demo', 'backtest', null, 'running']
const PAPER = ['demo on paper', 'paper', 'sim', 'running']

test('the first boot starts a backtest and a paper run at the simulator, and no later boot anything', async () => {
  const control = controlWith(['sim'])
  await loadDemo(database, control)
  expect(await runs()).toEqual([PAPER, BACKTEST])
  await loadDemo(database, control)
  expect(await runs()).toEqual([PAPER, BACKTEST])
})
