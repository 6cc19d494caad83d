/** Routers that refuse bad input in Weaver's own terms. */
import { OpenAPIHono } from '@hono/zod-openapi'
import type { z } from 'zod'
import { DomainError } from '../jobs/glados/errors.ts'

export interface ApiEnv {
  Variables: {
    /** As on the response and in every log line. */
    correlationId: string
    /** The same as a UUID, for events. */
    corrId: string
  }
  /** What @hono/node-server hands over; absent in tests without a server. */
  Bindings: {
    incoming?: { socket: { remoteAddress?: string | undefined } }
    outgoing?: { destroy(): void }
  }
}

export type ApiRouter = OpenAPIHono<ApiEnv>

export function createRouter(): ApiRouter {
  return new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (result.success) return
      // A path's parameter that does not fit is an id that nothing has.
      if (result.target === 'param') throw new DomainError('NOT_FOUND', 'there is nothing of that id')
      throw refusal(result.error)
    },
  })
}

export function refusal(error: z.ZodError): DomainError {
  return refused(error.issues.flatMap(readIssue))
}

export function refused(issues: { path: string; message: string }[]): DomainError {
  const message = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ')
  return new DomainError('VALIDATION_ERROR', message, { issues })
}

function readIssue(issue: z.core.$ZodIssue): { path: string; message: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: pathOf([...issue.path, key]), message: 'is not a known field' }))
  }
  return [{ path: pathOf(issue.path), message: issue.message }]
}

const pathOf = (path: readonly PropertyKey[]): string => path.map(String).join('.')
