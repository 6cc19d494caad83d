/** Which answers a thin event makes stale, and when they are asked for again. Pure: time and timer are passed in. */

export const STREAM_EVENTS = [
  'run.created',
  'run.started',
  'run.stopped',
  'run.completed',
  'run.error',
  'run.progress',
  'order.created',
  'order.submitted',
  'order.accepted',
  'order.partial',
  'order.filled',
  'order.cancelled',
  'order.rejected',
  'order.expired',
  'order.replaced',
  'tick',
  'account.changed',
  'data.changed',
  'job.failed',
  'system.halted',
  'system.resumed',
] as const
export type StreamEvent = (typeof STREAM_EVENTS)[number]

export type Key = readonly string[]

/** Prefixes of query keys that an event touches. An event without a run touches lists only. */
export function keysFor(name: string, runId: string | null, type: string | null = null): Key[] {
  const run = (...parts: string[]): Key[] => (runId === null ? [] : parts.map((part) => ['run', runId, part]))
  const positions: Key[] = runId === null ? [] : [['positions', runId]]
  const ended = name === 'run.completed' || name === 'run.stopped' || name === 'run.error'
  if (ended) return [['runs'], ...(runId === null ? [] : [['run', runId]]), ...positions]
  if (name === 'run.progress') return [['runs'], ...run('detail', 'equity')]
  if (name.startsWith('run.')) return [['runs'], ...run('detail', 'events')]
  if (name === 'order.filled' || name === 'order.partial') {
    return [['runs'], ...run('detail', 'orders', 'fills', 'trades', 'equity', 'report', 'events'), ...positions]
  }
  if (name.startsWith('order.')) return run('orders', 'decisions', 'events')
  if (name === 'tick') return run('detail', 'ticks', 'equity', 'decisions')
  if (name === 'account.changed') return [['accounts'], ...run('detail', 'equity'), ...positions]
  // Prices of a moment: what is held is worth something else.
  if (name === 'data.changed' && type?.startsWith('market.')) return [['positions'], ['accounts']]
  if (name === 'data.changed') return [['datasets'], ['candles']]
  if (name === 'system.halted' || name === 'system.resumed') return [['halts'], ['runs'], ['run']]
  return []
}

export interface CoalescerParts {
  flushMs: number
  schedule: (task: () => void, ms: number) => void
  invalidate: (key: Key) => void
}

/** Collects keys and invalidates each once per window, however many events came. */
export function createCoalescer({ flushMs, schedule, invalidate }: CoalescerParts) {
  const waiting = new Map<string, Key>()
  let scheduled = false
  const flush = () => {
    scheduled = false
    const due = [...waiting.values()]
    waiting.clear()
    for (const key of due) {
      const covered = due.some((other) => other.length < key.length && other.every((part, i) => part === key[i]))
      if (!covered) invalidate(key)
    }
  }
  return (found: Key[]) => {
    for (const key of found) waiting.set(JSON.stringify(key), key)
    if (waiting.size === 0 || scheduled) return
    scheduled = true
    schedule(flush, flushMs)
  }
}
