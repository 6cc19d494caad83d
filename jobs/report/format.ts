/** Numbers and times as a person reads them. What is unknown is a dash. */
const NONE = '–'
/** A minus sign that is as wide as a plus. */
const MINUS = '−'

const plain = (digits: number) =>
  new Intl.NumberFormat('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
const TWO = plain(2)
const WHOLE = plain(0)
const SMALL = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 4 })

function shown(format: Intl.NumberFormat, value: number): string {
  const text = format.format(value)
  return text.startsWith('-') ? (/[1-9]/.test(text) ? `${MINUS}${text.slice(1)}` : text.slice(1)) : text
}

function numberOf(value: unknown): number | null {
  if (typeof value === 'string' && value.trim() === '') return null
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : Number.NaN
  return Number.isFinite(number) ? number : null
}

/** Amounts under a cent keep their digits. */
export function money(value: unknown): string {
  const number = numberOf(value)
  if (number === null) return NONE
  return shown(number !== 0 && Math.abs(number) < 0.01 ? SMALL : TWO, number)
}

export function signedMoney(value: unknown): string {
  return signed(value, money)
}

export function percent(value: unknown): string {
  const number = numberOf(value)
  return number === null ? NONE : `${shown(TWO, number * 100)} %`
}

export function signedPercent(value: unknown): string {
  return signed(value, percent)
}

function signed(value: unknown, show: (value: unknown) => string): string {
  const number = numberOf(value)
  return number !== null && number > 0 ? `+${show(value)}` : show(value)
}

export function ratio(value: unknown): string {
  const number = numberOf(value)
  return number === null ? NONE : shown(number !== 0 && Math.abs(number) < 0.01 ? SMALL : TWO, number)
}

export function count(value: unknown): string {
  const number = numberOf(value)
  return number === null ? NONE : shown(WHOLE, number)
}

const STEPS: readonly [seconds: number, name: string][] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** The two largest units: `12 d 4 h`. */
export function duration(value: unknown): string {
  const seconds = numberOf(value)
  if (seconds === null) return NONE
  const parts: string[] = []
  let left = Math.round(seconds)
  for (const [length, name] of STEPS) {
    const whole = Math.floor(left / length)
    left -= whole * length
    if (whole > 0) parts.push(`${count(whole)} ${name}`)
    if (parts.length === 2 || (parts.length === 1 && whole === 0)) break
  }
  return parts.length === 0 ? '0 s' : parts.join(' ')
}

/** UTC to the minute. */
export function time(iso: unknown): string {
  return typeof iso === 'string' ? iso.slice(0, 16).replace('T', ' ') : NONE
}

/** -1, 0 or 1: whether the number is bad or good news. */
export function direction(value: unknown): -1 | 0 | 1 {
  return Math.sign(numberOf(value) ?? 0) as -1 | 0 | 1
}
