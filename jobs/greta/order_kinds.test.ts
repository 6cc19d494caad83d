/** Auctions, extended hours, attached trails, and what is left of orders and exits that fill in parts. */
import { expect, test } from 'vitest'
import { type BarText, type Played, playScript, type Script, type ScriptedOrder } from '../../tests/support/scripted.ts'

const QUIET: BarText = [100, 101, 99, 100]
const BAR: BarText = [102, 105, 95, 97]

function story({ fills, orders }: Played) {
  return {
    fills: fills.map(({ bar, side, qty, price }) => `${bar} ${side} ${qty} ${price}`),
    orders: orders.map(({ status, filled_qty, reason }) => [status, filled_qty, reason].filter(Boolean).join(' ')),
  }
}

/** 2024-07-02 is a Tuesday; New York is four hours behind, so it trades from 13:30 to 20:00 UTC. The 3rd ends at 17:00. */
function equity(timeframe: Script['timeframe'], times: string[], order: ScriptedOrder, more: Partial<Script> = {}) {
  return story(
    playScript({
      symbol: 'SPY',
      ...(timeframe ? { timeframe } : {}),
      times: times.map((time) => `2024-${time}:00Z`),
      bars: times.map((_, index) => (index === 0 ? QUIET : BAR)),
      at: { 0: [order] },
      ...more,
    }),
  )
}

const HOURS = ['07-02T18:00', '07-02T19:00', '07-03T13:00', '07-03T16:00', '07-05T13:00']

test.each<[string, Script['timeframe'], string[], ScriptedOrder, string[], string[]]>([
  [
    'opg: the open of the next day bar',
    '1d',
    ['07-02T00:00', '07-03T00:00'],
    { side: 'buy', time_in_force: 'opg' },
    ['1 buy 1 102'],
    ['filled 1'],
  ],
  [
    'cls: the close of the next day bar',
    '1d',
    ['07-02T00:00', '07-03T00:00'],
    { side: 'buy', time_in_force: 'cls' },
    ['1 buy 1 97'],
    ['filled 1'],
  ],
  [
    'opg: the bar that holds the open',
    '1h',
    HOURS,
    { side: 'buy', time_in_force: 'opg' },
    ['2 buy 1 102'],
    ['filled 1'],
  ],
  [
    'cls: the bar that holds the close',
    '1h',
    HOURS,
    { side: 'buy', time_in_force: 'cls' },
    ['1 buy 1 97'],
    ['filled 1'],
  ],
  ['cls on a half day', '1h', HOURS.slice(1), { side: 'buy', time_in_force: 'cls' }, ['2 buy 1 97'], ['filled 1']],
  [
    'a limit for the open that is not met is cancelled',
    '1h',
    HOURS,
    { side: 'buy', type: 'limit', limit_price: 101, time_in_force: 'opg' },
    [],
    ['cancelled 0'],
  ],
  [
    'a limit for the close that is met takes the close',
    '1h',
    HOURS,
    { side: 'buy', type: 'limit', limit_price: 98, time_in_force: 'cls' },
    ['1 buy 1 97'],
    ['filled 1'],
  ],
  [
    'an auction in a hole of the data is missed',
    '1h',
    ['07-02T19:00', '07-03T14:00', '07-05T13:00'],
    { side: 'buy', time_in_force: 'opg' },
    [],
    ['expired 0'],
  ],
])('%s', (_, timeframe, times, order, fills, orders) => {
  expect(equity(timeframe, times, order)).toEqual({ fills, orders })
})

test('beyond the years of the calendar an auction is refused by name', () => {
  const { orders } = equity(
    '1h',
    [],
    { side: 'buy', time_in_force: 'cls' },
    {
      times: ['2090-07-03T18:00:00Z', '2090-07-03T19:00:00Z'],
      bars: [QUIET, BAR],
    },
  )
  expect(orders).toEqual(['rejected 0 unsupported: the exchange calendar does not know 2090: cls needs it'])
})

test('an auction pays slippage, comes after all else in its bar, and its exits wait for the next bar', () => {
  const { fills } = story(
    playScript({
      symbol: 'SPY',
      timeframe: '1d',
      start: '2024-07-01T00:00:00Z',
      bars: [QUIET, BAR, [97, 98, 90, 91]],
      at: {
        0: [
          { side: 'buy', time_in_force: 'cls', stop_loss: 96 },
          { side: 'buy', type: 'limit', limit_price: 96 },
        ],
      },
      fill: { slippage_bps: 100 },
    }),
  )
  expect(fills).toEqual(['1 buy 1 96', '1 buy 1 97.97', '2 sell 1 95.04'])
})

const REGULAR = { regular_hours: true }
test.each<[string, string[], ScriptedOrder, string[], string[]]>([
  [
    'a market order waits for the regular session',
    ['07-02T20:00', '07-02T21:00', '07-03T13:00'],
    { side: 'buy' },
    ['2 buy 1 102'],
    ['filled 1'],
  ],
  [
    'an order for extended hours does not',
    ['07-02T20:00', '07-02T21:00', '07-03T13:00'],
    { side: 'buy', type: 'limit', limit_price: 98, time_in_force: 'day', extended_hours: true },
    ['1 buy 1 98'],
    ['filled 1'],
  ],
  [
    'one for extended hours lives to 20:00 in New York',
    ['07-02T21:00', '07-02T22:00', '07-02T23:00', '07-03T08:00'],
    { side: 'buy', type: 'limit', limit_price: 90, time_in_force: 'day', extended_hours: true },
    [],
    ['expired 0'],
  ],
])('regular hours: %s', (_, times, order, fills, orders) => {
  expect(equity('1h', times, order, { fill: REGULAR })).toEqual({ fills, orders })
})

test('without regular hours every bar there is meets every order', () => {
  expect(equity('1h', ['07-02T20:00', '07-02T21:00'], { side: 'buy' }).fills).toEqual(['1 buy 1 102'])
})

test('an attached trail starts at the fill and follows closes', () => {
  const { fills, orders } = story(
    playScript({
      bars: [QUIET, [100, 101, 97.5, 104], [104, 120, 103, 110], [110, 111, 105, 106]],
      at: { 0: [{ side: 'buy', trail_price: 4, take_profit: 130 }] },
    }),
  )
  // Never 99.5 on its entry bar; then 104 - 4 = 100, then 110 - 4 = 106.
  expect(fills).toEqual(['1 buy 1 100', '3 sell 1 106'])
  expect(orders).toEqual(['filled 1', 'filled 1', 'cancelled 0'])
})

test('an attached trail in percent is of the fill price', () => {
  const { fills } = story(
    playScript({ bars: [QUIET, [100, 101, 97, 98]], at: { 0: [{ side: 'buy', trail_percent: 2 }] } }),
  )
  expect(fills).toEqual(['1 buy 1 100', '1 sell 1 98'])
})

test('the rest of a stop that was reached is a market order', () => {
  const { fills } = story(
    playScript({
      bars: [QUIET, [100, 103, 99, 101, 10], [100, 101, 99, 100, 100]],
      at: { 0: [{ side: 'buy', type: 'stop', stop_price: 102, qty: 3 }] },
      fill: { max_volume_share: 0.1 },
    }),
  )
  expect(fills).toEqual(['1 buy 1 102', '2 buy 2 100'])
})

test('the rest of a stop-limit that was reached is a limit order', () => {
  const { fills } = story(
    playScript({
      bars: [QUIET, [100, 103, 99, 101, 10], [100, 101, 99, 100, 100]],
      at: { 0: [{ side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 103, qty: 3 }] },
      fill: { max_volume_share: 0.1 },
    }),
  )
  expect(fills).toEqual(['1 buy 1 102', '2 buy 2 100'])
})

test('what one exit of a pair has filled the other need not close', () => {
  const { fills, orders } = story(
    playScript({
      // The take profit gets 1 of 3 for want of volume, then the stop loss is reached.
      bars: [QUIET, QUIET, [100, 111, 99, 110, 10], [96, 97, 94, 95], QUIET],
      at: {
        0: [
          { side: 'buy', qty: 3, take_profit: 110, stop_loss: 95 },
          { side: 'buy', qty: 5 },
        ],
      },
      fill: { max_volume_share: 0.1 },
    }),
  )
  expect(fills).toEqual(['1 buy 3 100', '1 buy 5 100', '2 sell 1 110', '3 sell 2 95'])
  expect(orders).toEqual(['filled 3', 'filled 5', 'cancelled 2', 'cancelled 1'])
})

test('a position that is turned around leaves its exits behind', () => {
  const { fills, orders } = story(
    playScript({
      bars: [QUIET, QUIET, QUIET, [100, 120, 80, 100]],
      at: { 0: [{ side: 'buy', stop_loss: 90, take_profit: 110 }], 1: [{ side: 'sell', qty: 3 }] },
      fill: { allow_short: true },
    }),
  )
  expect(fills).toEqual(['1 buy 1 100', '2 sell 3 100'])
  expect(orders).toEqual(['filled 1', 'cancelled 0', 'cancelled 0', 'filled 3'])
})
