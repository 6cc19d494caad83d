/** The risk gate: each limit at, below and above its number, and what a loss still lets through. */
import { expect, test } from 'vitest'
import type { PlaceIntent } from '../../strategies/api.ts'
import { changedLimits, checkRisk, type RiskLimits, type RiskPicture, riskSchema, strictest } from './risk.ts'
import type { OpenOrder } from './worst_case.ts'

const ORDER: PlaceIntent = {
  ...{ kind: 'place', client_order_id: 'w-r-0-0', symbol: 'A', side: 'buy', order_type: 'market', qty: '2' },
  ...{ limit_price: null, stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc' },
  ...{ extended_hours: false, take_profit: null, stop_loss: null, reason: null },
}
const PICTURE: RiskPicture = {
  ...{ symbol: 'A', lastClose: 100, held: '0', open: [], dailyLoss: 0, drawdown: 0, ordersLastMinute: 0 },
}
const open = (side: 'buy' | 'sell', qty: string, changes: Partial<OpenOrder> = {}): OpenOrder => ({
  ...{ symbol: 'A', side, qty, filled_qty: '0', parent_order_id: null, ...changes },
})
const EXIT = { parent_order_id: 'an entry' }
const OTHER = open('buy', '1', { symbol: 'B' })

const TRAILING = { order_type: 'trailing_stop' } as const

type Row = [name: string, limits: RiskLimits, picture: Partial<RiskPicture>, order: Partial<PlaceIntent>]

test.each<Row>([
  ['no limit', {}, { dailyLoss: 1e9, drawdown: 1, ordersLastMinute: 1e9 }, {}],
  ['a notional at the limit', { max_order_notional: 200 }, {}, {}],
  ['a limit to buy below the market', { max_order_notional: 180 }, {}, { order_type: 'limit', limit_price: '90' }],
  [
    'a stop to sell below the market',
    { max_order_notional: 180 },
    {},
    { side: 'sell', order_type: 'stop', stop_price: '90' },
  ],
  ['a notional above the limit that closes', { max_order_notional: 199 }, { held: '2' }, { side: 'sell' }],
  ['a notional above the limit that covers', { max_order_notional: 199 }, { held: '-2' }, {}],
  ['a position at the limit', { max_position: 2 }, {}, {}],
  ['a position above the limit that gets smaller', { max_position: 1 }, { held: '5' }, { side: 'sell' }],
  ['open orders below the limit', { max_open_orders: 2 }, { open: [OTHER] }, {}],
  ['orders below the limit', { max_orders_per_minute: 2 }, { ordersLastMinute: 1 }, {}],
  ['a loss below the limit', { max_daily_loss: 100 }, { dailyLoss: 99.99 }, {}],
  ['a drawdown below the limit', { max_drawdown: 0.2 }, { drawdown: 0.19 }, {}],
  ['after a loss: a smaller long', { max_daily_loss: 100 }, { dailyLoss: 100, held: '3' }, { side: 'sell' }],
  ['after a loss: no position', { max_daily_loss: 100 }, { dailyLoss: 100, held: '2' }, { side: 'sell' }],
  ['after a drawdown: a smaller short', { max_drawdown: 0.2 }, { drawdown: 0.2, held: '-3' }, {}],
  [
    'a close among as many orders as there may be',
    { max_open_orders: 1 },
    { held: '2', open: [OTHER] },
    { side: 'sell' },
  ],
  ['a close within a busy minute', { max_orders_per_minute: 2 }, { held: '2', ordersLastMinute: 2 }, { side: 'sell' }],
  ['a close of what is no longer on the list', { symbol_allow_list: ['B'] }, { held: '2' }, { side: 'sell' }],
  [
    'a close at a market that nobody knows',
    { price_collar_bps: 1 },
    { held: '2', lastClose: Number.NaN },
    { side: 'sell' },
  ],
  ['exits, which are no orders of its own', { max_open_orders: 1 }, { open: [open('sell', '2', EXIT)] }, {}],
  [
    'a position with the rest of an open order',
    { max_position: 3 },
    { open: [open('buy', '2', { filled_qty: '1' })] },
    {},
  ],
  ['what is open on the other side', { max_position: 2 }, { open: [open('sell', '2'), OTHER] }, {}],
  [
    'a close with its exits',
    { max_order_notional: 1 },
    { held: '2', open: [open('sell', '2', EXIT)] },
    { side: 'sell' },
  ],
  [
    'closes of tenths, the last one too',
    { max_order_notional: 1 },
    { held: '0.3', open: [open('sell', '0.1'), open('sell', '0.1')] },
    { side: 'sell', qty: '0.1' },
  ],
  ['a trailing stop at its notional', { max_order_notional: 220 }, {}, { ...TRAILING, trail_price: '10' }],
  ['a price within the collar', { price_collar_bps: 100 }, {}, { limit_price: '101' }],
  ['a symbol on the list', { symbol_allow_list: ['A'] }, {}, {}],
])('%s passes', (_, limits, picture, order) => {
  expect(checkRisk({ ...ORDER, ...order }, limits, { ...PICTURE, ...picture })).toBeNull()
})

test.each<[...Row, rule: string, detail: string]>([
  ['a notional', { max_order_notional: 199 }, {}, {}, 'max_order_notional', '200 is above 199'],
  [
    'a notional of no known price',
    { max_order_notional: 199 },
    { lastClose: Number.NaN },
    {},
    'max_order_notional',
    'no price of A is known yet',
  ],
  [
    'a notional of a sale that says it would take less',
    { max_order_notional: 199 },
    {},
    { side: 'sell', order_type: 'limit', limit_price: '1' },
    'max_order_notional',
    '200 is above 199',
  ],
  [
    'a notional of a stop to buy that the market has passed',
    { max_order_notional: 199 },
    {},
    { order_type: 'stop', stop_price: '1' },
    'max_order_notional',
    '200 is above 199',
  ],
  [
    'a notional of a stop-limit sale',
    { max_order_notional: 199 },
    {},
    { side: 'sell', order_type: 'stop_limit', stop_price: '100', limit_price: '1' },
    'max_order_notional',
    '200 is above 199',
  ],
  [
    'a notional of a sale whose market is not known',
    { max_order_notional: 199 },
    { lastClose: Number.NaN },
    { side: 'sell', order_type: 'limit', limit_price: '1' },
    'max_order_notional',
    'no price of A is known yet',
  ],
  [
    'a notional that turns a position around',
    { max_order_notional: 199 },
    { held: '1' },
    { side: 'sell' },
    'max_order_notional',
    '200 is above 199',
  ],
  [
    'a collar around no known price',
    { price_collar_bps: 100 },
    { lastClose: Number.NaN },
    {},
    'price_collar_bps',
    'no price of A is known yet',
  ],
  [
    'a position with what is open',
    { max_position: 3 },
    { open: [open('buy', '1'), open('buy', '1')] },
    {},
    'max_position',
    '4 would be above 3, with what is open on its side',
  ],
  [
    'a position that is turned around to more than it may be',
    { max_position: 1 },
    { held: '4' },
    { side: 'sell', qty: '6' },
    'max_position',
    '2 would be above 1',
  ],
  [
    'a close of what another order closes',
    { max_order_notional: 199 },
    { held: '2', open: [open('sell', '2')] },
    { side: 'sell' },
    'max_order_notional',
    '200 is above 199',
  ],
  [
    'a cover of what another order covers',
    { max_daily_loss: 100 },
    { held: '-2', open: [open('buy', '1')], dailyLoss: 100 },
    {},
    'max_daily_loss',
    '100 was lost today, the limit is 100',
  ],
  [
    'a trailing stop to buy a price above the market',
    { max_order_notional: 219 },
    {},
    { ...TRAILING, trail_price: '10' },
    'max_order_notional',
    '220 is above 219',
  ],
  [
    'a trailing stop to buy a part above the market',
    { max_order_notional: 219 },
    {},
    { ...TRAILING, trail_percent: '10' },
    'max_order_notional',
    '220 is above 219',
  ],
  [
    'the price of a close',
    { price_collar_bps: 100 },
    { held: '2' },
    { side: 'sell', limit_price: '1' },
    'price_collar_bps',
    '1 is 9900.0 bps from the last close 100',
  ],
  ['a position', { max_position: 1 }, {}, {}, 'max_position', '2 would be above 1'],
  [
    'open orders',
    { max_open_orders: 2 },
    { open: [OTHER, OTHER] },
    {},
    'max_open_orders',
    '2 are open, the limit is 2',
  ],
  [
    'orders within a minute',
    { max_orders_per_minute: 2 },
    { ordersLastMinute: 2 },
    {},
    'max_orders_per_minute',
    '2 within a minute, the limit is 2',
  ],
  [
    "a day's loss",
    { max_daily_loss: 100 },
    { dailyLoss: 100 },
    {},
    'max_daily_loss',
    '100 was lost today, the limit is 100',
  ],
  [
    'a drawdown',
    { max_drawdown: 0.2 },
    { drawdown: 0.25 },
    {},
    'max_drawdown',
    'equity fell 0.250000 of its highest, the limit is 0.2',
  ],
  [
    'a position turned around after a loss',
    { max_daily_loss: 100 },
    { dailyLoss: 120, held: '1' },
    { side: 'sell' },
    'max_daily_loss',
    '120 was lost today, the limit is 100',
  ],
  [
    'a price beyond the collar',
    { price_collar_bps: 100 },
    {},
    { limit_price: '101.1' },
    'price_collar_bps',
    '101.1 is 110.0 bps from the last close 100',
  ],
  [
    'a symbol that is not on the list',
    { symbol_allow_list: ['B'] },
    {},
    {},
    'symbol_allow_list',
    'A is not on the list',
  ],
])('%s is refused', (_, limits, picture, order, rule, detail) => {
  expect(checkRisk({ ...ORDER, ...order }, limits, { ...PICTURE, ...picture })).toEqual({ rule, detail })
})

test('of a run’s own limits and those of the installation the stricter holds', () => {
  const everywhere = { max_position: 5, max_daily_loss: 100, symbol_allow_list: ['A', 'B'] }
  const own = { max_position: 7, max_drawdown: 0.1, max_daily_loss: null, symbol_allow_list: ['B', 'C'] }
  expect(strictest(own, everywhere)).toEqual({
    ...{ max_position: 5, max_drawdown: 0.1, max_daily_loss: 100, symbol_allow_list: ['B'] },
  })
  expect(strictest({ max_position: 3 }, everywhere).max_position).toBe(3)
})

test('a run that goes on has the limits of today, and with real money never without those that it needs', () => {
  const run = {
    mode: 'live',
    own_risk: { max_position: 3 },
    risk: { max_position: 3, max_daily_loss: 100, max_drawdown: 0.1 },
  }
  expect(changedLimits(run, { max_drawdown: 0.1, max_daily_loss: 100 })).toBeNull()
  expect(changedLimits(run, { max_daily_loss: 50, max_position: 9 })).toEqual({ max_position: 3, max_daily_loss: 50 })
  expect(changedLimits(run, {})).toEqual({ max_position: 3, max_daily_loss: 100 })
  expect(changedLimits({ ...run, mode: 'paper' }, {})).toEqual({ max_position: 3 })
})

test.each([
  [{ max_drawdown: 20 }, 'max_drawdown'],
  [{ max_daily_loss: 0 }, 'max_daily_loss'],
  [{ max_orders_per_minute: 1.5 }, 'max_orders_per_minute'],
  [{ max_loss: 1 }, undefined],
])('%j is refused', (limits, field) => {
  expect(riskSchema.safeParse(limits).error?.issues[0]?.path[0]).toBe(field)
})
