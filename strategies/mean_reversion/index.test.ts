import { expect, test } from 'vitest'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

test('buys below the band and sells above it', () => {
  const closes = [10, 10, 10, 10, 8, 10, 10, 10, 12, 12]
  const { decisions, fills } = play(strategy, candlesOf(closes), { params: { period: 4, width: 1.5 } })
  expect(decisions.map(({ bar_index, intents }) => [bar_index, intents[0]])).toMatchObject([
    [4, { side: 'buy', qty: '1', reason: 'close below the band' }],
    [8, { side: 'sell', qty: '1', reason: 'close above the band' }],
  ])
  expect(fills.map(({ bar_index, price }) => [bar_index, price])).toEqual([
    [5, 8],
    [9, 12],
  ])
})
