import { expect, test } from 'vitest'
import type { Order } from '../types.ts'
import { becameOf, closingHint, closingWords, isClosingByHand } from './closing.ts'

const order = (changes: Partial<Order>) =>
  ({
    symbol: 'AAPL',
    reason: 'closed by hand',
    status: 'accepted',
    qty: '10',
    reject_reason: null,
    ...changes,
  }) as Order
const asked = { side: 'sell', qty: '10', symbol: 'AAPL', already: false, waits_for: null }

test('it says which way, how much and what', () => {
  expect(closingWords({ qty: '10', symbol: 'AAPL' })).toBe('sell 10 AAPL')
  expect(closingWords({ qty: '-0.5', symbol: 'AAPL' })).toBe('buy 0.5 AAPL')
})

test('it says what the run does afterwards', () => {
  const halted = { rule: 'max_drawdown', at: '' }
  expect(closingHint({ status: 'running', halted: null }, 'A')).toMatch(/may enter again at its next tick/)
  expect(closingHint({ status: 'running', halted }, 'A')).toMatch(/stays halted/)
  expect(closingHint({ status: 'stopped', halted: null }, 'A')).toMatch(/has ended/)
})

test('while an order by hand is open, no other is asked for', () => {
  const position = { symbol: 'AAPL' }
  expect(isClosingByHand(position, [order({})])).toBe(true)
  expect(isClosingByHand(position, [order({ symbol: 'B' }), order({ reason: null })])).toBe(false)
})

test.each([
  [asked, undefined, 'sell 10 AAPL is on its way', false],
  [{ ...asked, already: true }, undefined, 'sell 10 AAPL is on its way already', false],
  [{ ...asked, waits_for: 'the opening' }, order({}), 'sell 10 AAPL is on its way; it waits for the opening', false],
  [asked, order({ status: 'filled', filled_avg_price: '99' }), 'sell 10 AAPL: filled at 99', false],
  [asked, order({ status: 'rejected', reject_reason: 'min' }), 'sell 10 AAPL was rejected: min', true],
  [asked, order({ status: 'expired' }), 'sell 10 AAPL was expired: it is held still', true],
])('of %j, and the order %#, it says what became of it', (one, other, text, bad) => {
  expect(becameOf(one, other)).toEqual({ text, bad })
})
