/** Against answers of the shape that Alpaca documents and that were seen of it. */
import { expect, test } from 'vitest'
import { accountOf, activityExecution, assetOf, orderOf, positionOf, updateExecution } from './mapping.ts'
import { weaverSymbol } from './symbols.ts'
import { parseExact, wireAccount, wireActivity, wireAsset, wireOrder, wirePositions, wireUpdate } from './wire.ts'

const PAIRS = ['BTC/USD', 'BTC/USDT', 'SHIB/USDT', 'ETH/BTC']

const ORDER = {
  id: '61e69015-8549-4bfd-b9c3-01e75843f47d',
  client_order_id: 'w-1',
  created_at: '2026-03-02T10:00:30.123456789-05:00',
  updated_at: '2026-03-02T15:00:31.5Z',
  submitted_at: '2026-03-02T10:00:30.123456789-05:00',
  filled_at: null,
  asset_id: 'b0b6dd9d-8b9b-48a9-ba46-b9d54906e415',
  symbol: 'AAPL',
  asset_class: 'us_equity',
  notional: null,
  qty: '15.000',
  filled_qty: '0',
  filled_avg_price: null,
  order_class: '',
  order_type: 'limit',
  type: 'limit',
  side: 'buy',
  time_in_force: 'day',
  limit_price: '105.50',
  stop_price: null,
  status: 'new',
  extended_hours: false,
  legs: null,
  replaced_by: null,
  replaces: null,
  trail_price: null,
  trail_percent: null,
}
const order = (changes: object = {}) => orderOf(wireOrder.parse({ ...ORDER, ...changes }), PAIRS)

test('an order is understood to the millisecond, in whatever zone its times are written', () => {
  expect(order()).toEqual({
    exchange_order_id: ORDER.id,
    client_order_id: 'w-1',
    symbol: 'AAPL',
    side: 'buy',
    order_type: 'limit',
    qty: '15',
    limit_price: '105.5',
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'day',
    status: 'accepted',
    filled_qty: '0',
    filled_avg_price: null,
    fee: null,
    fee_qty: null,
    reject_reason: null,
    replaced_by: null,
    replaces: null,
    submitted_at: Date.UTC(2026, 2, 2, 15, 0, 30, 123),
    updated_at: Date.UTC(2026, 2, 2, 15, 0, 31, 500),
  })
})

test.each([
  ['pending_new', '0', 'pending'],
  ['accepted', '0', 'accepted'],
  ['held', '0', 'accepted'],
  ['done_for_day', '0', 'accepted'],
  ['done_for_day', '4', 'partial'],
  ['pending_cancel', '4', 'partial'],
  ['partially_filled', '4', 'partial'],
  ['filled', '15', 'filled'],
  ['canceled', '4', 'cancelled'],
  ['expired', '0', 'expired'],
  ['rejected', '0', 'rejected'],
  ['replaced', '4', 'replaced'],
  ['a_word_of_next_year', '0', 'accepted'],
] as const)('an order that is %s with %s filled is %s', (status, filled, expected) => {
  expect(order({ status, filled_qty: filled }).status).toBe(expected)
})

test('an order for an amount of money, with fields that nobody knows yet, is understood', () => {
  const notional = { qty: null, notional: '100', filled_qty: '0.95', type: 'a_new_type', brand_new: { deep: [1] } }
  expect(order(notional)).toMatchObject({ qty: '0.95', filled_qty: '0.95', order_type: 'market' })
})

test.each([
  ['BTCUSD', 'crypto', 'BTC/USD'],
  ['BTCUSDT', 'crypto', 'BTC/USDT'],
  ['BTC/USD', 'crypto', 'BTC/USD'],
  ['SHIBUSDT', 'crypto', 'SHIB/USDT'],
  ['DOGEUSDC', 'crypto', 'DOGE/USDC'],
  ['BTCUSD', 'us_equity', 'BTCUSD'],
])('%s of class %s is %s', (symbol, assetClass, expected) => {
  expect(weaverSymbol(symbol, assetClass, PAIRS)).toBe(expected)
})

const UPDATE = {
  event: 'partial_fill',
  execution_id: '2f63ea93-423d-4169-b3f6-3fdafc10c418',
  price: '29.82',
  qty: '0.1',
  position_qty: '0.09975',
  timestamp: '2026-03-02T15:00:40.000000001Z',
  order: {
    ...ORDER,
    symbol: 'BTCUSD',
    asset_class: 'crypto',
    type: 'market',
    filled_qty: '0.1',
    status: 'partially_filled',
  },
}
const execution = (changes: object = {}) => updateExecution(wireUpdate.parse({ ...UPDATE, ...changes }), PAIRS)

test('a fill of a coin keeps its fee of what was bought; a sale pays it in money; shares are free', () => {
  expect(execution()).toEqual({
    execution_id: UPDATE.execution_id,
    exchange_order_id: ORDER.id,
    client_order_id: 'w-1',
    symbol: 'BTC/USD',
    side: 'buy',
    qty: '0.1',
    price: '29.82',
    cum_qty: '0.1',
    fee: null,
    fee_qty: '0.00025',
    at: Date.UTC(2026, 2, 2, 15, 0, 40),
  })
  const sale = { ...UPDATE.order, side: 'sell' }
  expect(execution({ order: sale })).toMatchObject({ side: 'sell', fee: '0.007455', fee_qty: null })
  expect(execution({ order: { ...ORDER, filled_qty: '0.1' } })).toMatchObject({ fee: null, fee_qty: null })
})

test('a limit order that lay in the book for a minute pays the fee of a maker', () => {
  const limit = { ...UPDATE.order, type: 'limit' }
  expect(execution({ order: limit, timestamp: '2026-03-02T15:01:31Z' })).toMatchObject({ fee_qty: '0.00015' })
  expect(execution({ order: limit, timestamp: '2026-03-02T15:01:30Z' })).toMatchObject({ fee_qty: '0.00025' })
})

test('an order tells the most that its fees can be', () => {
  const bought = { symbol: 'BTCUSD', asset_class: 'crypto', filled_qty: '0.3', filled_avg_price: '50000' }
  expect(order(bought)).toMatchObject({ fee: null, fee_qty: '0.00075' })
  expect(order({ ...bought, side: 'sell' })).toMatchObject({ fee: '37.5', fee_qty: null })
  expect(order({ ...bought, filled_qty: '0', filled_avg_price: null })).toMatchObject({ fee: null, fee_qty: '0' })
  expect(order({ filled_qty: '4' })).toMatchObject({ fee: null, fee_qty: null })
})

test('an update that tells of no fill has no execution', () => {
  expect(execution({ event: 'pending_new', execution_id: null })).toBeNull()
  expect(execution({ event: 'canceled' })).toBeNull()
  expect(execution({ event: 'trade_bust' })).toBeNull()
})

test('a fill among the activities is the same fill', () => {
  const activity = wireActivity.parse({
    id: `20260302150040000::${UPDATE.execution_id}`,
    activity_type: 'FILL',
    transaction_time: '2026-03-02T15:00:40Z',
    type: 'partial_fill',
    price: '29.82',
    qty: '0.1',
    side: 'buy',
    symbol: 'BTCUSD',
    leaves_qty: '14.9',
    order_id: ORDER.id,
    cum_qty: '0.1',
    order_status: 'partially_filled',
  })
  const known = order({ symbol: 'BTC/USD', asset_class: 'crypto', type: 'market' })
  expect(activityExecution(activity, known, PAIRS)).toEqual(execution())
  expect(activityExecution(activity, null, PAIRS)).toEqual({ ...execution(), client_order_id: null })
  expect(activityExecution({ ...activity, side: 'sell_short' }, null, PAIRS).side).toBe('sell')
})

test('positions have their pair back, and a sign', () => {
  const wires = wirePositions.parse([
    { symbol: 'BTCUSD', asset_class: 'crypto', qty: '0.09975', side: 'long', avg_entry_price: '29.820' },
    { symbol: 'AAPL', asset_class: 'us_equity', qty: '-5', side: 'short', avg_entry_price: '100' },
    { symbol: 'SPY', asset_class: 'us_equity', qty: '5', side: 'short', avg_entry_price: '100' },
  ])
  expect(wires.flatMap((row) => ('value' in row ? [positionOf(row.value, PAIRS)] : []))).toEqual([
    { symbol: 'BTC/USD', qty: '0.09975', avg_price: '29.82' },
    { symbol: 'AAPL', qty: '-5', avg_price: '100' },
    { symbol: 'SPY', qty: '-5', avg_price: '100' },
  ])
})

test('an account says why it cannot trade', () => {
  const account = {
    account_number: 'PA1',
    status: 'ACTIVE',
    currency: 'USD',
    cash: '1.10',
    equity: '2',
    buying_power: '4',
  }
  expect(accountOf(wireAccount.parse(account))).toEqual({
    account_number: 'PA1',
    currency: 'USD',
    cash: '1.1',
    equity: '2',
    buying_power: '4',
    blocked: null,
  })
  const blocked = { ...account, status: 'SUBMITTED', trading_blocked: true, trade_suspended_by_user: true }
  expect(accountOf(wireAccount.parse(blocked)).blocked).toBe(
    'the account is SUBMITTED, trading is blocked, trading is suspended in the settings of the account',
  )
})

test('an asset says what its orders must look like', () => {
  const crypto = {
    symbol: 'BTC/USD',
    class: 'crypto',
    status: 'active',
    tradable: true,
    shortable: true,
    fractionable: true,
    min_order_size: '0.000010',
    min_trade_increment: '1e-9',
    price_increment: '0.01',
  }
  expect(assetOf(wireAsset.parse(crypto))).toEqual({
    symbol: 'BTC/USD',
    asset_class: 'crypto',
    tradable: true,
    fractionable: true,
    shortable: false,
    qty_increment: '0.000000001',
    min_qty: '0.00001',
    price_increments: [{ below: null, increment: '0.01' }],
    min_notional: '10',
    min_purchase: null,
  })
  const leastOf = (symbol: string) => assetOf(wireAsset.parse({ ...crypto, symbol })).min_notional
  // Ten dollars: of bitcoins it would be a fortune.
  expect(['ETH/BTC', 'SHIB/USDT', 'ETH/USDC', 'BTC/EUR'].map(leastOf)).toEqual([null, '10', '10', null])
  const equity = { symbol: 'AAPL', class: 'us_equity', status: 'inactive', tradable: true, fractionable: false }
  expect(assetOf(wireAsset.parse(equity))).toMatchObject({
    tradable: false,
    shortable: false,
    qty_increment: '1',
    price_increments: [
      { below: '1', increment: '0.0001' },
      { below: null, increment: '0.01' },
    ],
    min_notional: null,
    min_purchase: '1',
  })
})

test('numbers are read as they were written', () => {
  expect(
    parseExact('{"v": 123456789012345678.000000001, "n": 9007199254740993, "p": 1e-7, "s": "x", "b": true}'),
  ).toEqual({
    v: '123456789012345678.000000001',
    n: '9007199254740993',
    p: '1e-7',
    s: 'x',
    b: true,
  })
})
