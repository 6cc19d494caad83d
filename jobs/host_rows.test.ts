import fc from 'fast-check'
import { expect, test } from 'vitest'
import { packRows, unpackRows } from './host_rows.ts'

test('rows that are packed, sent as JSON and unpacked are what they were', () => {
  const row = fc.record({ id: fc.string(), qty: fc.option(fc.string()), intents: fc.array(fc.nat()), n: fc.integer() })
  fc.assert(
    fc.property(fc.array(row), (rows) => {
      expect(unpackRows(JSON.parse(JSON.stringify(packRows(rows))))).toEqual(rows)
    }),
  )
})
