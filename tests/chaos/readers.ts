/** Two readers of the log, as a page and as a program would be: by the stream, resuming, and by polling. */
import { SSE_NAMES } from '../../db/events/sse_names.ts'
import { pause, until } from '../support/until.ts'
import { ask } from './http.ts'
import type { Load } from './load.ts'
import type { World } from './world.ts'

const RETRY_MS = 50
const POLL_MS = 150
const PAGE = 1_000
const CATCH_UP_MS = 60_000

interface Reading {
  seqs: number[]
  problems: string[]
}

function take(reading: Reading, who: string, seq: number): void {
  const last = reading.seqs.at(-1) ?? -1
  if (seq <= last) reading.problems.push(`the ${who} gave ${seq} after ${last}`)
  else reading.seqs.push(seq)
}

function fieldOf(frame: string, name: string): string | null {
  const line = frame.split('\n').find((text) => text.startsWith(`${name}:`))
  return line === undefined ? null : line.slice(name.length + 1).trim()
}

async function readStream(url: string, reading: Reading, signal: AbortSignal): Promise<void> {
  const answer = await fetch(`${url}/api/v1/events/stream`, {
    headers: { 'Last-Event-ID': String(reading.seqs.at(-1) ?? -1) },
    signal,
  })
  if (!answer.ok || answer.body === null) return
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of answer.body) {
    text += decoder.decode(bytes, { stream: true })
    const frames = text.split('\n\n')
    text = frames.pop() ?? ''
    for (const frame of frames) {
      if (fieldOf(frame, 'event') === 'reset') reading.problems.push(`the stream was reset: ${frame}`)
      const id = fieldOf(frame, 'id')
      if (id !== null) take(reading, 'stream', Number(id))
    }
  }
}

async function readTail(world: World, reading: Reading, after: number): Promise<number> {
  const { status, body } = await ask(world.apiUrl, world.over).once('GET', `/events/tail?after=${after}&limit=${PAGE}`)
  if (status !== 200) return after
  if (body.reset === true) reading.problems.push('the tail was reset')
  for (const { seq } of body.items as { seq: number }[]) take(reading, 'tail', seq)
  return Number(body.next)
}

/** Of the log, what is shown to somebody who asks for no run: no ticks and orders of backtests. */
async function shown(world: World): Promise<number[]> {
  const detail = (name: string | null) => name === 'tick' || name?.startsWith('order.') === true
  const types = Object.entries(SSE_NAMES).flatMap(([type, name]) => (name === null || detail(name) ? [] : [type]))
  const ofPaper = Object.entries(SSE_NAMES).flatMap(([type, name]) => (detail(name) ? [type] : []))
  const rows = await world.db.reader.query<{ seq: string }>(
    `select seq from weaver.outbox_seq where type = any ($1)
      or type = any ($2) and run_id in (select id from weaver.runs where mode = 'paper') order by seq`,
    [types, ofPaper],
  )
  return rows.map(({ seq }) => Number(seq))
}

export function createReaders(world: World): Load {
  const stream: Reading = { seqs: [], problems: [] }
  const tail: Reading = { seqs: [], problems: [] }
  let after = -1
  let ending = new AbortController()
  let reading: Promise<unknown> = Promise.resolve()
  world.over.addEventListener('abort', () => ending.abort())
  const repeat = async (work: () => Promise<void>, everyMs: number, { signal }: AbortController) => {
    while (!signal.aborted) {
      await work().catch(() => {})
      await pause(everyMs)
    }
  }
  const follow = async () => {
    after = await readTail(world, tail, after)
  }
  return {
    name: 'readers',
    start() {
      const mine = new AbortController()
      ending = mine
      reading = Promise.all([
        repeat(() => readStream(world.apiUrl, stream, mine.signal), RETRY_MS, mine),
        repeat(follow, POLL_MS, mine),
      ])
    },
    // They read on until `check`, so that they see what the others did last.
    drain: async () => {},
    async check() {
      const expected = await shown(world)
      const newest = expected.at(-1) ?? -1
      const atEnd = async () => [stream, tail].every(({ seqs }) => (seqs.at(-1) ?? -1) >= newest)
      await until('the readers to be at the end of the log', atEnd, CATCH_UP_MS).catch(() => {})
      ending.abort()
      await reading
      const wrong = Object.entries({ stream, tail }).flatMap(([who, { seqs, problems }]) => {
        const known = new Set(seqs)
        const missed = expected.filter((seq) => !known.has(seq))
        const strange = seqs.filter((seq) => seq <= newest).length - (expected.length - missed.length)
        const told = [...problems]
        if (missed.length > 0) told.push(`the ${who} missed ${missed.length} events, such as ${missed.slice(0, 5)}`)
        if (strange > 0) told.push(`the ${who} gave ${strange} events too many`)
        return told
      })
      return wrong
    },
    summary: () => `${stream.seqs.length} events by the stream, ${tail.seqs.length} by the tail`,
  }
}
