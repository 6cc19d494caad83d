/** The one translation from what went wrong to what the client is told. */
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { DatabaseUnavailable } from '../db/database.ts'
import { redact, redactValue } from '../db/secrets.ts'
import { DomainError, type ErrorCode } from '../jobs/glados/errors.ts'
import type { ApiDependencies } from './dependencies.ts'
import type { ApiEnv } from './router.ts'

export const ERROR_STATUS = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  RUN_NOT_STARTABLE: 409,
  RUN_NOT_STOPPABLE: 409,
  PAYLOAD_TOO_LARGE: 413,
  VALIDATION_ERROR: 422,
  INVALID_RUN_MODE: 422,
  RATE_LIMITED: 429,
  INTERNAL_ERROR: 500,
  SERVICE_UNAVAILABLE: 503,
} as const satisfies Record<ErrorCode, ContentfulStatusCode>

/** When to ask again, of what is away for now. */
const RETRY_AFTER_S = 5
/** Causes that are followed at most. */
const DEPTH = 8

export function answerError(deps: ApiDependencies, error: unknown, c: Context<ApiEnv>): Response {
  const known = knownError(error)
  if (known === null || isUnavailable(error)) {
    const { method, path } = c.req
    const fields = { method, path, err: error }
    if (known === null) deps.log.error(fields, 'a request failed')
    else deps.log.warn(fields, 'a request was refused: the database does not answer')
  }
  const { code, message, details } =
    known ?? new DomainError('INTERNAL_ERROR', 'Something went wrong inside Weaver: its log tells more under this id.')
  // The rest of the body is not read, so the connection cannot carry another request.
  if (code === 'PAYLOAD_TOO_LARGE' || code === 'SERVICE_UNAVAILABLE') c.header('Connection', 'close')
  if (code === 'SERVICE_UNAVAILABLE') c.header('Retry-After', String(RETRY_AFTER_S))
  const timestamp = new Date(deps.clock.now()).toISOString()
  const answer = { code, message: redact(message), details: redactValue(details) as typeof details }
  return c.json({ ...answer, correlation_id: c.var.correlationId, timestamp }, ERROR_STATUS[code])
}

function knownError(error: unknown): DomainError | null {
  if (error instanceof DomainError) return error
  if (error instanceof HTTPException) return fromFramework(error)
  if (isUnavailable(error)) {
    return new DomainError('SERVICE_UNAVAILABLE', 'The database does not answer: try again in a moment.')
  }
  return null
}

/** Whatever was tried may say so in its own words, with the database's as the cause. */
function isUnavailable(error: unknown): boolean {
  let cause = error
  for (let depth = 0; depth < DEPTH && cause instanceof Error; depth++) {
    if (cause instanceof DatabaseUnavailable) return true
    cause = cause.cause
  }
  return false
}

/** The framework's own refusals, such as a body that is no JSON. Its 5xx are ours to explain. */
function fromFramework(error: HTTPException): DomainError | null {
  if (error.status === 413) return new DomainError('PAYLOAD_TOO_LARGE', 'the request is too large')
  if (error.status >= 500) return null
  return new DomainError('BAD_REQUEST', error.message || 'the request cannot be read')
}

export function notFound(what: string, id: string): DomainError {
  return new DomainError('NOT_FOUND', `there is no ${what} ${id.slice(0, 100)}`)
}
