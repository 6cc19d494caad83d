/** What becomes of exits when shares become others: decided without a venue. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { OrderRow } from '../../db/walle/rows.ts'
import { anOrder, aRun } from '../../tests/support/walle_rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { type SplitRatio, splitQty } from '../greta/splits.ts'
import { type Leg, MISSED, planExits, REACHED, RESIZED, SPENT, SPLIT } from './exits.ts'

const RUN = aRun(1).id
const ENTRY = '00000000-0000-4000-8000-0000000000ee'
const UNSPLIT = { fresh: 1, old: 1 }
const SURE = { increment: '1', isUnsure: false }

function leg(id: string, changes: Partial<OrderRow> = {}, its: Partial<Omit<Leg, 'order'>> = {}): Leg {
  const order = anOrder(RUN, 1, {
    ...{ client_order_id: `e-${id}`, parent_order_id: ENTRY, exchange_order_id: 'x1', symbol: 'AAPL', side: 'sell' },
    ...{ order_type: 'stop', qty: '10', filled_qty: '0', status: 'accepted', ...changes },
  })
  return { order, cancelReason: null, ratio: UNSPLIT, ...its }
}

const placed = (plan: ReturnType<typeof planExits>) => plan.place.map((one) => [one.client_order_id, one.qty])
const cancelled = (plan: ReturnType<typeof planExits>) => plan.cancel.map((one) => one.reason)

test.each([
  ['4:1', { fresh: 4, old: 1 }, '40', '40'],
  ['1:10', { fresh: 1, old: 10 }, '1', '1'],
  // Of 7.5 the exchange kept 7, and its step is a share.
  ['3:2 of 5', { fresh: 3, old: 2 }, '7.5', '7'],
])('after a split of %s an open exit makes way, and one as large as what is held comes', (_what, ratio, held, qty) => {
  const own = leg('sl0', { qty: held === '7.5' ? '5' : '10' }, { ratio })
  expect(cancelled(planExits(held, '0', [own], [], SURE))).toEqual([SPLIT])
  const order = { ...own.order, status: 'cancelled' } as const
  const then = planExits(held, '0', [{ order, ratio, cancelReason: SPLIT }], [], SURE)
  expect(placed(then)).toEqual([['e-sl0r1', qty]])
})

test.each([null, SPLIT, RESIZED, REACHED, MISSED])(
  'while a symbol looks like a split nothing takes the place of what ended (%s)',
  (cancelReason) => {
    const gone = leg('sl0', { status: 'cancelled' }, { cancelReason })
    expect(placed(planExits('10', '0', [gone], [], { ...SURE, isUnsure: true }))).toEqual([])
    expect(placed(planExits('10', '0', [gone], [], SURE))).toEqual([['e-sl0r1', '10']])
  },
)

test('what a pair has closed before a split is closed after it', () => {
  const before = leg(
    'sl0',
    { status: 'cancelled', filled_qty: '4' },
    { cancelReason: SPLIT, ratio: { fresh: 4, old: 1 } },
  )
  expect(placed(planExits('24', '0', [before], [], SURE))).toEqual([['e-sl0r1', '24']])
  const after = leg('sl0r1', { qty: '24', filled_qty: '20', status: 'cancelled' }, { cancelReason: RESIZED })
  expect(placed(planExits('4', '0', [before, after], [], SURE))).toEqual([['e-sl0r2', '4']])
  expect(cancelled(planExits('0', '0', [before, leg('sl0r1', { qty: '24' })], [], SURE))).toEqual([SPENT])
})

/** However pairs were filled before and after: what exits are there to close is never more than is held. */
test('whatever was split, exits close no more than what is held', () => {
  const ratios = fc.constantFrom<SplitRatio>(UNSPLIT, { fresh: 4, old: 1 }, { fresh: 1, old: 10 }, { fresh: 3, old: 2 })
  const pairs = fc.array(
    fc.record({ qty: fc.integer({ min: 1, max: 50 }), part: fc.integer({ min: 0, max: 50 }), ratio: ratios }),
    { minLength: 1, maxLength: 5 },
  )
  fc.assert(
    fc.property(pairs, fc.integer({ min: 0, max: 200 }), (all, held) => {
      const legs = all.map(({ qty, part, ratio }, pair) => {
        const filled_qty = String(Math.min(part, qty))
        return leg(`sl${pair}`, { qty: String(qty), filled_qty, status: 'cancelled' }, { cancelReason: SPLIT, ratio })
      })
      const plan = planExits(String(held), '0', legs, [], SURE)
      const offered = plan.place.reduce((sum, { qty }) => sum.plus(qty), ZERO)
      const entered = legs.reduce(
        (sum, { order, ratio }) => sum.plus(splitQty(new Decimal(order.qty).minus(order.filled_qty), ratio)),
        ZERO,
      )
      expect(offered.lte(held) && offered.lte(entered)).toBe(true)
    }),
    { numRuns: 200 },
  )
})
