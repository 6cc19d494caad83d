import { z } from 'zod'
import { evt } from './kinds.ts'
import { id } from './shared.ts'

export const jobEvents = {
  /** A job failed for good; `job_id` is its id in the queue and in job_dead_letters. */
  'job.Failed': evt({ task: z.string(), job_id: z.string(), run_id: id.nullable(), error: z.string() }),
} as const
