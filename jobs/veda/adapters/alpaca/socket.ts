/**
 * A WebSocket that is kept up: opened again whenever it ends, for as long as it takes. Pings do not show that anything is
 * still said, so it asks the other side to say something: what is asked for again is acknowledged again.
 */
import type { VenueWorld } from '../../venue.ts'

export interface Talk {
  /** The line is there. */
  opened(): void
  /** Throws, or gives a reason to begin anew. */
  heard(text: string): string | null
  /** What the other side answers, sent while it is up; null: nothing to ask yet. */
  probe(): object | null
  /** It is down, and why. */
  ended(reason: string): void
}

export interface KeptSocket {
  send(message: object): void
  /** From here on it is up. */
  settled(): void
  /** Ends this connection; the next one follows. */
  restart(reason: string): void
  close(): Promise<void>
}

/** A connection that died unnoticed counts at Alpaca for about 90 s: the last wait goes beyond that. */
const BACKOFF_MS = [500, 1_000, 2_000, 5_000, 15_000, 30_000, 60_000, 95_000]
/** Of each wait, so that two that lost their line together do not come back together. */
const JITTER = 0.25
const LOOK_MS = 1_000
/** Who was up for so long had a line: its break is the first one. Others may be taking it away again and again. */
const STEADY_MS = 60_000
/** For the connection and the login. */
const SETTLE_MS = 20_000
const PROBE_MS = 15_000
const SILENCE_MS = 30_000

export function keepSocket(url: string, label: string, world: VenueWorld, talk: Talk): KeptSocket {
  let isClosed = false
  let failures = 0
  let current: Connection | null = null
  let wake: () => void = () => {}
  const running = run()

  async function run(): Promise<void> {
    while (!isClosed) {
      const connection = connect(url, world, talk)
      current = connection
      const reason = await connection.ended
      current = null
      if (isClosed) break
      talk.ended(reason)
      if (connection.upFor() >= STEADY_MS) failures = 0
      const wait = backoff(failures, world.newId())
      failures += 1
      world.log('warn', { stream: label, reason, again_ms: wait }, 'a stream of Alpaca ended')
      await Promise.race([world.sleep(wait), new Promise<void>((resolve) => (wake = resolve))])
    }
  }

  return {
    send: (message) => current?.send(message),
    settled: () => current?.settle(),
    restart: (reason) => current?.end(reason),
    async close() {
      isClosed = true
      current?.end('closed')
      wake()
      await running
    },
  }
}

function backoff(failures: number, id: string): number {
  const wait = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)] as number
  const share = Number.parseInt(id.replaceAll('-', '').slice(-6), 16) / 0xffffff
  return Math.round(wait * (1 + JITTER * (Number.isNaN(share) ? 0 : share)))
}

interface Connection {
  send(message: object): void
  settle(): void
  /** Milliseconds since it settled; 0: it did not. */
  upFor(): number
  end(reason: string): void
  ended: Promise<string>
}

function connect(url: string, world: VenueWorld, talk: Talk): Connection {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  const decoder = new TextDecoder()
  const { promise, resolve } = Promise.withResolvers<string>()
  const openedAt = world.now()
  let heardAt = openedAt
  let probedAt = openedAt
  let settledAt: number | null = null
  let isOver = false
  const connection: Connection = {
    send(message) {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message))
    },
    settle() {
      settledAt ??= world.now()
    },
    upFor: () => (settledAt === null ? 0 : world.now() - settledAt),
    end(reason) {
      if (isOver) return
      isOver = true
      // Its close may take as long as the other side likes: nobody waits for it.
      socket.close()
      resolve(reason)
    },
    ended: promise,
  }
  socket.onopen = () => {
    if (!isOver) talk.opened()
  }
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (isOver) return
    heardAt = world.now()
    try {
      // Paper trading sends its JSON in binary frames.
      const reason = talk.heard(typeof data === 'string' ? data : decoder.decode(data))
      if (reason !== null) connection.end(reason)
    } catch (error) {
      connection.end(`a message that is not understood: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  socket.onerror = () => connection.end('the connection failed')
  socket.onclose = ({ code, reason }) =>
    connection.end(`closed by Alpaca (${code}${reason === '' ? '' : ` ${reason}`})`)
  void watch()
  return connection

  async function watch(): Promise<void> {
    while (!isOver) {
      await world.sleep(LOOK_MS)
      const now = world.now()
      if (settledAt === null && now - openedAt > SETTLE_MS) connection.end('no login in time')
      else if (now - heardAt > SILENCE_MS) connection.end('silent')
      else if (settledAt !== null && now - Math.max(heardAt, probedAt) > PROBE_MS) {
        probedAt = now
        const message = talk.probe()
        if (message !== null) connection.send(message)
      }
    }
  }
}
