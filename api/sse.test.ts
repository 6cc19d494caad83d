import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { append } from '../db/events/append.ts'
import type { NewEvent } from '../db/events/envelope.ts'
import { createSequencer } from '../db/events/sequencer.ts'
import { record } from '../db/walle/record.ts'
import { createTestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import { until } from '../tests/support/until.ts'
import { aRun, aSource, idOf, T0 } from '../tests/support/walle_rows.ts'
import { STREAM_LIMITS, type StreamLimits } from './dependencies.ts'
import { streamItem } from './schemas/system.ts'
import { type RunningServer, startServer } from './server.ts'

const RUN = idOf('run', 1)
const PAPER = idOf('run', 2)

let database: TestDatabase
let server: RunningServer
beforeEach(async () => {
  database = await createTestDatabase()
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        { kind: 'create_run', run: aRun(1) },
        { kind: 'create_run', run: aRun(2, { mode: 'paper', exchange: 'sim' }) },
      ],
      events: [],
    }),
  )
})
afterEach(async () => {
  await server?.close()
  await database.drop()
})

/** Long enough for what is under way; `fetch` leaves a connection behind for each answer that it gives up. */
const GRACE_MS = 200

async function serve(stream: Partial<StreamLimits> = {}, graceMs = GRACE_MS): Promise<string> {
  const api = createTestApi(database.db, { stream: { ...STREAM_LIMITS, pollMs: 20, ...stream } })
  server = await startServer({ api, host: '127.0.0.1', port: 0, graceMs })
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

async function log(...events: NewEvent[]): Promise<void> {
  const { db } = database
  await db.write((tx) => append(tx, events, { route: false }))
  await createSequencer({ db, sleep: async () => {}, onError: () => {} }).runOnce()
}

interface Message {
  event: string
  id: string | null
  data: Record<string, unknown>
}

interface Reader {
  messages: Message[]
  ended: Promise<void>
  cut(): void
}

async function listen(url: string, headers: Record<string, string> = {}): Promise<Reader> {
  const control = new AbortController()
  const answer = await fetch(url, { headers, signal: control.signal })
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
  const messages: Message[] = []
  async function read(): Promise<void> {
    let text = ''
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (text + part).split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]))
        if (!fields.has('event')) continue
        expect(block.length).toBeLessThan(1024)
        const { event = '', data = '' } = Object.fromEntries(fields)
        messages.push({ event, id: fields.get('id') ?? null, data: JSON.parse(data) })
      }
    }
  }
  return { messages, ended: read().catch(() => {}), cut: () => control.abort() }
}

async function tailOf(url: string, query = ''): Promise<{ seq: number; event: string; data: unknown }[]> {
  const answer = await fetch(`${url}/tail?limit=1000${query}`)
  const { items } = (await answer.json()) as { items: { seq: number; event: string; data: unknown }[] }
  return items.map(({ seq, event, data }) => ({ seq, event, data }))
}

test('a reader that is cut again and again gets exactly the events of the tail', async () => {
  const url = await serve()
  const total = 200
  const seen: Message[] = []
  const writing = (async () => {
    for (let n = 0; n < total; n += 4) {
      await log(progressed(n), submitted(RUN), progressed(n + 1), deleted(RUN), progressed(n + 2), progressed(n + 3))
    }
  })()
  for (let cuts = 0; seen.length < total; cuts++) {
    const reader = await listen(
      `${url}/stream${cuts === 0 ? '?after=-1' : '?after=3'}`,
      cuts === 0 ? {} : { 'last-event-id': seen.at(-1)?.id ?? '-1' },
    )
    const wanted = Math.min(total - seen.length, 1 + ((cuts * 37) % 30))
    await until('more events', async () => reader.messages.length >= wanted)
    reader.cut()
    await reader.ended
    seen.push(...reader.messages)
  }
  await writing
  const tail = await tailOf(url)
  expect(tail.map(({ data }) => (data as { next_tick: number }).next_tick)).toEqual(
    Array.from({ length: total }, (_, n) => n),
  )
  expect(seen.map(({ id, event, data }) => ({ seq: Number(id), event, data }))).toEqual(tail)
}, 60_000)

test('a stream without a place starts with what is new', async () => {
  const url = await serve()
  await log(progressed(1))
  const reader = await listen(`${url}/stream`)
  await log(progressed(2))
  await until('the event', async () => reader.messages.length > 0)
  expect(reader.messages).toMatchObject([{ event: 'run.progress', id: '1', data: { run_id: RUN, next_tick: 2 } }])
})

test('orders of backtests are for those who ask for the run; types choose by name or type', async () => {
  const url = await serve()
  const readers = {
    all: await listen(`${url}/stream`),
    run: await listen(`${url}/stream?run_id=${RUN}`),
    orders: await listen(`${url}/stream?run_id=${RUN}&types=order.submitted`),
    progress: await listen(`${url}/stream?types=run.Progressed,tick`),
  }
  await log(submitted(RUN), submitted(PAPER), progressed(1, PAPER), progressed(2))
  const got = (reader: Reader) => reader.messages.map(({ event, id }) => `${id} ${event}`)
  await until(
    'all',
    async () => readers.all.messages.length + readers.run.messages.length + readers.progress.messages.length >= 7,
  )
  await until('the order', async () => readers.orders.messages.length >= 1)
  expect(got(readers.all)).toEqual(['1 order.submitted', '2 run.progress', '3 run.progress'])
  expect(got(readers.run)).toEqual(['0 order.submitted', '3 run.progress'])
  expect(got(readers.orders)).toEqual(['0 order.submitted'])
  expect(got(readers.progress)).toEqual(['2 run.progress', '3 run.progress'])
  const seqs = async (query: string) => (await tailOf(url, query)).map(({ seq }) => seq)
  expect(await seqs('')).toEqual([1, 2, 3])
  expect(await seqs(`&run_id=${RUN}`)).toEqual([0, 3])
  expect(await seqs('&types=run.progress&after=2')).toEqual([3])
  expect((await fetch(`${url}/tail?types=nothing`)).status).toBe(422)
  expect((await fetch(`${url}/stream?types=nothing`)).status).toBe(422)
})

test('the tail goes on where `next` says, also over stretches that show nothing', async () => {
  const url = await serve()
  await log(submitted(RUN), deleted(RUN), progressed(1), progressed(2), deleted(RUN))
  const page = async (after: number) => (await fetch(`${url}/tail?limit=1&after=${after}`)).json()
  expect(await page(-1)).toMatchObject({ items: [{ seq: 2, event: 'run.progress' }], next: 2 })
  expect(await page(2)).toMatchObject({ items: [{ seq: 3 }], next: 3 })
  expect(await page(3)).toEqual({ items: [], next: 4 })
  expect(await page(99)).toEqual({ items: [], next: 4, reset: true })
})

test('the tail shows the whole event beside what the stream sends of it', async () => {
  const url = await serve()
  const event: NewEvent = { ...progressed(7), causation_id: randomUUID() }
  await log(event)
  const { items } = (await (await fetch(`${url}/tail`)).json()) as { items: unknown[] }
  expect(items).toEqual([
    {
      seq: 0,
      event: 'run.progress',
      data: {
        id: event.id,
        type: 'run.Progressed',
        run_id: RUN,
        ts: '2024-01-02T03:04:05.678Z',
        progress: 0.5,
        next_tick: 7,
        ticks_total: 1000,
      },
      ...event,
      kind: 'evt',
      version: 1,
      trace_id: null,
      headers: {},
      ts: '2024-01-02T03:04:05.678Z',
    },
  ])
  streamItem.strict().parse(items[0])
})

test('an empty place is the start for the tail, and none for the stream', async () => {
  const url = await serve()
  await log(progressed(1))
  expect((await tailOf(url, '&after=')).map(({ seq }) => seq)).toEqual([0])
  for (const place of ['0x0', '1.5', '-2', 'x']) expect((await fetch(`${url}/tail?after=${place}`)).status).toBe(422)
  const reader = await listen(`${url}/stream?after=`)
  await log(progressed(2))
  await until('the event', async () => reader.messages.length > 0)
  expect(reader.messages).toMatchObject([{ event: 'run.progress', id: '1' }])
})

test('every name of the contract may be asked for, and no type that is never shown', async () => {
  const url = await serve()
  const contract = [
    'run.created,run.started,run.stopped,run.completed,run.error,run.progress,order.created,order.submitted',
    'order.accepted,order.partial,order.filled,order.cancelled,order.rejected,order.expired,order.replaced,tick',
    'account.changed,data.changed,batch.progress,job.failed,system.halted,system.resumed,heartbeat,orders.Filled',
  ]
  await log(progressed(1))
  expect((await tailOf(url, `&types=${contract.join(',')}`)).map(({ seq }) => seq)).toEqual([0])
  expect(await tailOf(url, '&types=system.halted')).toEqual([])
  for (const type of ['strategy.DecisionMade', 'run.Deleted', 'reset']) {
    const answer = await fetch(`${url}/tail?types=tick,${type}`)
    expect(answer.status).toBe(422)
    expect(((await answer.json()) as { message: string }).message).toMatch(`types: ${type} is not on the stream`)
  }
})

test('a place ahead of the log, or none at all, resets the reader to the newest one', async () => {
  const url = await serve()
  await log(progressed(1), progressed(2))
  for (const place of ['99', 'x', '-7', '1e3']) {
    const reader = await listen(`${url}/stream`, { 'last-event-id': place })
    await until('the reset', async () => reader.messages.length > 0)
    expect(reader.messages).toMatchObject([{ event: 'reset', id: '1' }])
    reader.cut()
  }
})

test('a quiet stream beats, without an id', async () => {
  const url = await serve({ heartbeatMs: 30 })
  const reader = await listen(`${url}/stream`)
  await until('two beats', async () => reader.messages.length >= 2)
  expect(reader.messages[1]).toMatchObject({ event: 'heartbeat', id: null })
})

test('a client that takes nothing is cut off, and others go on', async () => {
  const url = await serve({ stallMs: 300, clients: 2 })
  const { port } = new URL(url)
  const stuck = connect(Number(port), '127.0.0.1')
  const closed = new Promise<void>((resolve) => stuck.once('close', () => resolve()))
  stuck.on('error', () => {})
  // Nothing is read from this socket; the kernel's buffers fill, then the server's.
  stuck.pause()
  stuck.write('GET /api/v1/events/stream?after=-1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  const healthy = await listen(`${url}/stream?after=-1`)
  await until('the limit', async () => (await fetch(`${url}/stream`)).status === 503)
  let written = 0
  await until(
    'the stuck one to be let go',
    async () => {
      await log(...Array.from({ length: 500 }, () => progressed(written++)))
      const answer = await fetch(`${url}/stream`)
      await answer.body?.cancel()
      return answer.status === 200
    },
    60_000,
  )
  stuck.resume()
  await closed
  await until('all events', async () => healthy.messages.length === written)
  expect(healthy.messages.map(({ data }) => data.next_tick)).toEqual(Array.from({ length: written }, (_, n) => n))
}, 90_000)

test('bodies arrive whole, in pieces or not at all, and too large ones are refused', async () => {
  const runs = `${(await serve()).replace('/events', '')}/runs`
  const json = { 'content-type': 'application/json' }
  const post = async (path: string, body: BodyInit | null, headers: Record<string, string> = json) => {
    const init = { method: 'POST', body, headers, duplex: 'half' }
    const answer = await fetch(`${runs}${path}`, init)
    return [answer.status, ((await answer.json()) as { code: string }).code]
  }
  const pieces = (...texts: string[]) =>
    new ReadableStream<string>({
      start(controller) {
        for (const text of texts) controller.enqueue(text)
        controller.close()
      },
    }).pipeThrough(new TextEncoderStream())
  expect(await post('', '{}')).toEqual([422, 'VALIDATION_ERROR'])
  expect(await post('', pieces('{"mo', 'de":"x"}'))).toEqual([422, 'VALIDATION_ERROR'])
  expect(await post('', pieces('{"mo', 'de'))).toEqual([400, 'BAD_REQUEST'])
  // Too large by its last piece: Deno's fetch gives up when it is answered while it still has much to send.
  expect(await post('', pieces(...Array.from({ length: 1025 }, () => ' '.repeat(1024))))).toEqual([
    413,
    'PAYLOAD_TOO_LARGE',
  ])
  for (const headers of [json, {}]) {
    expect(await post('', null, headers)).toEqual([422, 'VALIDATION_ERROR'])
    expect(await post('/x/start', null, headers)).toEqual([404, 'NOT_FOUND'])
    expect(await post('/x/stop', null, headers)).toEqual([404, 'NOT_FOUND'])
    // A run that there could be gets as far as the command, which this test has not.
    expect(await post(`/${RUN}/stop`, null, headers)).toEqual([500, 'INTERNAL_ERROR'])
  }
})

test('closing the server ends the streams', async () => {
  const url = await serve()
  const reader = await listen(`${url}/stream`)
  await server.close()
  await reader.ended
  await expect(fetch(`${url}/tail`)).rejects.toThrow()
})

/** More than the buffers between server and reader hold. */
const UNREAD = 12_000

test('closing the server waits for no reader, whether it reads or not', async () => {
  const url = await serve({}, 600_000)
  const { port } = new URL(url)
  const unread = connect(Number(port), '127.0.0.1')
  unread.on('error', () => {})
  unread.pause()
  unread.write('GET /api/v1/events/stream?after=-1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n')
  const reader = await listen(`${url}/stream?after=-1`)
  await log(...Array.from({ length: UNREAD }, (_, n) => progressed(n)))
  await until('the reader', async () => reader.messages.length === UNREAD)
  await server.close()
  await reader.ended
  unread.destroy()
})

test('the stream is never compressed', async () => {
  const url = await serve()
  const reader = await fetch(`${url}/stream`, { headers: { 'accept-encoding': 'gzip' } })
  expect([reader.headers.get('content-encoding'), reader.headers.get('content-type')]).toEqual([
    null,
    'text/event-stream; charset=utf-8',
  ])
  await reader.body?.cancel()
})

test('a port that is in use is named, with what to do', async () => {
  await serve()
  const port = Number(new URL(server.url).port)
  const api = createTestApi(database.db)
  await expect(startServer({ api, host: '127.0.0.1', port })).rejects.toThrow(
    `port ${port} on 127.0.0.1 is in use: stop what listens there, or set WEAVER_PORT to another port`,
  )
})
