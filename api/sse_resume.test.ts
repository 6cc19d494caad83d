import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { getRequestListener } from '@hono/node-server'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectOwner } from '../db/client.ts'
import { append } from '../db/events/append.ts'
import type { NewEvent } from '../db/events/envelope.ts'
import { createSequencer, type Sequencer } from '../db/events/sequencer.ts'
import { mulberry32 } from '../db/walle/generate.ts'
import { record } from '../db/walle/record.ts'
import { createTestApi, type TestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import { openStream, type StreamClient, type StreamMessage } from '../tests/support/stream.ts'
import { pause, until } from '../tests/support/until.ts'
import { aRun, aSource, idOf, T0 } from '../tests/support/walle_rows.ts'
import { STREAM_LIMITS } from './dependencies.ts'
import type { Feed, FeedEvent } from './event_feed.ts'
import { type RunningServer, startServer } from './server.ts'
import { createSseHub } from './sse.ts'

const CUTS = Number(process.env.SSE_CUTS ?? '20')
const RUN = idOf('run', 1)
const PAPER = idOf('run', 2)

let database: TestDatabase
let sequencer: Sequencer
let server: RunningServer | null
let api: TestApi
const troubles: unknown[] = []

beforeEach(async () => {
  server = null
  database = await createTestDatabase()
  const { db } = database
  await db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        { kind: 'create_run', run: aRun(1) },
        { kind: 'create_run', run: aRun(2, { mode: 'paper', exchange: 'sim' }) },
      ],
      events: [],
    }),
  )
  sequencer = createSequencer({ db, sleep: pause, onError: (error) => troubles.push(error), pollMs: 20 })
  sequencer.start()
})
afterEach(async () => {
  await server?.close()
  await sequencer.stop()
  await database.drop()
})

async function serve(graceMs?: number): Promise<string> {
  api = createTestApi(database.db, { stream: { ...STREAM_LIMITS, pollMs: 20 } })
  server = await startServer({ api, host: '127.0.0.1', port: 0, ...(graceMs === undefined ? {} : { graceMs }) })
  return `${server.url}/api/v1/events`
}

const base = (run: string | null) => ({
  id: randomUUID(),
  run_id: run,
  corr_id: randomUUID(),
  causation_id: null,
  ts: T0,
  producer: 'glados' as const,
})
const progressed = (next_tick: number, run = RUN): NewEvent => ({
  ...base(run),
  type: 'run.Progressed',
  payload: { run_id: run, progress: 0.5, next_tick, ticks_total: 1000 },
})
const submitted = (run: string): NewEvent => ({
  ...base(run),
  type: 'orders.Submitted',
  payload: { order_id: randomUUID(), client_order_id: 'w-1-0' },
})
const deleted = (run: string): NewEvent => ({ ...base(run), type: 'run.Deleted', payload: { run_id: run } })

const log = (...events: NewEvent[]) => database.db.write((tx) => append(tx, events, { route: false }))

interface Tail {
  items: { seq: number; event: string; data: unknown }[]
  next: number
  reset?: boolean
}

async function wholeTail(url: string, query = ''): Promise<StreamMessage[]> {
  const found: StreamMessage[] = []
  for (let after = -1; ; ) {
    const { items, next } = (await (await fetch(`${url}/tail?limit=1000&after=${after}${query}`)).json()) as Tail
    found.push(
      ...items.map(({ seq, event, data }) => ({ id: String(seq), event, data: data as StreamMessage['data'] })),
    )
    if (next === after) return found
    after = next
  }
}

/** Writers that commit in any order, as many as there are, until they have written so many events. */
async function writeConcurrently(random: () => number, writers: number, perWriter: number): Promise<void> {
  const write = async (writer: number) => {
    for (let n = 0; n < perWriter; ) {
      const run = random() < 0.5 ? RUN : PAPER
      const events = Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
        const kind = random()
        n += 1
        return kind < 0.6 ? progressed(writer * 10_000 + n, run) : kind < 0.9 ? submitted(run) : deleted(run)
      })
      await database.db.write(async (tx) => {
        await append(tx, events, { route: false })
        await pause(random() * 4)
      })
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
}

/** Reads on from the last whole event, over connections that end after some bytes, until `last` was seen. */
async function readInPieces(url: string, random: () => number, cuts: number, last: () => string | null) {
  const seen: StreamMessage[] = []
  const isDone = () => last() !== null && (seen.at(-1)?.id ?? null) === last()
  let connections = 0
  for (; connections < cuts || !isDone(); connections++) {
    const lastEventId = seen.at(-1)?.id ?? null
    const bytes = connections < cuts ? 1 + Math.floor(random() ** 3 * 9_000) : Number.POSITIVE_INFINITY
    const client = await openStream(url, { lastEventId, bytes })
    const whole = () => [...seen, ...client.messages].at(-1)?.id ?? null
    // A connection that has nothing more to read is cut too.
    await Promise.race([client.ended, until('the rest', async () => last() !== null && whole() === last())])
    client.cut()
    await client.ended
    seen.push(...client.messages)
  }
  return { seen, connections }
}

test.each([7, 20261122])(
  `readers cut ${CUTS} times at any byte get exactly what the tail has, once and in order (seed %d; SSE_CUTS=100 cuts more)`,
  async (seed) => {
    const url = await serve()
    const random = mulberry32(seed)
    const queries = ['', `&run_id=${RUN}`, '&types=order.submitted', `&run_id=${PAPER}&types=run.progress`]
    const ends = queries.map(() => null as string | null)
    const reading = queries.map((query, n) =>
      readInPieces(`${url}/stream?after=-1${query}`, random, CUTS, () => ends[n] ?? null),
    )
    await writeConcurrently(random, 3, 120)
    await until('the numbers', async () => (await wholeTail(url)).length > 0 && (await unnumbered()) === 0)
    const tails = await Promise.all(queries.map((query) => wholeTail(url, query)))
    for (const [n, tail] of tails.entries()) ends[n] = tail.at(-1)?.id ?? null
    for (const [n, { seen, connections }] of (await Promise.all(reading)).entries()) {
      expect(connections).toBeGreaterThanOrEqual(CUTS)
      expect(seen).toEqual(tails[n])
    }
    expect(tails[0]?.length).toBeGreaterThan(150)
  },
  60_000,
)

async function unnumbered(): Promise<number> {
  const [row] = await database.db.reader.query<{ n: number }>(
    `select count(*) as n from weaver.outbox o where not exists (select from weaver.outbox_seq s where s.outbox_id = o.id)`,
  )
  return Number(row?.n)
}

test('when Postgres ends every connection in the middle of a stream, nothing is lost', async () => {
  const url = await serve()
  let last: string | null = null
  const reading = readOn(`${url}/stream?after=-1`, () => last)
  let written = 0
  for (let round = 0; round < 3; round++) {
    await log(progressed(written++), progressed(written++))
    await terminate("application_name = 'weaver test'")
    await until('writing again', () =>
      log(progressed(written)).then(
        () => true,
        () => false,
      ),
    )
    written += 1
  }
  await until('the numbers', async () => (await wholeTail(url)).length === written)
  last = String(written - 1)
  const seen = await reading
  expect(seen.map(({ data }) => data.next_tick)).toEqual(Array.from({ length: written }, (_, n) => n))
  expect(seen).toEqual(await wholeTail(url))
}, 60_000)

/** A client that comes back whenever it was sent away, until `last` was seen. */
async function readOn(url: string, last: () => string | null): Promise<StreamMessage[]> {
  const seen: StreamMessage[] = []
  const isDone = (messages: readonly StreamMessage[]) => last() !== null && messages.at(-1)?.id === last()
  while (!isDone(seen)) {
    const client = await openStream(url, { lastEventId: seen.at(-1)?.id ?? null })
    let isGone = false
    client.ended.then(() => {
      isGone = true
    })
    await until('the end, of the events or of the stream', async () => isGone || isDone(client.messages))
    client.cut()
    seen.push(...client.messages)
  }
  return seen
}

async function terminate(which: string): Promise<void> {
  await asOwner(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and ${which}`,
  )
}

async function asOwner(text: string): Promise<void> {
  const client = await connectOwner({ url: database.url, applicationName: 'owner' })
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

async function first(url: string, lastEventId: string): Promise<StreamMessage> {
  const client = await openStream(url, { lastEventId })
  await until('a message', async () => client.messages.length > 0)
  client.cut()
  return client.messages[0] as StreamMessage
}

test('a place that retention took, or ahead of the log, resets stream and tail alike', async () => {
  const url = await serve()
  await log(...Array.from({ length: 10 }, (_, n) => progressed(n)))
  await until('the numbers', async () => (await wholeTail(url)).length === 10)
  await asOwner('update weaver.outbox_horizon set seq = 6')
  const tail = async (after: number) => (await fetch(`${url}/tail?after=${after}&limit=2`)).json() as Promise<Tail>
  expect(await first(`${url}/stream`, '4')).toMatchObject({
    event: 'reset',
    id: '9',
    data: { reason: 'older than the log', next: 9 },
  })
  expect(await tail(4)).toMatchObject({ reset: true })
  expect(await first(`${url}/stream`, '5')).toMatchObject({ event: 'run.progress', id: '6' })
  expect(await tail(5)).toMatchObject({ items: [{ seq: 6 }, { seq: 7 }], next: 7 })
  expect((await tail(5)).reset).toBeUndefined()
  expect(await first(`${url}/stream`, '10')).toMatchObject({ event: 'reset', data: { reason: 'ahead of the log' } })
  expect(await tail(10)).toEqual({ items: [], next: 9, reset: true })
  const text = await (await fetch(`${server?.url}/metrics`)).text()
  expect(text).toContain('weaver_process_sse_resets_total 2\n')
})

test('a log that was restored ends the streams, and their places are reset', async () => {
  const url = await serve()
  const client = await openStream(`${url}/stream`)
  await log(...Array.from({ length: 6 }, (_, n) => progressed(n)))
  await until('all', async () => client.messages.length === 6)
  await asOwner(`begin; set local weaver.retention = 'on'; delete from weaver.outbox_seq where seq > 2;
    update weaver.sequencer set next_seq = 3; commit`)
  await client.ended
  expect(client.text()).toMatch(/\n\nretry: \d+\n\n$/)
  expect(await first(`${url}/stream`, String(client.messages.at(-1)?.id))).toMatchObject({ event: 'reset', id: '2' })
})

test('an event that cannot be read is named once, and stream and tail go on', async () => {
  const url = await serve()
  const client = await openStream(`${url}/stream`)
  await log(progressed(1))
  await asOwner(
    `insert into weaver.outbox (event_id, type, corr_id, payload) values
       (gen_random_uuid(), 'run.Progressed', gen_random_uuid(), '{"not": "an envelope"}'),
       (gen_random_uuid(), 'run.Teleported', gen_random_uuid(), '{}')`,
  )
  await log(progressed(2))
  await until('the event after', async () => client.messages.length === 2)
  expect(client.messages).toMatchObject([{ id: '0' }, { id: '3' }])
  expect(await wholeTail(url)).toEqual(client.messages)
  const errors = api.lines.filter(({ level }) => level === 'error')
  expect(errors).toMatchObject([{ fields: { event: { seq: 1, type: 'run.Progressed' } } }])
  client.cut()
})

test('closing ends twenty streams at once, each with a hint of its own when to come back', async () => {
  const url = await serve(600_000)
  const readers: StreamClient[] = []
  for (let n = 0; n < 16; n++) readers.push(await openStream(`${url}/stream?after=-1`))
  const stuck = Array.from({ length: 4 }, () => connect(Number(new URL(url).port), '127.0.0.1'))
  for (const socket of stuck) {
    socket.on('error', () => {})
    socket.pause()
    socket.write('GET /api/v1/events/stream?after=-1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  }
  await log(...Array.from({ length: 3_000 }, (_, n) => progressed(n)))
  await until('the readers', async () => readers.every(({ messages }) => messages.length === 3_000))
  // The limit for requests under way is ten minutes here, longer than this test may take.
  await server?.close()
  await Promise.all(readers.map(({ ended }) => ended))
  const hints = readers.map((reader) => /\n\nretry: (\d+)\n\n$/.exec(reader.text())?.[1])
  expect(hints.every((hint) => Number(hint) >= 1_000 && Number(hint) < 5_000)).toBe(true)
  expect(new Set(hints).size).toBeGreaterThan(4)
  for (const socket of stuck) socket.destroy()
}, 60_000)

/** A log that is longer the more of it is read: frames of about a kilobyte. */
function endlessFeed(total: number): Feed & { at: number } {
  const event = (seq: number): FeedEvent => ({
    seq,
    name: 'run.progress',
    runId: null,
    onlyOfRun: false,
    data: { seq, text: 'x'.repeat(950) },
    envelope: {} as never,
  })
  return {
    at: -1,
    head: async () => -1,
    resetReason: async () => null,
    async page(after, _filter, limit = 500) {
      const end = Math.min(total - 1, after + limit)
      this.at = end
      const events = Array.from({ length: end - after }, (_, n) => event(after + 1 + n))
      return { events, scanned: end, head: total - 1 }
    },
    tail: () => Promise.reject(new Error('not here')),
  }
}

test('a client that never reads costs bounded memory while 50 MB go past it, and is cut off and counted', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const memory = () => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const total = 50_000
  let now = 0
  const feed = endlessFeed(total)
  const db = { reader: database.db.reader, listen: async () => ({ close: async () => {} }) }
  const clock = { now: () => now, newId: () => randomUUID(), sleep: pause }
  const silent = { debug: () => {}, warn: () => {}, error: () => {} }
  const stream = { ...STREAM_LIMITS, pollMs: 5, stallMs: 1_000 }
  const hub = createSseHub({ db, clock, log: silent, stream }, feed)
  let aborted = 0
  const http = createServer(
    getRequestListener(
      async (_request, env) =>
        new Response(
          await hub.open({
            filter: { runId: null, names: null },
            after: null,
            abort: () => {
              aborted += 1
              ;(env as { outgoing: { destroy(): void } }).outgoing.destroy()
            },
          }),
        ),
      { overrideGlobalObjects: false },
    ),
  )
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as { port: number }
  const before = memory()
  const dead = connect(port, '127.0.0.1')
  dead.on('error', () => {})
  dead.pause()
  dead.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  await until('the dead client', async () => hub.counts().open === 1)
  let read = 0
  const healthy = connect(port, '127.0.0.1', () => healthy.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'))
  healthy.on('data', (piece) => {
    read += piece.length
  })
  await until('the healthy client', async () => read > 50_000_000, 30_000)
  expect(hub.counts().open).toBe(2)
  expect(hub.counts().behind).toBeGreaterThan(10_000)
  // What is kept for the dead client would stay; what the healthy one had is garbage soon.
  await until('the memory to be small', async () => memory() - before < 15_000_000)
  healthy.destroy()
  now = 1_001
  await until('the end of the dead one', async () => hub.counts().ended.stalled === 1)
  expect(aborted).toBe(1)
  await hub.close()
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
}, 60_000)
