/** Text for people. Decimals are formatted from their own text: no amount shown has been through a float. */

const NONE = '–'
const MINUS = '−'

/** Splits plain notation; null when the text is no decimal. */
function parts(text: string): { negative: boolean; whole: string; fraction: string } | null {
  const match = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(text.trim())
  if (!match) return null
  return { negative: match[1] === '-', whole: match[2] ?? '0', fraction: match[3] ?? '' }
}

/** Rounds half away from zero to `digits` decimals, on the digits themselves. */
function roundDigits(whole: string, fraction: string, digits: number): { whole: string; fraction: string } {
  if (fraction.length <= digits) return { whole, fraction }
  const kept = BigInt(whole + fraction.slice(0, digits))
  const rounded = ((fraction[digits] ?? '0') >= '5' ? kept + 1n : kept).toString().padStart(digits + 1, '0')
  const cut = rounded.length - digits
  return { whole: rounded.slice(0, cut), fraction: rounded.slice(cut) }
}

export interface DecimalOptions {
  /** Fewest decimals shown; zeros are added. */
  min?: number
  /** Most decimals shown; beyond it is rounded half away from zero. */
  max?: number
  /** A plus sign before what is above zero. */
  sign?: boolean
}

/** A decimal string with thousands separators and a true minus sign. */
export function decimal(text: string | null | undefined, options: DecimalOptions = {}): string {
  if (text === null || text === undefined) return NONE
  const read = parts(text)
  if (!read) return text
  const { min = 0, max = 12, sign = false } = options
  const rounded = roundDigits(read.whole, read.fraction, max)
  const fraction = rounded.fraction.replace(/0+$/, '').padEnd(min, '0')
  const whole = BigInt(rounded.whole)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',')
  const zero = whole === '0' && /^0*$/.test(fraction)
  const prefix = zero ? '' : read.negative ? MINUS : sign ? '+' : ''
  return prefix + whole + (fraction === '' ? '' : `.${fraction}`)
}

export const money = (text: string | null | undefined) => decimal(text, { min: 2, max: 2 })
export const profit = (text: string | null | undefined) => decimal(text, { min: 2, max: 2, sign: true })
export const price = (text: string | null | undefined) => decimal(text, { min: 2, max: 8 })
export const quantity = (text: string | null | undefined) => decimal(text, { max: 9 })

/** -1, 0 or 1: which way an amount points. */
export function direction(value: string | number | null | undefined): -1 | 0 | 1 {
  if (value === null || value === undefined) return 0
  if (typeof value === 'number') return value > 0 ? 1 : value < 0 ? -1 : 0
  const read = parts(value)
  if (!read || /^0*$/.test(read.whole + read.fraction)) return 0
  return read.negative ? -1 : 1
}

const number2 = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
const integer = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

const finite = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const withMinus = (text: string) => text.replace('-', MINUS)

/** A ratio such as Sharpe. */
export const ratio = (value: unknown) => (finite(value) ? withMinus(number2.format(value)) : NONE)
export const count = (value: unknown) => (finite(value) ? withMinus(integer.format(value)) : NONE)

/** A fraction as percent: 0.1234 is 12.34 %. */
export function percent(value: unknown, options: { sign?: boolean; digits?: number } = {}): string {
  if (!finite(value)) return NONE
  const digits = options.digits ?? 2
  const text = new Intl.NumberFormat('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    signDisplay: options.sign ? 'exceptZero' : 'negative',
  }).format(value * 100)
  return `${withMinus(text)} %`
}

const two = (value: number) => String(value).padStart(2, '0')

/** `2026-03-01 14:05:09 UTC` */
export function utc(iso: string | number | null | undefined): string {
  if (iso === null || iso === undefined) return NONE
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return String(iso)
  return `${date.toISOString().slice(0, 10)} ${clockTime(date.getTime())} UTC`
}

/** `2026-03-01 14:05`, without seconds, for dense tables. */
export function utcShort(iso: string | number | null | undefined): string {
  const text = utc(iso)
  return text.endsWith(' UTC') ? text.slice(0, 16) : text
}

/** `14:05:09` in UTC */
export function clockTime(ms: number): string {
  const date = new Date(ms)
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`
}

const relativeFormat = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'long' })
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600_000],
  ['month', 2_629_800_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
]

export function relative(iso: string | null | undefined, now: number): string {
  if (!iso) return NONE
  const delta = new Date(iso).getTime() - now
  if (Number.isNaN(delta)) return iso
  for (const [unit, ms] of UNITS) {
    if (Math.abs(delta) >= ms) return relativeFormat.format(Math.trunc(delta / ms), unit)
  }
  return 'just now'
}

/** `4 d 3 h`, the two largest units. */
export function duration(ms: number | null | undefined): string {
  if (!finite(ms) || ms < 0) return NONE
  if (ms < 1000) return '< 1 s'
  const seconds = Math.floor(ms / 1000)
  const all: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const first = all.findIndex(([value]) => value > 0)
  return all
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ')
}

/** Time left at the pace so far, or null when there is no telling yet. */
export function eta(progress: number | null, startedAt: string | null, now: number): number | null {
  if (!finite(progress) || progress <= 0.01 || progress >= 1 || !startedAt) return null
  const spent = now - new Date(startedAt).getTime()
  return spent > 0 ? (spent * (1 - progress)) / progress : null
}

/** The first eight characters: enough to tell ids apart by eye. */
export const shortId = (id: string) => id.slice(0, 8)
