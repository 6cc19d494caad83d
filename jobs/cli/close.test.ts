/** What `weaver close` says of how an order stands, and when it stops waiting. */
import { describe, expect, test } from 'vitest'
import type { OrderRow } from '../../db/walle/rows.ts'
import { endOf } from './close.ts'

const item = {
  ...{ symbol: 'AAPL', side: 'sell' as const, qty: '10', order_id: 'an-id', client_order_id: 'w-1-close-1-0' },
  ...{ already: false, waits_for: null as string | null },
}
const order = (changes: Partial<OrderRow>) =>
  ({ qty: '10', filled_qty: '0', filled_avg_price: null, reject_reason: null, ...changes }) as OrderRow
const trace = '`weaver trace an-id` tells what becomes of it'

describe('it waits', () => {
  test.each([
    ['for its order', item, null],
    ['for a fill', item, order({ status: 'accepted' })],
    ['until its exchange has it', { ...item, waits_for: 'the opening' }, order({ status: 'pending' })],
  ])('%s', (_what, one, other) => {
    expect(endOf(one, other, '10', false)).toBeNull()
  })
})

test.each([
  [
    'filled',
    order({ status: 'filled', filled_qty: '10', filled_avg_price: '99.5' }),
    '0',
    { said: 'AAPL: sell 10 at 99.5; nothing is held any more', closed: true },
  ],
  [
    'refused',
    order({ status: 'rejected', reject_reason: 'invalid_order: qty 10 is below 20' }),
    '10',
    { said: 'AAPL: sell 10 is rejected: invalid_order: qty 10 is below 20; 10 AAPL is held still', closed: false },
  ],
  [
    'ended because an exit was quicker',
    order({ status: 'cancelled' }),
    '0',
    { said: 'AAPL: sell 10 is cancelled; nothing is held any more', closed: true },
  ],
])('its order was %s', (_what, one, held, end) => {
  expect(endOf(item, one, held, false)).toEqual(end)
})

test('what waits for the opening at its exchange is not watched until then', () => {
  const waiting = { ...item, waits_for: 'the opening at 14:30' }
  expect(endOf(waiting, order({ status: 'accepted' }), '10', false)).toEqual({
    ...{ said: `AAPL: sell 10 is accepted, and waits for the opening at 14:30; ${trace}`, closed: false },
  })
})

test('after two minutes it says how far it is', () => {
  expect(endOf(item, null, '10', true)).toEqual({
    ...{ said: `AAPL: not placed yet, no worker has taken it up; ${trace}`, closed: false },
  })
  expect(endOf(item, order({ status: 'submitted' }), '10', true)).toEqual({
    ...{ said: `AAPL: sell 10 is submitted; ${trace}`, closed: false },
  })
})
