import { createRoute, z } from '@hono/zod-openapi'
import { newestAlerts } from '../../db/events/read.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { alerts } from '../schemas/system.ts'
import { answers, id, limited } from '../schemas/values.ts'

const listed = createRoute({
  method: 'get',
  path: '/alerts',
  tags: ['system'],
  summary:
    'What wants a person, newest first: positions without an exit, accounts that differ, cancels that do not leave, clocks that jump',
  request: { query: z.object({ run_id: id.optional(), limit: limited(50, 200) }) },
  responses: answers(200, alerts, 'Alerts'),
})

export function alertRoutes({ db: { reader } }: ApiDependencies): ApiRouter {
  const router = createRouter()
  router.openapi(listed, async (c) => {
    const { run_id = null, limit } = c.req.valid('query')
    const found = await newestAlerts(reader, { run_id, limit })
    const items = found.map(({ id, ts, run_id, payload }) => ({ id, at: ts, run_id, ...payload }))
    return c.json({ items }, 200)
  })
  return router
}
