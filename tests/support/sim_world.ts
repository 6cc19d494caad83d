/** The simulator opened for a test: on its own time, on a book in the test's database. */

import type { Database } from '../../db/database.ts'
import { createSimBook } from '../../db/sim_venue.ts'
import { createExchange, type Exchange } from '../../jobs/veda/adapters/sim/exchange.ts'
import { type SimSettings, simSettings } from '../../jobs/veda/adapters/sim/settings.ts'
import { ACCOUNT, openSim } from '../../jobs/veda/adapters/sim/venue.ts'
import type { Venue, VenueWorld } from '../../jobs/veda/venue.ts'
import { createFastTime, type FastTime } from './fast_time.ts'

export interface SimWorld {
  venue: Venue
  /** A further process that trades at the same account. */
  another(): Venue
  exchange: Exchange
  time: FastTime
  logged: string[]
  close(): Promise<void>
}

export function openSimWorld(db: Database, start: number, given: Partial<SimSettings> = {}): SimWorld {
  const time = createFastTime(start)
  const settings = simSettings.parse(given)
  const logged: string[] = []
  const book = createSimBook(db)
  let ids = 0
  const world: VenueWorld = {
    now: time.now,
    sleep: time.sleep,
    newId: () => {
      ids += 1
      return `id-${ids}`
    },
    log: (level, _fields, message) => {
      logged.push(`${level} ${message}`)
    },
    takeToken: async () => {},
    emptyBucket: async () => {},
    simBook: book,
  }
  const open: Venue[] = []
  const another = () => {
    const venue = openSim(settings, world)
    open.push(venue)
    return venue
  }
  return {
    venue: another(),
    another,
    exchange: createExchange({ book, account: ACCOUNT, settings, now: time.now }),
    time,
    logged,
    async close() {
      const closing = Promise.all(open.map((venue) => venue.close()))
      time.release()
      await closing
    },
  }
}
