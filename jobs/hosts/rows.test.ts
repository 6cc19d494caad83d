import fc from 'fast-check'
import { expect, test } from 'vitest'
import { packRows, unpackRows } from './rows.ts'

test('rows that are packed, sent as JSON and unpacked are what they were', () => {
  const row = fc.record({
    id: fc.string(),
    side: fc.constantFrom('buy', 'sell'),
    qty: fc.option(fc.string()),
    intents: fc.array(fc.nat(), { maxLength: 2 }),
    n: fc.integer(),
    fee: fc.constant(null),
  })
  fc.assert(
    fc.property(fc.array(row), (rows) => {
      expect(unpackRows(JSON.parse(JSON.stringify(packRows(rows))))).toEqual(rows)
    }),
  )
})

test('what is the same in every row is sent once', () => {
  const rows = [
    { run_id: 'r', symbol: 'BTC/USD', price: '1' },
    { run_id: 'r', symbol: 'BTC/USD', price: '2' },
  ]
  expect(packRows(rows)).toEqual({ same: { run_id: 'r', symbol: 'BTC/USD' }, names: ['price'], values: [['1'], ['2']] })
})
