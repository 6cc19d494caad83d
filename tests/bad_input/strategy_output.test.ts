/** What a strategy throws and asks for fits the log, however large it is. */
import { expect, test } from 'vitest'
import { MAX_PAYLOAD_BYTES } from '../../db/events/registry.ts'
import { defineStrategy, type StrategyDefinition, z } from '../../strategies/api.ts'
import { playPure, RUN_ID } from '../support/pure_run.ts'

const columns = {
  time: Float64Array.of(0, 3_600_000),
  open: Float64Array.of(100, 100),
  high: Float64Array.of(101, 101),
  low: Float64Array.of(99, 99),
  close: Float64Array.of(100, 100),
  volume: Float64Array.of(10, 10),
}

function play(onWindow: StrategyDefinition['onWindow']) {
  const strategy = defineStrategy({
    id: 'hostile',
    version: '1',
    description: 'asks for too much',
    params: z.object({}),
    window: () => ({ bars: 1 }),
    onWindow,
  })
  return playPure({ strategy, columns, timeframe: '1h', audit: 'full' })
}

test('of what a strategy throws, as much is kept as an event holds', () => {
  const { failure } = play(() => {
    throw new Error('x'.repeat(1_000_000))
  })
  expect(failure?.message).toBe(`Error: ${'x'.repeat(1_993)}`)
  expect(failure?.stack).toHaveLength(8_000)
  expect(failure?.bar_index).toBe(0)
})

test('a thrown error whose stack is no text still ends the run in words', () => {
  const { failure } = play(() => {
    throw Object.assign(new Error('odd'), { stack: { frames: 3 } })
  })
  expect(failure).toMatchObject({ message: 'Error: odd', stack: '[object Object]' })
})

test('a decision too large for an event is told by its counts and kept whole in its row', () => {
  const { events, decisions, failure } = play((ctx) => {
    for (let order = 0; order < 900; order += 1) {
      ctx.buy({ symbol: ctx.symbols[0], qty: '1', type: 'limit', limit_price: 1, reason: '€'.repeat(2_000) })
    }
  })
  expect(failure).toBeNull()
  const [told] = events.filter(({ type }) => type === 'strategy.DecisionMade')
  expect(told?.payload).toEqual({
    bar_index: 0,
    intents: [],
    skips: [],
    logs: [],
    left_out: { intents: 900, skips: 0, logs: 0 },
  })
  expect(decisions[0]).toMatchObject({ id: told?.id, run_id: RUN_ID })
  expect(decisions[0]?.intents).toHaveLength(900)
  const largest = Math.max(...events.map(({ payload }) => Buffer.byteLength(JSON.stringify(payload))))
  expect(largest).toBeLessThan(MAX_PAYLOAD_BYTES)
})
