/** What may be carried from tick to tick: JSON that comes back from storage as it was, within a limit. Pure. */
import type { Json } from '../../strategies/api.ts'

export const MAX_STATE_BYTES = 1_000_000
const MAX_DEPTH = 100

/**
 * A copy of the state, as storage would give it back. Throws, naming the place, for what JSON would change silently
 * (NaN, a Map, one object in two places): a run that is resumed would go on with something else than one that is not.
 */
export function storable(state: unknown): Json {
  mustBeJson(state, 'ctx.state', new Set(), 0)
  const text = JSON.stringify(state)
  const bytes = new TextEncoder().encode(text).length
  if (bytes > MAX_STATE_BYTES) {
    throw new Error(`ctx.state has ${bytes} bytes as JSON: ${MAX_STATE_BYTES} are the limit`)
  }
  return JSON.parse(text)
}

function mustBeJson(value: unknown, path: string, seen: Set<object>, depth: number): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${path} is ${value}: only JSON is kept from tick to tick`)
    return
  }
  if (typeof value !== 'object')
    throw new TypeError(`${path} is a ${typeof value}: only JSON is kept from tick to tick`)
  if (seen.has(value)) throw new TypeError(`${path} is the same object as another part of ctx.state: keep a copy`)
  seen.add(value)
  if (depth > MAX_DEPTH) throw new TypeError(`${path} is nested deeper than ${MAX_DEPTH} levels`)
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) mustBeJson(value[index], `${path}[${index}]`, seen, depth + 1)
    return
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(
      `${path} is a ${prototype.constructor?.name ?? 'class instance'}: only JSON is kept from tick to tick`,
    )
  }
  for (const [key, part] of Object.entries(value)) {
    if (part !== undefined) mustBeJson(part, `${path}.${key}`, seen, depth + 1)
  }
}

/** A frozen copy: what a strategy may read and never change. */
export function frozenCopy<T extends Json>(value: T): T {
  const copy = structuredClone(value)
  freeze(copy)
  return copy
}

function freeze(value: Json): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const part of Object.values(value)) freeze(part)
}
