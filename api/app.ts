/** GLaDOS's HTTP face: the only way in from outside. Every route that is registered works. */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { DomainError } from '../jobs/glados/errors.ts'
import { compressAnswers } from './compression.ts'
import { correlate } from './correlation.ts'
import type { ApiDependencies } from './dependencies.ts'
import { describeApi } from './description.ts'
import { answerError } from './errors.ts'
import { createFeed } from './event_feed.ts'
import { checkBody } from './json_body.ts'
import { createHttpMetrics } from './metrics.ts'
import { type ApiEnv, createRouter } from './router.ts'
import { accountRoutes } from './routes/accounts.ts'
import { alertRoutes } from './routes/alerts.ts'
import { candleFetchRoutes } from './routes/candle_fetches.ts'
import { candleRoutes } from './routes/candles.ts'
import { eventRoutes } from './routes/events.ts'
import { haltRoutes } from './routes/halts.ts'
import { jobRoutes } from './routes/jobs.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { orderRoutes } from './routes/orders.ts'
import { parityRoutes } from './routes/parity.ts'
import { reportRoutes } from './routes/reports.ts'
import { resultRoutes } from './routes/results.ts'
import { runRoutes } from './routes/runs.ts'
import { healthRoutes, systemRoutes } from './routes/system.ts'
import { allowOrigins, checkAddress, checkHost, checkOrigin, createGuard, secureHeaders } from './security.ts'
import { createSseHub } from './sse.ts'
import { createStaticFiles, DOCS_PATHS, serveDocs } from './static.ts'

export const API_BASE = '/api/v1'

export interface Api {
  app: OpenAPIHono<ApiEnv>
  /** Ends the event streams; their clients come back by themselves. */
  close(): Promise<void>
}

export function createApp(deps: ApiDependencies): Api {
  const { config, clock } = deps
  const app = createRouter()
  const files = createStaticFiles(deps.webRoot)
  const guard = createGuard(config, clock.now)
  const feed = createFeed(deps.db.reader, (row) => deps.log.error({ event: row }, 'an event of the log cannot be read'))
  const hub = createSseHub(deps, feed)
  const http = createHttpMetrics(hub, deps)

  app.onError((error, c) => answerError(deps, error, c))
  app.use(correlate(deps), secureHeaders(files.scriptHashes), http.middleware, logRequests(deps))
  app.use(...compressAnswers())
  app.use(checkHost(config), checkAddress(config), checkOrigin(config))
  if (config.corsOrigins.length > 0) app.use(allowOrigins(config))
  app.use(guard.middleware)
  app.use(`${API_BASE}/*`, checkBody())

  app.route('/', healthRoutes(deps))
  app.route('/', metricsRoutes(deps, http))
  app.route(API_BASE, runRoutes(deps))
  app.route(API_BASE, resultRoutes(deps))
  app.route(API_BASE, reportRoutes(deps))
  app.route(API_BASE, parityRoutes(deps))
  app.route(API_BASE, orderRoutes(deps))
  app.route(API_BASE, accountRoutes(deps))
  app.route(API_BASE, haltRoutes(deps))
  app.route(API_BASE, alertRoutes(deps))
  app.route(API_BASE, jobRoutes(deps))
  app.route(API_BASE, candleRoutes(deps))
  app.route(API_BASE, candleFetchRoutes(deps))
  app.route(API_BASE, eventRoutes(feed, hub))
  app.route(API_BASE, systemRoutes(deps, guard))

  const description = describeApi(app, deps.version)
  app.get('/openapi.json', (c) => c.json(description))
  for (const path of DOCS_PATHS) app.get(path, async () => (await serveDocs('')) ?? nothingAt(path))
  app.get('/docs/:file', async (c) => (await serveDocs(c.req.param('file'))) ?? nothingAt(c.req.path))
  for (const path of ['/api', '/api/*', '/metrics/*']) app.all(path, (c) => nothingAt(c.req.path))
  app.get('*', async (c) => (await files.serve(c.req.path, c.req.header('if-none-match'))) ?? nothingAt(c.req.path))
  app.notFound((c) => answerError(deps, new DomainError('NOT_FOUND', `there is nothing at ${c.req.path}`), c))
  return { app, close: () => hub.close() }
}

function nothingAt(path: string): never {
  throw new DomainError('NOT_FOUND', `there is nothing at ${path}`)
}

function logRequests({ log, clock }: ApiDependencies): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const start = clock.now()
    await next()
    const { method, path } = c.req
    log.debug({ method, path, status: c.res.status, ms: clock.now() - start }, 'request')
  }
}
