/** A clock that goes sixty times as fast from `origin` on: a minute is a second. */
import type { PreciseClock } from '../../jobs/glados/clock.ts'

const FACTOR = 60

export function fastClock(real: PreciseClock, origin: number): PreciseClock {
  return {
    now: () => origin + (real.now() - origin) * FACTOR,
    monotonic: () => real.monotonic() * FACTOR,
    sleep: (ms) => real.sleep(Math.max(1, ms / FACTOR)),
    newId: real.newId,
  }
}
