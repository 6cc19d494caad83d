/** The id that a request, its log lines and its events share. */
import type { MiddlewareHandler } from 'hono'
import { v5 } from 'uuid'
import type { ApiDependencies } from './dependencies.ts'
import type { ApiEnv } from './router.ts'

export const CORRELATION_HEADER = 'X-Correlation-ID'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i
const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/
/** Ids that are no UUIDs become one in this namespace: events hold nothing else. */
const NAMESPACE = '7d0f4c36-5c0e-4f0e-9a53-2f5b3c1f6f2d'

const RUN_PATH = /\/runs\/([0-9a-f-]{36})(\/|$)/i

export function correlate({ clock, withLogContext }: ApiDependencies): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const given = c.req.header(CORRELATION_HEADER)
    const id = given !== undefined && WELL_FORMED.test(given) ? given : clock.newId()
    c.set('correlationId', id)
    c.set('corrId', UUID.test(id) ? id.toLowerCase() : v5(id, NAMESPACE))
    const run_id = RUN_PATH.exec(c.req.path)?.[1] ?? null
    await withLogContext({ correlation_id: id, corr_id: c.var.corrId, ...(run_id === null ? {} : { run_id }) }, next)
    c.res.headers.set(CORRELATION_HEADER, id)
  }
}
