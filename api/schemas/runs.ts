import { z } from '@hono/zod-openapi'
import { MODES, SIDES } from '../../strategies/api.ts'
import { paritySummary } from './parity.ts'
import { decimal, id, instant, json, name, object, timeframe, timeIn } from './values.ts'

export const DECISION_KINDS = ['acted', 'noted', 'skipped', 'risk', 'rejected'] as const
export const RUN_STATUSES = ['pending', 'running', 'stopped', 'completed', 'error'] as const
const LONGEST_LABEL = 200
const LONGEST_BAR_WAIT_MS = 60_000

export const runCreate = (zone: string) =>
  z
    .strictObject({
      strategy_id: name,
      mode: z.enum(MODES),
      symbols: z.array(name).min(1),
      timeframe: timeframe.default('1m'),
      start_time: timeIn(zone).optional(),
      end_time: timeIn(zone).optional(),
      config: object.optional().openapi({ description: "The strategy's parameters." }),
      exchange: name.optional(),
      initial_cash: z.union([z.string(), z.number()]).optional(),
      fill: object.optional().openapi({ description: 'A preset, and numbers over it.' }),
      risk: object.optional(),
      audit: z.enum(['summary', 'acted', 'full']).optional(),
      driver: z.enum(['chunk', 'chain']).optional(),
      seed: z.int().min(0).optional(),
      missed_ticks: z.enum(['skip', 'catch_up']).optional(),
      bar_wait: z.int().min(0).max(LONGEST_BAR_WAIT_MS).optional().openapi({ description: 'Milliseconds.' }),
      label: z.string().max(LONGEST_LABEL).optional(),
    })
    .openapi('RunCreate')

/** Of the source's request, what is to be different. */
export const runClone = (zone: string) =>
  runCreate(zone).partial().extend({ timeframe: timeframe.optional() }).openapi('RunClone')

export const runStop = z
  .strictObject({ cancel_orders: z.boolean().default(true), close_positions: z.boolean().default(false) })
  .openapi('RunStop')

export const runClose = z
  .strictObject({ symbol: name.optional().openapi({ description: 'Absent: all that the run holds.' }) })
  .openapi('RunClose')

export const closing = z
  .object({
    items: z.array(
      z.object({
        symbol: z.string(),
        side: z.enum(SIDES),
        qty: decimal,
        order_id: id.openapi({ description: 'On record a moment later, at `/orders/{id}`.' }),
        client_order_id: z.string(),
        already: z
          .boolean()
          .openapi({ description: 'Somebody asked before, or its strategy did: no other order is placed.' }),
        waits_for: z
          .string()
          .nullable()
          .openapi({ description: 'Such as the opening of the market; null: nothing is known.' }),
      }),
    ),
    refused: z
      .array(z.object({ symbol: z.string(), reason: z.string() }))
      .openapi({ description: 'What cannot be closed now, and why.' }),
  })
  .openapi('Closing')

export const run = z
  .object({
    id,
    strategy_id: z.string(),
    strategy_version: z.string(),
    strategy_hash: z.string(),
    mode: z.enum(MODES),
    exchange: z.string().nullable(),
    status: z.enum(RUN_STATUSES),
    symbols: z.array(z.string()),
    timeframe,
    start_time: instant.nullable(),
    end_time: instant.nullable(),
    config: object,
    initial_cash: decimal,
    fill: object,
    risk: object.openapi({
      description:
        "The limits that hold: of each the stricter of the run's own and the installation's, `WEAVER_RISK_<LIMIT>`.",
    }),
    own_risk: object.openapi({ description: 'The limits that the run was asked to have.' }),
    audit: z.enum(['summary', 'acted', 'full']),
    driver: z.enum(['chunk', 'chain']),
    seed: z.number(),
    missed_ticks: z.enum(['skip', 'catch_up']),
    bar_wait_ms: z.number().nullable(),
    label: z.string().nullable(),
    weaver_version: z.string(),
    dataset_fingerprint: z.string().nullable(),
    window_bars: z.number(),
    progress: z.number().openapi({ description: 'Fraction of the ticks done.' }),
    ticks_total: z.number().nullable(),
    halted: z.object({ rule: z.string(), at: instant }).nullable(),
    stopping: runStop
      .nullable()
      .openapi({ description: 'What was asked for when somebody stopped it, while it is not done. Null: nobody did.' }),
    waits_for: z.string().nullable().openapi({ description: 'Why a running backtest is held back for now, in words.' }),
    invalidated_by: z
      .object({
        count: z.number().openapi({ description: 'Revisions.' }),
        since: instant.openapi({ description: 'When the first of them was recorded.' }),
        symbols: z.array(z.string()),
        first: instant.openapi({ description: 'Open times of the first and the last candle in the revised ranges.' }),
        last: instant,
      })
      .nullable()
      .openapi({ description: 'Candles that the run saw were revised since. Null: they are as they were.' }),
    stats: object.nullable(),
    result_hash: z.string().nullable(),
    error: z
      .object({
        message: z.string(),
        bar_index: z.number().optional(),
        ts: z.string().optional(),
        stack: z.string().optional(),
      })
      .nullable(),
    cautions: z.array(z.string()),
    created_at: instant,
    updated_at: instant,
    started_at: instant.nullable(),
    stopped_at: instant.nullable(),
    archived_at: instant.nullable(),
  })
  .openapi('Run')

export const clonedRun = z
  .object({
    run,
    differences: z
      .array(z.object({ field: z.string(), from: json, to: json }))
      .openapi({ description: 'In what the clone differs from its source, by path such as `config.fast`.' }),
    parity: paritySummary
      .nullable()
      .openapi({ description: 'What the newest replay of a paper or live source came to; null for a backtest.' }),
  })
  .openapi('ClonedRun')

export const equityPoint = z
  .object({
    timestamp: instant,
    equity: z.number(),
    drawdown: z.number().openapi({ description: 'Fraction below the highest equity so far.' }),
    exposure: z.number().openapi({ description: 'Gross position value over equity.' }),
  })
  .openapi('EquityPoint')

export const fill = z
  .object({
    id,
    run_id: id,
    order_id: id,
    ordinal: z.number(),
    symbol: z.string(),
    side: z.enum(['buy', 'sell']),
    qty: decimal,
    price: decimal,
    fee: decimal.openapi({ description: 'All of it, in the quote currency.' }),
    fee_qty: decimal.openapi({ description: 'Part of `qty` that was kept as the fee instead of being paid in cash.' }),
    slippage: decimal,
    timestamp: instant.openapi({ description: 'Open time of the bar in which it happened.' }),
    known_at: instant,
    ambiguous: z.boolean(),
    execution_id: z.string().nullable(),
  })
  .openapi('Fill')

export const trade = z
  .object({
    run_id: id,
    ordinal: z.number(),
    symbol: z.string(),
    side: z.enum(['long', 'short']),
    qty: decimal,
    entry_order_id: id,
    exit_order_id: id,
    entry_time: instant,
    exit_time: instant,
    entry_price: decimal,
    exit_price: decimal,
    fees: decimal,
    pnl: decimal,
    return: z.number().nullable(),
    mae: z.number().nullable(),
    mfe: z.number().nullable(),
    bars: z.number(),
  })
  .openapi('Trade')

export const decision = z
  .object({
    run_id: id,
    kind: z.enum(DECISION_KINDS).openapi({
      description:
        'acted: something was asked for. noted: only a log line. The others are ranges of ticks: skipped by the strategy, refused by a risk rule, rejected by the venue.',
    }),
    bar_index: z.number(),
    ts: instant,
    last_bar_index: z.number().openapi({ description: 'The last tick of the range; of a decision, its own.' }),
    last_ts: instant,
    ticks: z.number().openapi({ description: 'How many ticks of the range had this reason.' }),
    id: id.nullable(),
    corr_id: id.nullable(),
    intents: z.array(object),
    skips: z.array(z.string()).openapi({ description: 'Why nothing was done.' }),
    rule: z.string().nullable().openapi({ description: 'The risk rule that refused.' }),
    logs: z.array(json).openapi({ description: 'A message each, and its data.' }),
  })
  .openapi('Decision')

const tick = z.object({
  bar_index: z.number(),
  ts: instant.openapi({ description: 'The boundary.' }),
  drift_ms: z.number().nullable().openapi({ description: 'How long after the boundary it was emitted.' }),
  missed_reason: z.string().nullable().openapi({ description: 'Null: it was emitted.' }),
  done_at: instant.nullable().openapi({ description: 'Null: it is under way.' }),
})

export const tickSummary = z
  .object({
    last: tick.nullable(),
    ticks: z.number().openapi({ description: 'How many of the newest ticks, 1,440 at most, the rest is about.' }),
    missed: z.array(z.object({ reason: z.string(), count: z.number(), last_ts: instant })),
    drift_ms: z
      .object({ p50: z.number(), p99: z.number(), max: z.number() })
      .nullable()
      .openapi({ description: 'Of those that were emitted.' }),
  })
  .openapi('TickSummary')

export const position = z
  .object({
    run_id: id,
    symbol: z.string(),
    qty: decimal.openapi({ description: 'Negative when short.' }),
    avg_price: decimal,
    cost: decimal
      .nullable()
      .openapi({ description: 'What the open quantity cost, exact; null where it was not kept.' }),
    realised_pnl: decimal,
    last_price: z
      .number()
      .nullable()
      .openapi({ description: 'What the venue’s stream told last, or the close of the newest tick.' }),
    unrealised_pnl: decimal.nullable().openapi({ description: 'At `last_price`; null: no price is known.' }),
    marked_at: instant.nullable().openapi({ description: 'As of when `last_price` is; null of a backtest.' }),
  })
  .openapi('Position')
