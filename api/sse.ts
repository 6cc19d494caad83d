/**
 * The event stream. One hub per process reads the log for all clients; a client is a place in the log. So nothing is
 * skipped and nothing comes twice however it resumes, and a slow client costs one read's frames. Frames are made when
 * the connection asks for more; one that asks for nothing in too long is cut off, and resumes.
 */
import { SEQUENCED } from '../db/events/append.ts'
import { DomainError } from '../jobs/glados/errors.ts'
import type { ApiDependencies } from './dependencies.ts'
import type { Feed, FeedFilter } from './event_feed.ts'
import { createFrames, type Frames, frame } from './sse_frames.ts'

export interface StreamRequest {
  filter: FeedFilter
  /** Last event seen; null: only what is new. A text that is no place in the log resets the client. */
  after: string | null
  /** Ends a connection that takes nothing. */
  abort: () => void
}

export interface SseHub {
  open(request: StreamRequest): Promise<ReadableStream<Uint8Array>>
  clients(): number
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
  /** `stuck`: the connection will not take what is still to be sent. */
  end: (stuck: boolean) => void
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
  let closing = false

  return {
    clients: () => clients.size,
    async open({ filter, after, abort }) {
      const { cursor, reset } = await placeOf(feed, after)
      if (closing) throw new DomainError('SERVICE_UNAVAILABLE', 'Weaver is stopping')
      if (clients.size >= limits.clients) {
        throw new DomainError('SERVICE_UNAVAILABLE', `there are ${limits.clients} streams open, which is the limit`)
      }
      // Spread, so that clients that were cut off together do not come back together.
      const retry = RETRY_MIN_MS + (Number.parseInt(clock.newId().slice(0, 4), 16) % RETRY_SPREAD_MS)
      const client: Client = {
        filter,
        cursor,
        first: `retry: ${retry}\n\n${reset}`,
        asking: false,
        quietSince: clock.now(),
        wake: () => {},
        end: () => {},
      }
      clients.add(client)
      const leave = () => {
        clients.delete(client)
        client.wake()
        if (clients.size === 0) loop.wake()
      }
      const next = async () => {
        const chunk = await nextChunk(client, { frames, now: clock.now, heartbeatMs: limits.heartbeatMs }, () =>
          clients.has(client),
        )
        client.quietSince = clock.now()
        return chunk
      }
      const stream = streamOf(client, { next, leave, abort, isOpen: () => clients.has(client), log })
      loop.start()
      return stream
    },
    async close() {
      closing = true
      // Who does not ask has not taken what was sent: waiting for it may take for ever, and it resumes where it was.
      for (const client of clients) client.end(!client.asking)
      await loop.stopped()
    },
  }
}

/** Where a client starts, and what tells it that it cannot go on where it was. */
async function placeOf(feed: Feed, after: string | null): Promise<{ cursor: number; reset: string }> {
  if (after === null) return { cursor: await feed.head(), reset: '' }
  const reason = PLACE.test(after) ? await feed.resetReason(Number(after)) : 'not a place in the log'
  if (reason === null) return { cursor: Number(after), reset: '' }
  const head = await feed.head()
  return { cursor: head, reset: frame('reset', { reason, next: head }, head) }
}

/** Reads the log and tends the clients for as long as there are any. */
function createLoop({ db, clock, log, stream: limits }: HubDependencies, clients: Set<Client>, frames: Frames) {
  let signal = Promise.withResolvers<void>()
  let running: Promise<void> | null = null
  const wake = () => signal.resolve()

  function tend(): void {
    const now = clock.now()
    for (const client of clients) {
      const quiet = now - client.quietSince
      if (client.asking && quiet >= limits.heartbeatMs) client.wake()
      if (!client.asking && quiet >= limits.stallMs) client.end(true)
    }
  }

  async function turn(): Promise<void> {
    try {
      while (clients.size > 0 && (await frames.advance())) for (const client of clients) client.wake()
    } catch (error) {
      log.warn({ err: error }, 'the event stream cannot read the log; it tries again')
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
        for (const client of clients) client.end(false)
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
}

/** Waits until there is something to send; '' when the client has left. */
async function nextChunk(
  client: Client,
  { frames, now, heartbeatMs }: Reading,
  isOpen: () => boolean,
): Promise<string> {
  const { first } = client
  client.first = ''
  if (first !== '') return first
  while (isOpen()) {
    const woken = Promise.withResolvers<void>()
    client.wake = woken.resolve
    const before = client.cursor
    const { text, cursor } = await frames.after(before, client.filter)
    client.cursor = cursor
    if (text !== '') return text
    if (now() - client.quietSince >= heartbeatMs) return frame('heartbeat', { ts: new Date(now()).toISOString() })
    if (cursor === before) await woken.promise
  }
  return ''
}

interface Connection {
  next: () => Promise<string>
  leave: () => void
  abort: () => void
  isOpen: () => boolean
  log: HubDependencies['log']
}

function streamOf(client: Client, { next, leave, abort, isOpen, log }: Connection): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        client.end = (stuck) => {
          if (!isOpen()) return
          leave()
          controller.close()
          if (stuck) abort()
        }
      },
      async pull(controller) {
        client.asking = true
        try {
          const chunk = await next()
          if (isOpen()) controller.enqueue(encoder.encode(chunk))
        } catch (error) {
          log.warn({ err: error }, 'a client of the event stream is let go: the log cannot be read')
          client.end(false)
        }
        client.asking = false
      },
      cancel: leave,
    },
    // What is not asked for is not made.
    { highWaterMark: 0 },
  )
}
