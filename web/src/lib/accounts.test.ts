import { expect, test } from 'vitest'
import { accountProblems, isReconciling, pausedOf } from './accounts.ts'
import type { Account } from './types.ts'

const position = {
  ...{ exchange: 'sim', mode: 'paper' as const, venue_qty: '1', runs_qty: '1', unattributed_qty: '0' },
  ...{
    last_price: null,
    unrealised_pnl: null,
    marked_at: null,
    fee_adjustment: '0',
    equal_at: null,
    paused_class: null,
  },
} as const
const account: Account = {
  ...{
    exchange: 'sim',
    mode: 'paper',
    account_number: null,
    number_since: null,
    currency: 'USD',
    cash: '1',
    equity: '1',
  },
  ...{ buying_power: '1', state: 'ready', state_reason: null, blocked: null, keeper: null, stream: 'up' },
  ...{ reconcile_requested_at: null, checked_at: null, reconciled_at: null },
  positions: [
    { ...position, symbol: 'A', paused_reason: null },
    { ...position, symbol: 'B', paused_reason: 'unexplained' },
  ],
}

test('an account that is well says nothing, any other says why no order leaves', () => {
  expect(accountProblems(account)).toEqual([])
  expect(accountProblems({ ...account, state: 'refused', state_reason: 'wrong key', blocked: 'closed' })).toEqual([
    'No order leaves: wrong key',
    'The exchange lets nothing be traded: closed',
  ])
  expect(accountProblems({ ...account, state: 'unknown' })).toEqual([
    'No order leaves: the account has not been checked yet.',
  ])
})

test('of the symbols of a run those that are paused are told', () => {
  expect(pausedOf(account, ['A', 'B']).map(({ symbol }) => symbol)).toEqual(['B'])
  expect(pausedOf(account, ['A'])).toEqual([])
})

test('an account is being compared until it was, later than asked', () => {
  const [early, late] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z']
  expect(isReconciling(account)).toBe(false)
  expect(isReconciling({ ...account, reconcile_requested_at: early })).toBe(true)
  expect(isReconciling({ ...account, reconcile_requested_at: late, reconciled_at: early })).toBe(true)
  expect(isReconciling({ ...account, reconcile_requested_at: early, reconciled_at: late })).toBe(false)
})
