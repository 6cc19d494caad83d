/**
 * A venue's clock held against ours. No bar is taken for closed before the venue says so, and no boundary has two ticks; but
 * decisions come too early, without the bars that they are about, or too late, and a person must set the clock right.
 */
import type { AccountName } from '../../../db/walle/queries/accounts.ts'
import { clockError } from '../../live/clock_error.ts'
import type { Live } from '../../live/live.ts'
import type { Venue } from '../venue.ts'
import { MOST_SKEW_MS, skewOf } from './clock_skew.ts'

type ClockJobs = Pick<Live, 'db' | 'record' | 'now' | 'newId' | 'log'>

export interface VenueClock {
  /** Asks now and then; a venue that does not say is asked the next time. */
  look(venue: Pick<Venue, 'time'>): Promise<void>
}

const EVERY_MS = 600_000
/** What was found is what is so for as long. */
export const BELIEVED_MINUTES = 25
/** As long as it stays, it is in the log of events so often; in the process's log each time. */
const TELL_EVERY_MS = 3_600_000

export function createVenueClock(jobs: ClockJobs, { exchange, mode }: AccountName): VenueClock {
  let lookedAt = Number.NEGATIVE_INFINITY
  let told = Number.NEGATIVE_INFINITY

  return {
    async look(venue) {
      const asked = jobs.now()
      if (Math.abs(asked - lookedAt) < EVERY_MS) return
      lookedAt = asked
      const theirs = await venue.time().catch(() => null)
      if (theirs === null) return
      const skew = skewOf(asked, theirs, jobs.now())
      const rows = [{ exchange, mode, skew_ms: skew, looked_at: new Date(asked).toISOString() }]
      await jobs.db.write((tx) => jobs.record(tx, { writes: [{ kind: 'save_venue_clocks', rows }], events: [] }))
      if (Math.abs(skew) <= MOST_SKEW_MS) return
      const message = skewText(`${exchange} ${mode}`, skew)
      jobs.log('warn', { account: `${exchange} ${mode}`, skew_ms: skew }, message)
      if (asked - told < TELL_EVERY_MS) return
      told = asked
      await jobs.db.write((tx) => jobs.record(tx, { writes: [], events: [clockError(jobs, 'veda', message)] }))
    },
  }
}

function skewText(account: string, skewMs: number): string {
  const far = `${(Math.abs(skewMs) / 1000).toFixed(1)} s`
  const cure = 'set up time synchronisation on this machine'
  return skewMs > 0
    ? `this machine's clock is ${far} ahead of ${account}'s: ticks come before their bars are closed there, and decide without them; ${cure}`
    : `this machine's clock is ${far} behind ${account}'s: ticks come late by as much; ${cure}`
}
