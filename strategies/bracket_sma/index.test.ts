import { expect, test } from 'vitest'
import { candlesOf, play } from '../testing.ts'
import strategy from './index.ts'

test('buys the up-cross with exits that are the plain products of the close', () => {
  const { decisions, fills } = play(strategy, candlesOf([10, 10, 10, 12.3, 13, 9, 8, 12]), {
    params: { fast: 1, slow: 3 },
  })
  expect(decisions.flatMap(({ intents }) => intents)).toMatchObject([
    { side: 'buy', qty: '1', order_type: 'market', stop_loss: String(12.3 * 0.95), take_profit: String(12.3 * 1.1) },
  ])
  expect(String(12.3 * 1.1)).toBe('13.530000000000001')
  // The cross below ends nothing, and the next one above finds a position.
  expect(fills).toHaveLength(1)
})
