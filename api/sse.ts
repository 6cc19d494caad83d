/**
 * The event stream. One hub per process reads the log for all clients into a ring of frames; a client is a place in the
 * log, and takes frames from the ring, or from the log when the ring no longer has its place. So nothing is skipped and
 * nothing comes twice however it resumes, and a slow client costs one page of frames. Frames are made when the
 * connection asks for more; one that asks for nothing in too long is cut off, and resumes.
 */
import { SEQUENCED } from '../db/events/append.ts'
import { DomainError } from '../jobs/glados/errors.ts'
import type { ApiDependencies } from './dependencies.ts'
import { type Feed, type FeedEvent, type FeedFilter, wants } from './event_feed.ts'

export interface StreamRequest {
  filter: FeedFilter
  /** Last event seen; null: only what is new. A text that is no position resets the client. */
  after: string | null
  /** Ends a connection that takes nothing. */
  abort: () => void
}

export interface SseHub {
  open(request: StreamRequest): Promise<ReadableStream<Uint8Array>>
  clients(): number
  close(): Promise<void>
}

interface Client {
  filter: FeedFilter
  /** All up to here was sent or is not for this client. */
  cursor: number
  /** Frames to send before anything else. */
  first: string
  /** The connection wants more and has not got it. */
  asking: boolean
  quietSince: number
  wake: () => void
  /** `stuck`: its connection will not take what is still to be sent. */
  end: (stuck: boolean) => void
}

interface Frame {
  event: FeedEvent
  text: string
}

/** Events that are kept for clients that keep up. */
const RING = 1_024
/** Most that one read of the connection gets. */
const FRAMES_AT_ONCE = 64
const RETRY_MIN_MS = 1_000
const RETRY_SPREAD_MS = 4_000
const POSITION = /^(-1|\d{1,15})$/

const encoder = new TextEncoder()

export function createSseHub(deps: Pick<ApiDependencies, 'db' | 'clock' | 'log' | 'stream'>, feed: Feed): SseHub {
  const { clock, log, stream: limits } = deps
  const clients = new Set<Client>()
  let ring: Frame[] = []
  /** The ring holds all that is shown in (ringStart, position]. Null: nobody listens. */
  let ringStart = -1
  let position: number | null = null
  let wakeHub = Promise.withResolvers<void>()
  let closing = false
  let running: Promise<void> | null = null
  const wake = () => wakeHub.resolve()

  async function advance(): Promise<void> {
    if (position === null) {
      position = ringStart = await feed.head()
      for (const client of clients) client.wake()
    }
    while (!closing) {
      const page = await feed.page(position, null)
      if (page.scanned === position) return
      for (const event of page.events) ring.push({ event, text: frameOf(event) })
      position = page.scanned
      for (const { event } of ring.splice(0, Math.max(0, ring.length - RING))) ringStart = event.seq
      for (const client of clients) client.wake()
    }
  }

  function tend(): void {
    const now = clock.now()
    for (const client of clients) {
      if (client.asking) {
        if (now - client.quietSince >= limits.heartbeatMs) client.wake()
      } else if (now - client.quietSince >= limits.stallMs) client.end(true)
    }
  }

  async function run(): Promise<void> {
    const listener = await deps.db.listen(SEQUENCED, { onNotify: wake, onReady: wake })
    try {
      while (!closing && clients.size > 0) {
        try {
          await advance()
        } catch (error) {
          log.warn({ err: error }, 'the event stream cannot read the log; it tries again')
        }
        tend()
        await Promise.race([wakeHub.promise, clock.sleep(limits.pollMs)])
        wakeHub = Promise.withResolvers()
      }
    } finally {
      position = null
      ring = []
      running = null
      await listener.close()
    }
  }

  function ensureRunning(): void {
    running ??= run().catch((error) => {
      running = null
      log.error({ err: error }, 'the event stream has stopped')
      for (const client of clients) client.end(false)
    })
  }

  /** The next frames for a client, without waiting; '' when there are none. */
  async function framesFor(client: Client): Promise<string> {
    if (client.first !== '') {
      const { first } = client
      client.first = ''
      return first
    }
    if (position !== null && client.cursor >= position) return ''
    if (position !== null && client.cursor >= ringStart) return fromRing(client, position)
    const page = await feed.page(client.cursor, client.filter, FRAMES_AT_ONCE)
    client.cursor = page.scanned
    return page.events.map(frameOf).join('')
  }

  function fromRing(client: Client, position: number): string {
    const texts: string[] = []
    for (let i = firstAfter(ring, client.cursor); i < ring.length; i++) {
      const { event, text } = ring[i] as Frame
      client.cursor = event.seq
      if (wants(client.filter, event)) texts.push(text)
      if (texts.length === FRAMES_AT_ONCE) return texts.join('')
    }
    client.cursor = Math.max(client.cursor, position)
    return texts.join('')
  }

  async function nextChunk(client: Client): Promise<string> {
    while (clients.has(client)) {
      const woken = Promise.withResolvers<void>()
      client.wake = woken.resolve
      const before = client.cursor
      const frames = await framesFor(client)
      if (frames !== '') return frames
      if (clock.now() - client.quietSince >= limits.heartbeatMs) {
        return `event: heartbeat\ndata: {"ts":"${new Date(clock.now()).toISOString()}"}\n\n`
      }
      if (client.cursor === before) await woken.promise
    }
    return ''
  }

  async function place(after: string | null): Promise<{ cursor: number; first: string }> {
    const retry = RETRY_MIN_MS + (Number.parseInt(clock.newId().slice(0, 4), 16) % RETRY_SPREAD_MS)
    const first = `retry: ${retry}\n\n`
    const head = await feed.head()
    if (after === null) return { cursor: head, first }
    const reason = POSITION.test(after) ? await feed.resetReason(Number(after)) : 'not a position of the log'
    if (reason === null) return { cursor: Number(after), first }
    return { cursor: head, first: `${first}${frame('reset', String(head), { reason, next: head })}` }
  }

  return {
    clients: () => clients.size,
    async open({ filter, after, abort }) {
      if (closing) throw new DomainError('SERVICE_UNAVAILABLE', 'Weaver is stopping')
      if (clients.size >= limits.clients) {
        throw new DomainError('SERVICE_UNAVAILABLE', `there are ${limits.clients} streams open, which is the limit`)
      }
      const start = await place(after)
      const client: Client = {
        filter,
        ...start,
        asking: false,
        quietSince: clock.now(),
        wake: () => {},
        end: () => {},
      }
      clients.add(client)
      return streamOf(client, abort)
    },
    async close() {
      closing = true
      for (const client of clients) client.end(false)
      wake()
      await running
    },
  }

  function streamOf(client: Client, abort: () => void): ReadableStream<Uint8Array> {
    const leave = () => {
      clients.delete(client)
      client.wake()
      if (clients.size === 0) wake()
    }
    return new ReadableStream<Uint8Array>(
      {
        start(controller) {
          client.end = (stuck) => {
            if (!clients.has(client)) return
            leave()
            controller.close()
            if (stuck) abort()
          }
          ensureRunning()
        },
        async pull(controller) {
          client.asking = true
          try {
            const chunk = await nextChunk(client)
            if (clients.has(client)) controller.enqueue(encoder.encode(chunk))
          } catch (error) {
            log.warn({ err: error }, 'a client of the event stream is let go: the log cannot be read')
            client.end(false)
          }
          client.asking = false
          client.quietSince = clock.now()
        },
        cancel: leave,
      },
      { highWaterMark: 0 },
    )
  }
}

/** Index of the first frame after a position. */
function firstAfter(ring: readonly Frame[], seq: number): number {
  let low = 0
  let high = ring.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ring[middle] as Frame).event.seq <= seq) low = middle + 1
    else high = middle
  }
  return low
}

function frameOf({ seq, name, data }: FeedEvent): string {
  return frame(name, String(seq), data)
}

function frame(event: string, id: string, data: object): string {
  return `event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`
}
