/** What the payloads of several namespaces are made of. */
import { z } from 'zod'
import { SIDES, TIMEFRAMES } from '../../../strategies/api.ts'

/** Plain notation: no exponent, no leading or trailing zeros, no minus zero. */
export const decimal = z.string().regex(/^(?!-0$)-?(0|[1-9]\d*)(\.\d*[1-9])?$/, 'expected a decimal in plain notation')
/** UTC, ISO 8601 with milliseconds. */
export const instant = z.iso.datetime({ precision: 3 })
export const id = z.uuid()
export const count = z.int().min(0)
export const symbol = z.string().min(1)
export const timeframe = z.enum(TIMEFRAMES)
export const clientOrderId = z.string().min(1)

/** What a strategy asked for, in its own words: nonsense is recorded as it came, and refused where orders are placed. */
export const placeIntent = z.strictObject({
  kind: z.literal('place'),
  client_order_id: clientOrderId,
  symbol: z.string(),
  side: z.enum(SIDES),
  order_type: z.string(),
  qty: z.string(),
  limit_price: z.string().nullable(),
  stop_price: z.string().nullable(),
  trail_price: z.string().nullable(),
  trail_percent: z.string().nullable(),
  time_in_force: z.string(),
  extended_hours: z.boolean(),
  take_profit: z.string().nullable(),
  stop_loss: z.string().nullable(),
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
