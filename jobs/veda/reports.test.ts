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
  known: { row: row(qty), fills: [], decidedClose: '100' },
  events: [],
  gaps: 0,
})

/** As the shell does: the row by its projection, the fills by their events. */
function hear(record: Record, report: OrderReport): void {
  const { events, gap } = applyReport(record.known, report, record.known.fills.length)
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
    time_in_force: 'day',
    status,
    filled_qty: total.toString(),
    filled_avg_price: total.eq(ZERO) ? null : paid.div(total).toString(),
    fee: amount(fills, 'fee'),
    fee_qty: amount(fills, 'fee_qty'),
    reject_reason: null,
    replaced_by: null,
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
    ['replaced', 'orders.Cancelled', 'cancelled'],
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
    end: fc.constantFrom<VenueStatus>('cancelled', 'expired', 'replaced', 'partial'),
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
  const known: KnownOrder = { row: { ...row('5'), ...changes }, fills: [], decidedClose }
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
  expect(isOther(ours, { order: theirs as VenueOrder, execution: null })).toBe(other)
  if (!('qty' in changes)) expect(isOther(ours, { order: null, execution: theirs as Execution })).toBe(other)
})
