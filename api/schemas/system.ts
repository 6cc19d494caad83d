import { z } from '@hono/zod-openapi'
import { instant, json, object, id as uuid } from './values.ts'

export const health = z.object({ status: z.literal('ok'), version: z.string() }).openapi('Health')

const readinessCheck = z.object({
  ok: z.boolean(),
  state: z.enum(['ok', 'degraded', 'failing']),
  message: z.string().openapi({ description: 'What was found, and what to do when it is not well.' }),
})

export const readiness = z
  .object({
    status: z.enum(['ready', 'degraded']).openapi({ description: 'degraded: it works, and somebody should look.' }),
    checks: z.record(z.string(), readinessCheck),
  })
  .openapi('Readiness')

export const alerts = z
  .object({
    items: z.array(
      z.object({
        id: uuid,
        at: instant,
        run_id: uuid.nullable(),
        part: z.string().openapi({ description: 'Of Weaver: who says so.' }),
        message: z.string(),
      }),
    ),
  })
  .openapi('Alerts')

export const info = z
  .object({
    version: z.string(),
    modes: z.array(z.string()),
    exchanges: z.array(z.string()),
    trading: z.array(
      z.object({
        exchange: z.string(),
        modes: z.array(z.string()),
        configured: z.array(z.string()).openapi({ description: 'Modes that it has what it needs for.' }),
        problems: z.array(z.string()).openapi({ description: 'What is wrong with it or its settings.' }),
        accounts: z.array(
          z.object({
            mode: z.string(),
            host: z.string().nullable().openapi({ description: 'Where orders go; null: nowhere beyond Weaver.' }),
            custom_host: z
              .boolean()
              .openapi({ description: "It is not the exchange's own: an emulator, a proxy, or a mistake." }),
          }),
        ),
      }),
    ),
    timezone: z.string(),
    limits: z.record(z.string(), z.number()),
  })
  .openapi('Info')

export const strategies = z
  .object({
    items: z.array(
      z.object({
        id: z.string(),
        version: z.string(),
        description: z.string(),
        params_schema: json.openapi({ description: 'JSON schema of the parameters.' }),
        path: z.string(),
      }),
    ),
    errors: z
      .array(z.object({ file: z.string(), message: z.string() }))
      .openapi({ description: 'Files that do not load, and why.' }),
  })
  .openapi('Strategies')

export const session = z.strictObject({ key: z.string().optional() }).openapi('Session')

export const runEvent = z
  .object({
    seq: z.number(),
    id: z.string(),
    kind: z.enum(['evt', 'cmd']),
    type: z.string(),
    version: z.number(),
    run_id: z.string().nullable(),
    corr_id: z.string(),
    causation_id: z.string().nullable(),
    trace_id: z.string().nullable(),
    ts: z.string(),
    producer: z.string(),
    headers: z.record(z.string(), z.string()),
    payload: json,
  })
  .openapi('Event')

export const streamItem = runEvent
  .extend({
    seq: z.number().openapi({ description: "The stream's `id`." }),
    event: z.string().openapi({ description: "The stream's event name; `type` is the log's." }),
    data: object.openapi({ description: "The stream's data: ids and states. Beside it stands the whole envelope." }),
  })
  .openapi('StreamEvent')

export const tail = z
  .object({
    items: z.array(streamItem),
    next: z.number().openapi({ description: 'What to give as `after` next time.' }),
    reset: z.boolean().optional().openapi({ description: '`after` is no longer, or not yet, in the log.' }),
  })
  .openapi('Tail')
