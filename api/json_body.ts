/** Bodies that are not JSON, or too much of it, are refused before anything reads them. */
import type { MiddlewareHandler } from 'hono'
import { DomainError } from '../jobs/glados/errors.ts'
import { limitBytes, MOST_IMPORT_BYTES, tooLarge } from './import_body.ts'
import { unkeepable } from './json_texts.ts'
import { type ApiEnv, refused } from './router.ts'

export const MOST_JSON_BYTES = 1024 * 1024
const IMPORT_PATH = '/api/v1/candles/import'
const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
const JSON_TYPE = /^application\/([a-z-.]+\+)?json\s*(;|$)/i

export function checkBody(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const { method, path, raw } = c.req
    if (BODILESS.has(method)) return next()
    const most = path === IMPORT_PATH ? MOST_IMPORT_BYTES : MOST_JSON_BYTES
    if (Number(c.req.header('content-length') ?? 0) > most) throw tooLarge(most)
    // An import is counted as it is read.
    if (path === IMPORT_PATH) return next()
    const text = raw.body === null ? '' : await readText(limitBytes(raw.body, most))
    if (text !== '' && !JSON_TYPE.test(c.req.header('content-type') ?? '')) {
      throw new DomainError('BAD_REQUEST', 'the body must be JSON, sent with content-type: application/json')
    }
    if (text !== '') checkText(text)
    // What was read is handed on as a request of its own. Nothing stands for an empty object, whatever its type.
    const headers = new Headers(raw.headers)
    headers.set('content-type', 'application/json')
    headers.delete('content-length')
    c.req.raw = new Request(c.req.url, { method, headers, body: text === '' ? '{}' : text })
    return next()
  }
}

async function readText(source: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const part of source) text += decoder.decode(part, { stream: true })
  return (text + decoder.decode()).trim()
}

function checkText(text: string): void {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new DomainError('BAD_REQUEST', 'the body is not JSON')
  }
  const issues = unkeepable(body)
  if (issues.length > 0) throw refused(issues)
}
