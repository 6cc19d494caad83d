import { z } from '@hono/zod-openapi'
import { RUN_STATUSES } from './runs.ts'
import { decimal, id, instant, object, timeframe } from './values.ts'

const skip = z.object({
  kind: z.enum(['skipped', 'risk', 'rejected']),
  rule: z.string().nullable(),
  reason: z.string(),
  ticks: z.number(),
  first_ts: instant,
  last_ts: instant,
})

const bandVariant = z.object({
  limit_fill: z.enum(['penetrate', 'touch']),
  slippage_bps: decimal,
  market_fill: z.enum(['next_open', 'next_close']),
  ambiguous_bar: z.enum(['stop_loss', 'take_profit']),
  final_equity: decimal,
  total_return: z.number().nullable(),
  max_drawdown: z.number(),
  sharpe_ratio: z.number().nullable(),
  total_trades: z.number(),
  win_rate: z.number().nullable(),
})

export const band = z
  .object({
    run_id: id,
    status: z.enum(['running', 'completed', 'error']),
    progress: z.number(),
    result: z
      .object({
        variants: z.array(bandVariant).openapi({ description: "The run's own assumptions first." }),
        ambiguous_bars: z.number().openapi({ description: 'Bars that held both stop loss and take profit.' }),
        ambiguous_trades: z.number().openapi({ description: 'Closed trades that ended in one of them.' }),
      })
      .nullable(),
    error: z.string().nullable(),
    created_at: instant,
    updated_at: instant,
  })
  .openapi('AssumptionBand')

const seenDataset = z
  .object({
    symbol: z.string(),
    timeframe,
    fetched: z.boolean().openapi({ description: 'The strategy asked for them with `ctx.fetch`.' }),
    source_timeframe: timeframe.openapi({ description: 'Of the stored candles that the bars are made of.' }),
    first: instant.openapi({ description: 'Open times of the first and the last stored candle.' }),
    last: instant,
    bars: z.number(),
    adjustment: z.string(),
    feed: z.string(),
    fingerprint: z.string(),
  })
  .openapi('SeenDataset')

export const report = z
  .object({
    run_id: id,
    status: z.enum(RUN_STATUSES),
    stats: object.nullable(),
    result_hash: z.string().nullable(),
    reproducibility: z.object({
      weaver_version: z.string(),
      strategy_id: z.string(),
      strategy_version: z.string(),
      strategy_hash: z.string(),
      config: object,
      symbols: z.array(z.string()),
      timeframe,
      start_time: instant.nullable(),
      end_time: instant.nullable(),
      initial_cash: decimal,
      dataset_fingerprint: z.string().nullable(),
      data: z.array(seenDataset).openapi({ description: 'All bars that the run could see, what it fetched included.' }),
      fill: object,
      risk: object,
      seed: z.number(),
      command: z.string().openapi({ description: 'The command line that plays the run again.' }),
    }),
    cautions: z.array(z.string()),
    trials_now: z.number().nullable().openapi({
      description: 'Variants of the strategy tried on this data until now; `stats.trials` is that of the completion.',
    }),
    skips: z.array(skip).openapi({ description: 'Why nothing was done, the most frequent reason first.' }),
    band: band.nullable(),
  })
  .openapi('Report')
