/** Candles as float64 columns, and those as the bytes of `candle_blocks` (little-endian, one block per UTC month). */
import type { CandleColumns, CandleText } from './rows.ts'

export const COLUMN_NAMES = ['time', 'open', 'high', 'low', 'close', 'volume'] as const

export type ColumnBytes = Record<(typeof COLUMN_NAMES)[number], Uint8Array>

const BYTES = 8
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** The array's bytes; on a little-endian machine the array's own memory, not a copy. */
export function floatsToBytes(values: Float64Array): Uint8Array {
  if (littleEndian) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const bytes = new Uint8Array(values.length * BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) view.setFloat64(i * BYTES, values[i] as number, true)
  return bytes
}

/** Always a copy: the bytes of a database answer are neither aligned nor ours to keep. */
export function bytesToFloats(bytes: Uint8Array): Float64Array {
  const values = new Float64Array(bytes.byteLength / BYTES)
  copyFloats(bytes, values, 0)
  return values
}

/** Writes the numbers that `bytes` holds into `target` from `offset` on, and gives how many there were. */
export function copyFloats(bytes: Uint8Array, target: Float64Array, offset: number): number {
  if (bytes.byteLength % BYTES !== 0) {
    throw new RangeError(`a float64 column of ${bytes.byteLength} bytes is not whole: rebuild its block from the rows`)
  }
  const count = bytes.byteLength / BYTES
  if (littleEndian) {
    new Uint8Array(target.buffer, target.byteOffset + offset * BYTES, bytes.byteLength).set(bytes)
    return count
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let i = 0; i < count; i++) target[offset + i] = view.getFloat64(i * BYTES, true)
  return count
}

export function emptyColumns(length: number): CandleColumns {
  return {
    time: new Float64Array(length),
    open: new Float64Array(length),
    high: new Float64Array(length),
    low: new Float64Array(length),
    close: new Float64Array(length),
    volume: new Float64Array(length),
  }
}

export function columnsOf(candles: readonly CandleText[]): CandleColumns {
  const columns = emptyColumns(candles.length)
  candles.forEach((candle, i) => {
    columns.time[i] = candle.time
    columns.open[i] = Number(candle.open)
    columns.high[i] = Number(candle.high)
    columns.low[i] = Number(candle.low)
    columns.close[i] = Number(candle.close)
    columns.volume[i] = Number(candle.volume)
  })
  return columns
}

export function columnsToBytes(columns: CandleColumns): ColumnBytes {
  return {
    time: floatsToBytes(columns.time),
    open: floatsToBytes(columns.open),
    high: floatsToBytes(columns.high),
    low: floatsToBytes(columns.low),
    close: floatsToBytes(columns.close),
    volume: floatsToBytes(columns.volume),
  }
}

export function bytesToColumns(bytes: ColumnBytes): CandleColumns {
  const lengths = new Set(COLUMN_NAMES.map((name) => bytes[name].byteLength))
  if (lengths.size !== 1)
    throw new RangeError('the columns of a candle block differ in length: rebuild it from the rows')
  return joinBytes([bytes])
}

/** Consecutive blocks as one set of columns, each byte copied once. */
export function joinBytes(blocks: readonly ColumnBytes[]): CandleColumns {
  const length = blocks.reduce((sum, block) => sum + block.time.byteLength, 0) / BYTES
  const columns = emptyColumns(length)
  let offset = 0
  for (const block of blocks) {
    for (const name of COLUMN_NAMES) copyFloats(block[name], columns[name], offset)
    offset += block.time.byteLength / BYTES
  }
  return columns
}

/** Index of the first value at or after `time` in an ascending column; its length when there is none. */
export function firstAtOrAfter(times: Float64Array, time: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((times[middle] as number) < time) low = middle + 1
    else high = middle
  }
  return low
}

/** The bars at [first, end), as views on the same memory. */
export function sliceColumns(columns: CandleColumns, first: number, end: number): CandleColumns {
  return {
    time: columns.time.subarray(first, end),
    open: columns.open.subarray(first, end),
    high: columns.high.subarray(first, end),
    low: columns.low.subarray(first, end),
    close: columns.close.subarray(first, end),
    volume: columns.volume.subarray(first, end),
  }
}

/** Two ascending sets of bars as one; where both have a bar, `newer` wins. */
export function mergeColumns(older: CandleColumns, newer: CandleColumns): CandleColumns {
  const merged = emptyColumns(older.time.length + newer.time.length)
  let a = 0
  let b = 0
  let length = 0
  while (a < older.time.length || b < newer.time.length) {
    const olderTime = older.time[a] ?? Number.POSITIVE_INFINITY
    const newerTime = newer.time[b] ?? Number.POSITIVE_INFINITY
    const [source, at] = newerTime <= olderTime ? [newer, b] : [older, a]
    for (const name of COLUMN_NAMES) merged[name][length] = source[name][at] as number
    length += 1
    if (olderTime <= newerTime) a += 1
    if (newerTime <= olderTime) b += 1
  }
  return sliceColumns(merged, 0, length)
}

/** Start of the UTC month that holds `time`, epoch milliseconds. */
export function monthOf(time: number): number {
  const date = new Date(time)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth())
}

export function nextMonth(month: number): number {
  const date = new Date(month)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1)
}

export interface MonthColumns {
  month: number
  columns: CandleColumns
}

/** Ascending bars cut at the starts of UTC months, as views on the same memory. */
export function splitByMonth(columns: CandleColumns): MonthColumns[] {
  const months: MonthColumns[] = []
  let first = 0
  while (first < columns.time.length) {
    const month = monthOf(columns.time[first] as number)
    const end = firstAtOrAfter(columns.time, nextMonth(month))
    months.push({ month, columns: sliceColumns(columns, first, end) })
    first = end
  }
  return months
}
