import { wallClock } from '../glados/clock.ts'

/** A repeated signal within this time is the echo of the first. */
const ECHO_MS = 1_000

/**
 * Resolves with the signal's name at the first SIGINT or SIGTERM. A terminal tells the whole process group, and npm and
 * `deno task` pass on what they hear: the same wish comes twice. Later ones are from somebody who lost patience.
 */
export function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let asked = Number.NaN
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const now = wallClock.now()
      if (Number.isNaN(asked)) {
        asked = now
        resolve(signal)
      } else if (now - asked > ECHO_MS) process.exit(1)
    })
  }
  return promise
}
