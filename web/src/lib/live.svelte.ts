/** The page's one event stream. It carries no data: it says which answers are stale. */
import type { QueryClient } from '@tanstack/svelte-query'
import { createCoalescer, keysFor, STREAM_EVENTS } from './invalidation.ts'

/** The server beats more often; silence beyond this means that the connection is dead without saying so. */
const STALE_MS = 40_000
const FLUSH_MS = 250
const RETRY_MIN_MS = 1_000
const RETRY_MAX_MS = 30_000

export type LiveState = 'connecting' | 'live' | 'reconnecting' | 'stale'

class Live {
  state = $state<LiveState>('connecting')
  /** When the server was last heard, epoch milliseconds. */
  heardAt = $state<number | null>(null)
}

export const live = new Live()

/** Opens the stream and keeps it open; returns what closes it. */
export function connect(client: QueryClient): () => void {
  let source: EventSource | null = null
  let last: string | null = null
  let retryMs = RETRY_MIN_MS
  let retryTimer: ReturnType<typeof setTimeout> | undefined
  let watch: ReturnType<typeof setTimeout> | undefined
  let closed = false
  let opened = false

  const { mark, everything } = invalidation(client)

  const heard = () => {
    live.heardAt = Date.now()
    live.state = 'live'
    retryMs = RETRY_MIN_MS
    clearTimeout(watch)
    watch = setTimeout(() => {
      live.state = 'stale'
      reopen()
    }, STALE_MS)
  }

  const onEvent = (event: MessageEvent<string>) => {
    heard()
    if (event.lastEventId !== '') last = event.lastEventId
    const { run_id, type } = namesIn(event.data)
    mark(keysFor(event.type, run_id, type))
  }

  function reopen() {
    source?.close()
    source = null
    clearTimeout(retryTimer)
    if (closed) return
    retryTimer = setTimeout(open, retryMs)
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
  }

  function open() {
    if (closed) return
    source = listen(last, {
      onopen() {
        heard()
        // What happened between the page's first answers and this moment was not streamed to it.
        if (!opened || last === null) everything()
        opened = true
      },
      onerror(dead) {
        if (live.state !== 'stale') live.state = 'reconnecting'
        if (dead) reopen()
      },
      onEvent,
      onHeartbeat: heard,
      onReset(id) {
        heard()
        last = id
        everything()
      },
    })
  }

  open()
  return () => {
    closed = true
    clearTimeout(retryTimer)
    clearTimeout(watch)
    source?.close()
  }
}

function invalidation(client: QueryClient) {
  const mark = createCoalescer({
    flushMs: FLUSH_MS,
    schedule: (task, ms) => void setTimeout(task, ms),
    invalidate: (key) => void client.invalidateQueries({ queryKey: [...key], refetchType: 'active' }),
  })
  return { mark, everything: () => void client.invalidateQueries({ refetchType: 'active' }) }
}

interface Listeners {
  onopen(): void
  /** Dead: the browser will not try again by itself. */
  onerror(dead: boolean): void
  onEvent(event: MessageEvent<string>): void
  onHeartbeat(): void
  /** The stream cannot go on where it was; the id is where it goes on, null at the end. */
  onReset(id: string | null): void
}

function listen(after: string | null, on: Listeners): EventSource {
  // The first Last-Event-ID cannot be set by hand, hence the query.
  const source = new EventSource(`/api/v1/events/stream${after === null ? '' : `?after=${encodeURIComponent(after)}`}`)
  source.onopen = on.onopen
  source.onerror = () => on.onerror(source.readyState === EventSource.CLOSED)
  for (const name of STREAM_EVENTS) source.addEventListener(name, on.onEvent as EventListener)
  source.addEventListener('heartbeat', on.onHeartbeat)
  source.addEventListener('reset', (event) => {
    const id = (event as MessageEvent<string>).lastEventId
    on.onReset(id === '' ? null : id)
  })
  return source
}

function namesIn(data: string): { run_id: string | null; type: string | null } {
  try {
    const body = JSON.parse(data) as Record<string, unknown> | null
    const text = (name: string) => (typeof body?.[name] === 'string' ? body[name] : null)
    return { run_id: text('run_id'), type: text('type') }
  } catch {
    // A frame that is not JSON still says that its kind of thing changed.
    return { run_id: null, type: null }
  }
}
