/** Is what a file exports a strategy? And are these its parameters? Pure. */
import { type Json, type StrategyDefinition, z } from '../../strategies/api.ts'
import { frozenCopy } from './memory.ts'

export const MAX_WINDOW_BARS = 100_000
const ID = /^[a-z][a-z0-9_]{0,63}$/

/** Throws an error that names what is missing or wrong. */
export function checkDefinition(exported: unknown): StrategyDefinition {
  const wrong = wrongs(exported)
  if (wrong.length > 0) throw new TypeError(`default export is not a strategy: ${wrong.join(', ')}`)
  return exported as StrategyDefinition
}

function wrongs(exported: unknown): string[] {
  if (typeof exported !== 'object' || exported === null) return ['use `export default defineStrategy({…})`']
  const definition = exported as Record<string, unknown>
  const wrong: string[] = []
  const need = (name: string, ok: boolean, wanted: string): void => {
    if (definition[name] === undefined) wrong.push(`missing ${name}`)
    else if (!ok) wrong.push(`${name} must be ${wanted}`)
  }
  const { id, version, description, params, window, onWindow } = definition
  need('id', typeof id === 'string' && ID.test(id), 'lower-case letters, digits and _, at most 64')
  need(
    'version',
    typeof version === 'string' && version.length > 0 && version.length <= 64,
    'a text of 1 to 64 characters',
  )
  need(
    'description',
    typeof description === 'string' && description.length <= 2_000,
    'a text of at most 2,000 characters',
  )
  need('params', params instanceof z.ZodObject, 'a z.object({…})')
  need('window', typeof window === 'function', 'a function')
  need('onWindow', typeof onWindow === 'function', 'a function')
  for (const name of ['init', 'onTick', 'onOrder']) {
    if (definition[name] !== undefined && typeof definition[name] !== 'function')
      wrong.push(`${name} must be a function`)
  }
  return wrong
}

/** How many bars the strategy wants. */
export function windowBarsOf(definition: StrategyDefinition, params: Record<string, Json>): number {
  const bars: unknown = definition.window(params)?.bars
  if (!Number.isInteger(bars) || (bars as number) < 1 || (bars as number) > MAX_WINDOW_BARS) {
    throw new TypeError(`window must give {bars} between 1 and ${MAX_WINDOW_BARS}, not ${String(bars)}`)
  }
  return bars as number
}

export interface ParamIssue {
  path: string
  message: string
}

export type Resolved =
  | { ok: true; params: Record<string, Json>; window_bars: number }
  | { ok: false; issues: ParamIssue[] }

export interface Given {
  params: Record<string, Json>
  /** Values come from a command line: text is read as the schema wants it, and stays text where that fits. */
  fromText?: boolean
}

/** The parameters with defaults filled in, or everything that is wrong with them. */
export function resolveParams(definition: StrategyDefinition, { params, fromText = false }: Given): Resolved {
  const { shape } = definition.params
  const known = Object.keys(shape)
  const open = definition.params._zod.def.catchall !== undefined
  const unknown = open ? [] : Object.keys(params).filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    const list = known.length > 0 ? `it has ${known.join(', ')}` : 'it has none'
    return {
      ok: false,
      issues: unknown.map((path) => ({ path, message: `${definition.id} has no parameter ${path}: ${list}` })),
    }
  }
  const read = fromText
    ? Object.fromEntries(Object.entries(params).map(([name, value]) => [name, readText(shape[name], value)]))
    : params
  const parsed = definition.params.safeParse(read)
  if (!parsed.success) {
    return { ok: false, issues: parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })) }
  }
  const resolved = JSON.parse(JSON.stringify(parsed.data)) as Record<string, Json>
  return { ok: true, params: resolved, window_bars: windowBarsOf(definition, frozenCopy(resolved)) }
}

/** The first reading of the text that the schema takes: as it is, then as a number, a boolean, JSON. */
function readText(schema: z.core.$ZodType | undefined, value: Json): Json {
  if (schema === undefined || typeof value !== 'string') return value
  const fits = (candidate: Json): boolean => z.safeParse(schema, candidate).success
  if (fits(value)) return value
  const readings: Json[] = []
  if (value.trim() !== '' && Number.isFinite(Number(value))) readings.push(Number(value))
  if (value === 'true' || value === 'false') readings.push(value === 'true')
  try {
    readings.push(JSON.parse(value))
  } catch {
    // Not JSON: one of the other readings, or the schema's own complaint about the text.
  }
  // When none fits, the complaint about a number ("too big") says more than "expected a number".
  return readings.find(fits) ?? readings[0] ?? value
}
