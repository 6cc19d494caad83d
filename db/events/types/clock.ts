import { z } from 'zod'
import { evt } from './kinds.ts'
import { count, id, instant, timeframe } from './shared.ts'

export const clockEvents = {
  /** `ts` is the boundary, not the time of emission. */
  'clock.Tick': evt({ run_id: id, ts: instant, timeframe, bar_index: count, is_backtest: z.boolean() }),
} as const
