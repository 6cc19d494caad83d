/**
 * Events a second into the log by four writers, against raw multi-row inserts of the same bytes into a table of the same
 * columns and indexes. Both are measured in turns, so that a busy machine is busy for both; the ratio is what counts.
 * BENCH_ROUNDS, BENCH_SECONDS: more of it.
 */
import { randomUUID } from 'node:crypto'
import { openDatabase, openOwnerPool, type Pool } from '../../db/client.ts'
import { LOCAL_SETTINGS } from '../../db/cluster.ts'
import type { Database } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { migrate } from '../../db/migrate.ts'
import { migrateJobs } from '../../jobs/runner.ts'
import { insertRun } from '../support/log.ts'
import { startOwnPostgres } from '../support/own_postgres.ts'
import { printMachine, printTable, quantile } from './table.ts'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 1.5)
const WRITERS = 4
const BATCHES = [1, 10, 100, 1_000]

type WriteBatch = (writer: number, size: number) => Promise<void>

function eventsOf(run: string, size: number): NewEvent[] {
  return Array.from({ length: size }, (_, n) => ({
    id: randomUUID(),
    run_id: run,
    corr_id: run,
    causation_id: run,
    ts: '2026-01-02T03:04:00.000Z',
    producer: 'greta',
    type: 'orders.Accepted',
    payload: { order_id: randomUUID(), client_order_id: `w-${n}-0` },
  }))
}

function viaAppend(db: Database, runs: readonly string[]): WriteBatch {
  return (writer, size) => db.write((tx) => append(tx, eventsOf(runs[writer] as string, size), { route: false }))
}

/** One statement a transaction, its values as parameters. */
function raw(pool: Pool, runs: readonly string[]): WriteBatch {
  const columns = ['event_id', 'type', 'run_id', 'corr_id', 'causation_id', 'payload']
  const statements = new Map(
    BATCHES.map((size) => {
      const row = (n: number) => `(${columns.map((_, c) => `$${n * columns.length + c + 1}`).join(',')})`
      const rows = Array.from({ length: size }, (_, n) => row(n))
      return [size, `insert into bench_outbox (${columns.join(',')}) values ${rows.join(',')}`]
    }),
  )
  return async (writer, size) => {
    const rows = eventsOf(runs[writer] as string, size).flatMap((event) => {
      const { payload, ...rest } = event
      const envelope = { ...rest, kind: 'evt', version: 1, trace_id: null, headers: {}, payload }
      return [event.id, event.type, event.run_id, event.corr_id, event.causation_id, JSON.stringify(envelope)]
    })
    await pool.query(statements.get(size) as string, rows)
  }
}

async function rate(write: WriteBatch, size: number): Promise<number> {
  const started = performance.now()
  const end = started + SECONDS * 1_000
  let events = 0
  const work = async (writer: number) => {
    while (performance.now() < end) {
      await write(writer, size)
      events += size
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => work(writer)))
  return events / ((performance.now() - started) / 1_000)
}

const postgres = await startOwnPostgres(LOCAL_SETTINGS)
try {
  const url = postgres.url('postgres')
  const pool = openOwnerPool(url, { maxConnections: WRITERS })
  await migrate(pool, { before: migrateJobs })
  await pool.query('create table bench_outbox (like weaver.outbox including all)')
  const db = await openDatabase({ url, applicationName: 'weaver bench' })
  const runs: string[] = []
  for (let n = 0; n < WRITERS; n++) runs.push(await insertRun(db))
  const ways = { append: viaAppend(db, runs), raw: raw(pool, runs) }
  const measured = BATCHES.map((size) => ({ size, append: [] as number[], raw: [] as number[] }))
  printMachine()
  for (let round = 0; round <= ROUNDS; round++) {
    for (const batch of measured) {
      for (const way of round % 2 === 0 ? (['append', 'raw'] as const) : (['raw', 'append'] as const)) {
        const got = await rate(ways[way], batch.size)
        // The first round warms up.
        if (round > 0) batch[way].push(got)
      }
    }
  }
  const columns = [
    { title: `${WRITERS} writers, events a transaction` },
    ...['append/s', 'raw/s'].map((title) => ({ title })),
    ...['ratio min', 'median', 'max'].map((title) => ({ title, digits: 2 })),
  ]
  const rows = measured.map((batch) => {
    const ratios = batch.append.map((got, round) => got / (batch.raw[round] as number))
    const spread = [0, 0.5, 1].map((q) => quantile(ratios, q))
    return [String(batch.size), quantile(batch.append, 0.5), quantile(batch.raw, 0.5), ...spread]
  })
  printTable(columns, rows)
  process.stdout.write('budget: a ratio of 0.50 or more\n')
  await db.close()
  await pool.end()
} finally {
  await postgres.remove()
}
