/**
 * Cash and positions in exact decimals, by average cost. Used alike for simulated and for real fills.
 * `cost` is kept beside the average price so that a partial close loses nothing to rounding: with a short's cost
 * taken as negative, cash + sum(cost) - sum(realised) + fees is the same before and after every fill.
 */
import { Decimal, ZERO } from './decimals.ts'
import type { SplitRatio } from './splits.ts'

/** The last decimal place of a quotient. */
const LAST_PLACE = new Decimal('0.000000000001')

export interface Position {
  /** Negative when short. */
  qty: Decimal
  /** What the open quantity cost (positive for both sides). */
  cost: Decimal
  realised: Decimal
}

export interface Ledger {
  cash: Decimal
  fees: Decimal
  /** Sum of |qty| * price over all fills. */
  turnover: Decimal
  positions: Position[]
}

export function openLedger(initialCash: string, symbols: number): Ledger {
  return {
    cash: new Decimal(initialCash),
    fees: ZERO,
    turnover: ZERO,
    positions: Array.from({ length: symbols }, () => ({ qty: ZERO, cost: ZERO, realised: ZERO })),
  }
}

/** Average entry price to 12 places; zero when flat. */
export function averagePrice(position: Position): Decimal {
  return position.qty.eq(ZERO) ? ZERO : position.cost.div(position.qty.abs())
}

/** Books a fill. `signedQty` is negative for a sale. Changes the ledger in place: it sits in the hot loop. */
export function applyFill(ledger: Ledger, symbol: number, signedQty: Decimal, price: Decimal, fee: Decimal): void {
  const position = positionAt(ledger, symbol)
  const notional = signedQty.times(price)
  ledger.cash = ledger.cash.minus(notional).minus(fee)
  ledger.fees = ledger.fees.plus(fee)
  ledger.turnover = ledger.turnover.plus(notional.abs())

  const held = position.qty
  const sameSide = held.s === signedQty.s
  if (held.eq(ZERO) || sameSide) {
    position.qty = held.plus(signedQty)
    position.cost = position.cost.plus(notional.abs())
    return
  }
  const closing = signedQty.abs().lte(held.abs()) ? signedQty.abs() : held.abs()
  const released = closing.eq(held.abs()) ? position.cost : shareOf(position.cost, closing, held.abs())
  const proceeds = closing.times(price)
  position.realised = position.realised.plus(held.s > 0 ? proceeds.minus(released) : released.minus(proceeds))
  position.qty = held.plus(signedQty)
  const opened = signedQty.abs().minus(closing)
  position.cost = opened.gt(ZERO) ? opened.times(price) : position.cost.minus(released)
}

/** Something moves in or out at a price without being traded by this account's owner: no turnover, and no fee. */
export function applyTransfer(ledger: Ledger, symbol: number, signedQty: Decimal, price: Decimal): void {
  const { turnover } = ledger
  applyFill(ledger, symbol, signedQty, price, ZERO)
  ledger.turnover = turnover
}

/** Of what is held long `qty` was kept by the venue, as a fee that is worth `fee`: it was paid when it was bought. */
export function applyFeeInKind(ledger: Ledger, symbol: number, qty: Decimal, fee: Decimal): void {
  const position = positionAt(ledger, symbol)
  const released = qty.eq(position.qty) ? position.cost : shareOf(position.cost, qty, position.qty)
  ledger.fees = ledger.fees.plus(fee)
  position.realised = position.realised.plus(fee).minus(released)
  position.qty = position.qty.minus(qty)
  position.cost = position.cost.minus(released)
}

/** `fresh` units for `old` ones: they cost what they did. */
export function applySplit(ledger: Ledger, symbol: number, { fresh, old }: SplitRatio): void {
  const position = positionAt(ledger, symbol)
  position.qty = position.qty.times(fresh).div(old)
}

function positionAt(ledger: Ledger, symbol: number): Position {
  const position = ledger.positions[symbol]
  if (!position) throw new RangeError(`The ledger has no symbol number ${symbol}`)
  return position
}

/** The cost of a part of what is held: rounded, but never all of it, or what stays open would have cost nothing. */
function shareOf(cost: Decimal, part: Decimal, whole: Decimal): Decimal {
  const share = cost.times(part).div(whole)
  return share.lt(cost) ? share : share.minus(LAST_PLACE)
}

export interface LedgerText {
  cash: string
  fees: string
  turnover: string
  positions: { qty: string; cost: string; realised: string }[]
}

export function saveLedger(ledger: Ledger): LedgerText {
  return {
    cash: ledger.cash.toString(),
    fees: ledger.fees.toString(),
    turnover: ledger.turnover.toString(),
    positions: ledger.positions.map((p) => ({
      qty: p.qty.toString(),
      cost: p.cost.toString(),
      realised: p.realised.toString(),
    })),
  }
}

export function restoreLedger(text: LedgerText): Ledger {
  return {
    cash: new Decimal(text.cash),
    fees: new Decimal(text.fees),
    turnover: new Decimal(text.turnover),
    positions: text.positions.map((p) => ({
      qty: new Decimal(p.qty),
      cost: new Decimal(p.cost),
      realised: new Decimal(p.realised),
    })),
  }
}
