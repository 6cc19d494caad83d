import { expect, test } from 'vitest'
import type { ImportOptions } from './candle_rows.ts'
import { parseCandleParquet } from './parquet.ts'

const HOUR = 3_600_000
const START = Date.UTC(2024, 0, 1)
const crypto: ImportOptions = { symbol: 'BTC/USD', timeframe: '1h', zone: 'UTC' }

/** Of Thrift's compact protocol as much as a Parquet footer needs: a struct is a list of [field id, value]. */
type Thrift = { i32: number } | { i64: number } | { text: string } | { list: Thrift[] } | { struct: [number, Thrift][] }

const i32 = (value: number): Thrift => ({ i32: value })
const i64 = (value: number): Thrift => ({ i64: value })
const TYPE = { i32: 5, i64: 6, text: 8, list: 9, struct: 12 } as const

function typeOf(value: Thrift): number {
  return TYPE[Object.keys(value)[0] as keyof typeof TYPE]
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]
}

function encoded(value: Thrift): number[] {
  if ('i32' in value) return varint(value.i32 * 2)
  if ('i64' in value) return varint(value.i64 * 2)
  if ('text' in value) return [...varint(value.text.length), ...new TextEncoder().encode(value.text)]
  if ('list' in value) return [value.list.length * 16 + typeOf(value.list[0] ?? i32(0)), ...value.list.flatMap(encoded)]
  let last = 0
  const fields = value.struct.flatMap(([id, field]) => {
    const delta = id - last
    last = id
    return [delta * 16 + typeOf(field), ...encoded(field)]
  })
  return [...fields, 0]
}

const INT64 = 2
const DOUBLE = 5
const TIMESTAMP_MILLIS = 9

interface Column {
  name: string
  values: number[]
}

/** A file of one row group with plain, uncompressed, required columns; `timestamp` is a timestamp in milliseconds. */
function parquetFile(columns: Column[]): ArrayBuffer {
  const bytes = [...new TextEncoder().encode('PAR1')]
  const rows = columns[0]?.values.length ?? 0
  const typed = columns.map((column) => ({ ...column, type: column.name === 'timestamp' ? INT64 : DOUBLE }))
  const chunks = typed.map(({ name, values, type }): Thrift => {
    const plain = type === INT64 ? new BigInt64Array(values.map(BigInt)) : Float64Array.from(values)
    const size = plain.byteLength
    const data: Thrift = {
      struct: [
        [1, i32(rows)],
        [2, i32(0)],
        [3, i32(3)],
        [4, i32(3)],
      ],
    }
    const page = [
      ...encoded({
        struct: [
          [1, i32(0)],
          [2, i32(size)],
          [3, i32(size)],
          [5, data],
        ],
      }),
      ...new Uint8Array(plain.buffer),
    ]
    const offset = bytes.length
    bytes.push(...page)
    const metadata: Thrift = {
      struct: [
        [1, i32(type)],
        [2, { list: [i32(0)] }],
        [3, { list: [{ text: name }] }],
        [4, i32(0)],
        [5, i64(rows)],
        [6, i64(page.length)],
        [7, i64(page.length)],
        [9, i64(offset)],
      ],
    }
    return {
      struct: [
        [2, i64(offset)],
        [3, metadata],
      ],
    }
  })
  const schema = typed.map(
    ({ name, type }): Thrift => ({
      struct: [
        [1, i32(type)],
        [3, i32(0)],
        [4, { text: name }],
        ...(type === INT64 ? [[6, i32(TIMESTAMP_MILLIS)] as [number, Thrift]] : []),
      ],
    }),
  )
  const root: Thrift = {
    struct: [
      [4, { text: 'schema' }],
      [5, i32(columns.length)],
    ],
  }
  const group: Thrift = {
    struct: [
      [1, { list: chunks }],
      [2, i64(bytes.length)],
      [3, i64(rows)],
    ],
  }
  const footer = encoded({
    struct: [
      [1, i32(1)],
      [2, { list: [root, ...schema] }],
      [3, i64(rows)],
      [4, { list: [group] }],
    ],
  })
  bytes.push(...footer, ...new Uint8Array(new Uint32Array([footer.length]).buffer), ...new TextEncoder().encode('PAR1'))
  return new Uint8Array(bytes).buffer
}

function column(name: string, values: number[]): Column {
  return { name, values }
}

test('candles of a Parquet file pass the checks of CSV, rows numbered like its lines', async () => {
  const file = parquetFile([
    column('timestamp', [START, START + HOUR, START + HOUR, START + 3 * HOUR]),
    column('open', [1.5, 1e-7, 1, 2]),
    column('high', [2, 2, 1, 3]),
    column('low', [1, 0, 1, 1]),
    column('close', [1.7, 2, 1, Number.NaN]),
    column('volume', [0, 12345678.25, 1, 1]),
  ])
  expect(await parseCandleParquet(file, crypto)).toEqual({
    candles: [
      { time: START, open: '1.5', high: '2', low: '1', close: '1.7', volume: '0', trade_count: null },
      {
        time: START + HOUR,
        open: '0.0000001',
        high: '2',
        low: '0',
        close: '2',
        volume: '12345678.25',
        trade_count: null,
      },
    ],
    read: 4,
    rejected: [
      { line: 4, reason: 'timestamp 2024-01-01T01:00:00.000Z is there twice' },
      { line: 5, reason: 'close "NaN" is not a finite number' },
    ],
    rejected_count: 2,
    gaps: { count: 0, missing: 0, longest: null, unknown: 0 },
    warnings: [
      'BTC/USD 1h: 1 bar without volume, 2024-01-01T00:00:00.000Z',
      'BTC/USD 1h: 2 absurd jumps, 2024-01-01T00:00:00.000Z (100 %), 2024-01-01T01:00:00.000Z (a price of 0)',
    ],
  })
})

test('a Parquet file with other columns is refused', async () => {
  const file = parquetFile([column('timestamp', [START]), column('price', [1])])
  await expect(parseCandleParquet(file, crypto)).rejects.toMatchObject({ name: 'BadHeaderError' })
})
