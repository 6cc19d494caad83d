/** Whether there are candles for a run, before it is made: what is missing is said with what there is. */
import type { Reader } from '../../db/database.ts'
import { CALENDAR_YEARS, isKnown, tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import { candleRange, listCandles } from '../../db/walle/queries/candles.ts'
import { sourceOf } from '../../db/walle/queries/series.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { DomainError } from './errors.ts'

interface Wanted {
  symbols: readonly string[]
  timeframe: Timeframe
  start_time?: string | undefined
  end_time?: string | undefined
}

/** Throws where a symbol has no bar in the range, stored or made of finer ones. */
export async function checkCandles(reader: Reader, wanted: Wanted, range: { start: number; end: number }) {
  for (const symbol of wanted.symbols) await checkSymbol(reader, symbol, wanted, range)
}

async function checkSymbol(reader: Reader, symbol: string, wanted: Wanted, range: { start: number; end: number }) {
  const { timeframe, start_time, end_time } = wanted
  const source = await sourceOf(reader, symbol, timeframe)
  const stored = source && (await candleRange(reader, symbol, source.timeframe))
  if (!source || !stored) {
    throw invalid(
      'symbols',
      `there are no ${timeframe} candles of ${symbol}: import some with \`weaver import FILE --symbol ${symbol} --timeframe ${timeframe}\``,
    )
  }
  // Within what is stored: years that Postgres does not know are never asked for.
  const start = Math.max(range.start - TIMEFRAME_MS[timeframe], stored.first)
  const end = Math.min(range.end - TIMEFRAME_MS[source.timeframe], stored.last)
  const [closing] = await listCandles(reader, {
    symbol,
    timeframe: source.timeframe,
    start: iso(start),
    end: iso(end),
    limit: 1,
  })
  if (!closing) {
    throw invalid(
      'start_time',
      `no ${source.timeframe} candle of ${symbol} closes between ${start_time} and ${end_time}: stored are ${iso(stored.first)} to ${iso(stored.last)}`,
    )
  }
  const made = source.timeframe !== timeframe
  if (made && timeframe === '1d' && !tradesAroundTheClock(symbol) && !isKnown(start, end)) {
    throw invalid(
      'start_time',
      `1d bars of ${symbol} would be made of ${source.timeframe} candles by the exchange calendar, which knows ${CALENDAR_YEARS.first} to ${CALENDAR_YEARS.last}: choose a range within, or import 1d candles`,
    )
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

function invalid(field: string, message: string): DomainError {
  return new DomainError('VALIDATION_ERROR', message, { issues: [{ path: field, message }] })
}
