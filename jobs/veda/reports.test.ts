import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { orderId } from '../../db/events/ids.ts'
import { evolveOrder, type OrderEvent } from '../../db/walle/projections/orders.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { applyReport, isOther, type KnownFill, type KnownOrder, type OrderBody, type OrderReport } from './reports.ts'
import type { Execution, VenueOrder, VenueStatus } from './venue.ts'

const RUN = '0f0e0d0c-0b0a-4908-8706-050403020100'
const NOW = '2026-01-05T15:00:00.000Z'

function row(qty: string): OrderRow {
  return {
    id: orderId(RUN, 'o1'),
    run_id: RUN,
    ordinal: 0,
    client_order_id: 'o1',
    exchange_order_id: null,
    parent_order_id: null,
    symbol: 'AAPL',
    side: 'buy',
    order_type: 'market',
    qty,
    price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    take_profit: null,
    stop_loss: null,
    time_in_force: 'day',
    extended_hours: false,
    status: 'submitted',
    filled_qty: '0',
    filled_avg_price: null,
    fees: '0',
    reason: null,
    reject_reason: null,
    reject_rule: null,
    bar_index: 0,
    placed_at: NOW,
    submitted_at: NOW,
    filled_at: null,
    closed_at: null,
    corr_id: RUN,
    last_event_id: RUN,
  }
}

interface Record {
  known: KnownOrder
  events: OrderBody[]
  gaps: number
}

const open = (qty: string): Record => ({
  known: { row: row(qty), fills: [], decidedClose: '100', replacedIds: [], filledBefore: '0' },
  events: [],
  gaps: 0,
})

/** As the shell does: the row by its projection, the fills by their events. */
function hear(record: Record, report: OrderReport): void {
  const { events, gap, replacedIds, filledBefore } = applyReport(record.known, report, record.known.fills.length)
  if (gap) record.gaps++
  for (const body of events) {
    record.events.push(body)
    const event = { ...body, run_id: RUN, corr_id: RUN, ts: NOW } as unknown as OrderEvent
    const fills: KnownFill[] = 'execution_id' in body.payload ? [body.payload as KnownFill] : []
    record.known = {
      ...record.known,
      row: evolveOrder(record.known.row, event) as OrderRow,
      fills: [...record.known.fills, ...fills],
    }
  }
  record.known = { ...record.known, replacedIds, filledBefore }
}

interface Filled {
  qty: string
  price: string
  /** Charged in money, and kept of the quantity. */
  fee?: string
  fee_qty?: string
}

const amount = (fills: readonly Filled[], of: 'fee' | 'fee_qty') =>
  fills.some((fill) => fill[of] !== undefined)
    ? fills.reduce((sum, fill) => sum.plus(fill[of] ?? ZERO), ZERO).toString()
    : null

function snapshot(qty: string, fills: readonly Filled[], changes: Partial<VenueOrder> = {}): VenueOrder {
  const total = fills.reduce((sum, fill) => sum.plus(fill.qty), ZERO)
  const paid = fills.reduce((sum, fill) => sum.plus(new Decimal(fill.qty).times(fill.price)), ZERO)
  const status: VenueStatus = total.eq(ZERO) ? 'accepted' : total.gte(qty) ? 'filled' : 'partial'
  return {
    exchange_order_id: 'x1',
    client_order_id: 'o1',
    symbol: 'AAPL',
    side: 'buy',
    order_type: 'market',
    qty,
    limit_price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'day',
    status,
    filled_qty: total.toString(),
    filled_avg_price: total.eq(ZERO) ? null : paid.div(total).toString(),
    fee: amount(fills, 'fee'),
    fee_qty: amount(fills, 'fee_qty'),
    reject_reason: null,
    replaced_by: null,
    replaces: null,
    submitted_at: 1,
    updated_at: 1,
    ...changes,
  }
}

function execution(fills: readonly Filled[], index: number, changes: Partial<Execution> = {}): Execution {
  const { qty, price, fee = null, fee_qty = null } = fills[index] as Filled
  const cum = fills.slice(0, index + 1).reduce((sum, fill) => sum.plus(fill.qty), ZERO)
  return {
    execution_id: `e${index}`,
    exchange_order_id: 'x1',
    client_order_id: 'o1',
    symbol: 'AAPL',
    side: 'buy',
    qty,
    price,
    cum_qty: cum.toString(),
    fee,
    fee_qty,
    at: 1,
    ...changes,
  }
}

const TWO: Filled[] = [
  { qty: '4', price: '100' },
  { qty: '6', price: '110' },
]
const types = (record: Record) => record.events.map(({ type }) => type)
const fillsOf = (record: Record) => record.known.fills.map(({ execution_id, qty, price }) => [execution_id, qty, price])

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

const filledArbitrary = fc.record({
  qty: fc.integer({ min: 1, max: 50 }).map((n) => new Decimal(n).div(4).toString()),
  price: fc.integer({ min: 100, max: 20_000 }).map((n) => new Decimal(n).div(100).toString()),
  fee: fc.integer({ min: 0, max: 50 }).map((n) => new Decimal(n).div(1_000).toString()),
  fee_qty: fc.integer({ min: 0, max: 200 }).map((n) => new Decimal(n).div(1_000).toString()),
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
