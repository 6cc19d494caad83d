import { expect, test } from 'vitest'
import { progressed, systemStarted, tick } from '../../tests/support/log.ts'
import { EVENTS } from './registry.ts'
import { jobsOf } from './routing.ts'
import { SSE_NAMES } from './sse_names.ts'

const RUN = '6f1b9a4e-2a52-4b52-9d3e-0d6d8a1b2c3d'

test('a tick of a backtest first matches the open orders, then wakes the strategy, one after the other', () => {
  const event = tick(RUN)
  const common = { payload: { run_id: RUN, event_id: event.id }, queue: `run:${RUN}` }
  expect(jobsOf(event)).toEqual([
    { task: 'greta.match_orders', ...common },
    { task: 'marvin.on_tick', ...common },
  ])
})

test('a tick of the wall clock sets off nothing by itself: it is told with the fetch of its windows', () => {
  expect(jobsOf(tick(RUN, 0, false))).toEqual([])
})

test('what nobody subscribes to sets off no job', () => {
  expect(jobsOf(progressed(RUN, 3))).toEqual([])
  expect(jobsOf(systemStarted())).toEqual([])
})

test('every type has its line in the table of stream names', () => {
  expect(Object.keys(SSE_NAMES).sort()).toEqual(Object.keys(EVENTS).sort())
})
