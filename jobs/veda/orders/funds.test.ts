/** A run spends its own cash, whatever else lies in the account. */
import { describe, expect, test } from 'vitest'
import type { OrderRow } from '../../../db/walle/rows.ts'
import { anOrder } from '../../../tests/support/walle_rows.ts'
import { checkFunds, type Purse } from './funds.ts'

const RUN = '00000000-0000-4000-8000-000000000001'
const CLOSES = { A: { close: 100 }, B: { close: 10 } }
const BUY = {
  ...({ symbol: 'A', side: 'buy', qty: '10', order_type: 'market', limit_price: null, stop_price: null } as const),
  ...{ trail_price: null, trail_percent: null },
}

function purse(changes: Partial<Purse> = {}): Purse {
  return { cash: '1000', leverage: 1, positions: [], open: [], closes: CLOSES, ...changes }
}

function open(changes: Partial<OrderRow>): OrderRow {
  return anOrder(RUN, 1, { symbol: 'A', side: 'buy', order_type: 'limit', price: '50', qty: '4', ...changes })
}

describe.each<[string, Partial<Parameters<typeof checkFunds>[0]>, Partial<Purse>, string | null]>([
  ['all of the cash', {}, {}, null],
  ['a little more', { qty: '10.000000001' }, {}, '1000.0000001 needed with 1000 in cash and leverage 1'],
  ['a limit within the cash', { qty: '20', order_type: 'limit', limit_price: '50' }, {}, null],
  [
    'a limit above the market counts in full',
    { qty: '9', order_type: 'limit', limit_price: '120' },
    {},
    '1080 needed with 1000 in cash and leverage 1',
  ],
  [
    'a stop that the market has passed costs what the market asks',
    { qty: '11', order_type: 'stop', stop_price: '1' },
    {},
    '1100 needed with 1000 in cash and leverage 1',
  ],
  [
    'what open orders are to buy is spent',
    { qty: '9' },
    { open: [open({})] },
    '900 needed with 800 in cash and leverage 1',
  ],
  ['of an order in part filled its rest', { qty: '9' }, { open: [open({ qty: '6', filled_qty: '4' })] }, null],
  ['exits buy nothing', {}, { open: [open({ parent_order_id: RUN })] }, null],
  [
    'what a resting limit may sell brings nothing yet',
    { symbol: 'B' },
    {
      cash: '0',
      positions: [{ symbol: 'A', qty: '1' }],
      open: [open({ side: 'sell', qty: '1', price: '100' })],
    },
    '100 needed with 0 in cash and leverage 1',
  ],
  [
    'what is being sold at the market pays for it',
    { symbol: 'B' },
    {
      cash: '0',
      positions: [{ symbol: 'A', qty: '1' }],
      open: [open({ side: 'sell', qty: '1', order_type: 'market', price: null })],
    },
    null,
  ],
  [
    'what makes a position smaller is always paid for',
    { side: 'sell' },
    { cash: '-5', positions: [{ symbol: 'A', qty: '10' }] },
    null,
  ],
  ['a cover too', { qty: '4' }, { cash: '400', positions: [{ symbol: 'A', qty: '-4' }] }, null],
  ['a short sale of as much as it has', { side: 'sell' }, {}, null],
  ['of more', { side: 'sell', qty: '11' }, {}, '1100 needed with 1000 in cash and leverage 1'],
  [
    'what another order closes already is sold short',
    { side: 'sell', qty: '11' },
    { positions: [{ symbol: 'A', qty: '10' }], cash: '0', open: [open({ side: 'sell', qty: '10', price: '100' })] },
    '1100 needed with 0 in cash and leverage 1',
  ],
  [
    'what is to be bought does not hide what is to be sold short',
    { side: 'sell', qty: '11' },
    { open: [open({ qty: '5', price: '100' })] },
    '1100 needed with 500 in cash and leverage 1',
  ],
  [
    'two closes of one position leave nothing for another',
    { symbol: 'B', qty: '1' },
    {
      cash: '0',
      positions: [{ symbol: 'A', qty: '10' }],
      open: [open({ side: 'sell', qty: '10', price: '100' }), open({ side: 'sell', qty: '10', price: '100' })],
    },
    '10 needed with 0 in cash and leverage 1',
  ],
  [
    'a trailing stop may cost what it trails by',
    { order_type: 'trailing_stop', trail_percent: '1' },
    {},
    '1010 needed with 1000 in cash and leverage 1',
  ],
  ['on credit where the run allows it', { qty: '20' }, { leverage: 2 }, null],
  ['and no further', { qty: '21' }, { leverage: 2 }, '2100 needed with 1000 in cash and leverage 2'],
  ['a price that nobody knows is the venue’s to judge', { symbol: 'C' }, {}, null],
])('%s', (_, order, changes, detail) => {
  test(detail ?? 'passes', () => {
    expect(checkFunds({ ...BUY, ...order }, purse(changes))).toEqual(
      detail === null ? null : { reason: 'insufficient_buying_power', rule: null, detail },
    )
  })
})
