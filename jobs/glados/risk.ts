/** Pre-trade risk, in one place for all modes: may this order leave? Every limit is off until it is set. Pure. */
import { z } from 'zod'
import type { PlaceIntent } from '../../strategies/api.ts'

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

/** What a risk check may look at: all modes give the same picture. */
export interface RiskPicture {
  symbol: string
  lastClose: number
  positionQty: number
  openOrders: number
  /** The most that equity has lain below the day's first mark today, and, as a fraction, below its highest so far. */
  dailyLoss: number
  drawdown: number
  /** Orders let through in the sixty seconds before this one. */
  ordersLastMinute: number
}

/** The limits that a run has: its own, and where it has none those of the installation. */
export function withDefaults(own: RiskLimits, defaults: RiskLimits): RiskLimits {
  const given = Object.entries(own).filter(([, value]) => value !== null && value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) }
}

export interface RiskRefusal {
  rule: keyof RiskLimits
  detail: string
}

export function checkRisk(intent: PlaceIntent, limits: RiskLimits, picture: RiskPicture): RiskRefusal | null {
  return checkOrder(intent, limits, picture) ?? checkFlow(limits, picture) ?? checkLosses(intent, limits, picture)
}

const BPS = 10_000

/** The order in itself. */
function checkOrder(intent: PlaceIntent, limits: RiskLimits, picture: RiskPicture): RiskRefusal | null {
  const qty = Number(intent.qty)
  const price = Number(intent.limit_price ?? intent.stop_price ?? picture.lastClose)
  const allowed = limits.symbol_allow_list
  if (allowed && !allowed.includes(intent.symbol)) {
    return { rule: 'symbol_allow_list', detail: `${intent.symbol} is not on the list` }
  }
  const unknown = `no price of ${intent.symbol} is known yet`
  const most = limits.max_order_notional
  if (most != null && !makesSmaller(intent, picture)) {
    const notional = qty * highestPrice(intent, picture.lastClose)
    if (Number.isNaN(notional)) return { rule: 'max_order_notional', detail: unknown }
    if (notional > most) return { rule: 'max_order_notional', detail: `${notional} is above ${most}` }
  }
  if (limits.price_collar_bps != null && Number.isNaN(price)) return { rule: 'price_collar_bps', detail: unknown }
  const after = Math.abs(positionAfter(intent, picture))
  if (limits.max_position != null && after > limits.max_position && after > Math.abs(picture.positionQty)) {
    return { rule: 'max_position', detail: `${after} would be above ${limits.max_position}` }
  }
  const { lastClose } = picture
  const collar = limits.price_collar_bps
  if (collar != null && !(Math.abs(price - lastClose) * BPS <= collar * lastClose)) {
    const away = Math.abs(price / lastClose - 1) * BPS
    return { rule: 'price_collar_bps', detail: `${price} is ${away.toFixed(1)} bps from the last close ${lastClose}` }
  }
  return null
}

/** A sale's limit says how little it may bring, and a purchase's stop from where on it may cost anything: the market says more. */
export function highestPrice(
  { side, limit_price, stop_price }: Pick<PlaceIntent, 'side' | 'limit_price' | 'stop_price'>,
  lastClose: number,
): number {
  if (side === 'buy' && limit_price !== null) return Number(limit_price)
  if (side === 'sell' && stop_price !== null) return Math.max(Number(stop_price), Number(limit_price ?? 0))
  return Math.max(Number(limit_price ?? stop_price ?? 0), lastClose)
}

/** How many orders there are. */
function checkFlow(limits: RiskLimits, picture: RiskPicture): RiskRefusal | null {
  if (limits.max_open_orders != null && picture.openOrders >= limits.max_open_orders) {
    return { rule: 'max_open_orders', detail: `${picture.openOrders} are open, the limit is ${limits.max_open_orders}` }
  }
  const most = limits.max_orders_per_minute
  if (most != null && picture.ordersLastMinute >= most) {
    return {
      rule: 'max_orders_per_minute',
      detail: `${picture.ordersLastMinute} within a minute, the limit is ${most}`,
    }
  }
  return null
}

/** After too large a loss an order may only make a position smaller. */
function checkLosses(intent: PlaceIntent, limits: RiskLimits, picture: RiskPicture): RiskRefusal | null {
  return makesSmaller(intent, picture) ? null : checkHalt(limits, picture)
}

function makesSmaller(intent: PlaceIntent, picture: RiskPicture): boolean {
  const before = picture.positionQty
  const after = positionAfter(intent, picture)
  return Math.abs(after) < Math.abs(before) && after * before >= 0
}

function positionAfter({ side, qty }: PlaceIntent, { positionQty }: RiskPicture): number {
  return positionQty + (side === 'buy' ? Number(qty) : -Number(qty))
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
