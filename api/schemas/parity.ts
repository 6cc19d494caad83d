import { z } from '@hono/zod-openapi'
import { decimal, id, instant } from './values.ts'

const counts = z
  .object({ data: z.number(), decision: z.number(), order: z.number(), fill: z.number(), cost: z.number() })
  .openapi({ description: 'Differences by class.' })

const difference = z
  .object({
    class: z.enum(['data', 'decision', 'order', 'fill', 'cost']),
    what: z.string().openapi({ description: 'Which kind of it.', example: 'late' }),
    bar_index: z.number().nullable(),
    ts: instant.nullable(),
    symbol: z.string().nullable(),
    order_id: id.nullable(),
    recorded: z.string().nullable().openapi({ description: 'What the run did, or was given.' }),
    expected: z.string().nullable().openapi({ description: 'What the replay has in its place.' }),
    cause: z.string(),
  })
  .openapi('ParityDifference')

const verdict = z.enum(['identical', 'amended', 'diverged']).openapi({
  description:
    'amended: all was as it should be, and the venue told of bars or fees otherwise afterwards, or a person closed a position.',
})

const STATES = ['none', 'pending', 'completed', 'error'] as const

export const parity = z
  .object({
    run_id: id,
    state: z.enum(STATES).openapi({ description: 'none: the run was never replayed.' }),
    progress: z.number().nullable(),
    tolerance_bps: z.number().nullable(),
    verdict: verdict.nullable(),
    first_divergence: difference.nullable(),
    counts: counts.nullable(),
    differences: z
      .array(difference)
      .nullable()
      .openapi({ description: 'The earliest, in the order of the log; differences_total says how many there are.' }),
    differences_total: z.number().nullable(),
    ticks: z.number().nullable(),
    orders: z.number().nullable(),
    fills: z.number().nullable(),
    unjudged: z.number().nullable().openapi({
      description: 'Orders that the recorded bars do not reach far enough to be held against the fill model.',
    }),
    through: instant.nullable().openapi({ description: 'The newest tick that was replayed.' }),
    slippage: z
      .object({ orders: z.number(), mean_bps: z.number().nullable(), max_bps: z.number().nullable(), cost: decimal })
      .nullable()
      .openapi({ description: 'Of filled orders against the fill model on the same bars; more is worse.' }),
    fees: z.object({ booked: decimal, model: decimal }).nullable(),
    notes: z.array(z.string()).nullable(),
    error: z.string().nullable().openapi({ description: 'Why the run could not be replayed.' }),
    replayed_at: instant.nullable(),
  })
  .openapi('Parity')

export const replayRequest = z
  .strictObject({
    tolerance_bps: z.number().optional().openapi({
      description: 'How far a fill may lie from the fill model’s before it counts as another one.',
      default: 10,
    }),
  })
  .openapi('ReplayRequest')

export const paritySummary = z
  .object({
    state: z.enum(STATES),
    verdict: verdict.nullable(),
    counts: counts.nullable(),
    replayed_at: instant.nullable(),
  })
  .openapi('ParitySummary')
