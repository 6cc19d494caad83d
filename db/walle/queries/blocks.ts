/** Column blocks out of Postgres, as binary COPY: as text a million bars take three times as long. */
import type { Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { bytesToColumns, COLUMN_NAMES, type ColumnBytes, monthOf } from '../candle_columns.ts'
import { literal } from '../columns.ts'
import type { CandleColumns } from '../rows.ts'

/** Signature (11), flags (4), length of the header's extension (4). */
const HEADER_BYTES = 19
const END_OF_ROWS = -1
const NULL_FIELD = -1

/** The rows of `copy (…) to stdout (format binary)`: their fields as views on the answer's bytes. */
export function* binaryRows(answer: Uint8Array): Generator<Uint8Array[]> {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength)
  let at = HEADER_BYTES + view.getInt32(HEADER_BYTES - 4)
  while (true) {
    const fields = view.getInt16(at)
    at += 2
    if (fields === END_OF_ROWS) return
    const row: Uint8Array[] = []
    for (let i = 0; i < fields; i++) {
      const length = view.getInt32(at)
      at += 4
      if (length === NULL_FIELD) throw new TypeError('a column block has no null columns')
      row.push(answer.subarray(at, at + length))
      at += length
    }
    yield row
  }
}

export async function copyBinary(reader: Reader, select: string): Promise<Uint8Array[][]> {
  return [...binaryRows(await reader.copyTo(`copy (${select}) to stdout (format binary)`))]
}

const BLOCK_COLUMNS = COLUMN_NAMES.map((name) => `"${name}"`).join(', ')

function blockBytes(fields: readonly Uint8Array[]): ColumnBytes {
  const [time, open, high, low, close, volume] = fields
  if (!time || !open || !high || !low || !close || !volume) throw new TypeError('a candle block has six columns')
  return { time, open, high, low, close, volume }
}

/** The blocks of some months (starts of UTC months, epoch ms), those that exist. */
export async function readBlocks(
  reader: Reader,
  { symbol, timeframe, months }: { symbol: string; timeframe: Timeframe; months: readonly number[] },
): Promise<Map<number, CandleColumns>> {
  const dates = months.map((month) => literal(monthDate(month))).join(', ')
  const rows = await copyBinary(
    reader,
    `select extract(epoch from month)::float8, ${BLOCK_COLUMNS} from weaver.candle_blocks
     where symbol = ${literal(symbol)} and timeframe = ${literal(timeframe)} and month in (${dates}) order by month`,
  )
  return new Map(
    rows.map(([month, ...fields]) => {
      if (month === undefined) throw new TypeError('a candle block has a month')
      const seconds = new DataView(month.buffer, month.byteOffset).getFloat64(0)
      return [seconds * 1000, bytesToColumns(blockBytes(fields))]
    }),
  )
}

/**
 * The blocks with the bars that open in [from, to), oldest first, and as many earlier blocks as it takes to have
 * `barsBefore` bars before them.
 */
export async function readBlockRange(
  reader: Reader,
  query: { symbol: string; timeframe: Timeframe; from: number; to: number; barsBefore: number },
): Promise<ColumnBytes[]> {
  const series = `symbol = ${literal(query.symbol)} and timeframe = ${literal(query.timeframe)}`
  const firstMonth = literal(monthDate(monthOf(query.from)))
  const end = literal(new Date(query.to).toISOString())
  const rows = await copyBinary(
    reader,
    `select ${BLOCK_COLUMNS} from weaver.candle_blocks
     where ${series} and (
       (month >= ${firstMonth} and month < ${end}::timestamptz) or month in (
         select month from (
           select month, sum(bars) over (order by month desc) - bars as bars_between
           from weaver.candle_blocks where ${series} and month < ${firstMonth}
         ) earlier where bars_between < ${Math.trunc(query.barsBefore)}
       )
     ) order by month`,
  )
  return rows.map(blockBytes)
}

function monthDate(month: number): string {
  return new Date(month).toISOString().slice(0, 10)
}
