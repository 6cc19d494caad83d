import { createRoute, z } from '@hono/zod-openapi'
import { listPauses } from '../../db/events/job_control.ts'
import { getJob, JOB_STATES, listJobs } from '../../db/walle/queries/jobs.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { notFound } from '../errors.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { job, jobAnswer, jobId, pauseAnswer, pauses } from '../schemas/jobs.ts'
import { answers, name, pageOf, paging } from '../schemas/values.ts'
import { pageJson } from './results.ts'

const tags = ['jobs']
const params = z.object({ id: jobId.openapi({ param: { name: 'id', in: 'path' } }) })
const named = z.object({ name: name.openapi({ param: { name: 'name', in: 'path' }, example: 'greta.run_chunk' }) })

const listed = createRoute({
  method: 'get',
  path: '/jobs',
  tags,
  summary: 'Jobs, newest first; without a state those that there are, and dead ones that nobody has settled',
  request: {
    query: z.object({
      task: name.optional(),
      state: z.enum(JOB_STATES).optional().openapi({
        description:
          'done, failed, timed_out, crashed and cancelled ask for attempts that have ended, which are kept for days.',
      }),
      run_id: name.optional(),
      ...paging({ page_size: 50, most: 100 }),
    }),
  },
  responses: answers(200, pageOf(job), 'A page of jobs'),
})

const read = createRoute({
  method: 'get',
  path: '/jobs/{id}',
  tags,
  summary: 'A job, or its last attempt when it has ended',
  request: { params },
  responses: answers(200, job, 'The job'),
})

const retried = createRoute({
  method: 'post',
  path: '/jobs/{id}/retry',
  tags,
  summary: 'Try a dead job again, once; a run that ended because of it goes on from its checkpoint',
  request: { params },
  responses: answers(200, jobAnswer, 'What became of it'),
})

const cancelled = createRoute({
  method: 'post',
  path: '/jobs/{id}/cancel',
  tags,
  summary: 'Take a job out of the queue, also while it runs, and stop the run that waits for it; discard a dead one',
  request: { params },
  responses: answers(200, jobAnswer, 'What became of it'),
})

const paused = createRoute({
  method: 'get',
  path: '/queues',
  tags,
  summary: 'Queues and tasks that are paused',
  responses: answers(200, pauses, 'The pauses, oldest first'),
})

const paths = { pause: '/queues/{name}/pause', resume: '/queues/{name}/resume' } as const

const pausing = <Path extends string>(path: Path, summary: string) =>
  createRoute({
    method: 'post',
    path,
    tags,
    summary,
    request: { params: named },
    responses: answers(200, pauseAnswer, 'How it is now'),
  })

export function jobRoutes({ db: { reader }, commands }: ApiDependencies): ApiRouter {
  const router = createRouter()
  router.openapi(listed, async (c) => {
    const query = c.req.valid('query')
    return c.json(pageJson(await listJobs(reader, query), query), 200)
  })
  router.openapi(read, async (c) => {
    const { id } = c.req.valid('param')
    const found = await getJob(reader, id)
    if (!found) throw notFound('job', id)
    return c.json(found, 200)
  })
  router.openapi(retried, async (c) =>
    c.json(await commands.retryJob(c.req.valid('param').id, { corrId: c.var.corrId }), 200),
  )
  router.openapi(cancelled, async (c) =>
    c.json(await commands.cancelJob(c.req.valid('param').id, { corrId: c.var.corrId }), 200),
  )
  router.openapi(paused, async (c) => c.json({ items: await listPauses(reader) }, 200))
  router.openapi(pausing(paths.pause, 'Let the jobs of a queue or a task wait; those under way go on'), async (c) =>
    c.json(await commands.pauseJobs(c.req.valid('param').name), 200),
  )
  router.openapi(pausing(paths.resume, 'Let them go on, in their old order'), async (c) =>
    c.json(await commands.resumeJobs(c.req.valid('param').name), 200),
  )
  return router
}
