import { expect, test } from 'vitest'
import { statsAreDue } from './ticks.ts'

test('statistics are made every hour, and of a run of many ticks up to a day apart', () => {
  const hoursApart = (ticks: number) =>
    Array.from({ length: 30 }, (_, n) => n).find((hours) => statsAreDue(1_000 + hours, 1_000, ticks))
  expect([0, 39_999, 40_000, 525_600, 10_000_000].map(hoursApart)).toEqual([1, 1, 2, 14, 24])
  expect(statsAreDue(5, null, 10_000_000)).toBe(true)
  // A clock that was set back is no reason to wait for ever.
  expect(statsAreDue(900, 1_000, 0)).toBe(true)
})
