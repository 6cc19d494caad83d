import { expect, test } from 'vitest'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

test('waits at the lower band, on the price grid, and follows it', () => {
  const { decisions } = play(strategy, candlesOf([10, 12, 10, 12, 12]), {
    params: { period: 2, width: 1.25, places: 1 },
  })
  expect(decisions).toMatchObject([
    { bar_index: 1, intents: [{ side: 'buy', order_type: 'limit', limit_price: '9.8' }] },
    { bar_index: 4, intents: [{ kind: 'cancel' }, { side: 'buy', limit_price: '12' }] },
  ])
})

test('a band below zero is no price', () => {
  const { decisions } = play(strategy, candlesOf([1, 9]), { params: { period: 2, width: 3 } })
  expect(decisions).toMatchObject([{ intents: [], skips: ['the lower band of TEST/USD is not above zero'] }])
})
