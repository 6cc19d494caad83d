import { expect, test } from 'vitest'
import { bpsText, countsText } from './parity.ts'

test('differences are told by the classes that have some', () => {
  const none = { data: 0, decision: 0, order: 0, fill: 0, cost: 0 }
  expect(countsText({ counts: null, differences_total: null })).toBe('none')
  expect(countsText({ counts: none, differences_total: 0 })).toBe('none')
  expect(countsText({ counts: { ...none, order: 1, fill: 2 }, differences_total: 3 })).toBe('3 (order 1, fill 2)')
})

test('what nothing was measured of is unknown, and nothing is zero', () => {
  expect([bpsText(null), bpsText(undefined), bpsText(0), bpsText(-1.236)]).toEqual([
    'unknown',
    'unknown',
    '0.00 bps',
    '-1.24 bps',
  ])
})
