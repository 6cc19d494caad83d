/**
 * What Alpaca writes, as far as the adapter reads it. What it does not need it does not ask for: fields come and go.
 * Numbers become text as they were written, in trading (where they are text) and in market data (where they are not).
 */
import { z } from 'zod'
import { plain } from '../../../greta/decimals.ts'

/** JSON with every number as the text that stood there. */
export function parseExact(text: string): unknown {
  type Source = { source?: string }
  const keep = (_name: string, value: unknown, context?: Source): unknown =>
    typeof value === 'number' ? (context?.source ?? String(value)) : value
  return JSON.parse(text, keep as (name: string, value: unknown) => unknown)
}

const DECIMAL = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/
const decimal = z
  .string()
  .regex(DECIMAL)
  .transform((text) => plain(text))
const maybeDecimal = decimal.nullish().transform((text) => text ?? null)
const time = z.string().transform((text, context) => {
  // Up to nanoseconds are written, milliseconds are understood.
  const parsed = Date.parse(text.replace(/(\.\d{3})\d+/, '$1'))
  if (!Number.isNaN(parsed)) return parsed
  context.addIssue(`no time: ${text}`)
  return z.NEVER
})
const maybeTime = time.nullish().transform((at) => at ?? null)
const maybeText = z
  .string()
  .nullish()
  .transform((text) => text ?? null)
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value === true)

/** One of a list: what stood there, with what is understood of it, or why nothing is. */
export type Row<T> = { raw: unknown; value: T } | { raw: unknown; unread: string }

/** Each for itself: one that nobody understands says nothing of the others. */
const rowsOf = <S extends z.ZodType>(shape: S) =>
  z.array(z.unknown()).transform((rows) => rows.map((raw): Row<z.infer<S>> => rowOf(shape, raw)))

export function rowOf<S extends z.ZodType>(shape: S, raw: unknown): Row<z.infer<S>> {
  const { success, data, error } = shape.safeParse(raw)
  return success ? { raw, value: data } : { raw, unread: whyUnread(error) }
}

export function whyUnread({ issues }: z.ZodError): string {
  const { path, message } = issues[0] as { path: PropertyKey[]; message: string }
  return `${path.join('.')}: ${message}`
}

const orderFields = z.object({
  id: z.string().min(1),
  client_order_id: z.string(),
  symbol: z.string().min(1),
  asset_class: maybeText,
  side: z.enum(['buy', 'sell']),
  type: maybeText,
  order_type: maybeText,
  qty: maybeDecimal,
  filled_qty: maybeDecimal,
  filled_avg_price: maybeDecimal,
  limit_price: maybeDecimal,
  stop_price: maybeDecimal,
  trail_price: maybeDecimal,
  trail_percent: maybeDecimal,
  time_in_force: z.string(),
  status: z.string(),
  replaced_by: maybeText,
  replaces: maybeText,
  created_at: maybeTime,
  submitted_at: maybeTime,
  updated_at: maybeTime,
})
export type WireOrder = z.infer<typeof orderFields>

export const wireOrder = orderFields
export const wireOrders = rowsOf(wireOrder)
/** One that need not be ours. */
export const anyOrder = z.unknown().transform((raw) => rowOf(wireOrder, raw))
/** Of an order that is not understood otherwise. */
export const orderNames = z.object({ id: z.string(), client_order_id: z.string().min(1) })
export const wireSubmitted = z.object({ submitted_at: time })

export const wireUpdate = z.object({
  event: z.string(),
  execution_id: maybeText,
  price: maybeDecimal,
  qty: maybeDecimal,
  timestamp: maybeTime,
  order: wireOrder,
})
export type WireUpdate = z.infer<typeof wireUpdate>

export const wireActivity = z.object({
  id: z.string().min(1),
  activity_type: z.string(),
  transaction_time: time,
  price: decimal,
  qty: decimal,
  side: z.string(),
  symbol: z.string(),
  order_id: z.string(),
  cum_qty: maybeDecimal,
})
export type WireActivity = z.infer<typeof wireActivity>
export const wireActivities = rowsOf(wireActivity)
export const wireId = z.object({ id: z.string().min(1) })

const wirePosition = z.object({
  symbol: z.string(),
  asset_class: maybeText,
  qty: decimal,
  side: maybeText,
  avg_entry_price: decimal,
})
export type WirePosition = z.infer<typeof wirePosition>
export const wirePositions = rowsOf(wirePosition)
export const positionKind = z.object({ symbol: z.string(), asset_class: z.string() })

export const wireAccount = z.object({
  account_number: z.string(),
  status: z.string(),
  currency: maybeText,
  cash: decimal,
  equity: decimal,
  buying_power: decimal,
  trading_blocked: flag,
  account_blocked: flag,
  trade_suspended_by_user: flag,
})
export type WireAccount = z.infer<typeof wireAccount>

export const wireAsset = z.object({
  symbol: z.string(),
  class: z.string(),
  status: z.string(),
  tradable: flag,
  shortable: flag,
  fractionable: flag,
  min_order_size: maybeDecimal,
  min_trade_increment: maybeDecimal,
  price_increment: maybeDecimal,
})
export type WireAsset = z.infer<typeof wireAsset>
export const wireAssets = rowsOf(wireAsset)

export const wireClock = z.object({ timestamp: time })

export const wireCancelled = z.array(
  z.object({
    id: z.string(),
    status: decimal.transform(Number),
    /** The order, or why it was not cancelled. */
    body: z.looseObject({ message: maybeText }).nullish().catch(null),
  }),
)

export const wireBar = z.object({
  t: time,
  o: decimal,
  h: decimal,
  l: decimal,
  c: decimal,
  v: decimal,
  n: maybeDecimal,
})
export type WireBar = z.infer<typeof wireBar>

export const wireBars = z.object({
  bars: z.record(z.string(), z.array(wireBar)).nullish(),
  next_page_token: maybeText,
})

export const wireQuote = z.object({ S: z.string(), t: time, bp: decimal, ap: decimal })
export const wireTrade = z.object({ S: z.string(), t: time, p: decimal, s: decimal })
