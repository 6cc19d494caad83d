import { expect, test } from 'vitest'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

test('holds the strongest, sells what is no longer among them, and buys with that money a call later', () => {
  const candles = [
    ...candlesOf([10, 11, 12, 12, 11, 10, 10, 10], { symbol: 'ONE' }),
    ...candlesOf([10, 10, 10, 10, 12, 14, 16, 18], { symbol: 'TWO' }),
  ]
  const params = { lookback: 1, top: 1, every: 3, share: 0.9, places: 1 }
  const { fills } = play(strategy, candles, { params, cash: '1000' })
  expect(fills.map(({ bar_index, symbol, side, qty, price }) => [bar_index, symbol, side, qty, price])).toEqual([
    [2, 'ONE', 'buy', '81.8', 11],
    [5, 'ONE', 'sell', '81.8', 11],
    [6, 'TWO', 'buy', '64.2', 14],
  ])
})

test('holds nothing while everything falls, and says so when the equity is too small', () => {
  expect(play(strategy, candlesOf([10, 9, 8, 7]), { params: { lookback: 1 } }).decisions).toEqual([])
  const { decisions } = play(strategy, candlesOf([10, 11]), { params: { lookback: 1, places: 0 }, cash: '5' })
  expect(decisions).toMatchObject([{ intents: [], skips: ['too little equity for TEST/USD'] }])
})
