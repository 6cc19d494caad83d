/**
 * How Postgres values arrive: text of the wire → what rows.ts promises. Amounts stay exact (decimal strings), times
 * are ISO 8601 UTC with milliseconds (`timestamptz` has microseconds: the rest is cut off), dates stay `YYYY-MM-DD`.
 */

type Parse = (text: string) => unknown

const OID = {
  int8: 20,
  date: 1082,
  timestamp: 1114,
  timestamptz: 1184,
  numeric: 1700,
  textArray: 1009,
  int8Array: 1016,
  timestampArray: 1115,
  dateArray: 1182,
  timestamptzArray: 1185,
  numericArray: 1231,
} as const

/** Plain notation without trailing zeros: Postgres keeps the scale that a value was computed with (`1.50`). */
export function parseNumeric(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** Counts, ordinals and positions fit a double; a bigint that does not must be selected as `::text`. */
export function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`the bigint ${text} does not fit a number: select it as ::text`)
  }
  return value
}

/** The session runs with `datestyle = ISO` and `timezone = UTC`, so a time ends in `+00`. */
export function parseTimestamp(text: string): string {
  const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d+))?(?:\+00)?$/.exec(text)
  if (match === null) return text // infinity, or a year beyond 9999
  const [, day, time, fraction = ''] = match
  return `${day}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}Z`
}

const scalars = new Map<number, Parse>([
  [OID.int8, parseInt8],
  [OID.date, (text) => text],
  [OID.timestamp, parseTimestamp],
  [OID.timestamptz, parseTimestamp],
  [OID.numeric, parseNumeric],
])

const elements = new Map<number, Parse>([
  [OID.int8Array, parseInt8],
  [OID.dateArray, (text) => text],
  [OID.timestampArray, parseTimestamp],
  [OID.timestamptzArray, parseTimestamp],
  [OID.numericArray, parseNumeric],
])

/** Parsers for one connection; whatever is not listed above goes to the driver's own (jsonb parsed, bytea a Buffer). */
export function parserOf(driver: (oid: number, format?: 'text' | 'binary') => Parse) {
  return (oid: number, format?: 'text' | 'binary'): Parse => {
    if (format === 'binary') return driver(oid, format)
    const scalar = scalars.get(oid)
    if (scalar !== undefined) return scalar
    const element = elements.get(oid)
    if (element === undefined) return driver(oid, format)
    return (text) => {
      const texts = driver(OID.textArray)(text) as (string | null)[]
      return texts.map((item) => (item === null ? null : element(item)))
    }
  }
}
