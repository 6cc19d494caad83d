import { expect, test } from 'vitest'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

test('keeps one stop order at the highest high and moves it only when the high moves', () => {
  const { decisions } = play(strategy, candlesOf([10, 12, 11, 11, 10.5, 10], { reach: 0.5 }), {
    params: { entry: 3, exit: 2 },
  })
  expect(decisions).toMatchObject([
    { bar_index: 2, intents: [{ kind: 'place', side: 'buy', order_type: 'stop', stop_price: '12.5', qty: '1' }] },
    {
      bar_index: 5,
      intents: [
        { kind: 'cancel', client_order_id: 'w-test-2-0' },
        { kind: 'place', client_order_id: 'w-test-5-1', side: 'buy', stop_price: '11.5' },
      ],
    },
  ])
})
