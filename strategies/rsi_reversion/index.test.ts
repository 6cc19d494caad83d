import { expect, test } from 'vitest'
import { rsi } from '../indicators.ts'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

test('first decides one bar after the first value, and carries the averages on from there', () => {
  const closes = [10, 9, 8, 7, 8, 9, 10, 11, 12, 11]
  const { decisions, fills, state } = play(strategy, candlesOf(closes), { params: { period: 2, qty: '3' } })
  expect(fills.map(({ bar_index, side, qty }) => [bar_index, side, qty])).toEqual([
    [4, 'buy', '3'],
    [6, 'sell', '3'],
  ])
  expect(decisions.map(({ bar_index }) => bar_index)).toEqual([3, 5])
  const { gain, loss } = (state as { wilder: Record<string, { gain: number; loss: number }> }).wilder['TEST/USD'] ?? {
    gain: 0,
    loss: 0,
  }
  expect(100 - 100 / (1 + gain / loss)).toBe(rsi(closes, 2))
})

test('says by how much the mark was passed', () => {
  const { decisions } = play(strategy, candlesOf([10, 9, 8, 7]), { params: { period: 2 } })
  expect(decisions[0]?.intents).toMatchObject([{ side: 'buy', reason: 'rsi 0.00 below 30' }])
})
