import { z } from 'zod'
import { evt } from './kinds.ts'
import { count, instant, symbol, timeframe } from './shared.ts'

const numbers = z.array(z.number())

/** Stored candles that are too many to be put into an event: whoever needs them reads them. */
const dataRef = z.strictObject({ symbol, timeframe, from: instant, to: instant })

const windowOfBars = z.strictObject({
  symbol,
  timeframe,
  bars: count,
  /** Open times of the first and of the last bar. */
  from: instant,
  to: instant,
  /** `time` = open times, epoch milliseconds. */
  columns: z
    .strictObject({ time: numbers, open: numbers, high: numbers, low: numbers, close: numbers, volume: numbers })
    .nullable(),
  data_ref: dataRef.nullable(),
})

const candles = { symbol, timeframe, first: instant.nullable(), last: instant.nullable() }

export const dataEvents = {
  'data.WindowReady': evt({ bar_index: count, windows: z.array(windowOfBars) }),
  'data.CandlesImported': evt({ ...candles, stored: count }),
  'data.CandlesRevised': evt({ ...candles, revised: count }),
} as const
