import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AccountPositionRow } from '../../db/walle/live_rows.ts'
import { Decimal } from '../greta/decimals.ts'
import { type Circumstances, comparePositions, type Differences, type Holder, judgePositions } from './positions.ts'
import type { LostFill } from './reconcile.ts'
import type { Execution } from './venue.ts'

const fill = (changes: Partial<Execution> = {}): Execution => ({
  ...{
    execution_id: 'e1',
    exchange_order_id: 'x1',
    client_order_id: 'by-hand',
    symbol: 'AAPL',
    side: 'sell',
    qty: '1',
  },
  ...{ price: '1', cum_qty: null, fee: null, fee_qty: null, at: 1, ...changes },
})

const row = (changes: Partial<AccountPositionRow> = {}): AccountPositionRow => ({
  ...{ exchange: 'sim', mode: 'paper', symbol: 'AAPL', venue_qty: '10', runs_qty: '7', unattributed_qty: '3' },
  ...{ fee_adjustment: '0', equal_at: null, paused_reason: null, paused_class: null, ...changes },
})
const names = { exchange: 'sim', mode: 'paper' } as const
const settling = { settleMs: 2_000, mostMs: 60_000 }

const RUN = 'run-1'
const holds = (qty: string, changes: Partial<Holder> = {}): Holder => ({
  ...{ run_id: RUN, symbol: 'AAPL', qty, ended: false, ...changes },
})
const held = (qty: string) => (qty === '0' ? [] : [{ symbol: 'AAPL', qty, avg_price: '1' }])

function compare(
  venueQty: string,
  changes: {
    rows?: AccountPositionRow[]
    holders?: Holder[]
    foreign?: Execution[]
    lost?: LostFill[]
    first?: boolean
  },
) {
  return comparePositions({
    ...{ ...names, first: false, rows: [row({})], holders: [], foreign: [], lost: [], also: [] },
    ...{ venue: held(venueQty), ...changes },
  })
}

function judge(
  compared: ReturnType<typeof comparePositions>,
  {
    before = new Map(),
    moving = [],
    ...changes
  }: { before?: Differences; moving?: string[] } & Partial<Circumstances> = {},
) {
  return judgePositions(compared, before, new Set(moving), {
    ...{ ...settling, now: 0, asked: '2026-03-02T00:00:00.000Z', cash: { before: '1', now: '2' } },
    ...{ resting: new Map(), feeRate: () => null, purchases: new Map(), ...changes },
  })
}

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
  const { paused: paused_reason = null, adjusted: fee_adjustment = '0', feeRate = null } = options
  const compared = compare(venueQty, { rows: [row({ paused_reason, fee_adjustment })], holders: [holds('7')] })
  const { now = 0, cashUnchanged = false, before = new Map(), moving = [] } = options
  const bought = { run_id: RUN, qty: '8', kept: '0.012', fills: 2, changeable: true }
  return judge(compared, {
    ...{ before, moving, now, cash: { before: '1', now: cashUnchanged ? '1' : '2' } },
    ...{ feeRate: () => feeRate, purchases: new Map([['AAPL', [bought]]]) },
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

// 8 were bought since the books were right and 0.012 of them booked as fees; the venue keeps 0.02 at most.
test.each([
  ['10.012', '0', true],
  ['10.0120002', '0', true],
  ['10.013', '0', false],
  ['9.992', '0', true],
  ['9.991', '0', false],
  ['10.012', '0.01', true],
  ['10.013', '0.01', false],
])(
  'at most the fees that can have been kept: 10 in the books, %s at the venue, %s known as fees',
  (venue, adjusted, isFee) => {
    const told = judged(venue, { feeRate: '0.0025', adjusted })
    expect([told.paused.length, told.findings[0]?.class]).toEqual(
      isFee ? [0, 'fee_adjustment'] : [1, 'position_mismatch'],
    )
    const difference = new Decimal(venue).minus(10)
    const nobodys = isFee && difference.gt(0) ? difference : new Decimal(0)
    const kept = isFee && difference.lt(0) ? difference.abs() : new Decimal(0)
    expect(told.rows[0]).toMatchObject({
      unattributed_qty: nobodys.plus(3).toString(),
      fee_adjustment: nobodys.plus(adjusted).toString(),
      runs_qty: new Decimal(7).minus(kept).toString(),
    })
    expect(told.fees).toEqual(kept.eq(0) ? [] : [{ run_id: RUN, symbol: 'AAPL', qty: kept.toString() }])
  },
)

test('what was bought before the books were right last has borne its fees: a surplus later is none of them', () => {
  const compared = compare('10.1', { holders: [holds('7')] })
  expect(judge(compared, { feeRate: () => '0.0025' }).findings[0]?.class).toBe('position_mismatch')
})

test('a fee that was kept beyond what was booked is of who bought last, and of the others beyond what that one can bear', () => {
  const bought = (run_id: string) => ({ run_id, qty: '4', kept: '0', fills: 1, changeable: true })
  const holders = [holds('5', { run_id: 'old' }), holds('2', { run_id: 'new' })]
  const purchases = new Map([['AAPL', [bought('new'), bought('old')]]])
  const told = judge(compare('9.985', { holders }), { feeRate: () => '0.0025', purchases })
  expect(told.fees).toEqual([
    { run_id: 'new', symbol: 'AAPL', qty: '0.0100001' },
    { run_id: 'old', symbol: 'AAPL', qty: '0.0049999' },
  ])
  expect(told.rows[0]).toMatchObject({ runs_qty: '6.985', unattributed_qty: '3', paused_reason: null })
})

test('where fills tell their fees no difference is one of fees', () => {
  expect(judged('10.001').findings[0]?.class).toBe('position_mismatch')
})

test('what somebody sold is nobody’s first, then of runs that have ended, and what running runs hold is told and paused', () => {
  const holders = [holds('4', { run_id: 'ended', ended: true }), holds('6', { run_id: 'running' })]
  const rows = [row({ venue_qty: '13', runs_qty: '10' })]
  const of = (qty: string) =>
    compare(new Decimal(13).minus(qty).toString(), { rows, holders, foreign: [fill({ qty, price: '101' })] })
  expect(of('2')[0]).toMatchObject({ difference: '0', taken: [], row: { unattributed_qty: '1' } })
  expect(of('5')[0]).toMatchObject({
    ...{ difference: '0', byHand: null, taken: [{ run_id: 'ended', qty: '-2', price: '101' }] },
    row: { unattributed_qty: '0', runs_qty: '8' },
  })
  const [all] = of('9')
  expect(all).toMatchObject({
    ...{ difference: '-2', byHand: { qty: '-2', price: '101' }, taken: [{ run_id: 'ended', qty: '-4', price: '101' }] },
    row: { unattributed_qty: '0', runs_qty: '6' },
  })
  const told = judge(of('9'))
  expect(told.findings.map((one) => one.class)).toEqual(['traded_by_hand', 'traded_by_hand'])
  expect(told.paused).toEqual([
    {
      symbol: 'AAPL',
      reason:
        'the venue holds 4, the runs 6 and unattributed 0: somebody sold 2 at 101 of what running runs hold. No new order in AAPL until it is held against them: `weaver accounts attribute sim paper AAPL running -2 --price 101`',
    },
  ])
})

test('what nobody holds anything against is somebody’s own: a short sale by hand, and what is bought by hand', () => {
  const rows = [row({ venue_qty: '0', runs_qty: '0', unattributed_qty: '0' })]
  const [sold] = compare('-5', { rows, foreign: [fill({ qty: '5' })] })
  expect(sold).toMatchObject({ difference: '0', taken: [], row: { unattributed_qty: '-5' } })
  const [bought] = compare('5', { rows, foreign: [fill({ side: 'buy', qty: '5' })] })
  expect(bought).toMatchObject({ difference: '0', taken: [], row: { unattributed_qty: '5' } })
  const short = [holds('-5', { ended: true })]
  const [covered] = compare('0', { rows, holders: short, foreign: [fill({ side: 'buy', qty: '5' })] })
  expect(covered).toMatchObject({ difference: '0', taken: [{ run_id: RUN, qty: '5' }], row: { unattributed_qty: '0' } })
})

test('what was found stays found: a mismatch is no split a check later, nor with another keeper, and a split stays one', () => {
  const holders = [holds('7')]
  const first = judge(compare('20', { holders }), { moving: ['AAPL'] })
  expect(first.unsettled).toEqual(['AAPL'])
  const { rows } = first
  // By then the account's cash is that of the check before, at which the difference was there already.
  const unchanged = { cash: { before: '2', now: '2' } }
  const then = judge(compare('20', { rows, holders }), { ...unchanged, before: first.differences, now: 2_000 })
  expect(then.findings.map((one) => one.class)).toEqual(['position_mismatch'])
  for (const before of [then.differences, new Map()]) {
    const later = judge(compare('20', { rows: then.rows, holders }), { ...unchanged, before, now: 60_000 })
    expect(later.findings).toEqual(then.findings)
    expect(later.paused).toEqual([])
  }
  const split = judge(compare('20', { holders }), unchanged)
  expect(split.findings.map((one) => one.class)).toEqual(['split'])
  expect(split.findings[0]?.detail).toContain('`weaver accounts split sim paper AAPL 2:1`')
  const paid = judge(compare('20', { rows: split.rows, holders }), { before: split.differences })
  expect(paid.findings).toEqual(split.findings)
})

test('fills that were lost are told with the commands that give them to their runs, and an order that rests keeps the symbol paused', () => {
  const lost = [{ run_id: RUN, execution: fill({ side: 'buy', qty: '10', price: '99' }) }]
  const told = judge(compare('20', { holders: [holds('7')], lost }))
  expect(told.findings.map((one) => [one.class, one.detail])).toEqual([
    [
      'lost_order',
      'the venue holds 20, the runs 7 and unattributed 3: orders that Weaver has placed have filled and are not on record, as after a restore. No new order in AAPL until their runs have what they bought and sold: `weaver accounts attribute sim paper AAPL run-1 10 --price 99`',
    ],
  ])
  const rests = judge(compare('10', { holders: [holds('7')] }), { resting: new Map([['AAPL', 'it rests']]) })
  expect(rests.paused).toEqual([{ symbol: 'AAPL', reason: 'it rests' }])
  expect(rests.rows[0]).toMatchObject({ paused_reason: 'it rests', paused_class: 'lost_order' })
  const over = judge(compare('10', { rows: rests.rows, holders: [holds('7')] }))
  expect(over.rows[0]).toMatchObject({ paused_reason: null, paused_class: null, equal_at: '2026-03-02T00:00:00.000Z' })
})

test('what is nobody’s never changes by what runs trade, and what is held against a run is never more than it holds', () => {
  const trade = fc.record({
    by: fc.constantFrom('run', 'foreign'),
    side: fc.constantFrom('buy' as const, 'sell' as const),
    qty: fc.integer({ min: 1, max: 1_000 }),
    fee: fc.integer({ min: 0, max: 3 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: -50, max: 50 }), fc.array(trade, { maxLength: 20 }), (sight, trades) => {
      let rows = compare(String(sight), { first: true, rows: [] }).map((one) => one.row)
      let [ours, theirsQty, nobodys] = [new Decimal(0), new Decimal(sight), new Decimal(sight)]
      for (const { by, side, qty, fee } of trades) {
        const amount = new Decimal(qty).div(1_000)
        const kept = side === 'buy' ? new Decimal(fee).div(10_000) : new Decimal(0)
        const change = (side === 'buy' ? amount : amount.neg()).minus(kept)
        theirsQty = theirsQty.plus(change)
        if (by === 'run') ours = ours.plus(change)
        const execution = fill({ side, qty: amount.toString(), fee_qty: kept.toString() })
        const foreign = by === 'foreign' ? [execution] : []
        const compared = compare(theirsQty.toString(), { rows, holders: [holds(ours.toString())], foreign })
        const difference = new Decimal(compared[0]?.difference ?? 0)
        // It is held against the run by a person, who is told of it.
        if (!difference.eq(0)) {
          expect([by, compared[0]?.byHand?.qty]).toEqual(['foreign', difference.toString()])
          expect(difference.abs().lte(ours.abs()) && difference.lt(0) === ours.gt(0)).toBe(true)
          ours = ours.plus(difference)
        }
        if (by === 'foreign') nobodys = nobodys.plus(change).minus(difference)
        rows = compared.map((one) => one.row)
        if (rows.length > 0) expect(rows[0]?.unattributed_qty).toBe(nobodys.toString())
      }
    }),
  )
})
