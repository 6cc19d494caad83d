/**
 * What an order can become: the one table that everybody obeys. Answers of a venue may come late, twice or out of order,
 * so what would lead backward, or out of an end, is ignored.
 */
import type { OrderStatus } from '../../strategies/api.ts'

export type OrderEventType = `orders.${
  | 'Created'
  | 'Submitted'
  | 'Accepted'
  | 'Replaced'
  | 'PartiallyFilled'
  | 'Filled'
  | 'Cancelled'
  | 'Rejected'
  | 'Expired'}`

type Next = Readonly<Record<OrderEventType, OrderStatus | 'ignored'>>

const ENDED: Next = {
  'orders.Created': 'ignored',
  'orders.Submitted': 'ignored',
  'orders.Accepted': 'ignored',
  'orders.Replaced': 'ignored',
  'orders.PartiallyFilled': 'ignored',
  'orders.Filled': 'ignored',
  'orders.Cancelled': 'ignored',
  'orders.Rejected': 'ignored',
  'orders.Expired': 'ignored',
}

const TRANSITIONS: Readonly<Record<OrderStatus, Next>> = {
  pending: {
    'orders.Created': 'ignored',
    'orders.Submitted': 'submitted',
    'orders.Accepted': 'accepted',
    'orders.Replaced': 'accepted',
    'orders.PartiallyFilled': 'partial',
    'orders.Filled': 'filled',
    'orders.Cancelled': 'cancelled',
    'orders.Rejected': 'rejected',
    'orders.Expired': 'expired',
  },
  submitted: {
    'orders.Created': 'ignored',
    'orders.Submitted': 'ignored',
    'orders.Accepted': 'accepted',
    'orders.Replaced': 'accepted',
    'orders.PartiallyFilled': 'partial',
    'orders.Filled': 'filled',
    'orders.Cancelled': 'cancelled',
    'orders.Rejected': 'rejected',
    'orders.Expired': 'expired',
  },
  accepted: {
    'orders.Created': 'ignored',
    'orders.Submitted': 'ignored',
    'orders.Accepted': 'ignored',
    // It goes on as another order of the venue's, with other terms.
    'orders.Replaced': 'accepted',
    'orders.PartiallyFilled': 'partial',
    'orders.Filled': 'filled',
    'orders.Cancelled': 'cancelled',
    'orders.Rejected': 'rejected',
    'orders.Expired': 'expired',
  },
  // What is filled in part can be filled further or lose its rest, but no longer be rejected.
  partial: {
    'orders.Created': 'ignored',
    'orders.Submitted': 'ignored',
    'orders.Accepted': 'ignored',
    'orders.Replaced': 'partial',
    'orders.PartiallyFilled': 'partial',
    'orders.Filled': 'filled',
    'orders.Cancelled': 'cancelled',
    'orders.Rejected': 'ignored',
    'orders.Expired': 'expired',
  },
  filled: ENDED,
  cancelled: ENDED,
  rejected: ENDED,
  expired: ENDED,
}

export function transition(status: OrderStatus, event: OrderEventType): OrderStatus | 'ignored' {
  return TRANSITIONS[status][event]
}

export function isOpen(status: OrderStatus): boolean {
  return TRANSITIONS[status] !== ENDED
}
