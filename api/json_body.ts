/** Bodies that are not JSON, or too much of it, are refused before anything reads them. */
import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { DomainError } from '../jobs/glados/errors.ts'
import { MOST_IMPORT_BYTES, tooLarge } from './import_body.ts'
import type { ApiEnv } from './router.ts'

export const MOST_JSON_BYTES = 1024 * 1024
export const IMPORT_PATH = '/api/v1/candles/import'
const JSON_TYPE = /^application\/([a-z-.]+\+)?json\s*(;|$)/i

const limitOf = (most: number) =>
  bodyLimit({
    maxSize: most,
    onError: () => {
      throw tooLarge(most)
    },
  })

export function limitBodies(): MiddlewareHandler<ApiEnv> {
  const small = limitOf(MOST_JSON_BYTES)
  return async (c, next) => {
    if (c.req.path !== IMPORT_PATH) return small(c, next)
    // The rest is counted as it streams.
    if (Number(c.req.header('content-length') ?? 0) > MOST_IMPORT_BYTES) throw tooLarge(MOST_IMPORT_BYTES)
    return next()
  }
}

export function checkJson(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    if (c.req.path === IMPORT_PATH || c.req.method === 'GET' || c.req.method === 'HEAD') return next()
    const text = await c.req.text()
    const isJson = JSON_TYPE.test(c.req.header('content-type') ?? '')
    if (text.trim() === '') {
      // An empty body stands for an empty object, whatever its type claims.
      Object.assign(c.req.bodyCache, { text: Promise.resolve('{}') })
    } else if (!isJson) {
      throw new DomainError('BAD_REQUEST', 'the body must be JSON, sent with content-type: application/json')
    } else if (!isParsable(text)) {
      throw new DomainError('BAD_REQUEST', 'the body is not JSON')
    }
    return next()
  }
}

function isParsable(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
