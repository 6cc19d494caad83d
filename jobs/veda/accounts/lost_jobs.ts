/**
 * Orders whose job has died get another one: an order of which nobody asks any more may be at the venue, or hold up the run
 * for ever. What kills its job again is left alone for longer each time, for whoever mends it is told each time.
 */

import type { AccountName } from '../../../db/walle/queries/accounts.ts'
import type { Live } from '../../live/live.ts'
import { unfinishedJobs } from '../orders/placing.ts'

const LONGEST_MS = 3_600_000

export interface LostJobs {
  /** Asks the database at most every `everyMs`. */
  look(now: number): Promise<void>
}

export function createLostJobs(
  { db, record }: Pick<Live, 'db' | 'record'>,
  name: AccountName,
  everyMs: number,
): LostJobs {
  let nextLook = Number.NEGATIVE_INFINITY
  let waits = new Map<string, { until: number; ms: number }>()

  return {
    async look(now) {
      if (now < nextLook) return
      nextLook = now + everyMs
      const lost = await unfinishedJobs(db.reader, name)
      waits = new Map([...waits].filter(([, { until }]) => now < until + LONGEST_MS))
      const due = lost.filter(({ payload }) => {
        const { order_id } = payload as { order_id: string }
        const before = waits.get(order_id)
        if (before !== undefined && now < before.until) return false
        const ms = Math.min(LONGEST_MS, before === undefined ? everyMs : before.ms * 2)
        waits.set(order_id, { until: now + ms, ms })
        return true
      })
      if (due.length > 0) await db.write((tx) => record(tx, { writes: [], events: [], jobs: due }))
    },
  }
}
