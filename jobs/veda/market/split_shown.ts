/** Whether a venue's data tell of a split that came into effect after the newest session that is over. */
import { DAY_MS } from '../../../db/walle/calendar/days.ts'
import { splitOfPrice } from '../../greta/splits.ts'
import type { Venue } from '../venue.ts'

/** Over any holidays. */
const LOOK_BACK_MS = 10 * DAY_MS

/** So many shares as trade now are one as traded then. 1: they are the same, as far as the data know. */
export async function splitShown(venue: Pick<Venue, 'bars'>, symbol: string, now: number): Promise<number> {
  const days = { symbol, timeframe: '1d', start: now - LOOK_BACK_MS, end: now, urgent: true } as const
  const [raw, adjusted] = await Promise.all([
    venue.bars({ ...days, adjustment: 'raw' }),
    venue.bars({ ...days, adjustment: 'split' }),
  ])
  const newest = raw.at(-1)
  const same = adjusted.find(({ time }) => time === newest?.time)
  return newest === undefined || same === undefined ? 1 : splitOfPrice(Number(newest.close), Number(same.close))
}
