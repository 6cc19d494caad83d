import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Decimal, ZERO } from './decimals.ts'
import { applyFill, averagePrice, type Ledger, openLedger, restoreLedger, saveLedger } from './ledger.ts'

/** One row a fill: signed quantity, price, fee. */
function booked(rows: string[], cash = '1000'): Ledger {
  const ledger = openLedger(cash, 1)
  for (const row of rows) {
    const [qty, price, fee = '0'] = row.split(' ') as [string, string, string?]
    applyFill(ledger, 0, new Decimal(qty), new Decimal(price), new Decimal(fee))
  }
  return ledger
}

function told(ledger: Ledger): Record<string, string> {
  const [position] = ledger.positions
  if (!position) throw new Error('the ledger has no position')
  return {
    cash: ledger.cash.toString(),
    fees: ledger.fees.toString(),
    turnover: ledger.turnover.toString(),
    qty: position.qty.toString(),
    cost: position.cost.toString(),
    avg: averagePrice(position).toString(),
    realised: position.realised.toString(),
  }
}

test.each([
  // 1000 - 2 x 100 - 1
  [
    'an entry',
    ['2 100 1'],
    { cash: '799', fees: '1', turnover: '200', qty: '2', cost: '200', avg: '100', realised: '0' },
  ],
  // 1000 - 100 - 2 x 130; (100 + 260) / 3 = 120
  [
    'a second entry',
    ['1 100', '2 130'],
    { cash: '640', fees: '0', turnover: '360', qty: '3', cost: '360', avg: '120', realised: '0' },
  ],
  // 640 + 150; 150 - 360 / 3 = 30 realised
  [
    'a partial exit',
    ['1 100', '2 130', '-1 150'],
    { cash: '790', fees: '0', turnover: '510', qty: '2', cost: '240', avg: '120', realised: '30' },
  ],
  // 1000 + 2 x 50 - 2 x 45 = 1010
  [
    'a short and its cover',
    ['-2 50', '2 45'],
    { cash: '1010', fees: '0', turnover: '190', qty: '0', cost: '0', avg: '0', realised: '10' },
  ],
  // long 1 at 100, sold 3 at 110: 10 realised, 2 short at 110
  [
    'a flip',
    ['1 100', '-3 110 0.3'],
    { cash: '1229.7', fees: '0.3', turnover: '430', qty: '-2', cost: '220', avg: '110', realised: '10' },
  ],
  // 100 / 3 = 33.333333333333; a third of the cost released twice, the last exit takes the remainder of 33.333333333334
  [
    'exits by thirds',
    ['3 33.333333333333', '-1 40', '-1 40', '-1 40'],
    {
      cash: '1020.000000000001',
      fees: '0',
      turnover: '219.999999999999',
      qty: '0',
      cost: '0',
      avg: '0',
      realised: '20.000000000001',
    },
  ],
])('%s is booked to the last decimal', (_, rows, expected) => {
  expect(told(booked(rows))).toEqual(expected)
})

test('a symbol that the ledger does not have is refused', () => {
  expect(() => applyFill(openLedger('1', 1), 1, new Decimal(1), new Decimal(1), ZERO)).toThrow(
    'The ledger has no symbol number 1',
  )
})

const decimal = (least: number, most: number, places: number) =>
  fc.integer({ min: least, max: most }).map((n) => new Decimal(n).div(10 ** places))

const fills = (size: number) =>
  fc.array(
    fc.record({
      symbol: fc.nat(2),
      qty: fc.tuple(decimal(1, 3_000_000, 6), fc.boolean()).map(([qty, sells]) => (sells ? qty.neg() : qty)),
      price: decimal(1, 100_000_000, 8),
      fee: decimal(0, 1_000_000, 9),
    }),
    { minLength: size, maxLength: size },
  )

test('over 10,000 random fills cash, positions at cost, realised gains and fees always add up to the initial cash', () => {
  fc.assert(
    fc.property(fills(10_000), (rows) => {
      const ledger = openLedger('5000', 3)
      for (const { symbol, qty, price, fee } of rows) {
        applyFill(ledger, symbol, qty, price, fee)
        let total = ledger.cash.plus(ledger.fees)
        for (const { qty: held, cost, realised } of ledger.positions) {
          total = (held.s < 0 ? total.minus(cost) : total.plus(cost)).minus(realised)
        }
        if (!total.eq('5000')) throw new Error(`${total} after ${qty} at ${price}`)
      }
    }),
    { numRuns: 3 },
  )
})

test('at any price realised and unrealised gains less fees are what the account has gained', () => {
  fc.assert(
    fc.property(fills(200), fc.array(decimal(1, 100_000_000, 8), { minLength: 3, maxLength: 3 }), (rows, marks) => {
      const ledger = openLedger('5000', 3)
      let cash = new Decimal(5000)
      const held = [ZERO, ZERO, ZERO]
      for (const { symbol, qty, price, fee } of rows) {
        applyFill(ledger, symbol, qty, price, fee)
        cash = cash.minus(qty.times(price)).minus(fee)
        held[symbol] = (held[symbol] ?? ZERO).plus(qty)
      }
      let gained = ledger.fees.neg()
      let worth = cash
      ledger.positions.forEach(({ qty, cost, realised }, symbol) => {
        const value = qty.times(marks[symbol] ?? ZERO)
        gained = gained.plus(realised).plus(qty.s < 0 ? value.plus(cost) : value.minus(cost))
        worth = worth.plus((held[symbol] ?? ZERO).times(marks[symbol] ?? ZERO))
      })
      expect(ledger.cash.toString()).toBe(cash.toString())
      expect(gained.toString()).toBe(worth.minus(5000).toString())
    }),
    { numRuns: 50 },
  )
})

test('a part of a tiny position is not rounded to all of its cost', () => {
  // 6/10 of a cost of 1e-12 would round to 1e-12: nothing would be left for what stays open.
  const tiny = told(booked(['0.00000001 0.0001', '-0.000000006 0.0001']))
  expect(tiny).toMatchObject({ qty: '0.000000004', cost: '0.000000000001', realised: '0.0000000000006' })
})

test('a flat position costs nothing, an open one is worth more than nothing, whatever came before', () => {
  fc.assert(
    fc.property(fills(60), (rows) => {
      const ledger = openLedger('0', 3)
      for (const { symbol, qty, price, fee } of rows) {
        applyFill(ledger, symbol, qty, price, fee)
        for (const { qty: held, cost } of ledger.positions) expect(cost.eq(ZERO)).toBe(held.eq(ZERO))
      }
    }),
    { numRuns: 50 },
  )
})

test('a ledger that is saved as JSON and restored is the same, and books on as if it had never been away', () => {
  fc.assert(
    fc.property(fills(40), fc.nat(39), (rows, cut) => {
      const whole = openLedger('123.456', 3)
      let parts = openLedger('123.456', 3)
      rows.forEach(({ symbol, qty, price, fee }, index) => {
        applyFill(whole, symbol, qty, price, fee)
        applyFill(parts, symbol, qty, price, fee)
        if (index !== cut) return
        const saved = saveLedger(parts)
        parts = restoreLedger(JSON.parse(JSON.stringify(saved)))
        expect(saveLedger(parts)).toEqual(saved)
      })
      expect(saveLedger(parts)).toEqual(saveLedger(whole))
    }),
    { numRuns: 50 },
  )
})
