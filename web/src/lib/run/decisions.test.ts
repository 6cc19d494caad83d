import { expect, test } from 'vitest'
import type { Decision } from '../types.ts'
import { whatOf, whyOf } from './decisions.ts'

const nothing = { intents: [], skips: [], logs: [], rule: null } as unknown as Decision
const buy = { kind: 'place', side: 'buy', qty: '1500', symbol: 'AAPL', order_type: 'stop_limit', limit_price: '10.5' }

test('a decision says what was asked for and why', () => {
  const acted = {
    ...nothing,
    intents: [
      { ...buy, reason: 'cross' },
      { kind: 'cancel', reason: null },
    ],
    skips: ['wait'],
  }
  expect(whatOf(acted)).toBe('buy 1,500 AAPL stop limit 10.50; cancel an order')
  expect(whyOf(acted)).toBe('cross; wait')
})

test('one that asked for nothing says what was noted, or which rule refused', () => {
  expect(whatOf({ ...nothing, logs: [{ message: 'slow' }, 7] })).toBe('slow')
  expect(whyOf({ ...nothing, rule: 'max_position' })).toBe('max_position')
  expect(whyOf(nothing)).toBe('')
})
