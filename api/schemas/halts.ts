import { z } from '@hono/zod-openapi'
import { id, instant, name } from './values.ts'

const by = name.optional().openapi({ description: 'Who asks, for the record.' })

export const haltRequest = z.strictObject({ reason: name.nullable().optional(), by })
export const resumeRequest = z.strictObject({
  run_id: id.optional().openapi({ description: 'Of a run that broke a limit; absent: the system.' }),
  by,
})

export const halt = z
  .object({
    id,
    run_id: id.nullable().openapi({ description: 'Null: the whole system.' }),
    rule: z.string(),
    reason: z.string().nullable(),
    halted_at: instant,
    halted_by: z.string(),
  })
  .openapi('Halt')

export const halted = z
  .object({
    by: z.enum(['database', 'file']).openapi({
      description:
        'What says that it is halted; `file`: the database is away, and the halt file of the data directory holds until it is back.',
    }),
    halt: halt.nullable().openapi({ description: 'Null while only the file says it.' }),
    already: z.boolean().openapi({ description: 'It was halted before.' }),
    runs: z
      .int()
      .nullable()
      .openapi({ description: 'Runs whose open orders are being cancelled; null: only the database knows.' }),
    asked: z
      .array(
        z.object({
          exchange: z.string(),
          mode: z.string(),
          cancels: z
            .int()
            .nullable()
            .openapi({ description: 'Open orders it was asked to cancel; null: see `problem`.' }),
          problem: z.string().nullable(),
        }),
      )
      .openapi({
        description:
          'Accounts that were asked from here to cancel, as no worker did. Empty: the workers have cancelled.',
      }),
    said: z.array(z.string()).openapi({ description: 'All that was done and could not be done, in words.' }),
  })
  .openapi('Halted')

export const resumed = z.object({ items: z.array(halt) }).openapi('Halts')
