/** Candles out of Parquet: the same columns and checks as CSV. */
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { checkHeader, collectCandles, type ImportedCandles, type ImportOptions } from './candle_rows.ts'

const ROWS_AT_ONCE = 50_000
/** Rows are numbered like a CSV's lines, of which the first is the header. */
const FIRST_ROW_LINE = 2

export async function parseCandleParquet(file: AsyncBuffer, options: ImportOptions): Promise<ImportedCandles> {
  const metadata = await parquetMetadataAsync(file)
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name)
  const collector = collectCandles(options, checkHeader(columns).width)
  const rows = Number(metadata.num_rows)
  for (let rowStart = 0; rowStart < rows; rowStart += ROWS_AT_ONCE) {
    const rowEnd = Math.min(rows, rowStart + ROWS_AT_ONCE)
    const objects = await parquetReadObjects({ file, metadata, columns, rowStart, rowEnd })
    objects.forEach((row, i) => {
      collector.add(
        rowStart + i + FIRST_ROW_LINE,
        columns.map((column) => fieldText(row[column])),
      )
    })
  }
  return collector.finish()
}

function fieldText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()
  return String(value)
}
