/** What a throttle does to those who ask it: jobs come again later, imports wait or are refused. */
import { createThrottle, type Throttle } from '../db/events/throttle.ts'
import { wallClock } from './glados/clock.ts'
import { DomainError } from './glados/errors.ts'
import type { System } from './system.ts'

const LOOK_AGAIN_MS = 1_000

export function systemThrottle({ db, log }: Pick<System, 'db' | 'log'>): Throttle {
  return createThrottle({
    reader: db.reader,
    now: wallClock.now,
    onChange(consumer, reason) {
      if (reason === null) log.info({}, 'backtests and imports go on: no consumer is too far behind')
      else log.warn({ consumer }, `backtests and imports wait: ${reason}`)
    },
  })
}

interface Waitable {
  putBack(delayMs: number): Promise<never>
}

/** The handler of a job that makes events in bulk: while the throttle is on, the job comes again, with all its attempts. */
export function throttled<Payload, Job extends Waitable>(
  throttle: Throttle,
  handler: (payload: Payload, job: Job) => Promise<void>,
): (payload: Payload, job: Job) => Promise<void> {
  return async (payload, job) => {
    if ((await throttle()) !== null) await job.putBack(LOOK_AGAIN_MS)
    await handler(payload, job)
  }
}

export async function refuseWhileThrottled(throttle: Throttle): Promise<void> {
  const reason = await throttle()
  if (reason !== null) throw new DomainError('SERVICE_UNAVAILABLE', `imports wait: ${reason}. Try again in a moment`)
}

/** Waits until the throttle is off, `longestMs` at most; tells why once. */
export async function waitWhileThrottled(
  throttle: Throttle,
  { longestMs, note }: { longestMs: number; note: (text: string) => void },
): Promise<void> {
  for (let waited = 0; ; waited += LOOK_AGAIN_MS) {
    const reason = await throttle()
    if (reason === null) return
    if (waited >= longestMs) {
      const message = `${reason}. Nothing was imported; is a worker running? (\`weaver consumers\` tells more)`
      throw new DomainError('SERVICE_UNAVAILABLE', message)
    }
    if (waited === 0) note(`waiting: ${reason}`)
    await wallClock.sleep(LOOK_AGAIN_MS)
  }
}
