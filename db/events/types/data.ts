import { z } from 'zod'
import { evt } from './kinds.ts'
import { count, instant, symbol, timeframe } from './shared.ts'

const numbers = z.array(z.number())

/** Stored candles that are too many to be put into an event: whoever needs them reads them. */
const dataRef = z.strictObject({ symbol, timeframe, from: instant, to: instant })

/** `time` = open times, epoch milliseconds. */
const columns = z.strictObject({
  time: numbers,
  open: numbers,
  high: numbers,
  low: numbers,
  close: numbers,
  volume: numbers,
})

/** `from` and `to` are the open times of the first and of the last bar. */
const heading = { symbol, timeframe, bars: count, from: instant, to: instant }

const windowOfBars = z.strictObject({ ...heading, columns: columns.nullable(), data_ref: dataRef.nullable() })

/** Some bars of a window, `offset` of them before. */
const partOfWindow = z.strictObject({ symbol, timeframe, offset: count, columns })

const candles = { symbol, timeframe, first: instant.nullable(), last: instant.nullable() }

export const dataEvents = {
  /** All the windows of a fetch, inline or by reference. */
  'data.WindowReady': evt({ bar_index: count, windows: z.array(windowOfBars) }),
  /** One part of windows that are too many bars for one event; `data.WindowComplete` comes after the last. */
  'data.WindowChunk': evt({ bar_index: count, part: count, windows: z.array(partOfWindow) }),
  'data.WindowComplete': evt({ bar_index: count, parts: count, windows: z.array(z.strictObject(heading)) }),
  'data.CandlesImported': evt({ ...candles, stored: count }),
  'data.CandlesRevised': evt({ ...candles, revised: count }),
} as const
