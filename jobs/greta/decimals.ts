/** Exact decimals for money and quantities. Quotients are rounded half-even to 12 places; nothing else is rounded. */
import Big from 'big.js'

export const Decimal = Big()
Decimal.DP = 12
Decimal.RM = 2
Decimal.strict = false
// Every decimal is given a `constructor` of its own. In a strategy host Object.prototype's is guarded by a slow setter, which
// this one is found before: it took a third of a backtest's time.
Object.defineProperty(Decimal.prototype, 'constructor', { value: Decimal, writable: true, configurable: true })
/** Plain notation for every number that can occur. */
Decimal.NE = -1e6
Decimal.PE = 1e6

export type Decimal = Big
export const ZERO = new Decimal(0)

export const BASIS_POINT = new Decimal('0.0001')

/** Plain notation, no exponent, no trailing zeros. */
export function plain(value: Decimal | string | number): string {
  return new Decimal(value).toString()
}
