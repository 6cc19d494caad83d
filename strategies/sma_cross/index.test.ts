import { expect, test } from 'vitest'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

const params = { fast: 1, slow: 3, qty: '2' }

test('buys when fast crosses above slow, sells all when it crosses below', () => {
  const { fills, decisions } = play(strategy, candlesOf([10, 10, 10, 12, 13, 9, 8, 8]), { params })
  expect(fills.map(({ bar_index, side, qty, price }) => [bar_index, side, qty, price])).toEqual([
    [4, 'buy', '2', 12],
    [6, 'sell', '2', 9],
  ])
  expect(decisions.map(({ bar_index, intents }) => [bar_index, intents[0]])).toMatchObject([
    [3, { client_order_id: 'w-test-3-0', order_type: 'market', reason: 'fast crossed above slow' }],
    [5, { client_order_id: 'w-test-5-0', order_type: 'market', reason: 'fast crossed below slow' }],
  ])
})

test('stays away when it starts above, and from a cross below without a position', () => {
  expect(play(strategy, candlesOf([10, 11, 12, 13, 14, 9, 8]), { params }).decisions).toEqual([])
})

test('trades each symbol on its own new bars only', () => {
  const one = candlesOf([10, 10, 10, 12, 12.5, 13, 13.5], { symbol: 'ONE' })
  // TWO crosses up with its last bar and has no bar after it: the signal is acted on once.
  const two = candlesOf([10, 10, 10, 12], { symbol: 'TWO' })
  const { decisions } = play(strategy, [...one, ...two], { params })
  expect(
    decisions.flatMap(({ bar_index, intents }) =>
      intents.map((intent) => [bar_index, 'symbol' in intent && intent.symbol]),
    ),
  ).toEqual([
    [3, 'ONE'],
    [3, 'TWO'],
  ])
})
