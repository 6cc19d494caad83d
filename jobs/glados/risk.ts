/** Pre-trade risk, in one place for all modes: may this order leave? Every limit is off until it is set. Pure. */
import { z } from 'zod'
import type { PlaceIntent } from '../../strategies/api.ts'
import { Decimal } from '../greta/decimals.ts'
import { isOwn, type OpenOrder, onlyCloses, worstPosition } from './worst_case.ts'

export const riskSchema = z.strictObject({
  /** Quote currency: quantity times the highest price that the order is to trade at. Closing a position is always allowed. */
  max_order_notional: z.coerce.number().positive().nullable().optional(),
  /** Units of the symbol, long or short, after the order. */
  max_position: z.coerce.number().positive().nullable().optional(),
  max_open_orders: z.coerce.number().int().positive().nullable().optional(),
  /** Quote currency: how far equity may fall below what it was when the UTC day began. */
  max_daily_loss: z.coerce.number().positive().nullable().optional(),
  /** Fraction of its highest that equity may fall below it, such as 0.2. */
  max_drawdown: z.coerce.number().positive().max(1).nullable().optional(),
  /** Orders that were let through within sixty seconds. */
  max_orders_per_minute: z.coerce.number().int().positive().nullable().optional(),
  /** Most that an order's price may lie away from the last close, in basis points. */
  price_collar_bps: z.coerce.number().positive().nullable().optional(),
  symbol_allow_list: z.array(z.string()).nullable().optional(),
})
export type RiskLimits = z.output<typeof riskSchema>
/** Those that are set, as a row or an event has them. */
export type HeldLimits = Record<string, number | string[]>

/** What a risk check may look at: all modes give the same picture. */
export interface RiskPicture {
  symbol: string
  lastClose: number
  /** Of the symbol. */
  held: string
  /** The run's, in all symbols. */
  open: readonly OpenOrder[]
  /** The most that equity has lain below the day's first mark today, and, as a fraction, below its highest so far. */
  dailyLoss: number
  drawdown: number
  /** Orders let through in the sixty seconds before this one. */
  ordersLastMinute: number
}

/** The limits that hold for a run: of each the stricter of its own and the installation's, which no run loosens. */
export function strictest(own: RiskLimits, everywhere: RiskLimits): RiskLimits {
  const limits = Object.keys(riskSchema.shape) as (keyof RiskLimits)[]
  const held = limits.map((limit) => [limit, stricter(own[limit] ?? null, everywhere[limit] ?? null)] as const)
  return Object.fromEntries(held.filter(([, value]) => value !== null))
}

type Limit = number | string[] | null

function stricter(one: Limit, other: Limit): Limit {
  if (one === null || other === null) return one ?? other
  if (Array.isArray(one) && Array.isArray(other)) return one.filter((symbol) => other.includes(symbol))
  return Math.min(Number(one), Number(other))
}

/** Without these real money does not trade. */
export const NEEDED_LIVE = ['max_order_notional', 'max_daily_loss'] as const

/**
 * The limits of a run that goes on although the installation's have changed; null: they are the same. Of real money's needed
 * limits none is taken away while it trades.
 */
export function changedLimits(
  run: { mode: string; own_risk: RiskLimits; risk: RiskLimits },
  everywhere: RiskLimits,
): RiskLimits | null {
  const needed = run.mode === 'live' ? NEEDED_LIVE.map((limit) => [limit, run.risk[limit] ?? null] as const) : []
  const next = { ...Object.fromEntries(needed), ...strictest(run.own_risk, everywhere) }
  const same = (Object.keys(riskSchema.shape) as (keyof RiskLimits)[]).every(
    (limit) => JSON.stringify(next[limit] ?? null) === JSON.stringify(run.risk[limit] ?? null),
  )
  return same ? null : strictest(next, {})
}

export interface RiskRefusal {
  rule: keyof RiskLimits
  detail: string
}

/** An order that only closes meets no limit but that on its price: what a limit holds back would only grow without it. */
export function checkRisk(intent: PlaceIntent, limits: RiskLimits, picture: RiskPicture): RiskRefusal | null {
  const closes = onlyCloses(intent, new Decimal(picture.held), picture.open)
  if (closes) return checkPrice(intent, limits, picture, closes)
  return (
    checkSize(intent, limits, picture) ??
    checkPrice(intent, limits, picture, closes) ??
    checkFlow(limits, picture) ??
    checkHalt(limits, picture)
  )
}

const BPS = 10_000
const unknown = (symbol: string) => `no price of ${symbol} is known yet`

/** The order in itself, and what is held after it. */
function checkSize(intent: PlaceIntent, limits: RiskLimits, picture: RiskPicture): RiskRefusal | null {
  const allowed = limits.symbol_allow_list
  if (allowed && !allowed.includes(intent.symbol)) {
    return { rule: 'symbol_allow_list', detail: `${intent.symbol} is not on the list` }
  }
  const most = limits.max_order_notional
  if (most != null) {
    const notional = Number(intent.qty) * highestPrice(intent, picture.lastClose)
    if (Number.isNaN(notional)) return { rule: 'max_order_notional', detail: unknown(intent.symbol) }
    if (notional > most) return { rule: 'max_order_notional', detail: `${notional} is above ${most}` }
  }
  if (limits.max_position == null) return null
  const held = new Decimal(picture.held)
  const after = worstPosition(intent, held, picture.open).abs()
  if (after.lte(limits.max_position)) return null
  const alone = worstPosition(intent, held, []).abs()
  const others = after.eq(alone) ? '' : ', with what is open on its side'
  return { rule: 'max_position', detail: `${after} would be above ${limits.max_position}${others}` }
}

/** An order that closes at the market has no price of its own that could be wrong. */
function checkPrice(
  intent: PlaceIntent,
  { price_collar_bps: collar }: RiskLimits,
  { lastClose }: RiskPicture,
  closes: boolean,
): RiskRefusal | null {
  const own = intent.limit_price ?? intent.stop_price
  if (collar == null || (closes && own === null)) return null
  const price = Number(own ?? lastClose)
  if (Number.isNaN(price)) return { rule: 'price_collar_bps', detail: unknown(intent.symbol) }
  if (Math.abs(price - lastClose) * BPS <= collar * lastClose) return null
  const away = Math.abs(price / lastClose - 1) * BPS
  return { rule: 'price_collar_bps', detail: `${price} is ${away.toFixed(1)} bps from the last close ${lastClose}` }
}

type Priced = Pick<PlaceIntent, 'side' | 'order_type' | 'limit_price' | 'stop_price' | 'trail_price' | 'trail_percent'>

/** A sale's limit says how little it may bring, and a purchase's stop from where on it may cost anything: the market says more. */
export function highestPrice(order: Priced, lastClose: number): number {
  const { side, limit_price, stop_price } = order
  if (side === 'buy' && limit_price !== null) return Number(limit_price)
  if (side === 'sell' && stop_price !== null) return Math.max(Number(stop_price), Number(limit_price ?? 0))
  if (side === 'buy' && order.order_type === 'trailing_stop') return lastClose + trailOf(order, lastClose)
  return Math.max(Number(limit_price ?? stop_price ?? 0), lastClose)
}

/** How far above the market a trailing stop begins to buy. */
function trailOf({ trail_price, trail_percent }: Priced, lastClose: number): number {
  return trail_price !== null ? Number(trail_price) : (lastClose * Number(trail_percent ?? 0)) / 100
}

/** How many orders there are. */
function checkFlow(limits: RiskLimits, { open, ordersLastMinute }: RiskPicture): RiskRefusal | null {
  const own = open.filter(isOwn).length
  if (limits.max_open_orders != null && own >= limits.max_open_orders) {
    return { rule: 'max_open_orders', detail: `${own} are open, the limit is ${limits.max_open_orders}` }
  }
  const most = limits.max_orders_per_minute
  if (most != null && ordersLastMinute >= most) {
    return { rule: 'max_orders_per_minute', detail: `${ordersLastMinute} within a minute, the limit is ${most}` }
  }
  return null
}

/** A limit whose breach halts a paper or live run. */
export interface Breach {
  rule: 'max_daily_loss' | 'max_drawdown'
  detail: string
}

export function checkHalt(limits: RiskLimits, losses: Pick<RiskPicture, 'dailyLoss' | 'drawdown'>): Breach | null {
  const { max_daily_loss, max_drawdown } = limits
  if (max_daily_loss != null && losses.dailyLoss >= max_daily_loss) {
    return { rule: 'max_daily_loss', detail: `${losses.dailyLoss} was lost today, the limit is ${max_daily_loss}` }
  }
  if (max_drawdown != null && losses.drawdown >= max_drawdown) {
    const detail = `equity fell ${losses.drawdown.toFixed(6)} of its highest, the limit is ${max_drawdown}`
    return { rule: 'max_drawdown', detail }
  }
  return null
}
