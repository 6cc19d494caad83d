/** What fills do to an account, and what an order may ask of it. Pure. */
import type { SimOrderRow, SimPositionRow } from '../../../../db/sim_venue.ts'
import { tradesAroundTheClock } from '../../../../db/walle/calendar/calendar.ts'
import { BASIS_POINT, Decimal, ZERO } from '../../../greta/decimals.ts'
import type { OrderToSend, VenueAsset } from '../../venue.ts'
import { QTY_PLACES } from './matching.ts'
import type { SimSettings } from './settings.ts'

export interface Money {
  cash: string
  fee: string
  fee_qty: string
  position: SimPositionRow
}

/** Cash and position after a fill. In kind, a buy's fee is kept from what is bought, rounded up as venues round. */
export function bookFill(
  { cash, position }: { cash: string; position: SimPositionRow },
  fill: { side: 'buy' | 'sell'; qty: string; price: string },
  { commission_bps, fee_in_kind }: SimSettings,
): Money {
  const notional = new Decimal(fill.qty).times(fill.price)
  const rate = new Decimal(commission_bps).times(BASIS_POINT)
  const inKind = fee_in_kind && fill.side === 'buy' && tradesAroundTheClock(position.symbol)
  const feeQty = inKind ? new Decimal(fill.qty).times(rate).round(QTY_PLACES, 3) : ZERO
  const fee = inKind ? ZERO : notional.times(rate)
  const signed = fill.side === 'buy' ? new Decimal(fill.qty).minus(feeQty) : new Decimal(fill.qty).times(-1)
  return {
    cash: new Decimal(cash)
      .plus(fill.side === 'buy' ? notional.times(-1) : notional)
      .minus(fee)
      .toString(),
    fee: fee.toString(),
    fee_qty: feeQty.toString(),
    position: movePosition(position, signed, new Decimal(fill.price)),
  }
}

function movePosition(position: SimPositionRow, change: Decimal, price: Decimal): SimPositionRow {
  const held = new Decimal(position.qty)
  const qty = held.plus(change)
  const cost = new Decimal(position.cost)
  const grows = held.times(change).gte(0)
  if (grows) return { ...position, qty: qty.toString(), cost: cost.plus(change.times(price)).toString() }
  // What is closed takes its part of the cost with it; what goes through zero begins anew.
  const turned = qty.times(held).lt(0)
  const left = turned ? qty.times(price) : qty.eq(0) ? ZERO : cost.times(qty).div(held)
  return { ...position, qty: qty.toString(), cost: left.toString() }
}

export interface Situation {
  cash: string
  positions: readonly SimPositionRow[]
  open: readonly SimOrderRow[]
  /** Price of a symbol now, as a decimal. */
  price: (symbol: string) => string
}

const rest = (order: SimOrderRow): Decimal => new Decimal(order.qty).minus(order.filled_qty)
const marketValue = ({ qty, symbol }: SimPositionRow, price: Situation['price']) =>
  new Decimal(qty).times(price(symbol))

export function equityOf({ cash, positions, price }: Situation): Decimal {
  return positions.reduce((sum, position) => sum.plus(marketValue(position, price)), new Decimal(cash))
}

/** What is neither in a position nor kept for an open order that buys. */
export function buyingPowerOf(situation: Situation): Decimal {
  const { positions, open, price } = situation
  const held = positions.reduce((sum, position) => sum.plus(marketValue(position, price).abs()), ZERO)
  const kept = open
    .filter(({ side }) => side === 'buy')
    .reduce((sum, order) => sum.plus(rest(order).times(order.limit_price ?? price(order.symbol))), ZERO)
  const free = equityOf(situation).minus(held).minus(kept)
  return free.lt(0) ? ZERO : free
}

/** Why the account refuses an order, in the venue's words; null: it takes it. */
export function refusalOf(
  order: OrderToSend,
  situation: Situation,
  asset: VenueAsset,
  settings: SimSettings,
): string | null {
  return gridRefusal(order, asset) ?? moneyRefusal(order, situation, asset, settings)
}

function gridRefusal(order: OrderToSend, asset: VenueAsset): string | null {
  const qty = new Decimal(order.qty)
  if (!qty.gt(0)) return 'qty must be > 0'
  if (asset.qty_increment !== null && !qty.mod(asset.qty_increment).eq(0)) {
    return `qty must be a multiple of ${asset.qty_increment}`
  }
  for (const price of [order.limit_price, order.stop_price]) {
    if (price === null) continue
    if (!new Decimal(price).gt(0)) return 'limit price and stop price must be > 0'
    if (!new Decimal(price).times(100).mod(1).eq(0)) {
      return `invalid price ${price}. sub-penny increment does not fulfill minimum pricing criteria`
    }
  }
  return null
}

function moneyRefusal(
  order: OrderToSend,
  situation: Situation,
  asset: VenueAsset,
  settings: SimSettings,
): string | null {
  const price = order.limit_price ?? order.stop_price ?? situation.price(order.symbol)
  const notional = new Decimal(order.qty).times(price)
  if (asset.min_notional !== null && notional.lt(asset.min_notional)) {
    return `cost basis must be >= minimal amount of order ${asset.min_notional}`
  }
  const held = new Decimal(situation.positions.find(({ symbol }) => symbol === order.symbol)?.qty ?? '0')
  if (order.side === 'buy') {
    const covers = held.lt(0) ? held.times(-1) : ZERO
    const opens = new Decimal(order.qty).minus(covers)
    const needed = opens.gt(0) ? opens.times(price) : ZERO
    return needed.gt(buyingPowerOf(situation)) ? insufficientBuyingPower(needed, situation) : null
  }
  const selling = situation.open
    .filter(({ side, symbol }) => side === 'sell' && symbol === order.symbol)
    .reduce((sum, open) => sum.plus(rest(open)), ZERO)
  const available = held.minus(selling)
  const missing = new Decimal(order.qty).minus(available.gt(0) ? available : ZERO)
  if (missing.lte(0)) return null
  if (asset.shortable && settings.allow_short && held.lte(0)) {
    const needed = missing.times(price)
    return needed.gt(buyingPowerOf(situation)) ? insufficientBuyingPower(needed, situation) : null
  }
  const name = asset.asset_class === 'crypto' ? `balance for ${order.symbol.split('/')[0]}` : 'qty available for order'
  return `insufficient ${name} (requested: ${order.qty}, available: ${available.gt(0) ? available : ZERO})`
}

function insufficientBuyingPower(needed: Decimal, situation: Situation): string {
  return `insufficient buying power (buying_power: ${buyingPowerOf(situation)}, cost_basis: ${needed})`
}
