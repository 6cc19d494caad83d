import { z } from 'zod'

/** A type's entry in the registry: a fact (evt) or something that is wanted (cmd), and the shape of its payload. */
export interface EventDefinition<Schema extends z.ZodType = z.ZodType> {
  kind: 'evt' | 'cmd'
  version: number
  payload: Schema
}

export function evt<Shape extends z.ZodRawShape>(shape: Shape) {
  return { kind: 'evt', version: 1, payload: z.strictObject(shape) } as const
}

export function cmd<Shape extends z.ZodRawShape>(shape: Shape) {
  return { kind: 'cmd', version: 1, payload: z.strictObject(shape) } as const
}
