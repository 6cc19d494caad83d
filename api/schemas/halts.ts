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
    halt,
    already: z.boolean().openapi({ description: 'It was halted before.' }),
    runs: z.int().openapi({ description: 'Runs whose open orders are being cancelled.' }),
  })
  .openapi('Halted')

export const resumed = z.object({ items: z.array(halt) }).openapi('Halts')
