import { z } from 'zod'
import { evt } from './kinds.ts'
import { decimal, instant, symbol } from './shared.ts'

const account = { exchange: z.string(), mode: z.enum(['paper', 'live']) }

export const accountEvents = {
  /** The account's state or its money changed. */
  'account.Updated': evt({
    ...account,
    state: z.enum(['unknown', 'ready', 'refused']),
    state_reason: z.string().nullable(),
    cash: decimal.nullable(),
    equity: decimal.nullable(),
    buying_power: decimal.nullable(),
  }),
  /** A run's position after a fill (run_id in the envelope), or the account's where a run's is not concerned. */
  'account.PositionChanged': evt({ ...account, symbol, qty: decimal, avg_price: decimal }),
  /** What a reconciliation found and changed. */
  'account.Reconciled': evt({
    ...account,
    cause: z.enum(['start', 'reconnect', 'timer', 'request']),
    since: instant,
    orders_checked: z.int().min(0),
    findings: z
      .array(
        z.strictObject({
          class: z.enum([
            'order_found',
            'order_missing',
            'order_state',
            'missed_fill',
            'foreign_order',
            'position_mismatch',
            'position_explained',
            'fee_adjustment',
            'split',
          ]),
          symbol: z.string().nullable(),
          client_order_id: z.string().nullable(),
          detail: z.string(),
        }),
      )
      .max(200),
    /** More was found than an event holds. */
    left_out: z.int().min(0),
  }),
} as const
