/** The simulator is a venue like any other. */
import { afterAll, beforeAll } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { openSimWorld } from '../support/sim_world.ts'
import { pause } from '../support/until.ts'
import { venueConformance } from './venue.ts'

const START = Date.UTC(2026, 2, 2, 15, 0, 30)

let database: TestDatabase
let opened = 0
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

function stage(symbol: string) {
  return async () => {
    opened += 1
    // Each test finds an account of its own time: the book is shared, and its clock does not go back.
    const world = openSimWorld(database.db, START + opened * 60_000, { depth: 20_000, cash: '10000000' })
    const { venue, time } = world
    const price = async () =>
      Number(
        (await venue.bars({ symbol, timeframe: '1m', start: time.now() - 120_000, end: time.now() })).at(-1)?.close,
      )
    let ids = 0
    const name = `conformance-${opened}`
    return {
      venue,
      symbol,
      qty: '1',
      partialQty: '400',
      unaffordableQty: '100000000',
      newClientId: () => {
        ids += 1
        return `${name}-${ids}`
      },
      price,
      async pass(ms: number) {
        time.move(ms)
        await pause(5)
      },
      async cutStream() {
        await world.exchange.setFaults({ stream_cut: 1 })
        time.move(1_000)
        await pause(20)
        await world.exchange.setFaults({})
      },
      async close() {
        await world.exchange.setFaults({})
        await venue.cancelAll()
        await world.close()
      },
    }
  }
}

venueConformance('the simulator, around the clock', stage('SIM/USD'))
venueConformance('the simulator, in a session', stage('SIM'))
