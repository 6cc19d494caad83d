/** An order whose job has died is not forgotten: it gets another one, and what dies again and again gets fewer. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NewJob } from '../../../db/events/tasks.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { createLostJobs } from './lost_jobs.ts'

const MINUTE = 60_000

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

test('an order without a job gets one when it is seen, and later each time that it has died again', async () => {
  const venue = createScriptedVenue()
  const world = await openOrderWorld(database.db, venue)
  const [waits, rests] = [
    await world.place(),
    await world.place({ order_type: 'limit', limit_price: '90', symbol: 'AAPL' }),
  ]
  const [, submit] = world.waiting.splice(0)
  await world.step(submit as NewJob)
  const idOf = async (client: string) => (await world.order(client)).id
  const lost = createLostJobs(world.jobs, { exchange: 'scripted', mode: 'paper' }, MINUTE)
  const madeAt = async (minute: number) => {
    await lost.look(minute * MINUTE)
    return world.waiting.splice(0).map(({ task, payload }) => [task, (payload as { order_id: string }).order_id])
  }
  expect(await madeAt(0)).toEqual([['veda.submit_order', await idOf(waits)]])
  // Whoever wants an order gone, and whose job is lost, is not left to wait for it.
  await world.cancel(rests)
  world.waiting.splice(0)
  expect(await madeAt(0.5)).toEqual([])
  const again = ['veda.submit_order', await idOf(waits)]
  expect(await madeAt(1)).toEqual([again, ['veda.send_cancel', await idOf(rests)]])
  const times: number[] = []
  for (let minute = 2; minute <= 300; minute++)
    if ((await madeAt(minute)).some(([, id]) => id === again[1])) times.push(minute)
  expect(times).toEqual([3, 7, 15, 31, 63, 123, 183, 243])
})
