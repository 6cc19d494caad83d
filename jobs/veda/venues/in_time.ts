/** A venue that says nothing: whoever waits for it is a worker that others need. */
import { VenueError } from '../venue.ts'

/** The answer; throws `unavailable` when there is none within `ms`. */
export function inTime<T>(sleep: (ms: number) => Promise<void>, ms: number, asked: Promise<T>): Promise<T> {
  const late = sleep(ms).then(() => {
    throw new VenueError('unavailable', `no answer within ${ms / 1000} s`)
  })
  late.catch(() => {})
  return Promise.race([asked, late])
}
