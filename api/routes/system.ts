import { createRoute } from '@hono/zod-openapi'
import { DomainError } from '../../jobs/glados/errors.ts'
import { MODES } from '../../strategies/api.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { MOST_IMPORT_BYTES } from '../import_body.ts'
import { MOST_JSON_BYTES } from '../json_body.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { health, info, readiness, session, strategies } from '../schemas/system.ts'
import { answers } from '../schemas/values.ts'
import type { Guard } from '../security.ts'

const tags = ['system']

const healthy = createRoute({
  method: 'get',
  path: '/healthz',
  tags,
  summary: 'Is the process up',
  responses: answers(200, health, 'It is'),
})

const ready = createRoute({
  method: 'get',
  path: '/readyz',
  tags,
  summary: 'Can it work: database, workers, consumers and more; 503 when not',
  responses: answers(200, readiness, 'It can'),
})

export function healthRoutes({ version, readiness }: ApiDependencies): ApiRouter {
  const router = createRouter()
  router.openapi(healthy, (c) => c.json({ status: 'ok' as const, version }, 200))
  router.openapi(ready, async (c) => {
    const found = Object.entries(await readiness())
    const checks = Object.fromEntries(
      found.map(([name, { state, message }]) => [name, { ok: state === 'ok', state, message }]),
    )
    const failing = found.flatMap(([name, { state, message }]) => (state === 'failing' ? [`${name}: ${message}`] : []))
    if (failing.length > 0) {
      throw new DomainError('SERVICE_UNAVAILABLE', `Weaver is not ready: ${failing.join('; ')}`, { checks })
    }
    const status = found.every(([, { state }]) => state === 'ok') ? ('ready' as const) : ('degraded' as const)
    return c.json({ status, checks }, 200)
  })
  return router
}

const described = createRoute({
  method: 'get',
  path: '/info',
  tags,
  summary: 'Version, modes, exchanges, limits',
  responses: answers(200, info, 'This Weaver'),
})

const found = createRoute({
  method: 'get',
  path: '/strategies',
  tags,
  summary: 'Strategies with the schema of their parameters, and files that do not load',
  responses: answers(200, strategies, 'Strategies'),
})

const opened = createRoute({
  method: 'post',
  path: '/session',
  tags,
  summary: 'A cookie for the browser, which cannot send the key with its event stream',
  request: { body: { required: false, content: { 'application/json': { schema: session } } } },
  responses: { 204: { description: 'The cookie' } },
})

export function systemRoutes(
  { version, config, catalog, exchanges, stream }: ApiDependencies,
  guard: Guard,
): ApiRouter {
  const router = createRouter()
  router.openapi(described, (c) => {
    const limits = { json_bytes: MOST_JSON_BYTES, import_bytes: MOST_IMPORT_BYTES, stream_clients: stream.clients }
    const found = exchanges().map((one) => ({
      exchange: one.exchange,
      modes: [...one.modes],
      configured: [...one.configured],
      problems: [...one.problems],
      accounts: one.accounts.map(({ mode, host, custom_host }) => ({ mode, host, custom_host })),
    }))
    const modes = MODES.filter(
      (mode) => mode === 'backtest' || found.some(({ configured }) => configured.includes(mode)),
    )
    const ids = found.map(({ exchange }) => exchange)
    return c.json({ version, modes, exchanges: ids, trading: found, timezone: config.timezone, limits }, 200)
  })
  router.openapi(found, async (c) => {
    const { items, errors } = await catalog.list()
    const shown = items.map(({ id, version, description, params_schema, path }) => ({
      id,
      version,
      description,
      params_schema,
      path,
    }))
    return c.json({ items: shown, errors: errors.map(({ path, message }) => ({ file: path, message })) }, 200)
  })
  router.openapi(opened, (c) => {
    guard.openSession(c, c.req.valid('json')?.key ?? c.req.header('X-API-Key'))
    return c.body(null, 204)
  })
  return router
}
