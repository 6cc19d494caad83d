import { expect, test } from 'vitest'
import { standingOf, stoppingWords } from './name.ts'

const stopping = { cancel_orders: true, close_positions: false }
const halted = { rule: 'max_drawdown', at: '2026-01-05T15:00:00.000Z' }

test('a run that is to stop is called stopping, one that is halted halted, any other as it is', () => {
  const running = { status: 'running', stopping: null, halted: null } as const
  expect(standingOf(running)).toBe('running')
  expect(standingOf({ ...running, halted })).toBe('halted')
  expect(standingOf({ ...running, halted, stopping })).toBe('stopping')
})

test('what becomes of orders and positions is said while a run stops', () => {
  const words = (cancel_orders: boolean, close_positions: boolean) =>
    stoppingWords({ stopping: { cancel_orders, close_positions } })
  expect(words(true, true)).toBe('its open orders are cancelled and its positions closed')
  expect(words(true, false)).toBe('its open orders are cancelled, its positions stay')
  expect(words(false, false)).toBe('its orders and positions stay')
  expect(stoppingWords({ stopping: null })).toBe('')
})
