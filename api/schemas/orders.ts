import { z } from '@hono/zod-openapi'
import { ORDER_STATUSES, ORDER_TYPES, SIDES, TIMES_IN_FORCE } from '../../strategies/api.ts'
import { decimal, id, instant, object } from './values.ts'

export const order = z
  .object({
    id,
    run_id: id,
    ordinal: z.number().openapi({ description: "Counts the run's orders from 0." }),
    client_order_id: z.string(),
    exchange_order_id: z.string().nullable(),
    parent_order_id: id.nullable(),
    symbol: z.string(),
    side: z.enum(SIDES),
    order_type: z.enum(ORDER_TYPES),
    qty: decimal,
    price: decimal.nullable().openapi({ description: 'The limit price.' }),
    stop_price: decimal.nullable(),
    trail_price: decimal.nullable(),
    trail_percent: decimal.nullable(),
    take_profit: decimal.nullable(),
    stop_loss: decimal.nullable(),
    time_in_force: z.enum(TIMES_IN_FORCE),
    extended_hours: z.boolean(),
    status: z.enum(ORDER_STATUSES),
    filled_qty: decimal,
    filled_avg_price: decimal.nullable(),
    fees: decimal,
    reason: z.string().nullable(),
    reject_reason: z.string().nullable(),
    reject_rule: z.string().nullable(),
    bar_index: z.number().nullable(),
    created_at: instant.openapi({ description: 'The tick at which it was placed.' }),
    submitted_at: instant.nullable(),
    filled_at: instant.nullable(),
    closed_at: instant.nullable(),
    corr_id: id,
  })
  .openapi('Order')

const hop = z.object({
  n: z.number(),
  type: z.string(),
  at: instant.openapi({ description: "The event's time; in a backtest the run's." }),
  created_at: instant
    .nullable()
    .openapi({ description: 'When it was written to the log; null for one that is derived.' }),
  latency_ms: z
    .number()
    .nullable()
    .openapi({ description: 'Since the hop before; null for the first and for derived ones.' }),
  event_id: id,
  causation_id: id.nullable(),
  corr_id: id,
  producer: z.string(),
  summary: z.string().openapi({ description: 'In words.' }),
  payload: object,
})

export const orderTrace = z
  .object({
    order,
    derived: z
      .boolean()
      .openapi({ description: 'The log does not hold these events: the run was played again for them.' }),
    hops: z.array(hop),
  })
  .openapi('OrderTrace')
