/** Whether a venue's data tell of a split that came into effect after the newest session that is over. */
import { DAY_MS } from '../../../db/walle/calendar/days.ts'
import { splitOfPrice } from '../../greta/splits.ts'
import type { Venue } from '../venue.ts'

export interface ShownSplit {
  /** So many as trade now are one as traded then. */
  shares: number
  /** The date of that session. */
  after: number
}

/** Over any holidays. */
const LOOK_BACK_MS = 10 * DAY_MS

/** Null: none, as far as the data know. */
export async function splitShown(venue: Pick<Venue, 'bars'>, symbol: string, now: number): Promise<ShownSplit | null> {
  const days = { symbol, timeframe: '1d', start: now - LOOK_BACK_MS, end: now, urgent: true } as const
  const [raw, adjusted] = await Promise.all([
    venue.bars({ ...days, adjustment: 'raw' }),
    venue.bars({ ...days, adjustment: 'split' }),
  ])
  const newest = raw.at(-1)
  const same = adjusted.find(({ time }) => time === newest?.time)
  if (newest === undefined || same === undefined) return null
  const shares = splitOfPrice(Number(newest.close), Number(same.close))
  return shares === 1 ? null : { shares, after: newest.time }
}
