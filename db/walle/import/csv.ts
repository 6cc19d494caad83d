/** Candles out of CSV. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CsvError, parse } from 'csv-parse'
import {
  BadHeaderError,
  type CandleCollector,
  checkHeader,
  collectCandles,
  type ImportedCandles,
  type ImportOptions,
} from './candle_rows.ts'

/** A line of a candle file has some 100 characters: more than this is another kind of file. */
const LONGEST_LINE = 100_000

/**
 * Reads a file piece by piece. Throws BadHeaderError when it is no candle file. Quotes only enclose single fields, so
 * that one stray quote costs one line and not the rest of the file.
 */
export async function parseCandleCsv(
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  options: ImportOptions,
): Promise<ImportedCandles> {
  let line = 0
  let collector: CandleCollector | null = null
  const onLine = (fields: string[]) => {
    line += 1
    const texts = fields.some(isPadded) ? fields.map(unpadded) : fields
    if (collector === null) collector = collectCandles(options, checkHeader(texts).width)
    else if (texts.length > 1 || texts[0] !== '') collector.add(line, texts)
    return null
  }
  const parser = parse({
    bom: true,
    quote: null,
    escape: null,
    relax_column_count: true,
    max_record_size: LONGEST_LINE,
    on_record: onLine,
  })
  parser.resume()
  await pipeline(Readable.from(chunks), parser).catch((error: unknown) => {
    if (!(error instanceof CsvError) || error.code !== 'CSV_MAX_RECORD_SIZE') throw error
    throw new BadHeaderError(`line ${line + 1} is longer than ${LONGEST_LINE} characters: this is no file of candles`)
  })
  return (collector ?? collectCandles(options, checkHeader([]).width)).finish()
}

function isPadded(field: string): boolean {
  return /^[\s"]|[\s"]$/.test(field)
}

function unpadded(field: string): string {
  return field
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .trim()
}
