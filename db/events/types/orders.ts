import { z } from 'zod'
import { SIDES, TIMES_IN_FORCE } from '../../../strategies/api.ts'
import { evt } from './kinds.ts'
import { clientOrderId, count, decimal, id, instant, symbol } from './shared.ts'

const order = { order_id: id, client_order_id: clientOrderId }

const filled = {
  ...order,
  symbol,
  side: z.enum(SIDES),
  /** Counts the run's fills from 0. */
  ordinal: count,
  /** Of this fill; `filled_qty`, `filled_avg_price` and `fees` are the order's after it. */
  qty: decimal,
  price: decimal,
  fee: decimal,
  /** Part of `qty` that was kept as the fee instead of being paid in cash. */
  fee_qty: decimal,
  slippage: decimal,
  /** Open time of the bar in which it happened; live: the venue's time. */
  timestamp: instant,
  filled_qty: decimal,
  filled_avg_price: decimal,
  fees: decimal,
  /** Stop loss and take profit both lay inside the bar. */
  ambiguous: z.boolean(),
  /** The venue's id of the fill. */
  execution_id: z.string().nullable(),
}

/** Together with what follows, all that the order's row is made of: `weaver rebuild` makes it again. */
const created = {
  ...order,
  /** Counts the run's orders from 0. */
  ordinal: count,
  /** As asked: an order may be born to be refused. */
  symbol: z.string(),
  side: z.enum(SIDES),
  order_type: z.string(),
  qty: decimal,
  price: decimal.nullable(),
  stop_price: decimal.nullable(),
  trail_price: decimal.nullable(),
  trail_percent: decimal.nullable(),
  take_profit: decimal.nullable(),
  stop_loss: decimal.nullable(),
  time_in_force: z.string(),
  extended_hours: z.boolean(),
  reason: z.string().nullable(),
  parent_order_id: id.nullable(),
  /** The tick at which it was decided; of an exit, that of its entry. */
  bar_index: count.nullable(),
  placed_at: instant,
}

/** Somebody changed it at its venue, where another order took its place: from here on the terms are these. */
const replaced = {
  ...order,
  /** The venue's id of the one that took its place, and of the one that it was. */
  exchange_order_id: z.string(),
  replaces: z.string(),
  /** In all, with what was filled before. */
  qty: decimal,
  price: decimal.nullable(),
  stop_price: decimal.nullable(),
  trail_price: decimal.nullable(),
  trail_percent: decimal.nullable(),
  time_in_force: z.enum(TIMES_IN_FORCE),
  /** As it was then. */
  filled_qty: decimal,
  filled_avg_price: decimal.nullable(),
}

const ended = { ...order, reason: z.string().nullable() }

export const orderEvents = {
  'orders.Created': evt(created),
  'orders.Submitted': evt(order),
  /** The venue's id of the order; a simulated one has none. */
  'orders.Accepted': evt({ ...order, exchange_order_id: z.string().exactOptional() }),
  'orders.Replaced': evt(replaced),
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
