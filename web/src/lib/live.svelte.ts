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

  const mark = createCoalescer({
    flushMs: FLUSH_MS,
    schedule: (task, ms) => void setTimeout(task, ms),
    invalidate: (key) => void client.invalidateQueries({ queryKey: [...key], refetchType: 'active' }),
  })
  const everything = () => void client.invalidateQueries({ refetchType: 'active' })

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
    mark(keysFor(event.type, runIdOf(event.data)))
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
    // The first Last-Event-ID cannot be set by hand, hence the query.
    source = new EventSource(`/api/v1/events/stream${last === null ? '' : `?after=${encodeURIComponent(last)}`}`)
    source.onopen = () => {
      heard()
      // What happened between the page's first answers and this moment was not streamed to it.
      if (!opened || last === null) everything()
      opened = true
    }
    source.onerror = () => {
      if (live.state !== 'stale') live.state = 'reconnecting'
      if (source?.readyState === EventSource.CLOSED) reopen()
    }
    for (const name of STREAM_EVENTS) source.addEventListener(name, onEvent as EventListener)
    source.addEventListener('heartbeat', heard)
    source.addEventListener('reset', (event) => {
      heard()
      const id = (event as MessageEvent<string>).lastEventId
      last = id === '' ? null : id
      everything()
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

function runIdOf(data: string): string | null {
  try {
    const body: unknown = JSON.parse(data)
    if (typeof body === 'object' && body !== null && 'run_id' in body && typeof body.run_id === 'string') {
      return body.run_id
    }
  } catch {
    // A frame that is not JSON still says that its kind of thing changed.
  }
  return null
}
