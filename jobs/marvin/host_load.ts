/** Loads strategies in a host, and answers what can be asked about them. */
import { pathToFileURL } from 'node:url'
import { type Json, type StrategyDefinition, z } from '../../strategies/api.ts'
import { checkDefinition, type Given, type Resolved, resolveParams } from './definition.ts'
import type { HostHandler } from './host_io.ts'

let instances = 0

/**
 * The strategy of a file that was put on disk. `fresh` evaluates the file anew, so that nothing that another run of this
 * host left in its module is there.
 */
export async function loadStrategy(entry: string, { fresh = false } = {}): Promise<StrategyDefinition> {
  const url = pathToFileURL(entry).href
  if (fresh) instances += 1
  const loaded = (await import(fresh ? `${url}?instance=${instances}` : url)) as { default?: unknown }
  return checkDefinition(loaded.default)
}

export interface Description {
  id: string
  version: string
  description: string
  /** JSON schema of what may be given: parameters with a default are optional. */
  params_schema: Json
}

export interface ResolveRequest extends Given {
  entry: string
}

const describe: HostHandler = async (body) => {
  const { entry } = body as { entry: string }
  const { id, version, description, params } = await loadStrategy(entry)
  const params_schema = z.toJSONSchema(params, { io: 'input', unrepresentable: 'any' }) as Json
  return { body: { id, version, description, params_schema } satisfies Description }
}

const resolve: HostHandler = async (body) => {
  const { entry, ...given } = body as ResolveRequest
  return { body: resolveParams(await loadStrategy(entry), given) satisfies Resolved }
}

export const loadHandlers: Readonly<Record<string, HostHandler>> = { describe, resolve }
