import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OrderRow } from '../../db/walle/rows.ts'
import {
  amount,
  execution,
  type Filled,
  filledArbitrary,
  fillsOf,
  hear,
  open,
  type Record,
  row,
  snapshot,
  TWO,
  types,
} from '../../tests/support/order_reports.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { isOther, type OrderReport } from './reports.ts'
import type { Execution, VenueOrder, VenueStatus } from './venue.ts'

describe('what a report means', () => {
  test('fills come with their executions, and the totals of the order after each', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', []), execution: null })
    hear(record, { order: snapshot('10', TWO.slice(0, 1)), execution: execution(TWO, 0, { fee: '0.1' }) })
    hear(record, { order: snapshot('10', TWO), execution: execution(TWO, 1, { fee: '0.2' }) })
    expect(types(record)).toEqual(['orders.Accepted', 'orders.PartiallyFilled', 'orders.Filled'])
    expect(fillsOf(record)).toEqual([
      ['e0', '4', '100'],
      ['e1', '6', '110'],
    ])
    expect(record.known.row).toMatchObject({
      status: 'filled',
      exchange_order_id: 'x1',
      filled_qty: '10',
      filled_avg_price: '106',
      fees: '0.3',
    })
  })

  test('a fill heard of before the order was: accepted and filled at once', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', TWO), execution: null })
    expect(types(record)).toEqual(['orders.Accepted', 'orders.Filled'])
    expect(fillsOf(record)).toEqual([['cum:10', '10', '106']])
    hear(record, { order: snapshot('10', []), execution: null })
    expect(types(record)).toEqual(['orders.Accepted', 'orders.Filled'])
  })

  test('an execution heard of after the order showed its quantity changes nothing', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', TWO.slice(0, 1)), execution: null })
    hear(record, { order: null, execution: execution(TWO, 0) })
    hear(record, { order: null, execution: execution(TWO, 1) })
    expect(fillsOf(record)).toEqual([
      ['cum:4', '4', '100'],
      ['e1', '6', '110'],
    ])
  })

  test('the second fill before the first: the order tells what the first was', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', TWO), execution: execution(TWO, 1) })
    hear(record, { order: snapshot('10', TWO.slice(0, 1)), execution: execution(TWO, 0) })
    expect(fillsOf(record)).toEqual([
      ['cum:4', '4', '100'],
      ['e1', '6', '110'],
    ])
    expect(record.known.row).toMatchObject({ status: 'filled', filled_avg_price: '106' })
  })

  test('the second fill alone is not booked before the venue was asked what came before it', () => {
    const record = open('10')
    hear(record, { order: null, execution: execution(TWO, 1) })
    expect(record.gaps).toBe(1)
    expect(types(record)).toEqual(['orders.Accepted'])
    hear(record, { order: snapshot('10', TWO), execution: null })
    expect(record.known.row).toMatchObject({ status: 'filled', filled_qty: '10', filled_avg_price: '106' })
  })

  test.each([
    ['cancelled', 'orders.Cancelled', 'cancelled'],
    ['expired', 'orders.Expired', 'expired'],
    ['rejected', 'orders.Cancelled', 'cancelled'],
  ] as const)('%s with more filled than was heard of: first the fill, then the end', (status, type, becomes) => {
    const record = open('10')
    hear(record, { order: snapshot('10', TWO.slice(0, 1), { status }), execution: null })
    expect(types(record)).toEqual(['orders.Accepted', 'orders.PartiallyFilled', type])
    expect(record.known.row).toMatchObject({ status: becomes, filled_qty: '4' })
  })

  test('rejected by the venue after it was taken', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', [], { status: 'rejected', reject_reason: 'no shares' }), execution: null })
    expect(record.known.row).toMatchObject({ status: 'rejected', reject_reason: 'venue: no shares' })
  })

  test('a fill that comes after the end is booked, and the end stays', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', [], { status: 'cancelled' }), execution: null })
    hear(record, { order: null, execution: execution(TWO, 0) })
    expect(fillsOf(record)).toEqual([['e0', '4', '100']])
    expect(record.known.row).toMatchObject({ status: 'cancelled', filled_qty: '4', filled_avg_price: '100' })
    hear(record, { order: snapshot('10', TWO.slice(0, 1), { status: 'cancelled' }), execution: execution(TWO, 0) })
    expect(record.events).toHaveLength(3)
  })

  test('filled, but at a price that the venue does not tell yet', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', TWO, { filled_avg_price: null }), execution: null })
    expect(record.gaps).toBe(1)
    expect(types(record)).toEqual(['orders.Accepted'])
  })

  test('a fee in kind and a fee of an execution that is partly on record', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', [{ qty: '2', price: '100' }]), execution: null })
    hear(record, { order: null, execution: execution(TWO, 0, { fee: '1', fee_qty: '0.04' }) })
    expect(record.events.at(-1)?.payload).toMatchObject({ qty: '2', fee: '2.5', fee_qty: '0.02', filled_qty: '4' })
  })

  test('what is seen in the totals alone bears what of their fees is not on record', () => {
    const record = open('10')
    hear(record, { order: null, execution: execution(TWO, 0, { fee: '1', fee_qty: '0.01' }) })
    hear(record, { order: snapshot('10', TWO, { fee: '4', fee_qty: '0.025' }), execution: null })
    expect(record.known.fills.map(({ fee, fee_qty }) => [fee, fee_qty])).toEqual([
      ['2', '0.01'],
      ['4.65', '0.015'],
    ])
    expect(record.known.row).toMatchObject({ status: 'filled', fees: '6.65' })
  })

  test('filled with less than was asked for ends the order', () => {
    const record = open('10')
    hear(record, { order: snapshot('10', TWO.slice(0, 1), { status: 'filled' }), execution: null })
    expect(record.known.row).toMatchObject({ status: 'cancelled', filled_qty: '4' })
  })
})

/** All that a venue tells of one order: what it says at each step, then how it ended. */
const story = fc
  .record({
    fills: fc.array(filledArbitrary, { maxLength: 6 }),
    rest: fc.integer({ min: 0, max: 3 }),
    end: fc.constantFrom<VenueStatus>('cancelled', 'expired', 'partial'),
  })
  .map(({ fills, rest, end }) => {
    const filled = fills.reduce((sum, { qty }) => sum.plus(qty), ZERO)
    const qty = filled.plus(fills.length === 0 ? rest + 1 : rest).toString()
    const reports: OrderReport[] = [{ order: snapshot(qty, []), execution: null }]
    fills.forEach((_, index) => {
      const upTo = fills.slice(0, index + 1)
      reports.push({ order: snapshot(qty, upTo), execution: execution(fills, index) })
      reports.push({ order: snapshot(qty, upTo), execution: null })
      reports.push({ order: null, execution: execution(fills, index) })
    })
    const last = snapshot(qty, fills)
    const ended = last.status === 'filled' || end === 'partial' ? last : { ...last, status: end }
    return { qty, fills, reports, final: { order: ended, execution: null } as OrderReport }
  })

const heard = story.chain((one) =>
  fc
    .array(fc.nat({ max: Math.max(0, one.reports.length - 1) }), { maxLength: 30 })
    .map((order) => ({ ...one, order: order.map((index) => one.reports[index] as OrderReport) })),
)

test('in whatever order, however often and however few: the same order, the same amounts, no fact twice', () => {
  fc.assert(
    fc.property(heard, ({ qty, fills, order, reports, final }) => {
      const straight = open(qty)
      for (const report of [...reports, final]) hear(straight, report)
      const record = open(qty)
      for (const report of [...order, final, ...order]) hear(record, report)
      const { status, filled_qty, exchange_order_id } = record.known.row
      expect({ status, filled_qty, exchange_order_id }).toEqual({
        status: straight.known.row.status,
        filled_qty: final.order?.filled_qty,
        exchange_order_id: 'x1',
      })
      expect(new Set(record.events.map(({ id }) => id)).size).toBe(record.events.length)
      const total = record.known.fills.reduce((sum, fill) => sum.plus(fill.qty), ZERO)
      expect(total.toString()).toBe(final.order?.filled_qty)
      const paid = (list: readonly Filled[]) =>
        list.reduce((sum, fill) => sum.plus(new Decimal(fill.qty).times(fill.price)), ZERO)
      // Averages have twelve places.
      expect(paid(record.known.fills).minus(paid(fills)).abs().lt('0.000000001')).toBe(true)
      // What the ledger is given: the coin that arrived at its price, and the fee.
      const ledger = record.known.fills.reduce(
        ({ cash, position }, fill) => {
          const received = new Decimal(fill.qty).minus(fill.fee_qty)
          return { cash: cash.minus(received.times(fill.price)).minus(fill.fee), position: position.plus(received) }
        },
        { cash: ZERO, position: ZERO },
      )
      expect(ledger.position.toString()).toBe(total.minus(amount(fills, 'fee_qty') ?? ZERO).toString())
      const venueCash = paid(fills)
        .plus(amount(fills, 'fee') ?? ZERO)
        .neg()
      expect(ledger.cash.minus(venueCash).abs().lt('0.000000001')).toBe(true)
    }),
    { numRuns: 500 },
  )
})

test('every report once and in order: exactly the executions', () => {
  fc.assert(
    fc.property(story, ({ qty, fills, reports }) => {
      const record = open(qty)
      for (const report of reports) hear(record, report)
      expect(fillsOf(record)).toEqual(fills.map((fill, index) => [`e${index}`, fill.qty, fill.price]))
    }),
  )
})

test.each<[string, Partial<OrderRow>, string | null, string[]]>([
  ['what a market buy pays beyond what was seen', {}, '100', ['1', '-0.75']],
  ['what a market sale gets less', { side: 'sell' }, '100', ['-1', '0.75']],
  ['beyond its own price of a stop', { order_type: 'stop', stop_price: '99' }, '100', ['3', '2.25']],
  ['nothing of a limit', { order_type: 'limit', price: '101' }, '100', ['0', '0']],
  ['nothing of what trails, whose stop nobody told', { order_type: 'trailing_stop' }, '100', ['0', '0']],
  ['nothing where nothing was seen', {}, null, ['0', '0']],
])('slippage is %s', (_, changes, decidedClose, slippage) => {
  const fills = [
    { qty: '2', price: '100.5' },
    { qty: '3', price: '99.75' },
  ]
  const known = { ...open('5').known, row: { ...row('5'), ...changes }, decidedClose }
  const record: Record = { known, events: [], gaps: 0 }
  hear(record, { order: null, execution: execution(fills, 0) })
  hear(record, { order: null, execution: execution(fills, 1) })
  const told = record.events.flatMap(({ payload }) => ('slippage' in payload ? [payload.slippage] : []))
  expect(told).toEqual(slippage)
})

test.each([
  ['the same', {}, false],
  ['in the venue’s spelling', { symbol: 'BTCUSD' }, false],
  ['its quantity cut to nine places', { qty: '10.123456789' }, false],
  ['of another symbol', { symbol: 'AAPL' }, true],
  ['of the other side', { side: 'sell' }, true],
  ['of less', { qty: '5' }, true],
  ['of more', { qty: '11' }, true],
  ['of less, and known by the venue’s id', { qty: '5', exchange_order_id: 'x1' }, false],
] as const)('an order by our client id that is %s', (_what, changes, other) => {
  const ours = { exchange_order_id: 'x1', symbol: 'BTC/USD', side: 'buy', qty: '10.1234567891' } as const
  const theirs = { ...ours, exchange_order_id: 'x9', ...changes }
  expect(isOther(ours, { order: theirs as unknown as VenueOrder, execution: null }, [])).toBe(other)
  if (!('qty' in changes)) expect(isOther(ours, { order: null, execution: theirs as Execution }, [])).toBe(other)
})

test('what ours was before it was replaced, and what is about to take its place, is no other order', () => {
  const ours = { exchange_order_id: 'x2', symbol: 'AAPL', side: 'buy', qty: '8' } as const
  const was = snapshot('10', [])
  expect([
    isOther(ours, { order: was, execution: null }, []),
    isOther(ours, { order: was, execution: null }, ['x1']),
  ]).toEqual([true, false])
  const next = { ...was, exchange_order_id: 'x3', replaces: 'x2' }
  expect(isOther(ours, { order: next, execution: null }, [])).toBe(false)
  expect(isOther(ours, { order: { ...next, side: 'sell' }, execution: null }, [])).toBe(true)
})
