/** The venues of one process, with what adapters are given of the world. */
import { createSimBook } from '../../../db/sim_venue.ts'
import type { Config } from '../../config/config.ts'
import type { Clock } from '../../glados/clock.ts'
import type { Venues } from '../../live/live.ts'
import type { Log } from '../../log.ts'
import type { System } from '../../system.ts'
import { VenueError } from '../venue.ts'
import { createRateLimiter } from './rate_limit.ts'
import { createVenues } from './venues.ts'

export function openVenues({ db, config, log }: System, clock: Clock): Promise<Venues> {
  return createVenues({
    settings: config.venues,
    world: {
      ...clock,
      ...createRateLimiter({ db, ...clock }),
      log: (level, fields, message) => log[level](fields, message),
      simBook: createSimBook(db),
    },
  })
}

async function noBook(): Promise<never> {
  throw new VenueError('unavailable', 'the simulator cannot be reached: its books lie in the database')
}

/**
 * Without Postgres, for the kill switch: nobody shares the venues' limits, and the simulator, whose books lie there, has
 * nothing that could be cancelled.
 */
export async function openVenuesAlone(config: Config, log: Log, clock: Clock): Promise<Venues> {
  const venues = await createVenues({
    settings: config.venues,
    world: {
      ...clock,
      takeToken: async () => {},
      emptyBucket: async () => {},
      log: (level, fields, message) => log[level](fields, message),
      simBook: { use: noBook, peek: noBook, told: noBook },
    },
  })
  return { ...venues, configured: () => venues.configured().filter(({ exchange }) => exchange !== 'sim') }
}
