/** Commission of a fill, in the quote currency. */
import { BASIS_POINT, Decimal, ZERO } from './decimals.ts'
import type { FillModel } from './fill_model.ts'

/** `commission_bps` of the notional plus `commission_per_share` a unit, at least `commission_min` where that is set. */
export function commissionOf(
  model: Pick<FillModel, 'commission_bps' | 'commission_per_share' | 'commission_min'>,
  qty: Decimal,
  price: Decimal,
): Decimal {
  const fee = qty
    .times(price)
    .times(model.commission_bps)
    .times(BASIS_POINT)
    .plus(qty.times(model.commission_per_share))
  const least = new Decimal(model.commission_min)
  return least.gt(ZERO) && fee.lt(least) ? least : fee
}
