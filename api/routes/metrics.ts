import { createRoute, z } from '@hono/zod-openapi'
import type { ApiDependencies } from '../dependencies.ts'
import type { HttpMetrics } from '../metrics.ts'
import { type ApiRouter, createRouter } from '../router.ts'

const TEXT = 'text/plain; version=0.0.4; charset=utf-8'

const scraped = createRoute({
  method: 'get',
  path: '/metrics',
  tags: ['system'],
  summary: 'For Prometheus: the whole system, and this process (names with weaver_process_)',
  responses: { 200: { description: 'In its text format', content: { 'text/plain': { schema: z.string() } } } },
})

export function metricsRoutes({ metrics }: Pick<ApiDependencies, 'metrics'>, http: HttpMetrics): ApiRouter {
  const router = createRouter()
  router.openapi(scraped, async (c) => {
    const texts = [await metrics(), await http.text()]
    return c.text(`${texts.join('\n').trim()}\n`, 200, { 'Content-Type': TEXT })
  })
  return router
}
