import { expect, test } from 'vitest'
import type { OrderEvent } from '../../db/walle/projections/orders.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import type { Circumstances } from './orders.ts'
import { createOrderBook } from './orders.ts'

const run = { symbols: ['BTC/USD'], initial_cash: '1000', risk: {}, fill: {} } as unknown as RunRow

/** Sells so much of 0.09975, of which the venue was sent `placed`. */
function differences(asked: string, placed: string, held = '0.09975'): string[] {
  const found: string[] = []
  const book = createOrderBook(run, ({ recorded }) => void found.push(String(recorded)))
  const words = { client_order_id: 'w', symbol: 'BTC/USD', side: 'sell', order_type: 'market', reason: null } as const
  const none = { stop_price: null, trail_price: null, trail_percent: null, take_profit: null, stop_loss: null }
  const rest = { ...words, ...none, time_in_force: 'gtc', extended_hours: false } as const
  const intent: PlaceIntent = { kind: 'place', ...rest, qty: asked, limit_price: null }
  book.decided([intent], { bar_index: 0, ts: 0, place: 0 })
  const event = {
    type: 'orders.Created',
    ts: '2026-01-02T00:00:00.000Z',
    payload: {
      ...rest,
      ...{ order_id: 'o', ordinal: 0, qty: placed, price: null, parent_order_id: null, bar_index: 0 },
      placed_at: '2026-01-02T00:00:00.000Z',
    },
  } as unknown as OrderEvent
  const positions = [{ symbol: 'BTC/USD', qty: held }]
  book.apply(event, 1, {
    account: { cash: '0', positions, orders: [] },
    newest: { 'BTC/USD': { time: 0, close: 100 } },
  } as unknown as Circumstances)
  return found
}

test('what was made to fit its venue is no difference, any other quantity is', () => {
  expect(differences('0.09975', '0.0997')).toEqual([])
  expect(differences('0.04975', '0.0497')).toEqual([])
  expect(differences('0.09975', '0.09')).toEqual([])
  expect(differences('0.09975', '0.0996')).toEqual(['qty 0.0996'])
  expect(differences('0.05', '0.04', '0.1')).toEqual(['qty 0.04'])
  expect(differences('0.09975', '0.09975')).toEqual([])
})
