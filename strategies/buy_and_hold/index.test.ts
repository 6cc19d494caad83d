import { expect, test } from 'vitest'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

test('buys each symbol once at the first tick that shows all of them', () => {
  const candles = [...candlesOf([1, 2, 3], { symbol: 'ONE' }), ...candlesOf([5, 6, 7], { symbol: 'TWO' })]
  const { fills, positions, cash } = play(strategy, candles, { params: { qty: '1.5' }, cash: '100' })
  expect(fills.map(({ bar_index, symbol, price }) => [bar_index, symbol, price])).toEqual([
    [1, 'ONE', 1],
    [1, 'TWO', 5],
  ])
  expect(positions).toEqual({ ONE: '1.5', TWO: '1.5' })
  expect(cash).toBe('91')
})
