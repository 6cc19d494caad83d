import { z } from '@hono/zod-openapi'
import { ADJUSTMENTS } from '../../db/walle/import/adjustment.ts'
import { decimal, id, instant, timeframe } from './values.ts'

export const candle = z
  .object({
    symbol: z.string(),
    timeframe,
    timestamp: instant.openapi({ description: 'Open time.' }),
    open: decimal,
    high: decimal,
    low: decimal,
    close: decimal,
    volume: decimal,
    trade_count: z.number().nullable(),
  })
  .openapi('Candle')

const column = z.array(z.number())

export const candles = z.union([
  z.object({ symbol: z.string(), timeframe, items: z.array(candle) }).openapi('Candles'),
  z
    .object({
      symbol: z.string(),
      timeframe,
      bucket_ms: z.number(),
      columns: z.object({
        time: column.openapi({ description: 'Open times, epoch milliseconds.' }),
        open: column,
        high: column,
        low: column,
        close: column,
        volume: column,
      }),
    })
    .openapi('CandleBuckets'),
])

export const adjustment = z.enum(ADJUSTMENTS, `use one of ${ADJUSTMENTS.join(', ')}`)
/** A range of an exchange's history, in pages. */
export const candleFetch = z
  .object({
    id: z.uuid(),
    exchange: z.string(),
    symbol: z.string(),
    timeframe,
    start_time: instant,
    end_time: instant,
    next_time: instant.openapi({ description: 'What opens before is stored.' }),
    adjustment,
    feed: z.string().nullable().openapi({ description: 'Known once the exchange has answered.' }),
    status: z.enum(['running', 'completed', 'cancelled', 'error']),
    progress: z.number().openapi({ description: 'From 0 to 1.' }),
    stored: z.number(),
    revised: z.number(),
    unchanged: z.number(),
    error: z.string().nullable().openapi({ description: 'Why it ended; while it runs, why it waits.' }),
    created_at: instant,
    updated_at: instant,
  })
  .openapi('CandleFetch')

const gaps = z.number().openapi({ description: 'Stretches of missing bars, by the exchange calendar.' })
const missing_bars = z.number().openapi({ description: 'Bars that are missing in them.' })
const warnings = z
  .array(z.string())
  .openapi({ description: 'What is strange about the bars: gaps, no volume, absurd jumps, jumps like splits.' })

export const imported = z
  .object({
    symbol: z.string(),
    timeframe,
    rows_read: z.number(),
    rows_stored: z.number(),
    rows_revised: z.number(),
    rows_unchanged: z.number(),
    rows_rejected: z.number(),
    rejected: z.array(z.object({ line: z.number(), reason: z.string() })),
    gaps,
    missing_bars,
    warnings,
    invalidated_runs: z
      .object({ count: z.number(), ids: z.array(id) })
      .openapi({ description: 'Runs that saw bars which this import has changed; the newest are named.' }),
    first: instant.nullable(),
    last: instant.nullable(),
  })
  .openapi('Import')

export const symbol = z.object({ symbol: z.string(), timeframes: z.array(timeframe) }).openapi('Symbol')

export const dataset = z
  .object({
    symbol: z.string(),
    timeframe,
    start: instant.openapi({ description: 'Open time of the first bar.' }),
    end: instant.openapi({ description: 'Open time of the last bar.' }),
    bars: z.number(),
    adjustment: adjustment.openapi({ description: 'For which corporate actions the prices were changed afterwards.' }),
    feed: z.string().openapi({ description: 'Where the bars come from.', example: 'sip' }),
    gaps,
    missing_bars,
    warnings,
    fingerprint: z.string().openapi({ description: 'SHA-256 over every bar.' }),
  })
  .openapi('Dataset')
