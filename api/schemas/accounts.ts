import { z } from '@hono/zod-openapi'
import { decimal, id, instant, name } from './values.ts'

const exchange = z.string()
const mode = z.enum(['paper', 'live'])

export const accountPosition = z
  .object({
    exchange,
    mode,
    symbol: z.string(),
    venue_qty: decimal.openapi({ description: 'What the venue holds; negative when short.' }),
    runs_qty: decimal.openapi({ description: 'Of it, what the runs hold together.' }),
    unattributed_qty: decimal.openapi({ description: 'Of it, what is no run’s: bought by hand, or there before.' }),
    paused_reason: z
      .string()
      .nullable()
      .openapi({ description: 'Why no new order in the symbol leaves, and what to do; null: orders leave.' }),
    paused_class: z
      .string()
      .nullable()
      .openapi({ description: 'The class of the finding that paused it, as in `account.Reconciled`.' }),
    fee_adjustment: decimal.openapi({
      description: 'Of what is no run’s, what the venue kept less of purchases as its fee than was booked.',
    }),
    equal_at: instant.nullable().openapi({ description: 'When the venue’s position was as expected last.' }),
    last_price: z.number().nullable(),
    unrealised_pnl: decimal
      .nullable()
      .openapi({ description: 'Of what the runs hold, at `last_price`; null: they hold none, or no price is known.' }),
    marked_at: instant.nullable().openapi({ description: 'As of when `last_price` is.' }),
  })
  .openapi('AccountPosition')

export const attribution = z.strictObject({
  symbol: name,
  run_id: id,
  qty: decimal.openapi({ description: 'Negative: it leaves the run.', example: '-10' }),
  price: decimal.optional().openapi({
    description: 'At which it was traded; absent: what the run has paid for it on average. Needed where it holds none.',
  }),
})

export const splitRatio = z.string().openapi({ description: 'New for old.', example: '4:1' })

export const account = z
  .object({
    exchange,
    mode,
    account_number: z.string().nullable(),
    number_since: instant
      .nullable()
      .openapi({ description: 'Since when it has that number; null: it never had another one.' }),
    currency: z.string(),
    cash: decimal,
    equity: decimal,
    buying_power: decimal,
    state: z.enum(['unknown', 'ready', 'refused']).openapi({ description: 'Orders leave only while it is ready.' }),
    state_reason: z.string().nullable(),
    blocked: z.string().nullable().openapi({ description: 'Why the venue lets nothing be traded, in its words.' }),
    keeper: z.string().nullable().openapi({ description: 'The process that keeps it.' }),
    stream: z
      .enum(['up', 'down', 'none'])
      .nullable()
      .openapi({ description: 'Of updates of orders; none: the venue is polled.' }),
    reconcile_requested_at: instant.nullable(),
    checked_at: instant.nullable().openapi({ description: 'When the venue last confirmed this.' }),
    reconciled_at: instant.nullable(),
    positions: z.array(accountPosition),
  })
  .openapi('Account')

export const accounts = z.object({ items: z.array(account) })
