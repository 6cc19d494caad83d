/** Splits: how one looks, and what it makes of quantities and prices from before it. Pure. */
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { RunLedgerRow } from '../../db/walle/live_rows.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from './decimals.ts'

export interface SplitRatio {
  fresh: number
  old: number
}

/** One that was applied to what a run holds. */
export interface AppliedSplit extends SplitRatio {
  symbol: string
  /** Ordinal of the run's first order after it. */
  next_order: number
}

export function splitsOf(ledger: Pick<RunLedgerRow, 'splits'> | null): readonly AppliedSplit[] {
  return (ledger?.splits as unknown as AppliedSplit[] | null) ?? []
}

const UNSPLIT: SplitRatio = { fresh: 1, old: 1 }

/** What has become of one share since the order was placed. */
export function splitSince(
  splits: readonly AppliedSplit[],
  { symbol, ordinal }: Pick<OrderRow, 'symbol' | 'ordinal'>,
): SplitRatio {
  return splits
    .filter((one) => one.symbol === symbol && ordinal < one.next_order)
    .reduce((ratio, { fresh, old }) => ({ fresh: ratio.fresh * fresh, old: ratio.old * old }), UNSPLIT)
}

export function isSplit({ fresh, old }: SplitRatio): boolean {
  return fresh !== old
}

export function splitQty(qty: Decimal | string, { fresh, old }: SplitRatio): Decimal {
  return new Decimal(qty).times(fresh).div(old)
}

export function splitPrice<T extends string | null>(price: T, ratio: SplitRatio): T {
  if (price === null || !isSplit(ratio)) return price
  return new Decimal(price).times(ratio.old).div(ratio.fresh).toString() as T
}

/** New shares for old ones, as splits are made. */
const RATIOS: readonly SplitRatio[] = [
  ...[2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100].flatMap((n) => [
    { fresh: n, old: 1 },
    { fresh: 1, old: n },
  ]),
  ...[
    [3, 2],
    [4, 3],
    [5, 4],
    [5, 2],
    [2, 3],
  ].map(([fresh, old]) => ({ fresh, old }) as SplitRatio),
]

/**
 * A split that makes the one of the other. `isWhole`: exactly; else all but a part of a share, which is paid out, and no other
 * split would. Null: none does.
 */
export function splitBetween(before: Decimal, after: Decimal): { ratio: SplitRatio; isWhole: boolean } | null {
  if (before.eq(ZERO) || after.eq(ZERO) || before.s !== after.s) return null
  const exact = RATIOS.find(({ fresh, old }) => before.times(fresh).eq(after.times(old)))
  if (exact !== undefined) return { ratio: exact, isWhole: true }
  const missing = (ratio: SplitRatio) => splitQty(before, ratio).abs().minus(after.abs())
  const [first, ...others] = RATIOS.filter((ratio) => missing(ratio).gt(ZERO) && missing(ratio).lt(1))
  return first === undefined || others.length > 0 ? null : { ratio: first, isWhole: false }
}

/** Of a price: the venue of data rounds what it adjusts. */
const NEAR = 0.02
const isNear = (one: number, other: number) => Math.abs(one / other - 1) < NEAR

/** So many new shares for one, where the same bar cost `before` and costs `after` now; 1: that is no split. */
export function splitOfPrice(before: number, after: number): number {
  const ratio = RATIOS.find(({ fresh, old }) => isNear(before / after, fresh / old))
  return ratio === undefined ? 1 : ratio.fresh / ratio.old
}

/** Beyond this part of a price a share moves so seldom from one mark to the next that what it is a share of is asked first. */
const JUMP = 1.5

export function isJump(symbol: string, before: number, after: number): boolean {
  if (tradesAroundTheClock(symbol) || !(before > 0) || !(after > 0)) return false
  return after > before * JUMP || before > after * JUMP
}

/**
 * How many of the shares that bars tell of are one that is held. `scale`: the splits that bars have shown. 1: they are the same, as
 * with coins, whose bars nobody adjusts.
 */
export function sharesPerHeld(splits: readonly AppliedSplit[], symbol: string, scale = 1): number {
  if (tradesAroundTheClock(symbol)) return 1
  const own = splits.filter((one) => one.symbol === symbol)
  const factor = own.reduce((left, { fresh, old }) => (left * old) / fresh, scale)
  return isNear(factor, 1) ? 1 : factor
}
