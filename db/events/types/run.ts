import { z } from 'zod'
import { MODES } from '../../../strategies/api.ts'
import { cmd, evt } from './kinds.ts'
import { count, decimal, id, instant, symbol, timeframe } from './shared.ts'

/** By name; `jobs/glados/risk.ts` knows them. */
const riskLimits = z.record(z.string(), z.union([z.number(), z.array(z.string())]))

export const runEvents = {
  'run.Created': evt({
    run_id: id,
    strategy_id: z.string(),
    mode: z.enum(MODES),
    symbols: z.array(symbol).min(1),
    timeframe,
    label: z.string().nullable(),
  }),
  /** With the limits that hold for it. */
  'run.Started': evt({ run_id: id, mode: z.enum(MODES), risk: riskLimits.optional() }),
  /** Of a run that goes on: the installation's limits are others than they were. */
  'run.LimitsChanged': evt({ run_id: id, risk: riskLimits }),
  'run.StopRequested': cmd({ run_id: id, cancel_orders: z.boolean(), close_positions: z.boolean() }),
  'run.Stopped': evt({ run_id: id }),
  'run.Completed': evt({ run_id: id, result_hash: z.string().regex(/^[0-9a-f]{64}$/), final_equity: decimal }),
  'run.Error': evt({
    run_id: id,
    message: z.string(),
    stack: z.string().nullable(),
    bar_index: count.nullable(),
    ts: instant.nullable(),
  }),
  'run.Progressed': evt({ run_id: id, progress: z.number().min(0).max(1), next_tick: count, ticks_total: count }),
  'run.Deleted': evt({ run_id: id }),
  /** `weaver rebuild --swap` replaced so many rows by what the log says. */
  'run.Rebuilt': evt({ run_id: id, rows: count }),
} as const
