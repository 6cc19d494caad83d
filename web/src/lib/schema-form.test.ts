import { expect, test } from 'vitest'
import { errorsByField, formFields, initialTexts, readForm } from './schema-form.ts'
import type { JsonSchema } from './types.ts'

const schema: JsonSchema = {
  type: 'object',
  required: ['fast', 'name'],
  properties: {
    fast: { type: 'integer', minimum: 1, maximum: 9007199254740991, default: 10, description: 'Fast period' },
    loss: { type: 'number', exclusiveMinimum: 0, maximum: 1, default: 0.95 },
    qty: { type: 'string', default: '1' },
    name: { type: 'string', minLength: 2 },
    short: { type: 'boolean', default: false },
    kind: { enum: ['sma', 'ema'], default: 'sma' },
    limit: { anyOf: [{ type: 'integer', minimum: 2 }, { type: 'null' }], default: null },
    weights: { type: 'array', items: { type: 'number' } },
  },
}
const fields = formFields(schema)

test('every property becomes a field of its kind with its default as text', () => {
  expect(fields.map((field) => [field.name, field.kind, field.initial])).toEqual([
    ['fast', 'integer', '10'],
    ['loss', 'number', '0.95'],
    ['qty', 'text', '1'],
    ['name', 'text', ''],
    ['short', 'boolean', 'false'],
    ['kind', 'enum', 'sma'],
    ['limit', 'integer', ''],
    ['weights', 'json', ''],
  ])
})

test('bounds of the integer type itself are not shown', () => {
  expect(fields[0]).toMatchObject({ min: 1, max: null, description: 'Fast period' })
})

test('only a field without a default is required', () => {
  expect(fields.filter((field) => field.required).map((field) => field.name)).toEqual(['name'])
})

test('typed text becomes values of the schema types and text stays text', () => {
  const texts = { ...initialTexts(fields, { fast: 5 }), name: 'ab', qty: '0.10', short: 'true', weights: '[1,2]' }
  expect(readForm(fields, texts)).toEqual({
    values: { fast: 5, loss: 0.95, qty: '0.10', name: 'ab', short: true, kind: 'sma', weights: [1, 2] },
    errors: {},
  })
})

test('each wrong field is named with what to enter', () => {
  const texts = { fast: '1.5', loss: '0', qty: '1', name: '', short: '', kind: 'wma', limit: '1', weights: '[' }
  expect(readForm(fields, texts).errors).toEqual({
    fast: 'Enter a whole number.',
    loss: 'Must be more than 0.',
    name: 'Required.',
    kind: 'Choose one of the list.',
    limit: 'Must be 2 or more.',
    weights: 'Enter JSON, for example ["a", "b"].',
  })
})

test('server details are read as a list of paths or as an object', () => {
  expect(
    errorsByField([
      { path: ['config', 'fast'], message: 'too big' },
      { path: 'symbols', message: 'none' },
    ]),
  ).toEqual({
    'config.fast': 'too big',
    symbols: 'none',
  })
  expect(errorsByField({ issues: [{ path: 'end_time', message: 'before start' }] })).toEqual({
    end_time: 'before start',
  })
  expect(errorsByField({ start_time: ['missing'] })).toEqual({ start_time: 'missing' })
  expect(errorsByField(null)).toEqual({})
})
