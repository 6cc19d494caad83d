/** Every event type there is, by name: its kind, its version and the shape of its payload. */
import type { z } from 'zod'
import { accountEvents } from './types/account.ts'
import { backtestEvents } from './types/backtest.ts'
import { clockEvents } from './types/clock.ts'
import { dataEvents } from './types/data.ts'
import { jobEvents } from './types/job.ts'
import type { EventDefinition } from './types/kinds.ts'
import { liveEvents } from './types/live.ts'
import { marketEvents } from './types/market.ts'
import { orderEvents } from './types/orders.ts'
import { runEvents } from './types/run.ts'
import { strategyEvents } from './types/strategy.ts'
import { systemEvents } from './types/system.ts'

export const EVENTS = {
  ...runEvents,
  ...clockEvents,
  ...strategyEvents,
  ...backtestEvents,
  ...liveEvents,
  ...dataEvents,
  ...marketEvents,
  ...orderEvents,
  ...accountEvents,
  ...jobEvents,
  ...systemEvents,
} as const satisfies Record<string, EventDefinition>

export type EventType = keyof typeof EVENTS
export type PayloadOf<T extends EventType> = z.output<(typeof EVENTS)[T]['payload']>

/** Above this windows go in parts (`data.WindowChunk`), and above 2 MB by reference (`data_ref`). */
export const MAX_PAYLOAD_BYTES = 100 * 1024

export function isEventType(type: string): type is EventType {
  return Object.hasOwn(EVENTS, type)
}

export function definitionOf(type: EventType): EventDefinition {
  return EVENTS[type]
}

export function kindOf(type: EventType): 'evt' | 'cmd' {
  return EVENTS[type].kind
}
