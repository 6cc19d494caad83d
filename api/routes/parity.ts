import { createRoute } from '@hono/zod-openapi'
import type { ApiDependencies } from '../dependencies.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { parity, replayRequest } from '../schemas/parity.ts'
import { answers, params } from '../schemas/values.ts'

const tags = ['runs']

const replayed = createRoute({
  method: 'post',
  path: '/runs/{id}/replay',
  tags,
  summary: 'Play a paper or live run again from what it recorded; while that is under way, the same one is given',
  request: { params, body: { required: false, content: { 'application/json': { schema: replayRequest } } } },
  responses: answers(202, parity, 'The replay, pending'),
})

const read = createRoute({
  method: 'get',
  path: '/runs/{id}/parity',
  tags,
  summary: 'The newest replay: whether the run did what its strategy and the backtest path do on the same inputs',
  request: { params },
  responses: answers(200, parity, 'The replay'),
})

export function parityRoutes({ commands }: ApiDependencies): ApiRouter {
  const router = createRouter()
  router.openapi(replayed, async (c) => {
    const { tolerance_bps } = c.req.valid('json') ?? {}
    return c.json(await commands.replayRun(c.req.valid('param').id, { tolerance_bps }), 202)
  })
  router.openapi(read, async (c) => c.json(await commands.getParity(c.req.valid('param').id), 200))
  return router
}
