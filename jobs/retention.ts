/** The worker's round that takes old events out of the log. Every process has one; the database lets in one at a time. */
import { createPauses } from '../db/events/pauses.ts'
import { retainOnce } from '../db/events/retention.ts'
import { record } from '../db/walle/record.ts'
import { wallClock } from './glados/clock.ts'
import type { System } from './system.ts'

export interface RetentionRounds {
  /** Waits for the round under way. */
  stop(): Promise<void>
}

const DAY_MS = 86_400_000
/** Not while everything else starts. */
const FIRST_MS = 60_000
const EVERY_MS = 3_600_000
/** After a round that found the log in use. */
const AGAIN_MS = 300_000
/** A process cannot end while it sleeps. */
const STEP_MS = 500

export function startRetention({ db, log, config }: System): RetentionRounds {
  const pauses = createPauses(wallClock.sleep)
  let stopped = false

  async function round(): Promise<number> {
    try {
      const { retentionDays, auditDays } = config
      const { days, claims } = await retainOnce({ db, now: wallClock.now, retentionDays, auditDays })
      for (const { day, outcome, kept, dropped } of days) {
        if (outcome === 'done') log.info({ day, kept, dropped }, 'old events left the log')
        else log.info({ day, outcome }, 'old events stay in the log for now')
      }
      const before = new Date(wallClock.now() - retentionDays * DAY_MS).toISOString()
      for (const kind of ['drop_notifications', 'drop_window_waits'] as const) {
        await db.write((tx) => record(tx, { writes: [{ kind, before }], events: [] }))
      }
      if (claims > 0) log.info({ claims }, 'claims of finished jobs were removed')
      return days.some(({ outcome }) => outcome === 'busy') ? AGAIN_MS : EVERY_MS
    } catch (error) {
      log.error({ err: error }, 'taking old events out of the log')
      return AGAIN_MS
    }
  }

  async function rounds(): Promise<void> {
    let wait = FIRST_MS
    for (;;) {
      for (let left = wait; left > 0 && !stopped; left -= STEP_MS) {
        await pauses.pause(STEP_MS)
      }
      if (stopped) return
      wait = await round()
    }
  }

  const running = rounds()
  return {
    async stop() {
      stopped = true
      pauses.wake()
      await running
    },
  }
}
