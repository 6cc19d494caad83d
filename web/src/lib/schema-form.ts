/** A form's model from a JSON schema of parameters: what to show, how to read what was typed, what is wrong with it. */
import type { JsonSchema } from './types.ts'

export type FieldKind = 'integer' | 'number' | 'text' | 'boolean' | 'enum' | 'json'

export interface FormField {
  name: string
  kind: FieldKind
  description: string | null
  required: boolean
  /** The default as it is typed; '' when there is none. */
  initial: string
  min: number | null
  max: number | null
  exclusiveMin: number | null
  exclusiveMax: number | null
  minLength: number | null
  maxLength: number | null
  pattern: string | null
  /** Allowed values as typed, in the schema's order. */
  options: { text: string; value: unknown }[]
}

/** Schemas of safe integers state their bounds; those say nothing to a person. */
const bound = (value: number | undefined) =>
  value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER ? null : value

/** Leaves out `null` of a nullable schema: an empty field means it. */
function effective(schema: JsonSchema): JsonSchema {
  const branches = schema.anyOf?.filter((branch) => branch.type !== 'null')
  if (branches?.length === 1 && branches[0]) return { ...schema, ...branches[0] }
  if (branches && branches.length > 1 && branches.every((branch) => branch.const !== undefined)) {
    return { ...schema, enum: branches.map((branch) => branch.const) }
  }
  return schema
}

function kindOf(schema: JsonSchema): FieldKind {
  if (schema.enum) return 'enum'
  const type = Array.isArray(schema.type) ? schema.type.find((name) => name !== 'null') : schema.type
  if (type === 'integer' || type === 'number' || type === 'boolean') return type
  return type === 'string' ? 'text' : 'json'
}

export function toText(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

export function formFields(schema: JsonSchema): FormField[] {
  return Object.entries(schema.properties ?? {}).map(([name, raw]) => {
    const property = effective(raw)
    return {
      name,
      kind: kindOf(property),
      description: property.description ?? property.title ?? null,
      required: (schema.required ?? []).includes(name) && property.default === undefined,
      initial: toText(property.default),
      min: bound(property.minimum),
      max: bound(property.maximum),
      exclusiveMin: bound(property.exclusiveMinimum),
      exclusiveMax: bound(property.exclusiveMaximum),
      minLength: property.minLength ?? null,
      maxLength: property.maxLength ?? null,
      pattern: property.pattern ?? null,
      options: (property.enum ?? []).map((value) => ({ text: toText(value), value })),
    }
  })
}

export function initialTexts(fields: FormField[], given: Record<string, unknown> = {}): Record<string, string> {
  return Object.fromEntries(
    fields.map((field) => [field.name, given[field.name] === undefined ? field.initial : toText(given[field.name])]),
  )
}

export type FieldResult = { value: unknown } | { error: string }

function readNumber(field: FormField, text: string): FieldResult {
  const value = Number(text)
  if (!Number.isFinite(value)) return { error: 'Enter a number.' }
  if (field.kind === 'integer' && !Number.isInteger(value)) return { error: 'Enter a whole number.' }
  if (field.min !== null && value < field.min) return { error: `Must be ${field.min} or more.` }
  if (field.max !== null && value > field.max) return { error: `Must be ${field.max} or less.` }
  if (field.exclusiveMin !== null && value <= field.exclusiveMin) {
    return { error: `Must be more than ${field.exclusiveMin}.` }
  }
  if (field.exclusiveMax !== null && value >= field.exclusiveMax) {
    return { error: `Must be less than ${field.exclusiveMax}.` }
  }
  return { value }
}

function readText(field: FormField, text: string): FieldResult {
  if (field.minLength !== null && text.length < field.minLength) {
    return { error: `At least ${field.minLength} characters.` }
  }
  if (field.maxLength !== null && text.length > field.maxLength) {
    return { error: `At most ${field.maxLength} characters.` }
  }
  if (field.pattern !== null && !matches(field.pattern, text)) return { error: 'Not in the expected form.' }
  return { value: text }
}

/** A pattern of another regular expression dialect is left to the server. */
function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    return true
  }
}

/** What was typed as the value the API takes; undefined when the field is left to its default. */
export function readField(field: FormField, typed: string): FieldResult {
  const text = typed.trim()
  if (text === '') return field.required ? { error: 'Required.' } : { value: undefined }
  if (field.kind === 'integer' || field.kind === 'number') return readNumber(field, text)
  if (field.kind === 'boolean') return { value: text === 'true' }
  if (field.kind === 'text') return readText(field, text)
  if (field.kind === 'enum') {
    const option = field.options.find((candidate) => candidate.text === text)
    return option ? { value: option.value } : { error: 'Choose one of the list.' }
  }
  try {
    return { value: JSON.parse(text) }
  } catch {
    return { error: 'Enter JSON, for example ["a", "b"].' }
  }
}

export function readForm(
  fields: FormField[],
  texts: Record<string, string>,
): { values: Record<string, unknown>; errors: Record<string, string> } {
  const values: Record<string, unknown> = {}
  const errors: Record<string, string> = {}
  for (const field of fields) {
    const result = readField(field, texts[field.name] ?? '')
    if ('error' in result) errors[field.name] = result.error
    else if (result.value !== undefined) values[field.name] = result.value
  }
  return { values, errors }
}

/**
 * The server's complaints by field name, joined by dots (`config.fast`). Details come as a list of `{path, message}`
 * or as an object of path to message; what fits neither is left to the general message.
 */
export function errorsByField(details: unknown): Record<string, string> {
  const found: Record<string, string> = {}
  const add = (path: unknown, message: unknown) => {
    const key = Array.isArray(path) ? path.join('.') : typeof path === 'string' ? path : null
    if (key !== null && typeof message === 'string' && found[key] === undefined) found[key] = message
  }
  const list = Array.isArray(details) ? details : isRecord(details) ? (details.issues ?? details.errors) : null
  if (Array.isArray(list)) {
    for (const item of list) if (isRecord(item)) add(item.path ?? item.field, item.message)
  } else if (isRecord(details)) {
    for (const [path, message] of Object.entries(details)) add(path, Array.isArray(message) ? message[0] : message)
  }
  return found
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
