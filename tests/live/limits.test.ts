/** The installation's limits over the life of a run: made, cloned, started, going on under a Weaver that was started anew. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRecorder, record } from '../../db/walle/record.ts'
import { createCommands } from '../../jobs/glados/commands.ts'
import type { RiskLimits } from '../../jobs/glados/risk.ts'
import { applyLimits } from '../../jobs/live/limits.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { mustGet, startLiveRun, toldBy } from '../support/live_run.ts'
import { aSource } from '../support/walle_rows.ts'

const CONTEXT = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const AT = Date.parse('2026-03-02T00:00:00.000Z')

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** As a Weaver with these limits in its environment. */
function under(limits: RiskLimits) {
  const { db } = database
  return createCommands({
    recorder: createRecorder(db),
    reader: db.reader,
    resolveStrategy: async (_id, { params }) => ({ version: '1', source: aSource(), params, window_bars: 3 }),
    now: () => AT,
    newId: () => crypto.randomUUID(),
    version: '1.2.3',
    limits,
    exchanges: () => [{ exchange: 'real', modes: ['live'], configured: ['live'], problems: [], accounts: [] }],
  })
}
const request = (risk: RiskLimits) => ({
  ...({ mode: 'live', timeframe: '1m' } as const),
  ...{ strategy_id: 'sample', exchange: 'real', symbols: ['BTC/USD'], risk },
})
const eventsOf = async (runId: string, type: string) =>
  (await toldBy(database.db, runId)).filter((event) => event.type === type).map(({ payload }) => payload)
const LOOSE = { max_order_notional: 1_000, max_daily_loss: 500 }
const TIGHT = { max_order_notional: 100, max_daily_loss: 50 }

test('no run loosens a limit of the installation, and its own holds where it is stricter', async () => {
  const run = await under(TIGHT).createRun(request({ max_order_notional: 5_000, max_daily_loss: 20 }), CONTEXT)
  expect(run.risk).toEqual({ max_order_notional: 100, max_daily_loss: 20 })
  expect(run.own_risk).toEqual({ max_order_notional: 5_000, max_daily_loss: 20 })
})

test('a clone has the limits of today, not those of the day on which its source was made', async () => {
  const { id } = await under(LOOSE).createRun(request({ max_position: 3 }), CONTEXT)
  const { run, differences } = await under(TIGHT).cloneRun(id, {}, CONTEXT)
  expect([run.own_risk, run.risk]).toEqual([{ max_position: 3 }, { max_position: 3, ...TIGHT }])
  expect(differences.map(({ field }) => field)).toEqual(['risk.max_daily_loss', 'risk.max_order_notional'])
})

test('a run starts with the limits of today, which its log tells; with real money not without those that it needs', async () => {
  const { id } = await under(LOOSE).createRun(request({ max_position: 3 }), CONTEXT)
  await expect(under({}).startRun(id, CONTEXT)).rejects.toThrow('a live run needs max_order_notional')
  expect(await under(TIGHT).startRun(id, CONTEXT)).toMatchObject({
    status: 'running',
    risk: { max_position: 3, ...TIGHT },
  })
  const [started] = await eventsOf(id, 'run.Started')
  expect(started).toMatchObject({ risk: { max_position: 3, ...TIGHT } })
})

test('a run that goes on has the limits of the Weaver that was started last, and its log tells since when', async () => {
  const { db } = database
  const own = { own_risk: { max_position: 3 }, risk: { max_position: 3, ...LOOSE } }
  const [run, other] = [await startLiveRun(db, 1, own), await startLiveRun(db, 2, { own_risk: TIGHT, risk: TIGHT })]
  const jobs = {
    db,
    record: async (...[tx, outcome]: Parameters<typeof record>) => void (await record(tx, outcome)),
    now: () => AT,
    newId: () => crypto.randomUUID(),
    log: () => {},
  }
  for (const limits of [LOOSE, TIGHT, TIGHT]) await applyLimits(jobs, limits)
  expect((await mustGet(db, run.id)).risk).toEqual({ max_position: 3, ...TIGHT })
  expect(await eventsOf(run.id, 'run.LimitsChanged')).toEqual([{ run_id: run.id, risk: { max_position: 3, ...TIGHT } }])
  expect(await toldBy(db, other.id)).toEqual([])
})
