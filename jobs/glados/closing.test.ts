/** What is done when a person wants out of a position, whatever the run has open in its symbol. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Decimal } from '../greta/decimals.ts'
import { handOrderId, isByHand } from '../marvin/contract.ts'
import { closingOf } from './closing.ts'

const RUN = '00000000-0000-4000-8000-000000000001'

function open(changes: object = {}) {
  return {
    ...{ client_order_id: `w-${RUN}-3-0`, symbol: 'A', side: 'sell' as 'buy' | 'sell', order_type: 'market' as const },
    ...{ qty: '10', filled_qty: '0', parent_order_id: null as string | null, cancel_requested_at: null, ...changes },
  }
}
const byHand = (changes: object = {}) => open({ client_order_id: handOrderId(RUN, 1_700_000_000_000, 0), ...changes })

test('the id of an order by hand is of no tick, of no exit, and known again', () => {
  expect(isByHand(byHand())).toBe(true)
  for (const other of ['3-0', '3-0-sl0', '1700000000000-0', '3-0-tp0r1']) {
    expect(isByHand({ client_order_id: `w-${RUN}-${other}` })).toBe(false)
  }
})

describe('a person closes', () => {
  test.each([
    ['nothing', '0', [], { kind: 'nothing held' }],
    ['a long position', '10', [], { kind: 'to close', side: 'sell', qty: '10', inTheWay: [] }],
    ['a short one', '-2.5', [], { kind: 'to close', side: 'buy', qty: '2.5', inTheWay: [] }],
  ])('%s', (_what, held, orders, closing) => {
    expect(closingOf('A', held, orders)).toEqual(closing)
  })

  test.each([
    ['one by hand', byHand()],
    ['one by hand that is filled in part', byHand({ filled_qty: '4' })],
    ['one of the strategy’s, at the market, for all of it', open()],
  ])('is given the order that closes already: %s', (_what, order) => {
    expect(closingOf('A', '6', [order])).toEqual({ kind: 'closing', order })
  })

  test.each([
    ['a limit of the strategy’s', open({ order_type: 'limit' })],
    ['a stop of the strategy’s', open({ order_type: 'stop' })],
    ['an entry', open({ side: 'buy', order_type: 'limit' })],
    ['a sale of a part', open({ qty: '3' })],
    ['what is being cancelled', byHand({ cancel_requested_at: 'then' })],
  ])('what is in the way goes first: %s', (_what, order) => {
    expect(closingOf('A', '10', [order])).toMatchObject({ kind: 'to close', inTheWay: [order] })
  })

  test('exits, which make room by themselves, and other symbols are left alone', () => {
    const orders = [open({ parent_order_id: 'entry' }), open({ symbol: 'B' })]
    expect(closingOf('A', '10', orders)).toMatchObject({ kind: 'to close', inTheWay: [] })
  })
})

test('whatever is open: never the other side, never more than is held, and never beside one by hand that stays', () => {
  const order = fc.record({
    side: fc.constantFrom('buy' as const, 'sell' as const),
    order_type: fc.constantFrom('market' as const, 'limit' as const, 'stop' as const),
    qty: fc.integer({ min: 1, max: 20 }).map(String),
    parent_order_id: fc.constantFrom(null, 'entry'),
    cancel_requested_at: fc.constantFrom(null, 'then'),
    client_order_id: fc.constantFrom(`w-${RUN}-3-0`, handOrderId(RUN, 1, 0)),
  })
  fc.assert(
    fc.property(fc.integer({ min: -20, max: 20 }), fc.array(order, { maxLength: 4 }), (held, orders) => {
      const all = orders.map((one) => open(one))
      const closing = closingOf('A', String(held), all)
      const out = held > 0 ? 'sell' : 'buy'
      const staying = all.filter(
        (one) => isByHand(one) && one.side === out && one.parent_order_id === null && !one.cancel_requested_at,
      )
      if (closing.kind === 'to close') {
        expect([closing.side, new Decimal(closing.qty).toString()]).toEqual([out, String(Math.abs(held))])
        expect(staying).toEqual([])
        expect(closing.inTheWay).toEqual(all.filter((one) => one.parent_order_id === null))
      } else if (closing.kind === 'closing') expect(closing.order.side).toBe(out)
      else expect(held).toBe(0)
    }),
  )
})
