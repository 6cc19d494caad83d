/**
 * How late events reach 1,000 clients of the stream, when 50 a second are appended: from before the append
 * to the client's socket. The server is one process; beside it, in turns, the reference: a bare server that writes the same bytes.
 * BENCH_CLIENTS, BENCH_RATE, BENCH_SECONDS, BENCH_ROUNDS change the load.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatabase, openOwnerPool } from '../../db/client.ts'
import { LOCAL_SETTINGS } from '../../db/cluster.ts'
import type { Database } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import { createSequencer } from '../../db/events/sequencer.ts'
import { migrate } from '../../db/migrate.ts'
import { migrateJobs } from '../../jobs/runner.ts'
import { insertRun, progressed } from '../support/log.ts'
import { startOwnPostgres } from '../support/own_postgres.ts'
import { printMachine, printTable, quantile } from './table.ts'

const CLIENTS = Number(process.env.BENCH_CLIENTS ?? 1_000)
const RATE = Number(process.env.BENCH_RATE ?? 50)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 10)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const WARM_UP_SECONDS = 2

interface Measured {
  latencies: number[]
  missing: number
  /** Of the server's one process: 1 is a whole core. */
  cpu: number
  rssMb: number
}

async function launch(kind: 'real' | 'bare', url: string) {
  const child = spawn(process.execPath, [new URL('./sse_server.ts', import.meta.url).pathname, kind, url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async () => JSON.parse(String((await lines.next()).value)) as Record<string, unknown>
  const { address } = await next()
  return {
    address: new URL(String(address)),
    async usage(): Promise<{ cpuMs: number; rss: number }> {
      child.stdin.write('?\n')
      const { cpuMs, rss } = await next()
      return { cpuMs: Number(cpuMs), rss: Number(rss) }
    },
    async end() {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** `onEvent` gets the number of each event that arrives at any client. */
async function openClients(address: URL, onEvent: (n: number) => void): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let n = 0; n < CLIENTS; n++) {
    const socket = connect(Number(address.port), '127.0.0.1')
    let rest = ''
    socket.on('data', (piece) => {
      const text = rest + piece.toString('latin1')
      for (const match of text.matchAll(/"next_tick":(\d+),/g)) onEvent(Number(match[1]))
      rest = text.slice(Math.max(text.lastIndexOf('"next_tick"'), text.length - 40)).replace(/^"next_tick":\d+,/, '')
    })
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(`GET ${address.pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    sockets.push(socket)
  }
  await delay(500)
  return sockets
}

async function measure(kind: 'real' | 'bare', url: string, send: (n: number, address: URL) => Promise<void>) {
  const server = await launch(kind, url)
  const sent = new Map<number, number>()
  const latencies: number[] = []
  const sockets = await openClients(server.address, (n) => {
    const at = sent.get(n)
    if (at !== undefined) latencies.push(performance.now() - at)
  })
  let n = 0
  const play = async (seconds: number, isMeasured: boolean) => {
    const began = performance.now()
    const sending: Promise<void>[] = []
    for (let i = 0; i < seconds * RATE; i++) {
      await delay(Math.max(0, began + (i * 1_000) / RATE - performance.now()))
      const number = 1_000_000 + n++
      if (isMeasured) sent.set(number, performance.now())
      sending.push(send(number, server.address))
    }
    await Promise.all(sending)
  }
  await play(WARM_UP_SECONDS, false)
  const before = await server.usage()
  const began = performance.now()
  await play(SECONDS, true)
  for (let waited = 0; latencies.length < sent.size * CLIENTS && waited < 10_000; waited += 50) await delay(50)
  const after = await server.usage()
  const cpu = (after.cpuMs - before.cpuMs) / (performance.now() - began)
  for (const socket of sockets) socket.destroy()
  await server.end()
  return { latencies, missing: sent.size * CLIENTS - latencies.length, cpu, rssMb: after.rss / 1e6 } satisfies Measured
}

async function appender(db: Database): Promise<(n: number) => Promise<void>> {
  const run = await insertRun(db)
  return (n) => db.write((tx) => append(tx, [{ ...progressed(run, n), id: randomUUID() }], { route: false }))
}

async function post(n: number, address: URL): Promise<void> {
  const event = { id: randomUUID(), type: 'run.Progressed', run_id: randomUUID(), ts: new Date().toISOString() }
  const data = JSON.stringify({ ...event, progress: 0, next_tick: n, ticks_total: 1_000 })
  await fetch(address, { method: 'POST', body: `event: run.progress\nid: ${n}\ndata: ${data}\n\n` })
}

const postgres = await startOwnPostgres(LOCAL_SETTINGS)
try {
  const url = postgres.url('postgres')
  const owner = openOwnerPool(url)
  await migrate(owner, { before: migrateJobs })
  await owner.end()
  const db = await openDatabase({ url, applicationName: 'weaver bench' })
  const sequencer = createSequencer({ db, sleep: async (ms) => void (await delay(ms)), onError: () => {} })
  sequencer.start()
  const appendOne = await appender(db)
  printMachine()
  const rows: (string | number)[][] = []
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [name, found] of [
      ['weaver', await measure('real', url, appendOne)],
      ['bare', await measure('bare', url, post)],
    ] as const) {
      const spread = [0.5, 0.99, 1].map((q) => quantile(found.latencies, q))
      rows.push([`${name} ${round}`, ...spread, found.missing, found.cpu, found.rssMb])
    }
  }
  const titles = ['p50 ms', 'p99 ms', 'max ms']
  const columns = [{ title: `${CLIENTS} clients, ${RATE} events/s` }, ...titles.map((title) => ({ title, digits: 1 }))]
  printTable([...columns, { title: 'missing' }, { title: 'cores', digits: 2 }, { title: 'RSS MB' }], rows)
  process.stdout.write('weaver: from before the append; bare: from before the write. Budget: p99 of 500 ms or less\n')
  await sequencer.stop()
  await db.close()
} finally {
  await postgres.remove()
}
