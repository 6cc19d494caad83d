/** The venues of one process, with what adapters are given of the world. */
import { createSimBook } from '../db/sim_venue.ts'
import type { Clock } from './glados/clock.ts'
import type { Venues } from './live.ts'
import { createRateLimiter } from './rate_limit.ts'
import type { System } from './system.ts'
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
