/** A replay judges each order by the limits that held when it was placed. */
import { expect, test } from 'vitest'
import type { LogEvent } from '../../db/events/envelope.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { aRun } from '../../tests/support/walle_rows.ts'
import { ownIntent } from '../greta/order_events.ts'
import { createOrderBook } from './orders.ts'

test('limits that changed while the run went on hold from then on', () => {
  const run = aRun(1, { mode: 'paper', exchange: 'sim', risk: { max_position: 1 } }) as RunRow
  const book = createOrderBook(run, () => {})
  const circumstances = { account: { cash: '1000', positions: [], orders: [] }, newest: {} }
  const place = (n: number) => {
    const intent = ownIntent({
      ...({ side: 'buy', order_type: 'limit', limit_price: '90', reason: null } as const),
      ...{ client_order_id: `w-${n}`, symbol: 'BTC/USD', qty: '2' },
    })
    const ts = '2026-03-02T00:00:00.000Z'
    book.decided([intent], { bar_index: n, ts: Date.parse(ts), place: n })
    const payload = {
      ...intent,
      order_id: `o-${n}`,
      ordinal: n,
      price: '90',
      parent_order_id: null,
      bar_index: n,
      placed_at: ts,
    }
    book.apply(
      { type: 'orders.Created', ts, payload } as unknown as Extract<LogEvent, { type: 'orders.Created' }>,
      n,
      circumstances,
    )
  }
  book.limited({ max_position: 5 })
  place(0)
  book.limited({ max_position: 1 })
  place(1)
  expect(book.stories().map(({ refusal }) => refusal)).toEqual([null, { reason: 'risk', rule: 'max_position' }])
})
