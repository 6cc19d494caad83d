/**
 * How late ticks are: from the boundary to the emission that `clock_ticks.drift_ms` says, and to the moment at which a
 * listener hears of the commit. A minute has one boundary, so that twelve clocks, each with a database of its own and its
 * time five seconds ahead of the one before, measure at once. `npm run bench -- clock [MINUTES] [RUNS]`.
 */
import { openDatabase, openOwnerPool } from '../../db/client.ts'
import type { Database } from '../../db/database.ts'
import { APPENDED } from '../../db/events/append.ts'
import { migrate } from '../../db/migrate.ts'
import { record } from '../../db/walle/record.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { createLiveClock } from '../../jobs/live/clock.ts'
import { migrateJobs } from '../../jobs/runner.ts'
import { type OwnPostgres, startOwnPostgres } from '../support/own_postgres.ts'
import { pause } from '../support/until.ts'
import { aRun, aSource } from '../support/walle_rows.ts'
import { printMachine, printTable, quantile } from './table.ts'

const [minutes = '30', runs = '20'] = process.argv.slice(3)
const CLOCKS = 12
const MINUTE = 60_000

async function openClock(postgres: OwnPostgres, index: number) {
  const name = `clock_${index}`
  const admin = openOwnerPool(postgres.url('postgres'))
  await admin.query(`create database ${name}`)
  await admin.end()
  const url = postgres.url(name)
  const owner = openOwnerPool(url)
  await migrate(owner, { before: migrateJobs })
  await owner.end()
  const db = await openDatabase({ url, applicationName: 'weaver bench clock', maxConnections: 3 })
  const now = () => Date.now() + (index * MINUTE) / CLOCKS
  await prepare(db, now())
  const heard: number[] = []
  const listener = await db.listen(APPENDED, {
    onNotify: () => {
      heard.push(now() % MINUTE)
    },
    onReady: () => {},
  })
  const clock = createLiveClock({
    db,
    record,
    clock: { ...wallClock, now },
    log: (level, fields, message) => process.stderr.write(`${level} ${JSON.stringify(fields)} ${message}\n`),
  })
  clock.start()
  return {
    heard,
    /** The ticks of the minute are done. */
    done: () =>
      db.write((tx) => tx.execute('update weaver.runs set open_corr_id = null where open_corr_id is not null')),
    drifts: () => db.reader.query<{ drift: number | null }>('select drift_ms as drift from weaver.clock_ticks'),
    async close() {
      await clock.stop()
      await listener.close()
      await db.close()
    },
  }
}

async function prepare(db: Database, now: number): Promise<void> {
  await db.write((tx) => record(tx, { writes: [{ kind: 'store_source', source: aSource() }], events: [] }))
  for (let number = 1; number <= Number(runs); number++) {
    const run = aRun(number, { mode: 'paper', exchange: 'sim' })
    const ledger = { run_id: run.id, cash: '1000', fees: '0', turnover: '0', next_order: 0, next_fill: 0 }
    const changes = { status: 'running', started_at: new Date(now).toISOString() } as const
    await db.write((tx) =>
      record(tx, {
        writes: [
          { kind: 'create_run', run },
          { kind: 'update_run', id: run.id, changes },
          { kind: 'save_run_ledgers', rows: [{ ...ledger, trade_matcher: null, risk_watch: null, splits: null }] },
        ],
        events: [],
      }),
    )
  }
}

const postgres = await startOwnPostgres({ max_connections: '300' })
const clocks: Awaited<ReturnType<typeof openClock>>[] = []
for (let index = 0; index < CLOCKS; index++) clocks.push(await openClock(postgres, index))
const end = Date.now() + Number(minutes) * MINUTE
while (Date.now() < end) {
  await pause(1_000)
  for (const clock of clocks) await clock.done()
}
const rows = (await Promise.all(clocks.map((clock) => clock.drifts()))).flat()
const emitted = rows.flatMap(({ drift }) => (drift === null ? [] : [drift]))
// One notification a transaction.
const committed = clocks.flatMap(({ heard }) => heard)
for (const clock of clocks) await clock.close()
await postgres.remove()
const row = (what: string, values: readonly number[]) =>
  [what, values.length, ...[0.5, 0.99, 1].map((q) => quantile(values, q))] as const
printMachine()
printTable(
  [
    { title: 'after the boundary, ms' },
    { title: 'samples' },
    ...['p50', 'p99', 'max'].map((title) => ({ title, digits: 1 })),
  ],
  [row('emission, by tick', emitted), row('commit heard, by boundary', committed)],
)
process.stdout.write(`${rows.length - emitted.length} of ${rows.length} ticks missed\n`)
