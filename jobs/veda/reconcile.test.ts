import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AccountPositionRow } from '../../db/walle/live_rows.ts'
import { Decimal } from '../greta/decimals.ts'
import {
  compareOrders,
  comparePositions,
  type Differences,
  fitFindings,
  judgeMissing,
  judgePositions,
  type OurOrder,
  turnOf,
} from './reconcile.ts'
import type { Execution, VenueOrder } from './venue.ts'

const our = (changes: Partial<OurOrder> = {}): OurOrder => ({
  ...{ client_order_id: 'c1', exchange_order_id: 'x1', symbol: 'AAPL', status: 'accepted', qty: '10', filled_qty: '0' },
  ...{ side: 'buy', send_state: 'answered', ...changes },
})
const theirs = (changes: Partial<VenueOrder> = {}): VenueOrder => ({
  ...{ exchange_order_id: 'x1', client_order_id: 'c1', symbol: 'AAPL', side: 'buy', order_type: 'limit', qty: '10' },
  ...{ limit_price: '1', stop_price: null, time_in_force: 'gtc', status: 'accepted', filled_qty: '0' },
  ...{
    filled_avg_price: null,
    fee: null,
    fee_qty: null,
    reject_reason: null,
    replaced_by: null,
    submitted_at: 0,
    updated_at: 5,
    ...changes,
  },
})
const fill = (changes: Partial<Execution> = {}): Execution => ({
  ...{ execution_id: 'e1', exchange_order_id: 'x1', client_order_id: 'c1', symbol: 'AAPL', side: 'buy', qty: '1' },
  ...{ price: '1', cum_qty: '1', fee: null, fee_qty: null, at: 1, ...changes },
})

test('another order that the venue has by our client id is not ours: no report, and what it filled is nobody’s known', () => {
  const ours = our({ exchange_order_id: null, status: 'rejected' })
  const { reports, alive, findings, foreign } = compareOrders([ours], [theirs({ side: 'sell', qty: '5' })], [])
  expect([reports, alive, foreign, findings.map((one) => one.class)]).toEqual([[], [], [], ['foreign_order']])
})

test('what both know is no report, and nothing is asked for', () => {
  expect(compareOrders([our()], [theirs()], [])).toEqual({
    reports: [],
    unnamed: [],
    findings: [],
    foreign: [],
    alive: [],
  })
  expect(
    compareOrders([our({ status: 'filled', filled_qty: '10' })], [theirs({ status: 'filled', filled_qty: '10' })], [])
      .reports,
  ).toEqual([])
  expect(
    compareOrders([our({ status: 'rejected', exchange_order_id: null })], [theirs({ status: 'rejected' })], []).reports,
  ).toEqual([])
})

test('fills go before the order, by their cumulative quantity, also when only the exchange’s id tells whose they are', () => {
  const late = fill({ execution_id: 'e2', client_order_id: null, cum_qty: '3', qty: '2', at: 0 })
  const { reports, findings } = compareOrders(
    [our()],
    [theirs({ status: 'cancelled', filled_qty: '3' })],
    [late, fill({ at: 9 })],
  )
  expect(reports.map(({ order, execution }) => execution?.execution_id ?? order?.status)).toEqual([
    'e1',
    'e2',
    'cancelled',
  ])
  expect(findings).toEqual([
    {
      class: 'missed_fill',
      symbol: 'AAPL',
      client_order_id: 'c1',
      detail: 'the venue filled 3 of 10, we knew of 0; it is cancelled there',
    },
  ])
})

test.each([
  ['never sent', our({ exchange_order_id: null, status: 'pending', send_state: 'to_send' }), []],
  ['sent, no answer', our({ exchange_order_id: null, status: 'submitted', send_state: 'sent' }), ['c1']],
  ['unclear', our({ exchange_order_id: null, status: 'submitted', send_state: 'unclear' }), ['c1']],
  ['acknowledged', our(), ['c1']],
  ['ended', our({ status: 'filled' }), []],
])('an order that the venue does not name and that is %s', (_name, order, asked) => {
  expect(compareOrders([order], [], []).unnamed).toEqual(asked)
})

test('an order that lives at the venue and is ended with us is told apart', () => {
  const { alive, findings, reports } = compareOrders([our({ status: 'rejected' })], [theirs()], [])
  expect(alive.map(({ detail }) => detail)).toEqual([
    'we hold it as rejected, the venue as accepted: it is cancelled there, order x1',
  ])
  expect(findings).toEqual([])
  expect(reports.length).toBe(1)
})

test('a missing order is said after three times over half a minute, and forgotten once it is there again', () => {
  let missing: ReturnType<typeof judgeMissing>['missing'] = new Map()
  const said = [0, 10_000, 29_999, 30_000].map((now) => {
    const judged = judgeMissing([our()], { notFound: ['c1'], notAsked: [] }, missing, now)
    missing = judged.missing
    return judged.findings.length
  })
  expect(said).toEqual([0, 0, 0, 1])
  const there = judgeMissing([our()], { notFound: [], notAsked: [] }, missing, 40_000)
  expect([there.missing.size, there.findings]).toEqual([0, []])
})

test('of many orders that the venue does not name each is looked up in its turn, and each is said', () => {
  const ids = Array.from({ length: 60 }, (_, n) => `c${n}`)
  const ours = ids.map((client_order_id) => our({ client_order_id }))
  let missing: ReturnType<typeof judgeMissing>['missing'] = new Map()
  const said = new Set<string | null>()
  for (let now = 0; now <= 100_000; now += 10_000) {
    const { asked, rest } = turnOf(ids, missing, 50)
    expect(asked.length).toBe(50)
    const judged = judgeMissing(ours, { notFound: asked, notAsked: rest }, missing, now)
    missing = judged.missing
    for (const { client_order_id } of judged.findings) said.add(client_order_id)
  }
  expect(said.size).toBe(60)
})

const row = (changes: Partial<AccountPositionRow> = {}): AccountPositionRow => ({
  ...{ exchange: 'sim', mode: 'paper', symbol: 'AAPL', venue_qty: '10', runs_qty: '7', unattributed_qty: '3' },
  ...{ fee_adjustment: '0', paused_reason: null, ...changes },
})
const names = { exchange: 'sim', mode: 'paper' } as const
const settling = { settleMs: 2_000, mostMs: 60_000 }

function judged(
  venueQty: string,
  options: {
    before?: Differences
    moving?: string[]
    now?: number
    cashUnchanged?: boolean
    paused?: string
    feeRate?: string
    adjusted?: string
  } = {},
) {
  const compared = comparePositions({
    ...names,
    first: false,
    rows: [row({ paused_reason: options.paused ?? null, fee_adjustment: options.adjusted ?? '0' })],
    runs: [{ symbol: 'AAPL', qty: '7' }],
    venue: venueQty === '0' ? [] : [{ symbol: 'AAPL', qty: venueQty, avg_price: '1' }],
    foreign: [],
  })
  const { now = 0, cashUnchanged = false } = options
  return judgePositions(compared, options.before ?? new Map(), new Set(options.moving ?? []), {
    ...settling,
    now,
    cashUnchanged,
    feeRate: () => options.feeRate ?? null,
    purchases: new Map([['AAPL', { qty: '8', kept: '0.012', fills: 2 }]]),
  })
}

test('a difference without an order that moves pauses at once; with one it is given time to be the same', () => {
  expect(judged('9').paused.map(({ symbol }) => symbol)).toEqual(['AAPL'])
  const first = judged('9', { moving: ['AAPL'], now: 0 })
  expect([first.paused, first.unsettled]).toEqual([[], ['AAPL']])
  const other = judged('8', { moving: ['AAPL'], now: 2_000, before: first.differences })
  expect([other.paused, other.unsettled]).toEqual([[], ['AAPL']])
  const same = judged('8', { moving: ['AAPL'], now: 4_000, before: other.differences })
  expect(same.paused.length).toBe(1)
  const restless = judged('6', { moving: ['AAPL'], now: 60_000, before: other.differences })
  expect(restless.paused.length).toBe(1)
})

test('a pause stays while the difference does, is told once, and ends when all is explained', () => {
  const still = judged('9', { moving: ['AAPL'], paused: 'why' })
  expect([still.paused, still.rows[0]?.paused_reason === null]).toEqual([[], false])
  const over = judged('10', { paused: 'why' })
  expect([over.rows[0]?.paused_reason, over.findings.map((one) => one.class)]).toEqual([null, ['position_explained']])
})

test.each([
  ['20', true, 'split'],
  ['20', false, 'position_mismatch'],
  ['5', true, 'split'],
  ['15', true, 'split'],
  ['11', true, 'position_mismatch'],
  ['0', true, 'position_mismatch'],
])('10 in the books and %s at the venue, cash unchanged: %s, is a %s', (venueQty, cashUnchanged, expected) => {
  expect(judged(venueQty, { cashUnchanged }).findings.map((one) => one.class)).toEqual([expected])
})

// 8 were bought and 0.012 of them booked as fees; the venue keeps 0.02 at most.
test.each([
  ['10.012', '0', true],
  ['10.0120002', '0', true],
  ['10.013', '0', false],
  ['9.992', '0', true],
  ['9.991', '0', false],
  ['10.002', '0.01', true],
  ['10.003', '0.01', false],
  ['9.982', '0.01', true],
  ['9.981', '0.01', false],
])(
  'at most the fees that can have been kept: 10 in the books, %s at the venue, %s known as fees',
  (venue, adjusted, isFee) => {
    const told = judged(venue, { feeRate: '0.0025', adjusted })
    expect([told.paused.length, told.findings[0]?.class]).toEqual(
      isFee ? [0, 'fee_adjustment'] : [1, 'position_mismatch'],
    )
    const difference = new Decimal(venue).minus(10)
    expect(told.rows[0]).toMatchObject({
      unattributed_qty: isFee ? difference.plus(3).toString() : '3',
      fee_adjustment: isFee ? difference.plus(adjusted).toString() : adjusted,
    })
  },
)

test('where fills tell their fees no difference is one of fees', () => {
  expect(judged('10.001').findings[0]?.class).toBe('position_mismatch')
})

test('what belongs to nobody at the first sight never changes by itself, whatever runs trade', () => {
  const trade = fc.record({
    by: fc.constantFrom('run', 'foreign'),
    side: fc.constantFrom('buy', 'sell'),
    qty: fc.integer({ min: 1, max: 1_000 }),
    fee: fc.integer({ min: 0, max: 3 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: -50, max: 50 }), fc.array(trade, { maxLength: 20 }), (held, trades) => {
      let rows = comparePositions({
        ...{ ...names, first: true, rows: [], runs: [], foreign: [] },
        venue: [{ symbol: 'AAPL', qty: String(held), avg_price: '1' }],
      }).map((one) => one.row)
      let [ours, theirsQty] = [new Decimal(0), new Decimal(held)]
      let foreign = new Decimal(0)
      for (const { by, side, qty, fee } of trades) {
        const amount = new Decimal(qty).div(1_000)
        const kept = side === 'buy' ? new Decimal(fee).div(10_000) : new Decimal(0)
        const change = (side === 'buy' ? amount : amount.neg()).minus(kept)
        theirsQty = theirsQty.plus(change)
        if (by === 'run') ours = ours.plus(change)
        else foreign = foreign.plus(change)
        const execution = fill({ side: side as 'buy' | 'sell', qty: amount.toString(), fee_qty: kept.toString() })
        const compared = comparePositions({
          ...{ ...names, first: false, rows, runs: [{ symbol: 'AAPL', qty: ours.toString() }] },
          venue: [{ symbol: 'AAPL', qty: theirsQty.toString(), avg_price: '1' }],
          foreign: by === 'foreign' ? [execution] : [],
        })
        expect(compared.map((one) => one.difference)).toEqual(['0'])
        rows = compared.map((one) => one.row)
      }
      if (rows.length > 0) expect(rows[0]?.unattributed_qty).toBe(foreign.plus(held).toString())
    }),
  )
})

test('an event holds as many findings as fit, and counts the others', () => {
  const finding = judged('9').findings[0]
  if (finding === undefined) throw new Error('no finding')
  const fitted = fitFindings(Array.from({ length: 203 }, () => finding))
  expect([fitted.findings.length, fitted.left_out]).toEqual([200, 3])
})
