/** Pre-trade risk, in one place for all modes: may this order leave? Every limit is off until it is set. Pure. */
import { z } from 'zod'
import type { PlaceIntent } from '../../strategies/api.ts'

export const riskSchema = z.strictObject({
  /** Quote currency: quantity times the order's price, or the last close for a market order. */
  max_order_notional: z.coerce.number().positive().nullable().optional(),
  /** Units of the symbol, long or short, after the order. */
  max_position: z.coerce.number().positive().nullable().optional(),
  max_open_orders: z.coerce.number().int().positive().nullable().optional(),
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
}

export interface RiskRefusal {
  rule: keyof RiskLimits
  detail: string
}

export function checkRisk(intent: PlaceIntent, limits: RiskLimits, picture: RiskPicture): RiskRefusal | null {
  const qty = Number(intent.qty)
  const price = Number(intent.limit_price ?? intent.stop_price ?? picture.lastClose)
  const allowed = limits.symbol_allow_list
  if (allowed && !allowed.includes(intent.symbol)) {
    return { rule: 'symbol_allow_list', detail: `${intent.symbol} is not on the list` }
  }
  const notional = qty * price
  if (limits.max_order_notional != null && notional > limits.max_order_notional) {
    return { rule: 'max_order_notional', detail: `${notional} is above ${limits.max_order_notional}` }
  }
  const after = Math.abs(picture.positionQty + (intent.side === 'buy' ? qty : -qty))
  if (limits.max_position != null && after > limits.max_position && after > Math.abs(picture.positionQty)) {
    return { rule: 'max_position', detail: `${after} would be above ${limits.max_position}` }
  }
  if (limits.max_open_orders != null && picture.openOrders >= limits.max_open_orders) {
    return { rule: 'max_open_orders', detail: `${picture.openOrders} are open, the limit is ${limits.max_open_orders}` }
  }
  const away = Math.abs(price / picture.lastClose - 1) * 10_000
  if (limits.price_collar_bps != null && away > limits.price_collar_bps) {
    return {
      rule: 'price_collar_bps',
      detail: `${price} is ${away.toFixed(1)} bps from the last close ${picture.lastClose}`,
    }
  }
  return null
}
