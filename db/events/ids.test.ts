import { v5 } from 'uuid'
import { expect, test } from 'vitest'
import { hopEventId, orderId, tickEventId } from './ids.ts'

const RUN = '6f1b9a4e-2a52-4b52-9d3e-0d6d8a1b2c3d'

test('ids are always the same for the same run, tick and ordinal', () => {
  expect(tickEventId(RUN, 41, 2)).toBe(tickEventId(RUN, 41, 2))
  expect(tickEventId(RUN, 41, 2)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('runs, ticks, ordinals and kinds of ids do not share any', () => {
  const other = '00000000-0000-4000-8000-000000000000'
  const ids = [
    tickEventId(RUN, 1, 11),
    tickEventId(RUN, 11, 1),
    tickEventId(other, 1, 11),
    orderId(RUN, '1:11'),
    orderId(other, '1:11'),
    hopEventId(RUN, other, 1),
    hopEventId(RUN, other, 11),
    hopEventId(other, RUN, 1),
  ]
  expect(new Set(ids).size).toBe(ids.length)
})

test('ids are the UUIDs of version 5 that the uuid library makes', () => {
  expect(tickEventId(RUN, 41, 2)).toBe(v5('tick:41:2', RUN))
  expect(orderId(RUN, 'w-ü-1')).toBe(v5('order:w-ü-1', RUN))
})
