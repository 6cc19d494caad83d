/**
 * What a run may spend: its own cash. The account may hold more, for other runs and for people, and the venue would let that be
 * spent. The rule by which a backtest fills (greta/booking.ts), held before the order leaves. Pure.
 */
import type { OrderRow, PositionRow } from '../../../db/walle/rows.ts'
import type { PlaceIntent } from '../../../strategies/api.ts'
import { highestPrice } from '../../glados/risk.ts'
import { Decimal, ZERO } from '../../greta/decimals.ts'

export interface Purse {
  cash: string
  leverage: number
  positions: readonly Pick<PositionRow, 'symbol' | 'qty'>[]
  /** The run's open orders. */
  open: readonly OrderRow[]
  /** By symbol, the newest that were seen. */
  closes: Readonly<Record<string, { close: number }>>
}

type Asked = Pick<PlaceIntent, 'symbol' | 'side' | 'qty' | 'order_type' | 'limit_price' | 'stop_price'>

/** Null: it is paid for, or nobody knows what it costs. */
export function checkFunds(
  intent: Asked,
  { cash: before, leverage, positions, open, closes }: Purse,
): { reason: 'insufficient_buying_power'; rule: null; detail: string } | null {
  const held = new Map(positions.map(({ symbol, qty }) => [symbol, new Decimal(qty)]))
  const heldOf = (symbol: string) => held.get(symbol) ?? ZERO
  if (makesSmaller(intent, heldOf(intent.symbol))) return null
  let cash = new Decimal(before)
  const trade = (order: Asked): Decimal | null => {
    const price = priceOf(order, closes[order.symbol]?.close)
    if (price === null) return null
    const signed = signedOf(order)
    cash = cash.minus(signed.times(price))
    held.set(order.symbol, heldOf(order.symbol).plus(signed))
    return signed.times(price).abs()
  }
  for (const order of open.filter(({ parent_order_id }) => parent_order_id === null)) {
    const rest = { ...order, qty: new Decimal(order.qty).minus(order.filled_qty).toString(), limit_price: order.price }
    // What is to close may rest for long; at the market it is as good as done.
    if (order.order_type === 'market' || !makesSmaller(rest, heldOf(order.symbol))) trade(rest)
  }
  const free = cash
  const needed = trade(intent)
  if (needed === null) return null
  let gross = ZERO
  let equity = cash
  for (const [symbol, qty] of held) {
    const close = closes[symbol]?.close
    if (qty.eq(ZERO) || close === undefined) continue
    const value = qty.times(String(close))
    gross = gross.plus(value.abs())
    equity = equity.plus(value)
  }
  if (gross.lte(equity.times(String(leverage)))) return null
  const detail = `${needed} needed with ${free} in cash and leverage ${leverage}`
  return { reason: 'insufficient_buying_power', rule: null, detail }
}

function signedOf({ side, qty }: Asked): Decimal {
  return side === 'buy' ? new Decimal(qty) : new Decimal(qty).neg()
}

function makesSmaller(order: Asked, held: Decimal): boolean {
  const after = held.plus(signedOf(order))
  return after.abs().lt(held.abs()) && after.s * held.s >= 0
}

/** A sale is worth what the market pays now; null: not known. */
function priceOf(order: Asked, close: number | undefined): string | null {
  if (close === undefined) return null
  return String(order.side === 'buy' ? highestPrice(order, close) : close)
}
