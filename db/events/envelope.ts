/** Events is the log: envelope, registry, append, sequencer, offsets. Nothing else may touch these tables. */
import type { EventType, PayloadOf } from './registry.ts'

export interface Envelope<T extends EventType = EventType> {
  /** Dedupe key. */
  id: string
  kind: 'evt' | 'cmd'
  type: T
  version: number
  run_id: string | null
  /** Groups everything that one tick or one user request set off. */
  corr_id: string
  /** The event that caused this one; null only at a root. */
  causation_id: string | null
  trace_id: string | null
  /** UTC, ISO 8601 with milliseconds. In a backtest the tick at which the thing became known. */
  ts: string
  producer: Producer
  headers: Record<string, string>
  payload: PayloadOf<T>
}

export type Producer = 'glados' | 'veda' | 'greta' | 'marvin' | 'walle'

/** What a producer says of an event; append fills in kind, version and trace. */
export type NewEvent = {
  [T in EventType]: Pick<
    Envelope<T>,
    'id' | 'type' | 'run_id' | 'corr_id' | 'causation_id' | 'ts' | 'producer' | 'payload'
  >
}[EventType]

/** An event as it lies in the log: its type tells its payload. */
export type LogEvent = { [T in EventType]: Envelope<T> }[EventType]
