import { z } from 'zod'
import { evt } from './kinds.ts'
import { decimal, id, instant, symbol } from './shared.ts'

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
  /**
   * A run's position (run_id in the envelope) is changed by what none of its orders did: `transfer` by a trade of somebody
   * else that is held against it, at `price`; `fee` by what the venue kept of its purchases, worth `fee`; `split` by shares
   * that became more or fewer. `qty` is the change; `position_qty` and `avg_price` are what it holds then.
   */
  'account.PositionAttributed': evt({
    ...account,
    symbol,
    how: z.enum(['transfer', 'fee', 'split']),
    by: z.enum(['person', 'keeper']),
    /** Its part in trades, where those of fills name an order. */
    attribution_id: id,
    qty: decimal,
    price: decimal.nullable(),
    fee: decimal,
    ratio: z.strictObject({ fresh: z.int().min(1), old: z.int().min(1) }).nullable(),
    timestamp: instant,
    detail: z.string(),
    position_qty: decimal,
    avg_price: decimal,
  }),
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
            'lost_order',
            'traded_by_hand',
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
