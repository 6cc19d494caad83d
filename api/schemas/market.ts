import { z } from '@hono/zod-openapi'
import { decimal, instant, timeframe } from './values.ts'

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
    gaps: z.number().nullable().openapi({ description: 'Null where the exchange also closes.' }),
    missing_bars: z.number().nullable(),
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
    gaps: z.number().nullable().openapi({ description: 'Bars missing. Null where the exchange also closes.' }),
    fingerprint: z.string().openapi({ description: 'SHA-256 over every bar.' }),
  })
  .openapi('Dataset')
