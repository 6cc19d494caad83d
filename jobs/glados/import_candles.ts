/** The command that takes in candles from a file: all good rows in one transaction, the bad ones named. */
import { ADJUSTMENTS, type Adjustment, FEED, MixedCandlesError } from '../../db/walle/import/adjustment.ts'
import { BadHeaderError, type ImportedCandles } from '../../db/walle/import/candle_rows.ts'
import { parseCandleCsv } from '../../db/walle/import/csv.ts'
import { parseCandleParquet } from '../../db/walle/import/parquet.ts'
import type { Write } from '../../db/walle/outcome.ts'
import { TIMEFRAMES, type Timeframe } from '../../strategies/api.ts'
import { DomainError } from './errors.ts'

export interface ImportRequest {
  symbol: string
  timeframe: Timeframe
  source: AsyncIterable<Uint8Array>
  format: 'csv' | 'parquet'
  strict: boolean
  /** Of all the candles; what is not said is unknown. */
  adjustment?: Adjustment | undefined
  feed?: string | undefined
}

export interface ImportReport extends Omit<ImportedCandles, 'candles'> {
  symbol: string
  timeframe: Timeframe
  /** New bars. */
  stored: number
  /** Bars that were there with other values. */
  revised: number
  unchanged: number
  /** Open times of the file's first and last good bar. */
  first: string | null
  last: string | null
  /** Runs that saw bars which this import has changed, the newest first. */
  invalidated: InvalidatedRuns
}

export interface InvalidatedRuns {
  count: number
  /** The first of them. */
  ids: string[]
}

type Stored = Pick<ImportReport, 'stored' | 'revised' | 'unchanged' | 'invalidated'>

export type StoreCandles = (write: Extract<Write, { kind: 'store_candles' }>) => Promise<Stored>

const SYMBOL = /^[A-Za-z0-9._-]{1,24}(\/[A-Za-z0-9._-]{1,24})?$/

/** Throws a DomainError, with nothing stored, for a bad header, no good row, or any bad row when strict. */
export async function importCandles(store: StoreCandles, zone: string, request: ImportRequest): Promise<ImportReport> {
  const { symbol, timeframe, strict, adjustment, feed } = request
  if (!SYMBOL.test(symbol)) throw invalid('symbol', `${JSON.stringify(symbol)} is not a symbol such as BTC/USD or AAPL`)
  if (!TIMEFRAMES.includes(timeframe)) throw invalid('timeframe', `use one of ${TIMEFRAMES.join(', ')}`)
  checkKind(request)
  const { candles, ...read } = await parse(request, zone)
  const firstBad = read.rejected.map(({ line, reason }) => `line ${line}: ${reason}`)
  if (strict && read.rejected_count > 0) {
    throw new DomainError(
      'VALIDATION_ERROR',
      `nothing was stored, ${read.rejected_count} rows are bad: ${firstBad.slice(0, 5).join('; ')}`,
      read,
    )
  }
  if (candles.length === 0) {
    const why = read.read === 0 ? 'it has no rows' : `all ${read.read} rows are bad: ${firstBad.slice(0, 5).join('; ')}`
    throw new DomainError('VALIDATION_ERROR', `no candle could be read from the file: ${why}`, read)
  }
  const write = { kind: 'store_candles', symbol, timeframe, candles, adjustment, feed } as const
  const stored = await store(write).catch((error: unknown) => {
    throw error instanceof MixedCandlesError ? invalid('adjustment', error.message) : error
  })
  const iso = (time: number | undefined) => (time === undefined ? null : new Date(time).toISOString())
  return { symbol, timeframe, ...read, ...stored, first: iso(candles[0]?.time), last: iso(candles.at(-1)?.time) }
}

function checkKind({ symbol, adjustment, feed }: ImportRequest): void {
  if (adjustment !== undefined && !ADJUSTMENTS.includes(adjustment)) {
    throw invalid('adjustment', `use one of ${ADJUSTMENTS.join(', ')}`)
  }
  if (feed !== undefined && !FEED.test(feed)) {
    throw invalid('feed', `${JSON.stringify(feed)} is not a name of a feed such as iex or sip`)
  }
  if (symbol.includes('/') && (adjustment ?? 'raw') !== 'raw') {
    throw invalid('adjustment', `${symbol} has no corporate actions: its candles are raw, leave the adjustment out`)
  }
}

async function parse(
  { symbol, timeframe, source, format, strict, adjustment }: ImportRequest,
  zone: string,
): Promise<ImportedCandles> {
  const options = { symbol, timeframe, zone, strict, adjustment }
  try {
    if (format === 'csv') return await parseCandleCsv(source, options)
    const bytes = await collect(source)
    return await parseCandleParquet(bytes, options)
  } catch (error) {
    if (error instanceof DomainError) throw error
    if (error instanceof BadHeaderError) throw invalid('file', error.message)
    const detail = error instanceof Error ? error.message : String(error)
    if (format === 'csv') throw invalid('file', `the CSV file cannot be read: ${detail}`)
    throw invalid('file', `it is damaged or no Parquet file (${detail}): write it again, or import it as CSV`)
  }
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = []
  for await (const part of source) parts.push(Uint8Array.from(part))
  return new Blob(parts).arrayBuffer()
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('VALIDATION_ERROR', message, { issues: [{ path: field, message }] })
}
