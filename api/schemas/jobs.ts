import { z } from '@hono/zod-openapi'
import { JOB_STATES } from '../../db/walle/queries/jobs.ts'
import { RUN_STATUSES } from './runs.ts'
import { id, instant } from './values.ts'

export const jobId = z.string().regex(/^\d{1,18}$/)

export const job = z
  .object({
    id: jobId,
    task: z.string(),
    queue: z.string().nullable().openapi({ description: 'Jobs of one queue run one after the other.' }),
    run_id: z.string().nullable(),
    state: z.enum(JOB_STATES),
    attempts: z.number(),
    max_attempts: z.number().nullable(),
    priority: z.number().nullable().openapi({ description: 'Lower goes first.' }),
    error: z.string().nullable().openapi({ description: 'Why the last attempt failed.' }),
    created_at: instant,
    due_at: instant.nullable(),
    started_at: instant.nullable(),
    finished_at: instant.nullable(),
    worker: z.string().nullable(),
    corr_id: z.string().nullable(),
    crashes: z.number().openapi({ description: 'How often in a row its worker died while it ran.' }),
    retried_as: jobId.nullable().openapi({ description: 'The job that a dead one became.' }),
  })
  .openapi('Job')

export const jobAnswer = z
  .object({
    id: jobId,
    task: z.string(),
    state: z.enum(['retried', 'discarded', 'cancelled']),
    retried_as: jobId.nullable(),
    run: z.object({ id, status: z.enum(RUN_STATUSES) }).nullable(),
    message: z.string(),
  })
  .openapi('JobAnswer')

export const pauses = z.object({
  items: z.array(
    z.object({
      name: z.string(),
      kind: z.enum(['queue', 'task']),
      since: instant,
      jobs: z.number().openapi({ description: 'Jobs that it holds back now.' }),
    }),
  ),
})

export const pauseAnswer = z
  .object({
    name: z.string(),
    kind: z.enum(['queue', 'task']),
    paused: z.boolean(),
    jobs: z.number().openapi({ description: 'Jobs that were held back, or let go, by this.' }),
  })
  .openapi('PauseAnswer')
