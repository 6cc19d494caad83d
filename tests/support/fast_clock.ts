/** A clock that goes faster than the one it is made from: at `origin` of that one it shows `start`. */
import type { PreciseClock } from '../../jobs/glados/clock.ts'

export interface FastClockOptions {
  origin: number
  start: number
  /** With 60 a minute is a second. */
  factor: number
}

export function fastClock(real: PreciseClock, { origin, start, factor }: FastClockOptions): PreciseClock {
  return {
    now: () => start + (real.now() - origin) * factor,
    monotonic: () => real.monotonic() * factor,
    sleep: (ms) => real.sleep(Math.max(1, ms / factor)),
    newId: real.newId,
  }
}
