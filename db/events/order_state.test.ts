import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ORDER_STATUSES, type OrderStatus } from '../../strategies/api.ts'
import { isOpen, type OrderEventType, transition } from './order_state.ts'

const EVENT_TYPES: OrderEventType[] = [
  'orders.Created',
  'orders.Submitted',
  'orders.Accepted',
  'orders.Replaced',
  'orders.PartiallyFilled',
  'orders.Filled',
  'orders.Cancelled',
  'orders.Rejected',
  'orders.Expired',
]

/** How far an order has come; it never goes back. */
const RANK: Record<OrderStatus, number> = {
  pending: 0,
  submitted: 1,
  accepted: 2,
  partial: 3,
  filled: 4,
  cancelled: 4,
  rejected: 4,
  expired: 4,
}

const anyEvents = fc.array(fc.constantFrom(...EVENT_TYPES), { maxLength: 20 })

function play(events: OrderEventType[], from: OrderStatus = 'pending'): OrderStatus[] {
  const statuses: OrderStatus[] = [from]
  for (const event of events) {
    const next = transition(statuses.at(-1) ?? from, event)
    if (next !== 'ignored') statuses.push(next)
  }
  return statuses
}

test('an order goes from placing to its last fill', () => {
  expect(
    play([
      'orders.Created',
      'orders.Submitted',
      'orders.Accepted',
      'orders.PartiallyFilled',
      'orders.PartiallyFilled',
      'orders.Filled',
    ]),
  ).toEqual(['pending', 'submitted', 'accepted', 'partial', 'partial', 'filled'])
})

test.each([
  ['submitted', 'orders.Submitted', 'ignored'],
  ['accepted', 'orders.Submitted', 'ignored'],
  ['partial', 'orders.Accepted', 'ignored'],
  ['partial', 'orders.Rejected', 'ignored'],
  ['partial', 'orders.Cancelled', 'cancelled'],
  ['partial', 'orders.Expired', 'expired'],
  ['pending', 'orders.Rejected', 'rejected'],
  ['submitted', 'orders.PartiallyFilled', 'partial'],
  ['submitted', 'orders.Filled', 'filled'],
  ['cancelled', 'orders.Filled', 'ignored'],
  ['submitted', 'orders.Replaced', 'accepted'],
  ['accepted', 'orders.Replaced', 'accepted'],
  ['partial', 'orders.Replaced', 'partial'],
  ['filled', 'orders.Replaced', 'ignored'],
] as const)('%s, then %s: %s', (status, event, next) => {
  expect(transition(status, event)).toBe(next)
})

test('whatever arrives, in whatever order, an order never goes back', () => {
  fc.assert(
    fc.property(anyEvents, (events) => {
      const ranks = play(events).map((status) => RANK[status])
      expect(ranks).toEqual([...ranks].sort((a, b) => a - b))
    }),
  )
})

test('nothing leads out of an end, and only ends are not open', () => {
  for (const status of ORDER_STATUSES) {
    const leads = EVENT_TYPES.some((event) => transition(status, event) !== 'ignored')
    expect([status, isOpen(status)]).toEqual([status, leads])
    expect(leads).toBe(RANK[status] < 4)
  }
})

test('an event that arrives twice changes nothing the second time, but for what can happen again', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ORDER_STATUSES), fc.constantFrom(...EVENT_TYPES), (status, event) => {
      const once = transition(status, event)
      if (once === 'ignored') return
      const isRepeatable = event === 'orders.PartiallyFilled' || event === 'orders.Replaced'
      expect(transition(once, event)).toBe(isRepeatable ? once : 'ignored')
    }),
  )
})
