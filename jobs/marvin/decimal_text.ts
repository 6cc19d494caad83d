/** What a strategy writes as a price or quantity, as the text that is recorded. Pure. */
import Big from 'big.js'
import type { DecimalInput } from '../../strategies/api.ts'

/** Longest text kept of something that is not a decimal. */
const MAX_TEXT = 100
/** Numbers beyond this many digits either side of the point are kept as they were written, for the check to refuse. */
const MAX_EXPONENT = 40

const PLAIN = /^-?(0|[1-9]\d*)(\.\d*[1-9])?$/
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i

/** Plain notation without exponent and trailing zeros; the text itself when it is no decimal. */
export function decimalText(input: DecimalInput): string {
  const text = typeof input === 'string' ? input.trim().slice(0, MAX_TEXT) : String(input).slice(0, MAX_TEXT)
  if (PLAIN.test(text) && text !== '-0') return text
  if (!DECIMAL.test(text)) return text
  const value = new Big(text)
  if (value.eq(0)) return '0'
  return Math.abs(value.e) > MAX_EXPONENT ? text : value.toFixed()
}

export function optionalDecimal(input: DecimalInput | null | undefined): string | null {
  return input === undefined || input === null ? null : decimalText(input)
}

/** `wanted − held` as side and size of the order that gets there; null when there is nothing to do. */
export function orderTowards(wanted: string, held: string): { side: 'buy' | 'sell'; qty: string } | null {
  if (!isDecimal(wanted)) return { side: 'buy', qty: wanted }
  const difference = new Big(wanted).minus(held)
  if (difference.eq(0)) return null
  return { side: difference.gt(0) ? 'buy' : 'sell', qty: difference.abs().toFixed() }
}

function isDecimal(text: string): boolean {
  return DECIMAL.test(text) && Math.abs(new Big(text).e) <= MAX_EXPONENT
}
