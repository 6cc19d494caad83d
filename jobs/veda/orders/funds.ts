/**
 * What a run may spend: its own cash. The account may hold more, for other runs and for people, and the venue would let that be
 * spent. The rule by which a backtest fills (greta/booking.ts), held before the order leaves. Pure.
 */
import type { OrderRow, PositionRow } from '../../../db/walle/rows.ts'
import type { PlaceIntent } from '../../../strategies/api.ts'
import { highestPrice } from '../../glados/risk.ts'
import { isOwn, type OpenOrder, onlyCloses, restOf } from '../../glados/worst_case.ts'
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

type Asked = Pick<
  PlaceIntent,
  'symbol' | 'side' | 'qty' | 'order_type' | 'limit_price' | 'stop_price' | 'trail_price' | 'trail_percent'
>

/** What a symbol may come to: all that is to be bought of it, or all that is to be sold. */
interface Exposure {
  held: Decimal
  buying: Decimal
  selling: Decimal
}

/** Null: it is paid for, or nobody knows what it costs. */
export function checkFunds(
  intent: Asked,
  { cash: before, leverage, positions, open, closes }: Purse,
): { reason: 'insufficient_buying_power'; rule: null; detail: string } | null {
  const held = new Map(positions.map(({ symbol, qty }) => [symbol, new Decimal(qty)]))
  const exposures = new Map([...held].map(([symbol, qty]) => [symbol, exposureOf(qty)]))
  const own = open.filter(isOwn)
  const all: OpenOrder[] = [...own, { ...intent, filled_qty: '0', parent_order_id: null }]
  const only = ({ symbol, side }: Asked) => onlyCloses({ symbol, side, qty: '0' }, held.get(symbol) ?? ZERO, all)
  if (only(intent)) return null
  let cash = new Decimal(before)
  /** Gives what it is worth; null: nobody knows. */
  const trade = (order: Asked): Decimal | null => {
    const price = priceOf(order, closes[order.symbol]?.close)
    if (price === null) return null
    const exposure = exposures.get(order.symbol) ?? exposureOf(ZERO)
    exposures.set(order.symbol, exposure)
    const qty = new Decimal(order.qty)
    const worth = qty.times(price)
    if (only(order)) {
      // What is to close may rest for long; at the market it is as good as done.
      if (order.order_type !== 'market') return worth
      exposure.held = order.side === 'buy' ? exposure.held.plus(qty) : exposure.held.minus(qty)
      cash = order.side === 'buy' ? cash.minus(worth) : cash.plus(worth)
    } else if (order.side === 'buy') {
      exposure.buying = exposure.buying.plus(qty)
      cash = cash.minus(worth)
    } else exposure.selling = exposure.selling.plus(qty)
    return worth
  }
  for (const order of own) trade({ ...order, qty: restOf(order).toString(), limit_price: order.price })
  const free = cash
  const needed = trade(intent)
  if (needed === null) return null
  const { gross, equity } = worstOf(exposures, cash, closes)
  if (gross.lte(equity.times(String(leverage)))) return null
  const detail = `${needed} needed with ${free} in cash and leverage ${leverage}`
  return { reason: 'insufficient_buying_power', rule: null, detail }
}

function exposureOf(held: Decimal): Exposure {
  return { held, buying: ZERO, selling: ZERO }
}

/** What is to be bought is paid for, so it counts as held; what is to be sold has brought nothing yet. */
function worstOf(
  exposures: ReadonlyMap<string, Exposure>,
  cash: Decimal,
  closes: Purse['closes'],
): { gross: Decimal; equity: Decimal } {
  let gross = ZERO
  let equity = cash
  for (const [symbol, { held, buying, selling }] of exposures) {
    const close = closes[symbol]?.close
    if (close === undefined) continue
    const [most, least] = [held.plus(buying), held.minus(selling)]
    const larger = most.abs().gt(least.abs()) ? most.abs() : least.abs()
    gross = gross.plus(larger.times(String(close)))
    equity = equity.plus(most.times(String(close)))
  }
  return { gross, equity }
}

/** A sale is worth what the market pays now; null: not known. */
function priceOf(order: Asked, close: number | undefined): string | null {
  if (close === undefined) return null
  return String(order.side === 'buy' ? highestPrice(order, close) : close)
}
