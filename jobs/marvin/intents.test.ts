import { expect, test } from 'vitest'
import type { PlaceIntent } from '../../strategies/api.ts'
import { checkIntent } from './intents.ts'

const ORDER: PlaceIntent = {
  kind: 'place',
  client_order_id: 'w-r-0-0',
  symbol: 'A',
  side: 'buy',
  order_type: 'market',
  qty: '1',
  limit_price: null,
  stop_price: null,
  trail_price: null,
  trail_percent: null,
  time_in_force: 'gtc',
  extended_hours: false,
  take_profit: null,
  stop_loss: null,
  reason: null,
}

test.each<[string, Partial<Record<keyof PlaceIntent, unknown>>]>([
  ['a market order', {}],
  ['a tiny quantity', { qty: '0.000000001' }],
  ['a limit order', { order_type: 'limit', limit_price: '0.0000001' }],
  ['a stop limit order', { order_type: 'stop_limit', limit_price: '2', stop_price: '1' }],
  ['a trailing stop', { order_type: 'trailing_stop', trail_percent: '5' }],
  ['exits around a sell', { side: 'sell', take_profit: '9', stop_loss: '11' }],
  ['a market order with a trailing exit', { trail_percent: '5', take_profit: '9' }],
  ['a market order for the close', { time_in_force: 'cls' }],
  [
    'a limit order for extended hours',
    { order_type: 'limit', limit_price: '5', time_in_force: 'day', extended_hours: true },
  ],
])('%s is sound', (_, part) => {
  expect(checkIntent({ ...ORDER, ...part } as PlaceIntent, ['A'])).toBeNull()
})

test.each<[string, Partial<Record<keyof PlaceIntent, unknown>>]>([
  ['unknown symbol "B": the run trades A', { symbol: 'B' }],
  ['unknown type "iceberg": use market, limit, stop, stop_limit, trailing_stop', { order_type: 'iceberg' }],
  ['unknown time_in_force "x": use day, gtc, ioc, fok, opg, cls', { time_in_force: 'x' }],
  ['qty "NaN" is not a decimal', { qty: 'NaN' }],
  ['qty 0 must be above zero', { qty: '0' }],
  ['qty -1 must be above zero', { qty: '-1' }],
  ['qty 0.0000000001 has 10 decimal places: at most 9 are allowed', { qty: '0.0000000001' }],
  ['a limit order needs a limit_price', { order_type: 'limit' }],
  ['limit_price -5 must be above zero', { order_type: 'limit', limit_price: '-5' }],
  ['a market order takes no limit_price', { limit_price: '5' }],
  ['a limit order takes no stop_price', { order_type: 'limit', limit_price: '5', stop_price: '5' }],
  ['a stop_limit order needs a limit_price', { order_type: 'stop_limit', stop_price: '5' }],
  [
    'an order takes either trail_price or trail_percent, not both',
    { order_type: 'trailing_stop', trail_price: '5', trail_percent: '5' },
  ],
  ['an order takes either trail_price or trail_percent, not both', { trail_price: '5', trail_percent: '5' }],
  ['an order takes either a stop_loss or a trail, not both', { trail_price: '5', stop_loss: '5' }],
  [
    'a stop order cannot be opg: only market and limit orders can',
    { order_type: 'stop', stop_price: '5', time_in_force: 'opg' },
  ],
  [
    'a trailing_stop order cannot be cls: only market and limit orders can',
    { order_type: 'trailing_stop', trail_price: '5', time_in_force: 'cls' },
  ],
  [
    'extended_hours is for limit orders with time_in_force day, not for a market order with day',
    { extended_hours: true, time_in_force: 'day' },
  ],
  [
    'extended_hours is for limit orders with time_in_force day, not for a limit order with gtc',
    { extended_hours: true, order_type: 'limit', limit_price: '5' },
  ],
  ['a trailing_stop order needs either trail_price or trail_percent', { order_type: 'trailing_stop' }],
  ['trail_price 0 must be above zero', { order_type: 'trailing_stop', trail_price: '0' }],
  ['trail_percent 100 must be below 100', { order_type: 'trailing_stop', trail_percent: '100' }],
  ['stop_loss "Infinity" is not a decimal', { stop_loss: 'Infinity' }],
  ['take_profit 0 must be above zero', { take_profit: '0' }],
  [
    'stop_loss 11 and take_profit 9 are on the wrong sides of each other for a buy',
    { take_profit: '9', stop_loss: '11' },
  ],
  ["take_profit 4 must be above the buy's price 5", { order_type: 'limit', limit_price: '5', take_profit: '4' }],
  ["stop_loss 5 must be below the buy's price 5", { order_type: 'limit', limit_price: '5', stop_loss: '5' }],
  ["stop_loss 6 must be below the buy's price 5", { order_type: 'stop', stop_price: '5', stop_loss: '6' }],
  [
    "take_profit 6 must be below the sell's price 5",
    { side: 'sell', order_type: 'limit', limit_price: '5', take_profit: '6' },
  ],
  [
    "stop_loss 4 must be above the sell's price 5",
    { side: 'sell', order_type: 'limit', limit_price: '5', stop_loss: '4' },
  ],
])('refused: %s', (reason, part) => {
  expect(checkIntent({ ...ORDER, ...part } as PlaceIntent, ['A'])).toBe(reason)
})

test.each(['opg', 'cls'])('%s is refused for a symbol that trades around the clock', (time_in_force) => {
  const order = { ...ORDER, symbol: 'A/B', time_in_force } as PlaceIntent
  expect(checkIntent(order, ['A/B'])).toBe(
    `A/B trades around the clock: it has no auction for time_in_force ${time_in_force}`,
  )
})

test('a cancel is always sound: whether the order is open is known elsewhere', () => {
  expect(checkIntent({ kind: 'cancel', client_order_id: 'x' }, ['A'])).toBeNull()
})
