import { z } from 'zod'
import { SIDES } from '../../../strategies/api.ts'
import { evt } from './kinds.ts'
import { clientOrderId, decimal, id, instant, symbol } from './shared.ts'

const order = { order_id: id, client_order_id: clientOrderId }

const filled = {
  ...order,
  symbol,
  side: z.enum(SIDES),
  /** Of this fill; `filled_qty` and `filled_avg_price` are the order's after it. */
  qty: decimal,
  price: decimal,
  fee: decimal,
  /** Open time of the bar in which it happened; live: the venue's time. */
  timestamp: instant,
  filled_qty: decimal,
  filled_avg_price: decimal,
}

const ended = { ...order, reason: z.string().nullable() }

export const orderEvents = {
  'orders.Created': evt({
    ...order,
    /** As asked: an order may be born to be refused. */
    symbol: z.string(),
    side: z.enum(SIDES),
    order_type: z.string(),
    qty: decimal,
    price: decimal.nullable(),
    stop_price: decimal.nullable(),
    time_in_force: z.string(),
    parent_order_id: id.nullable(),
  }),
  'orders.Submitted': evt(order),
  'orders.Accepted': evt(order),
  'orders.PartiallyFilled': evt(filled),
  'orders.Filled': evt(filled),
  'orders.Cancelled': evt(ended),
  'orders.Expired': evt(ended),
  'orders.Rejected': evt({
    ...order,
    reason: z.string(),
    rule: z.string().nullable(),
    detail: z.string().nullable(),
  }),
} as const
