/** Spec section 7 as tables: each rule under each preset, on a few bars, with the exact price. */
import { expect, test } from 'vitest'
import { type BarText, playScript, type Script, type ScriptedOrder } from '../../tests/support/scripted.ts'
import type { FillPreset } from './fill_model.ts'

const QUIET: BarText = [100, 101, 99, 100]
const ALL: FillPreset[] = ['weaver', 'backtrader', 'backtesting_py']

/** An order decided at the first bar's close meets one bar: the price it fills at, or null. */
type Row = [name: string, order: ScriptedOrder, bar: BarText, prices: Record<FillPreset, string | null>]

const same = (price: string | null) => ({ weaver: price, backtrader: price, backtesting_py: price })

const ROWS: Row[] = [
  ['a market order fills at the next open', { side: 'buy' }, [102, 105, 95, 96], same('102')],
  [
    'a limit buy that opens at the limit fills at the open',
    { side: 'buy', type: 'limit', limit_price: 99 },
    [99, 101, 99, 100],
    same('99'),
  ],
  [
    'a limit buy that gaps below the limit gets the open',
    { side: 'buy', type: 'limit', limit_price: 99 },
    [97, 98, 96, 97],
    same('97'),
  ],
  [
    'a limit buy that is traded through fills at the limit',
    { side: 'buy', type: 'limit', limit_price: 99 },
    [100, 101, 98.5, 100],
    same('99'),
  ],
  [
    'a limit buy that is only touched',
    { side: 'buy', type: 'limit', limit_price: 99 },
    [100, 101, 99, 100],
    { weaver: null, backtrader: '99', backtesting_py: '99' },
  ],
  [
    'a limit buy that is not reached rests',
    { side: 'buy', type: 'limit', limit_price: 98 },
    [100, 101, 99, 100],
    same(null),
  ],
  [
    'a stop buy that gaps above the stop pays the open',
    { side: 'buy', type: 'stop', stop_price: 102 },
    [104, 106, 103, 105],
    same('104'),
  ],
  [
    'a stop buy that opens at the stop pays the open',
    { side: 'buy', type: 'stop', stop_price: 102 },
    [102, 106, 101, 105],
    same('102'),
  ],
  [
    'a stop buy that is touched fills at the stop',
    { side: 'buy', type: 'stop', stop_price: 102 },
    [100, 102, 99, 101],
    same('102'),
  ],
  [
    'a stop buy that is not reached rests',
    { side: 'buy', type: 'stop', stop_price: 103 },
    [100, 102, 99, 101],
    same(null),
  ],
  [
    'a stop-limit triggered at the open with the limit above it',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 105 },
    [103, 106, 101, 104],
    { weaver: '103', backtrader: '103', backtesting_py: '102' },
  ],
  [
    'a stop-limit triggered at the open above its limit, traded back through it',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 102.5 },
    [103, 106, 101, 104],
    { weaver: '102.5', backtrader: '102.5', backtesting_py: '102' },
  ],
  [
    'a stop-limit triggered at the open above its limit for the whole bar',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 102.5 },
    [103, 106, 102.8, 104],
    same(null),
  ],
  [
    'a stop-limit triggered inside with the limit above the stop',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 103 },
    [100, 104, 99, 103.5],
    same('102'),
  ],
  [
    'a stop-limit triggered inside with the limit at the stop',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 102 },
    [100, 104, 99, 103.5],
    { weaver: '102', backtrader: '102', backtesting_py: null },
  ],
  [
    'a stop-limit triggered inside, limit below the stop, a falling bar that closes within it',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 101 },
    [101.5, 104, 99, 100.5],
    { weaver: '101', backtrader: '101', backtesting_py: null },
  ],
  [
    'a stop-limit triggered inside, limit below the stop, a rising bar that closes within it',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 101 },
    [100, 104, 99, 100.5],
    { weaver: '101', backtrader: null, backtesting_py: null },
  ],
  [
    'a stop-limit triggered inside, limit below the stop, that closes beyond it',
    { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 101 },
    [100, 104, 99, 103],
    same(null),
  ],
]

/** The same scene upside down, around 200. */
function mirrored(order: ScriptedOrder): ScriptedOrder {
  const flip = (price: unknown) => 200 - Number(price)
  return {
    ...order,
    side: 'sell',
    ...(order.limit_price === undefined ? {} : { limit_price: flip(order.limit_price) }),
    ...(order.stop_price === undefined ? {} : { stop_price: flip(order.stop_price) }),
  }
}

const mirroredBar = (bar: BarText): BarText => [200 - bar[0], 200 - bar[2], 200 - bar[1], 200 - bar[3]]

for (const preset of ALL) {
  test.each(ROWS)(`${preset}: %s`, (_name, order, bar, prices) => {
    const { fills } = playScript({ bars: [QUIET, bar], at: { 0: [order] }, fill: { preset } })
    const price = prices[preset]
    expect(fills).toEqual(price === null ? [] : [{ bar: 1, side: 'buy', qty: '1', price, fee: '0' }])
  })

  test.each(ROWS)(`${preset}, sold short in a mirror: %s`, (_name, order, bar, prices) => {
    const { fills } = playScript({
      bars: [QUIET, mirroredBar(bar)],
      at: { 0: [mirrored(order)] },
      fill: { preset, allow_short: true },
    })
    const price = prices[preset]
    const mirror = price === null ? null : String(200 - Number(price))
    expect(fills).toEqual(mirror === null ? [] : [{ bar: 1, side: 'sell', qty: '1', price: mirror, fee: '0' }])
  })

  test(`${preset}: a stop-limit is a limit order from the bar after its trigger`, () => {
    const order: ScriptedOrder = { side: 'buy', type: 'stop_limit', stop_price: 102, limit_price: 101 }
    const bars: BarText[] = [QUIET, [100, 104, 99, 103], [103, 103.5, 100.9, 101.5]]
    const { fills } = playScript({ bars, at: { 0: [order] }, fill: { preset } })
    expect(fills).toEqual([{ bar: 2, side: 'buy', qty: '1', price: '101', fee: '0' }])
  })

  test(`${preset}: of a stop loss and a take profit in one bar the stop loss is taken, and counted as ambiguous`, () => {
    const bars: BarText[] = [QUIET, [100, 101, 99, 100], [100, 111, 94, 100], QUIET]
    const { fills, ambiguous, orders } = playScript({
      bars,
      at: { 0: [{ side: 'buy', stop_loss: 95, take_profit: 110 }] },
      fill: { preset },
    })
    expect(fills.map(({ bar, side, price }) => [bar, side, price])).toEqual([
      [1, 'buy', '100'],
      [2, 'sell', '95'],
    ])
    expect(ambiguous).toBe(1)
    expect(orders.map((order) => order.status)).toEqual(['filled', 'filled', 'cancelled'])
  })
}

test.each<[FillPreset, number]>([
  ['weaver', 1],
  ['backtesting_py', 1],
  ['backtrader', 2],
])('%s: exits attached to a market entry are first tested on bar %i', (preset, bar) => {
  const bars: BarText[] = [QUIET, [100, 101, 94, 100], [100, 101, 94.5, 100]]
  const { fills } = playScript({ bars, at: { 0: [{ side: 'buy', stop_loss: 95 }] }, fill: { preset } })
  expect(fills[1]).toEqual({ bar, side: 'sell', qty: '1', price: '95', fee: '0' })
})

test.each<[FillPreset, number]>([
  ['weaver', 1],
  ['backtesting_py', 2],
  ['backtrader', 2],
])('%s: exits attached to a limit entry that fills at the open are first tested on bar %i', (preset, bar) => {
  const bars: BarText[] = [QUIET, [98, 101, 94, 100], [100, 101, 94.5, 100]]
  const entry: ScriptedOrder = { side: 'buy', type: 'limit', limit_price: 99, stop_loss: 95 }
  const { fills } = playScript({ bars, at: { 0: [entry] }, fill: { preset } })
  expect(fills[1]).toEqual({ bar, side: 'sell', qty: '1', price: '95', fee: '0' })
})

test.each(ALL)('%s: exits attached to an entry inside the bar are first tested on the next bar', (preset) => {
  const bars: BarText[] = [QUIET, [100, 101, 94, 100], [100, 101, 94.5, 100]]
  const entry: ScriptedOrder = { side: 'buy', type: 'limit', limit_price: 99, stop_loss: 95 }
  const { fills } = playScript({ bars, at: { 0: [entry] }, fill: { preset } })
  expect(fills[1]).toEqual({ bar: 2, side: 'sell', qty: '1', price: '95', fee: '0' })
})

const scripts: [
  name: string,
  script: Script,
  fills: [bar: number, side: string, qty: string, price: string, fee: string][],
][] = [
  [
    'slippage is against the order, on market and stop orders, never on limits',
    {
      bars: [QUIET, [100, 103, 97, 100], QUIET],
      at: {
        0: [
          { side: 'buy' },
          { side: 'buy', type: 'stop', stop_price: 102 },
          { side: 'buy', type: 'limit', limit_price: 98 },
        ],
      },
      fill: { slippage_bps: 10 },
    },
    [
      [1, 'buy', '1', '100.1', '0'],
      [1, 'buy', '1', '102.102', '0'],
      [1, 'buy', '1', '98', '0'],
    ],
  ],
  [
    'commission in basis points of the notional',
    { bars: [QUIET, QUIET], at: { 0: [{ side: 'buy', qty: 3 }] }, fill: { commission_bps: 10 } },
    [[1, 'buy', '3', '100', '0.3']],
  ],
  [
    'commission per share with a minimum',
    {
      bars: [QUIET, QUIET],
      at: {
        0: [
          { side: 'buy', qty: 3 },
          { side: 'buy', qty: 400 },
        ],
      },
      fill: { commission_per_share: '0.005', commission_min: 1 },
    },
    [
      [1, 'buy', '3', '100', '1'],
      [1, 'buy', '400', '100', '2'],
    ],
  ],
  [
    'a volume cap leaves the rest open for the next bars',
    {
      bars: [QUIET, [100, 101, 99, 100, 10], [102, 103, 101, 102, 30]],
      at: { 0: [{ side: 'buy', qty: 5 }] },
      fill: { max_volume_share: 0.2 },
    },
    [
      [1, 'buy', '2', '100', '0'],
      [2, 'buy', '3', '102', '0'],
    ],
  ],
  [
    'with ioc the rest is cancelled',
    {
      bars: [QUIET, [100, 101, 99, 100, 10], QUIET],
      at: { 0: [{ side: 'buy', qty: 5, time_in_force: 'ioc' }] },
      fill: { max_volume_share: 0.2 },
    },
    [[1, 'buy', '2', '100', '0']],
  ],
  [
    'with fok it is all or nothing',
    {
      bars: [QUIET, [100, 101, 99, 100, 10], QUIET],
      at: { 0: [{ side: 'buy', qty: 5, time_in_force: 'fok' }] },
      fill: { max_volume_share: 0.2 },
    },
    [],
  ],
  [
    'latency waits the given number of bars',
    {
      bars: [QUIET, [101, 102, 100, 101], [103, 104, 102, 103]],
      at: { 0: [{ side: 'buy' }] },
      fill: { latency_bars: 1 },
    },
    [[2, 'buy', '1', '103', '0']],
  ],
  [
    'a trailing stop starts at the last close and follows closes only',
    {
      bars: [QUIET, [100, 101, 99, 100], [104, 120, 103, 110], [110, 111, 105, 106]],
      at: { 0: [{ side: 'buy' }], 1: [{ side: 'sell', type: 'trailing_stop', trail_price: 4 }] },
    },
    [
      [1, 'buy', '1', '100', '0'],
      [3, 'sell', '1', '106', '0'],
    ],
  ],
  [
    'a trailing stop in percent',
    {
      bars: [QUIET, [100, 101, 99, 100], [99, 100, 94, 95]],
      at: { 0: [{ side: 'buy' }], 1: [{ side: 'sell', type: 'trailing_stop', trail_percent: '2.5' }] },
    },
    [
      [1, 'buy', '1', '100', '0'],
      [2, 'sell', '1', '97.5', '0'],
    ],
  ],
  [
    'positions stay open at the end, or are closed at the last close',
    {
      bars: [QUIET, [100, 101, 99, 100.5]],
      at: { 0: [{ side: 'buy' }] },
      fill: { close_at_end: true, slippage_bps: 10 },
    },
    [
      [1, 'buy', '1', '100.1', '0'],
      [1, 'sell', '1', '100.3995', '0'],
    ],
  ],
]

test.each(scripts)('%s', (_name, script, expected) => {
  const { fills } = playScript(script)
  expect(fills.map(({ bar, side, qty, price, fee }) => [bar, side, qty, price, fee])).toEqual(expected)
})

test('a market order after a hole in the data fills at the first bar that opens after the decision', () => {
  const { fills } = playScript({
    bars: [QUIET, [107, 108, 106, 107]],
    times: ['2024-01-01T00:00:00Z', '2024-01-03T05:00:00Z'],
    at: { 0: [{ side: 'buy' }] },
  })
  expect(fills).toEqual([{ bar: 1, side: 'buy', qty: '1', price: '107', fee: '0' }])
})

test('what fills at the open goes first, then stop losses, then the rest, each by age', () => {
  const { fills } = playScript({
    bars: [QUIET, QUIET, [100, 104, 94, 100]],
    at: {
      0: [{ side: 'buy', qty: 2, stop_loss: 95 }],
      1: [
        { side: 'buy', qty: 3, type: 'limit', limit_price: 98 },
        { side: 'buy', qty: 4 },
      ],
    },
  })
  expect(fills.map(({ bar, side, qty, price }) => [bar, side, qty, price])).toEqual([
    [1, 'buy', '2', '100'],
    [2, 'buy', '4', '100'],
    [2, 'sell', '2', '95'],
    [2, 'buy', '3', '98'],
  ])
})

test('a day order of a 24/7 symbol is tested to the next 00:00 UTC and then expires', () => {
  const { orders, fills } = playScript({
    start: '2024-01-01T21:00:00Z',
    bars: [QUIET, QUIET, QUIET, [100, 101, 90, 95]],
    at: { 0: [{ side: 'buy', type: 'limit', limit_price: 95, time_in_force: 'day' }] },
  })
  expect(fills).toEqual([])
  expect(orders).toEqual([{ status: 'expired', filled_qty: '0', reason: null }])
})

test('a day order whose day ends in a hole of the data expires before the bar after the hole', () => {
  const { orders, fills } = playScript({
    bars: [QUIET, QUIET, [90, 91, 89, 90]],
    times: ['2024-01-01T20:00:00Z', '2024-01-01T21:00:00Z', '2024-01-02T03:00:00Z'],
    at: { 0: [{ side: 'buy', type: 'limit', limit_price: 95, time_in_force: 'day' }] },
  })
  expect(fills).toEqual([])
  expect(orders).toEqual([{ status: 'expired', filled_qty: '0', reason: null }])
})

test('a day order of an equity decided on a daily bar lives for the next session', () => {
  const script: Script = {
    symbol: 'GOOG',
    timeframe: '1d',
    times: ['2024-01-05T00:00:00Z', '2024-01-08T00:00:00Z', '2024-01-09T00:00:00Z'],
    bars: [QUIET, QUIET, [100, 101, 90, 95]],
    at: { 0: [{ side: 'buy', type: 'limit', limit_price: 95, time_in_force: 'day' }] },
  }
  expect(playScript(script).orders).toEqual([{ status: 'expired', filled_qty: '0', reason: null }])
})

test('an order of the last tick stays open', () => {
  const { orders, fills } = playScript({ bars: [QUIET, QUIET], at: { 1: [{ side: 'buy' }] } })
  expect(fills).toEqual([])
  expect(orders).toEqual([{ status: 'accepted', filled_qty: '0', reason: null }])
})

test('buying more than the cash allows is rejected and says how much was needed', () => {
  const { orders, cash } = playScript({ bars: [QUIET, QUIET], at: { 0: [{ side: 'buy', qty: 11 }] }, cash: '1000' })
  expect(orders).toEqual([
    {
      status: 'rejected',
      filled_qty: '0',
      reason: 'insufficient_buying_power: 1100 needed with 1000 in cash and leverage 1',
    },
  ])
  expect(cash).toBe('1000')
})

test('leverage widens buying power', () => {
  const script: Script = {
    bars: [QUIET, QUIET],
    at: { 0: [{ side: 'buy', qty: 11 }] },
    cash: '1000',
    fill: { leverage: 2 },
  }
  expect(playScript(script)).toMatchObject({ cash: '-100', equity: '1000' })
})

test('selling short is rejected unless it is allowed', () => {
  const script: Script = { bars: [QUIET, QUIET], at: { 0: [{ side: 'sell' }] } }
  expect(playScript(script).orders[0]).toMatchObject({
    status: 'rejected',
    reason: expect.stringContaining('short_not_allowed'),
  })
  expect(playScript({ ...script, fill: { allow_short: true } }).orders[0]).toMatchObject({ status: 'filled' })
})

test('a price off the grid is refused where price_increment is set, and nowhere else', () => {
  const script: Script = {
    bars: [QUIET, [100, 101, 90, 95]],
    at: { 0: [{ side: 'buy', type: 'limit', limit_price: '99.005' }] },
  }
  expect(playScript(script).fills[0]?.price).toBe('99.005')
  expect(playScript({ ...script, fill: { price_increment: '0.01' } }).orders[0]).toMatchObject({
    status: 'rejected',
    reason: 'invalid_order: the price 99.005 is not a multiple of 0.01',
  })
})

test('an exit never turns the position around, and ends when the position is closed otherwise', () => {
  const { orders } = playScript({
    bars: [QUIET, QUIET, QUIET, [100, 101, 90, 95]],
    at: { 0: [{ side: 'buy', stop_loss: 95 }], 1: [{ side: 'sell' }] },
  })
  expect(orders.map((order) => order.status)).toEqual(['filled', 'cancelled', 'filled'])
})

test('a cancelled order does not fill, and the strategy hears of each change at the next tick', () => {
  const { orders, fills, heard } = playScript({
    bars: [QUIET, QUIET, [100, 101, 90, 95], QUIET],
    at: { 0: [{ side: 'buy', type: 'limit', limit_price: 95 }], 1: [{ cancel: 0 }] },
  })
  expect(fills).toEqual([])
  expect(orders.map((order) => order.status)).toEqual(['cancelled'])
  expect(heard.map((views) => views.map((view) => view.status))).toEqual([[], ['accepted'], ['cancelled'], []])
})
