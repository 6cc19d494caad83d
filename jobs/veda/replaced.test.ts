/** Orders that others take the place of at their venue: what reports of them all mean, in whatever order they are heard. */
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
  snapshot,
  TWO,
  types,
} from '../../tests/support/order_reports.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import type { OrderReport } from './reports.ts'
import type { Execution, VenueOrder, VenueStatus } from './venue.ts'

/** One of the venue's orders that took each other's place: `x1`, `x2`, and so on. */
function place(index: number, qty: string, fills: readonly Filled[], changes: Partial<VenueOrder> = {}): VenueOrder {
  const own = { exchange_order_id: `x${index + 1}`, client_order_id: index === 0 ? 'o1' : `c${index + 1}` }
  return { ...snapshot(qty, fills), ...own, replaces: index === 0 ? null : `x${index}`, ...changes }
}

const replacedAt = (index: number, qty: string, fills: readonly Filled[]) =>
  place(index, qty, fills, { status: 'replaced', replaced_by: `x${index + 2}` })

/** Of the venue's order at that place: its ids, and its own counting. */
function fillAt(index: number, fills: readonly Filled[], at: number): Execution {
  const { exchange_order_id, client_order_id } = place(index, '1', [])
  return execution(fills, at, { exchange_order_id, client_order_id, execution_id: `x${index + 1}e${at}` })
}

describe('an order that somebody replaced at the venue', () => {
  const FOUR = TWO.slice(0, 1)

  test('goes on as what took its place: with its terms, and what was filled before', () => {
    const record = open('10')
    hear(record, { order: place(0, '10', FOUR), execution: fillAt(0, FOUR, 0) })
    hear(record, { order: replacedAt(0, '10', FOUR), execution: null })
    expect([record.gaps, types(record)]).toEqual([1, ['orders.Accepted', 'orders.PartiallyFilled']])
    hear(record, {
      order: replacedAt(0, '10', FOUR),
      execution: null,
      successors: [place(1, '8', [], { limit_price: '99', time_in_force: 'gtc' })],
    })
    expect(record.events.at(-1)).toMatchObject({
      type: 'orders.Replaced',
      payload: {
        exchange_order_id: 'x2',
        replaces: 'x1',
        qty: '12',
        price: null,
        filled_qty: '4',
        filled_avg_price: '100',
      },
    })
    expect(record.known).toMatchObject({
      row: { status: 'partial', exchange_order_id: 'x2', client_order_id: 'o1', qty: '12', time_in_force: 'gtc' },
      replacedIds: ['x1'],
      filledBefore: '4',
    })
    const rest = [{ qty: '8', price: '99' }]
    hear(record, { order: place(1, '8', rest), execution: fillAt(1, rest, 0) })
    expect(record.known.row).toMatchObject({ status: 'filled', filled_qty: '12' })
    expect(fillsOf(record)).toEqual([
      ['x1e0', '4', '100'],
      ['x2e0', '8', '99'],
    ])
  })

  test('what its fills were is booked before it is followed, and late words of them are no news', () => {
    const record = open('10')
    hear(record, { order: replacedAt(0, '10', TWO.slice(0, 1)), execution: null, successors: [place(1, '6', [])] })
    for (const late of [
      { order: place(0, '10', []), execution: null },
      { order: null, execution: fillAt(0, FOUR, 0) },
      { order: place(0, '10', FOUR), execution: fillAt(0, FOUR, 0) },
      { order: replacedAt(0, '10', FOUR), execution: null },
      { order: place(0, '10', FOUR, { status: 'cancelled' }), execution: null },
    ]) {
      hear(record, late)
    }
    expect(types(record)).toEqual(['orders.Accepted', 'orders.PartiallyFilled', 'orders.Replaced'])
    expect([record.gaps, record.known.row.qty, fillsOf(record)]).toEqual([0, '10', [['cum:4', '4', '100']]])
  })

  test('the totals of what took its place are its own: what they show beyond its fills has its price', () => {
    const record = open('10')
    hear(record, { order: replacedAt(0, '10', FOUR), execution: null, successors: [place(1, '10', [])] })
    const two = [
      { qty: '4', price: '90' },
      { qty: '2', price: '80' },
    ]
    hear(record, { order: place(1, '10', two), execution: null })
    expect(fillsOf(record).map(([id, qty]) => [id, qty])).toEqual([
      ['cum:4', '4'],
      ['cum:10', '6'],
    ])
    const paid = record.known.fills.reduce((sum, { qty, price }) => sum.plus(new Decimal(qty).times(price)), ZERO)
    expect(paid.minus('920').abs().lt('0.000000001')).toBe(true)
    expect(record.known.row).toMatchObject({ status: 'partial', qty: '14', filled_qty: '10' })
  })

  test('what took its place is heard of first: the venue is asked, and what was to and did not is nothing', () => {
    const record = open('10')
    hear(record, { order: place(0, '10', []), execution: null })
    hear(record, { order: place(1, '8', []), execution: null })
    expect([record.gaps, types(record)]).toEqual([1, ['orders.Accepted']])
    hear(record, { order: place(0, '10', TWO), execution: null })
    hear(record, { order: place(1, '8', [], { status: 'rejected' }), execution: null })
    expect([record.gaps, types(record)]).toEqual([1, ['orders.Accepted', 'orders.Filled']])
  })

  test('twice, and the last one cancelled, before anything was heard', () => {
    const record = open('10')
    const successors = [replacedAt(1, '7', TWO.slice(1)), place(2, '3', [], { status: 'cancelled' })]
    hear(record, { order: replacedAt(0, '10', FOUR), execution: null, successors })
    expect(types(record)).toEqual([
      ...['orders.Accepted', 'orders.PartiallyFilled', 'orders.Replaced', 'orders.PartiallyFilled'],
      ...['orders.Replaced', 'orders.Cancelled'],
    ])
    expect(record.known.row).toMatchObject({
      status: 'cancelled',
      qty: '13',
      filled_qty: '10',
      exchange_order_id: 'x3',
    })
  })

  test('what took its place is not followed where it is of another side, or does not say that it does', () => {
    for (const changes of [{ side: 'sell' }, { symbol: 'MSFT' }, { exchange_order_id: 'x9' }] as const) {
      const record = open('10')
      hear(record, { order: replacedAt(0, '10', []), execution: null, successors: [place(1, '10', [], changes)] })
      expect([record.gaps, types(record)]).toEqual([1, ['orders.Accepted']])
    }
  })

  test('the venue does not come to know what took its place: it has ended', () => {
    const record = open('10')
    hear(record, { order: replacedAt(0, '10', FOUR), execution: null, successors: [], lost: true })
    expect(record.events.at(-1)).toMatchObject({
      type: 'orders.Cancelled',
      payload: { reason: 'replaced at the venue by its order x2, which it does not know' },
    })
    hear(record, { order: replacedAt(0, '10', FOUR), execution: null, successors: [place(1, '10', [])] })
    expect([record.gaps, record.known.row.status]).toEqual([0, 'cancelled'])
  })

  test('of a stop the stop, of a trailing stop its distance, of a limit its limit; the rest is as it was', () => {
    const told = { limit_price: '1', stop_price: '2', trail_price: '3', trail_percent: null } as const
    const termsOf = (changes: Partial<OrderRow>) => {
      const record = open('10')
      record.known = { ...record.known, row: { ...record.known.row, ...changes } }
      hear(record, { order: replacedAt(0, '10', []), execution: null, successors: [place(1, '10', [], told)] })
      const { price, stop_price, trail_price, trail_percent } = record.known.row
      return [price, stop_price, trail_price, trail_percent]
    }
    expect(termsOf({ order_type: 'limit', price: '9' })).toEqual(['1', null, null, null])
    expect(termsOf({ order_type: 'stop', stop_price: '9' })).toEqual([null, '2', null, null])
    expect(termsOf({ order_type: 'stop_limit', price: '9', stop_price: '9' })).toEqual(['1', '2', null, null])
    expect(termsOf({ order_type: 'trailing_stop', trail_percent: '9' })).toEqual([null, null, '3', null])
    expect(termsOf({ order_type: 'market' })).toEqual([null, null, null, null])
  })
})

/** Orders that took each other's place, each with what it filled before that, and all that a venue tells of them at any time. */
const chain = fc
  .record({
    links: fc.array(
      fc.record({ fills: fc.array(filledArbitrary, { maxLength: 3 }), rest: fc.integer({ min: 1, max: 3 }) }),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    rest: fc.integer({ min: 0, max: 2 }),
    end: fc.constantFrom<VenueStatus>('cancelled', 'expired', 'partial'),
  })
  .map(({ links, rest, end }) => {
    const last = links.length - 1
    const truth: VenueOrder[] = []
    const reports: OrderReport[] = []
    links.forEach(({ fills, rest: more }, index) => {
      const filled = fills.reduce((sum, { qty }) => sum.plus(qty), ZERO)
      const qty = filled.plus(index === last && filled.gt(ZERO) ? rest : more).toString()
      reports.push({ order: place(index, qty, []), execution: null })
      fills.forEach((_, at) => {
        const order = place(index, qty, fills.slice(0, at + 1))
        reports.push({ order, execution: fillAt(index, fills, at) }, { order, execution: null })
        reports.push({ order: null, execution: fillAt(index, fills, at) })
      })
      const whole = place(index, qty, fills)
      const ended = whole.status === 'filled' || end === 'partial' ? whole : { ...whole, status: end }
      truth.push(index < last ? replacedAt(index, qty, fills) : ended)
      reports.push({ order: truth[index] as VenueOrder, execution: null })
    })
    const asked = (from: number): OrderReport => ({
      order: truth[from] as VenueOrder,
      execution: null,
      successors: truth.slice(from + 1),
    })
    // Asked while only some of it had happened.
    for (let upTo = 1; upTo <= last; upTo++) {
      const [first, ...successors] = [...truth.slice(0, upTo), place(upTo, truth[upTo]?.qty as string, [])]
      reports.push({ order: first as VenueOrder, execution: null, successors })
    }
    return { qty: truth[0]?.qty as string, fills: links.flatMap((link) => link.fills), truth, reports, asked }
  })

const heardOfChain = chain.chain((one) =>
  fc
    .record({
      order: fc.array(fc.nat({ max: one.reports.length - 1 }), { maxLength: 30 }),
      from: fc.nat({ max: one.truth.length - 1 }),
    })
    .map(({ order, from }) => ({ ...one, from, order: order.map((index) => one.reports[index] as OrderReport) })),
)

test('however often it was replaced, and in whatever order that was heard: once the venue was asked, the same order', () => {
  fc.assert(
    fc.property(heardOfChain, ({ qty, fills, truth, reports, asked, order, from }) => {
      const straight = open(qty)
      hear(straight, asked(0))
      const record = open(qty)
      for (const report of order) if (isHeard(record, report)) hear(record, report)
      hear(record, asked(0))
      // Late words, and whoever asks by what it was later.
      for (const report of [...order, asked(from), ...reports]) if (isHeard(record, report)) hear(record, report)
      const last = truth.at(-1) as VenueOrder
      const seen = ({ known: { row: one, replacedIds, filledBefore } }: Record) => ({
        ...{ status: one.status, qty: one.qty, filled_qty: one.filled_qty, exchange_order_id: one.exchange_order_id },
        ...{ replacedIds, filledBefore },
      })
      expect(seen(record)).toEqual(seen(straight))
      const total = fills.reduce((sum, one) => sum.plus(one.qty), ZERO)
      expect(record.known.row).toMatchObject({
        filled_qty: total.toString(),
        exchange_order_id: last.exchange_order_id,
        qty: total.minus(last.filled_qty).plus(last.qty).toString(),
      })
      expect(new Set(record.events.map(({ id }) => id)).size).toBe(record.events.length)
      expect(types(record).filter((type) => type === 'orders.Replaced')).toHaveLength(truth.length - 1)
      const paid = (list: readonly Filled[]) =>
        list.reduce((sum, fill) => sum.plus(new Decimal(fill.qty).times(fill.price)), ZERO)
      expect(paid(record.known.fills).minus(paid(fills)).abs().lt('0.000000001')).toBe(true)
      const kept = record.known.fills.reduce((sum, fill) => sum.plus(fill.fee_qty), ZERO)
      expect(kept.toString()).toBe(
        (amount(fills, 'fee_qty') === null ? ZERO : new Decimal(amount(fills, 'fee_qty') as string)).toString(),
      )
    }),
    { numRuns: 500 },
  )
})

/** By Weaver's id, or one of the venue's that is known to be ours: any other report reaches nobody. */
function isHeard({ known: { row: ours, replacedIds } }: Record, { order, execution }: OrderReport): boolean {
  const one = (order ?? execution) as VenueOrder | Execution
  const ids = [ours.exchange_order_id, ...replacedIds]
  return one.client_order_id === 'o1' || ids.includes(one.exchange_order_id) || ids.includes(order?.replaces ?? '')
}
