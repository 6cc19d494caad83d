/**
 * The worker's round that takes away what nobody needs any more: old events, and what runs leave in their tables with every
 * tick. Every process has one; of the log the database lets in one at a time, and two that delete the same rows delete them
 * once. docs/operations.md, "How long things stay", has all horizons in one table.
 */
import { createPauses } from '../db/events/pauses.ts'
import { auditHorizon, type Retained, retainOnce } from '../db/events/retention.ts'
import { THINNED, type ThinnedName, thin } from '../db/walle/retention.ts'
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

type Retaining = Pick<System, 'db' | 'log' | 'config'>

export function startRetention(system: Retaining): RetentionRounds {
  const pauses = createPauses(wallClock.sleep)
  let stopped = false

  async function rounds(): Promise<void> {
    let wait = FIRST_MS
    for (;;) {
      for (let left = wait; left > 0 && !stopped; left -= STEP_MS) {
        await pauses.pause(STEP_MS)
      }
      if (stopped) return
      wait = await round(system)
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

/** Gives how long to wait for the next one. */
async function round(system: Retaining): Promise<number> {
  const { log } = system
  try {
    const { days } = await retainAll(system, wallClock.now)
    return days.some(({ outcome }) => outcome === 'busy') ? AGAIN_MS : EVERY_MS
  } catch (error) {
    log.error({ err: error }, 'taking away what is too old')
    return AGAIN_MS
  }
}

export async function retainAll({ db, log, config }: Retaining, now: () => number): Promise<Retained> {
  const { retentionDays, auditDays } = config
  const retained = await retainOnce({ db, now, retentionDays, auditDays })
  const { days, folded, claims, letters } = retained
  for (const { day, outcome, kept, dropped } of days) {
    if (outcome === 'done') log.info({ day, kept, dropped }, 'old events left the log')
    else log.info({ day, outcome }, 'old events stay in the log for now')
  }
  if (folded !== null) log.info(folded, 'events that are kept for audit are put together by the month')
  const rows: Partial<Record<ThinnedName | 'claims' | 'letters', number>> = { claims, letters }
  const horizons = {
    expired: new Date(now() - retentionDays * DAY_MS).toISOString(),
    auditedSince: await auditHorizon(db.reader),
  }
  for (const name of Object.keys(THINNED) as ThinnedName[]) rows[name] = await thin(db, name, horizons)
  const gone = Object.fromEntries(Object.entries(rows).filter(([, count]) => count > 0))
  if (Object.keys(gone).length > 0) log.info(gone, 'rows that nobody needs any more are gone')
  return retained
}
