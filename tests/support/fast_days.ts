/**
 * The time of paper and live runs in the processes of a world that lives faster: six seconds are a minute. It is long ago, so that
 * whatever Postgres stamps is later; everything else in these processes goes by the wall clock, which may be wrong.
 */
import { type PreciseClock, wallClock } from '../../jobs/glados/clock.ts'
import { fastClock } from './fast_clock.ts'

/** Real milliseconds of a minute. */
export const FAST_MINUTE_MS = 6_000
/** What the processes of one world are told, so that they have one time. */
export const FAST_ORIGIN = 'FAST_DAYS_ORIGIN'
/** To be preloaded. */
export const FAST_DAYS = new URL('./fast_days_preload.mjs', import.meta.url).href

/** A Monday. */
const START = Date.UTC(2025, 2, 3, 14, 0, 30)

/** `origin`: the real moment at which its days began. */
export function fastDays(origin: number): PreciseClock {
  const real = { ...wallClock, now: realNow }
  return fastClock(real, { origin, start: START, factor: 60_000 / FAST_MINUTE_MS })
}

/** Whatever the wall clock of this process is set to. */
export const realNow = (): number => performance.timeOrigin + performance.now()
