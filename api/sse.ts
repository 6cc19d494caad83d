/**
 * The event stream. One hub per process reads the log for all clients; a client is a place in the log. So nothing is
 * skipped and nothing comes twice however it resumes, and a slow client costs one read's frames. Frames are made when
 * the connection asks for more; one that asks for nothing in too long is cut off, and resumes.
 */
import { SEQUENCED } from '../db/events/append.ts'
import { DomainError } from '../jobs/glados/errors.ts'
import type { ApiDependencies } from './dependencies.ts'
import type { Feed, FeedFilter } from './event_feed.ts'
import { createFrames, type Frames, frame, LogWentBack, resetFrame } from './sse_frames.ts'

export interface StreamRequest {
  filter: FeedFilter
  /** Last event seen; null: only what is new. A text that is no place in the log resets the client. */
  after: string | null
  /** Ends a connection that takes nothing. */
  abort: () => void
}

/** Why a stream ended: by its client, or by us. */
export type StreamEnd = 'left' | 'stalled' | 'failed' | 'log restored' | 'stopping'

export interface StreamCounts {
  open: number
  most: number
  /** Events between the newest one and what the last of the clients has taken or was not for it. */
  behind: number
  opened: number
  refused: number
  ended: Record<StreamEnd, number>
  resets: number
}

export interface SseHub {
  open(request: StreamRequest): Promise<ReadableStream<Uint8Array>>
  counts(): StreamCounts
  close(): Promise<void>
}

type HubDependencies = Pick<ApiDependencies, 'db' | 'clock' | 'log' | 'stream'>

interface Client {
  filter: FeedFilter
  /** All up to here was sent or is not for this client. */
  cursor: number
  /** Sent before anything else. */
  first: string
  /** The connection wants more and has not got it. */
  asking: boolean
  quietSince: number
  wake: () => void
  end: (why: StreamEnd) => void
}

const RETRY_MIN_MS = 1_000
const RETRY_SPREAD_MS = 4_000
const PLACE = /^(-1|\d{1,15})$/

const encoder = new TextEncoder()

export function createSseHub(deps: HubDependencies, feed: Feed): SseHub {
  const { clock, stream: limits, log } = deps
  const clients = new Set<Client>()
  const frames = createFrames(feed)
  const loop = createLoop(deps, clients, frames)
  const ended: StreamCounts['ended'] = { left: 0, stalled: 0, failed: 0, 'log restored': 0, stopping: 0 }
  const told = { opened: 0, refused: 0, resets: 0 }
  let closing = false

  function admit(): void {
    if (!closing && clients.size < limits.clients) return
    told.refused += 1
    throw new DomainError(
      'SERVICE_UNAVAILABLE',
      closing ? 'Weaver is stopping' : `there are ${limits.clients} streams open, which is the limit`,
    )
  }

  return {
    counts() {
      const behind = [...clients].map(({ cursor }) => frames.head() - cursor)
      return { ...told, open: clients.size, most: limits.clients, behind: Math.max(0, ...behind), ended: { ...ended } }
    },
    async open({ filter, after, abort }) {
      const { cursor, reset } = await placeOf(feed, after, filter)
      admit()
      const client: Client = {
        filter,
        cursor,
        first: `${retryHint(clock)}${reset}`,
        asking: false,
        quietSince: clock.now(),
        wake: () => {},
        end: () => {},
      }
      clients.add(client)
      told.opened += 1
      if (reset !== '') told.resets += 1
      const leave = (why: StreamEnd) => {
        if (!clients.delete(client)) return
        ended[why] += 1
        client.wake()
        if (clients.size === 0) loop.wake()
      }
      const next = async () => {
        const reading = { frames, now: clock.now, heartbeatMs: limits.heartbeatMs, onReset: () => void told.resets++ }
        const chunk = await nextChunk(client, reading, () => clients.has(client))
        client.quietSince = clock.now()
        return chunk
      }
      const farewell = () => retryHint(clock)
      const stream = streamOf(client, { next, leave, abort, farewell, isOpen: () => clients.has(client), log })
      loop.start()
      return stream
    },
    async close() {
      closing = true
      for (const client of clients) client.end('stopping')
      await loop.stopped()
    },
  }
}

/** Spread, so that clients that were cut off together do not come back together. */
function retryHint({ newId }: HubDependencies['clock']): string {
  return `retry: ${RETRY_MIN_MS + (Number.parseInt(newId().slice(0, 4), 16) % RETRY_SPREAD_MS)}\n\n`
}

/** Where a client starts, and what tells it that it cannot go on where it was. */
async function placeOf(
  feed: Feed,
  after: string | null,
  filter: FeedFilter,
): Promise<{ cursor: number; reset: string }> {
  if (after === null) return { cursor: await feed.head(), reset: '' }
  const reason = PLACE.test(after) ? await feed.resetReason(Number(after), filter) : 'not a place in the log'
  if (reason === null) return { cursor: Number(after), reset: '' }
  const head = await feed.head()
  return { cursor: head, reset: resetFrame(reason, head) }
}

/** Reads the log and tends the clients for as long as there are any. */
function createLoop({ db, clock, log, stream: limits }: HubDependencies, clients: Set<Client>, frames: Frames) {
  let signal = Promise.withResolvers<void>()
  let running: Promise<void> | null = null
  /** An outage is told once. */
  let isBlind = false
  const wake = () => signal.resolve()

  function tend(): void {
    const now = clock.now()
    for (const client of clients) {
      const quiet = now - client.quietSince
      if (client.asking && quiet >= limits.heartbeatMs) client.wake()
      if (!client.asking && quiet >= limits.stallMs) client.end('stalled')
    }
  }

  async function turn(): Promise<void> {
    try {
      while (clients.size > 0 && (await frames.advance())) for (const client of clients) client.wake()
      isBlind = false
    } catch (error) {
      if (!isBlind) log.warn({ err: error }, 'the event stream cannot read the log; it tries again')
      isBlind = true
      // They come back with places of the old log, and are told that these mean nothing any more.
      if (error instanceof LogWentBack) for (const client of clients) client.end('log restored')
    }
    tend()
    await Promise.race([signal.promise, clock.sleep(limits.pollMs)])
    signal = Promise.withResolvers()
  }

  async function run(): Promise<void> {
    const listener = await db.listen(SEQUENCED, { onNotify: wake, onReady: wake })
    while (clients.size > 0) await turn()
    // From here to the first await nothing else runs: a client that comes later starts a new loop.
    frames.rest()
    running = null
    await listener.close()
  }

  return {
    wake,
    start(): void {
      running ??= run().catch((error: unknown) => {
        running = null
        log.error({ err: error }, 'the event stream has stopped')
        for (const client of clients) client.end('failed')
      })
    },
    async stopped(): Promise<void> {
      const last = running
      wake()
      await last
    },
  }
}

interface Reading {
  frames: Frames
  now: () => number
  heartbeatMs: number
  onReset: () => void
}

/** Waits until there is something to send; '' when the client has left. */
async function nextChunk(
  client: Client,
  { frames, now, heartbeatMs, onReset }: Reading,
  isOpen: () => boolean,
): Promise<string> {
  const { first } = client
  client.first = ''
  if (first !== '') return first
  while (isOpen()) {
    const woken = Promise.withResolvers<void>()
    client.wake = woken.resolve
    const before = client.cursor
    const { text, cursor, reset } = await frames.after(before, client.filter)
    client.cursor = cursor
    if (reset !== undefined) onReset()
    if (text !== '') return text
    if (now() - client.quietSince >= heartbeatMs) return frame('heartbeat', { ts: new Date(now()).toISOString() })
    if (cursor === before) await woken.promise
  }
  return ''
}

interface Connection {
  next: () => Promise<string>
  leave: (why: StreamEnd) => void
  abort: () => void
  /** The last that is sent, when we end the stream. */
  farewell: () => string
  isOpen: () => boolean
  log: HubDependencies['log']
}

function streamOf(
  client: Client,
  { next, leave, abort, farewell, isOpen, log }: Connection,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        client.end = (why) => {
          if (!isOpen()) return
          leave(why)
          if (client.asking) controller.enqueue(encoder.encode(farewell()))
          controller.close()
          // Who does not ask has not taken what was sent: waiting for it may take for ever, and it resumes where it was.
          if (!client.asking) abort()
        }
      },
      async pull(controller) {
        client.asking = true
        try {
          const chunk = await next()
          if (isOpen()) controller.enqueue(encoder.encode(chunk))
        } catch (error) {
          log.warn({ err: error }, 'a client of the event stream is let go: the log cannot be read')
          client.end('failed')
        }
        client.asking = false
      },
      cancel: () => leave('left'),
    },
    // What is not asked for is not made.
    { highWaterMark: 0 },
  )
}
