/** The wall clock: the one place, with the entry files, that reads time and makes random ids. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Epoch milliseconds, UTC. */
  now(): number
  sleep(ms: number): Promise<void>
  newId(): string
}

/** For what has to happen at its time. */
export interface PreciseClock extends Clock {
  /** Milliseconds since some moment, whatever the wall clock is set to meanwhile. */
  monotonic(): number
}

export const wallClock: PreciseClock = {
  now: () => Date.now(),
  sleep: async (ms) => {
    await delay(ms)
  },
  newId: () => randomUUID(),
  monotonic: () => performance.now(),
}
