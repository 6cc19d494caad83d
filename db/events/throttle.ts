/**
 * Whether those that make events in bulk (backtests, batches, imports) may go on, or wait for a consumer of the log that
 * is too far behind. Live and paper trading never ask.
 */
import type { Reader } from '../database.ts'

/** Null: go on. Else why to wait, for people. */
export type Throttle = () => Promise<string | null>

export interface ThrottleOptions {
  reader: Reader
  now: () => number
  /** Told once per change: which consumer, or null when all goes on. */
  onChange?: (consumerId: string | null, reason: string | null) => void
}

/** One answer serves all who ask meanwhile. */
const GOOD_FOR_MS = 250

export function createThrottle({ reader, now, onChange = () => {} }: ThrottleOptions): Throttle {
  let asked = Number.NEGATIVE_INFINITY
  let answer: Promise<string | null> = Promise.resolve(null)
  let waitingFor: string | null = null

  async function ask(): Promise<string | null> {
    const [slowest] = await reader.query<{ id: string; lag: number; lag_limit: number; failing: boolean }>(
      `select consumer_id as id, lag::float8 as lag, lag_limit::float8 as lag_limit, failing_since is not null as failing
       from weaver.consumer_overview where lag > lag_limit order by lag desc limit 1`,
    )
    const reason = slowest
      ? `the consumer ${slowest.id} is ${slowest.lag} events behind, of ${slowest.lag_limit} allowed` +
        (slowest.failing ? ', and fails: see `weaver consumers`' : '')
      : null
    const consumer = slowest?.id ?? null
    if (consumer !== waitingFor) onChange(consumer, reason)
    waitingFor = consumer
    return reason
  }

  return () => {
    if (now() - asked >= GOOD_FOR_MS) {
      asked = now()
      answer = ask()
    }
    return answer
  }
}
