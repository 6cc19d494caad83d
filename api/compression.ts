/** Large answers as gzip, for those who take it. Never the event stream, which is sent as it comes. */
import type { MiddlewareHandler } from 'hono'
import { compress } from 'hono/compress'
import type { ApiEnv } from './router.ts'

/** Below this the header costs what gzip saves. */
const SMALLEST_BYTES = 1024

/** In this order: the first goes by the length that the second finds out. */
export function compressAnswers(): [MiddlewareHandler<ApiEnv>, MiddlewareHandler<ApiEnv>] {
  return [compress({ encoding: 'gzip', threshold: SMALLEST_BYTES }), measure]
}

const measure: MiddlewareHandler<ApiEnv> = async (c, next) => {
  await next()
  const { res } = c
  const isStream = res.headers.get('Content-Type')?.startsWith('text/event-stream') ?? false
  if (res.body === null || isStream) return
  const body = await res.arrayBuffer()
  // Otherwise the headers of both would be put together.
  c.res = undefined
  c.res = new Response(body, res)
  c.res.headers.set('Content-Length', String(body.byteLength))
}
