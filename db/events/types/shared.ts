/** What the payloads of several namespaces are made of. */
import { z } from 'zod'
import { ORDER_TYPES, SIDES, TIMEFRAMES, TIMES_IN_FORCE } from '../../../strategies/api.ts'

/** Plain notation: no exponent, no leading or trailing zeros, no minus zero. */
export const decimal = z.string().regex(/^(?!-0$)-?(0|[1-9]\d*)(\.\d*[1-9])?$/, 'expected a decimal in plain notation')
/** UTC, ISO 8601 with milliseconds. */
export const instant = z.iso.datetime({ precision: 3 })
export const id = z.uuid()
export const count = z.int().min(0)
export const symbol = z.string().min(1)
export const timeframe = z.enum(TIMEFRAMES)
export const clientOrderId = z.string().min(1)

export const placeIntent = z.strictObject({
  kind: z.literal('place'),
  client_order_id: clientOrderId,
  symbol,
  side: z.enum(SIDES),
  order_type: z.enum(ORDER_TYPES),
  qty: decimal,
  limit_price: decimal.nullable(),
  stop_price: decimal.nullable(),
  trail_price: decimal.nullable(),
  trail_percent: decimal.nullable(),
  time_in_force: z.enum(TIMES_IN_FORCE),
  extended_hours: z.boolean(),
  take_profit: decimal.nullable(),
  stop_loss: decimal.nullable(),
  reason: z.string().nullable(),
})

const cancelIntent = z.strictObject({ kind: z.literal('cancel'), client_order_id: clientOrderId })

export const intent = z.discriminatedUnion('kind', [placeIntent, cancelIntent])

/** Which closed bars are wanted, per symbol. */
export const windowRequests = z.strictObject({
  bar_index: count,
  requests: z.array(z.strictObject({ symbol, timeframe, bars: z.int().min(1) })),
})

/** `ordinal` counts the orders and cancels of the tick from 0. */
export const placeOrder = z.strictObject({ bar_index: count, ordinal: count, intent: placeIntent })
export const cancelOrder = z.strictObject({ bar_index: count, ordinal: count, client_order_id: clientOrderId })
