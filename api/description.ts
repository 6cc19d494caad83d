/** The API's description, made from the schemas that the routes validate with. */
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { ApiEnv } from './router.ts'
import { problem } from './schemas/values.ts'

type Document = ReturnType<OpenAPIHono<ApiEnv>['getOpenAPI31Document']>

const PROBLEM = {
  description: 'Why not',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
}

/** Any route may refuse or fail, in the one shape: said here instead of at each. */
export function describeApi(app: OpenAPIHono<ApiEnv>, version: string): Document {
  app.openAPIRegistry.register('Error', problem)
  const document = app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'Weaver', version } })
  for (const operations of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(operations as Record<string, { responses?: Record<string, unknown> }>)) {
      if (operation.responses) operation.responses.default ??= PROBLEM
    }
  }
  return document
}
