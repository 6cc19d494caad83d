import { describe, expect, test } from 'vitest'
import type { OrderRow } from '../../db/walle/rows.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import { ALL_FEATURES, plainAsset } from '../../tests/support/scripted_venue.ts'
import { checkVenue, type Holding, orderToSend } from './checks.ts'
import type { VenueAsset, VenueFeatures } from './venue.ts'

const FLAT: Holding = { qty: '0', closing: '0', allowShort: false }

interface Case {
  intent?: Partial<PlaceIntent>
  features?: Partial<VenueFeatures>
  asset?: Partial<VenueAsset> | null
  holding?: Partial<Holding>
}

function check({ intent = {}, features = {}, asset = {}, holding = {} }: Case) {
  const wanted: PlaceIntent = {
    ...{ kind: 'place', client_order_id: 'o1', symbol: 'AAPL', side: 'buy', order_type: 'limit', qty: '10' },
    ...{ limit_price: '100', stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'day' },
    ...{ extended_hours: false, take_profit: null, stop_loss: null, reason: null, ...intent },
  }
  const known = asset === null ? null : plainAsset(wanted.symbol, asset)
  return checkVenue(wanted, { ...ALL_FEATURES, ...features }, known, { ...FLAT, ...holding })
}

const pennies = {
  price_increments: [
    { below: '1', increment: '0.0001' },
    { below: null, increment: '0.01' },
  ],
}
const onlyDay = { fractional: { equity: ['day'], crypto: [] } } as const
const wholeTrails = { wholeOnly: { equity: ['trailing_stop'], crypto: [] } } as const
const slowStops = { timesByType: { equity: { stop: ['day', 'gtc'] }, crypto: {} } } as const
const trailing = { order_type: 'trailing_stop', limit_price: null, trail_percent: '5' } as const
const noStops = { orderTypes: { equity: ['market', 'limit'], crypto: [] } } as const

describe('what a venue is known to refuse', () => {
  test.each<[string, Case, string]>([
    ['an order type', { features: noStops, intent: { order_type: 'stop' } }, 'order_type'],
    ['a time in force', { features: { timeInForce: { equity: ['gtc'], crypto: [] } } }, 'time_in_force'],
    [
      'extended hours it has not',
      { features: { extendedHours: false }, intent: { extended_hours: true } },
      'extended_hours',
    ],
    [
      'a market order in extended hours',
      { intent: { extended_hours: true, order_type: 'market', limit_price: null } },
      'extended_hours',
    ],
    ['a part of a unit gtc', { features: onlyDay, intent: { qty: '0.5', time_in_force: 'gtc' } }, 'fractional'],
    ['a part of a unit of what is whole', { asset: { fractionable: false }, intent: { qty: '0.5' } }, 'fractional'],
    ['an exit gtc for a part of a unit', { features: onlyDay, intent: { qty: '0.5', stop_loss: '90' } }, 'fractional'],
    ['the same of a trail', { features: onlyDay, intent: { qty: '0.5', trail_percent: '5' } }, 'fractional'],
    ['the same, unasked', { features: onlyDay, intent: { qty: '0.5', take_profit: '110' }, asset: null }, 'fractional'],
    ['a part of a unit that trails', { features: wholeTrails, intent: { qty: '0.5', ...trailing } }, 'fractional'],
    [
      'an exit of a part of a unit that trails',
      { features: wholeTrails, intent: { qty: '0.5', trail_price: '5' } },
      'fractional',
    ],
    [
      'a stop that is to be there at once or never',
      {
        features: slowStops,
        intent: { order_type: 'stop', limit_price: null, stop_price: '120', time_in_force: 'ioc' },
      },
      'time_in_force',
    ],
    ['a purchase of too small a value', { asset: { min_purchase: '1000.01' } }, 'min_notional'],
    ['an exit of too small a value', { asset: { min_notional: '950' }, intent: { stop_loss: '94' } }, 'min_notional'],
    [
      'an exit that is too small for what its fee takes',
      {
        features: { unsureFeeInKind: { equity: null, crypto: '0.0025' } },
        asset: { min_qty: '10' },
        intent: { symbol: 'BTC/USD', stop_loss: '94' },
      },
      'min_qty',
    ],
    [
      'an exit whose limit is too small a value',
      {
        features: { orderTypes: { equity: ['limit', 'stop_limit'], crypto: [] } },
        asset: { min_notional: '900' },
        intent: { stop_loss: '94' },
      },
      'min_notional',
    ],
    ['what is not traded', { asset: { tradable: false } }, 'tradable'],
    ['a quantity off the grid', { asset: { qty_increment: '0.5' }, intent: { qty: '10.3' } }, 'qty_increment'],
    ['too small a quantity', { asset: { min_qty: '11' } }, 'min_qty'],
    ['too small a value', { asset: { min_notional: '1000.01' } }, 'min_notional'],
    ['a price off the grid', { asset: pennies, intent: { limit_price: '100.005' } }, 'price_increment'],
    ['a small price off its grid', { asset: pennies, intent: { limit_price: '0.12345' } }, 'price_increment'],
    ['an exit of a type it has not', { features: noStops, intent: { stop_loss: '90' } }, 'attached_exit'],
    ['selling what the run does not hold', { intent: { side: 'sell' } }, 'short'],
    ['selling what another order sells', { intent: { side: 'sell' }, holding: { qty: '10', closing: '1' } }, 'short'],
    [
      'a short where nobody lends',
      { intent: { side: 'sell' }, holding: { allowShort: true }, asset: { shortable: false } },
      'short',
    ],
  ])('%s', (_what, given, rule) => {
    expect(check(given)).toMatchObject({ rule })
  })

  test.each<[string, Case]>([
    ['an order on every grid', { asset: { ...pennies, qty_increment: '0.5', min_qty: '1', min_notional: '1000' } }],
    ['a small price on its grid', { asset: pennies, intent: { limit_price: '0.1234' } }],
    ['an asset that nobody could ask for', { asset: null, intent: { limit_price: '100.005' } }],
    ['an exit off the grid, which is rounded', { asset: pennies, intent: { stop_loss: '90.001' } }],
    [
      'a sale of a value that no purchase may have',
      { asset: { min_purchase: '1000.01' }, intent: { side: 'sell' }, holding: { qty: '10' } },
    ],
    [
      'a part of a unit that closes at the market',
      { features: onlyDay, intent: { qty: '0.5', order_type: 'market', limit_price: null, time_in_force: 'gtc' } },
    ],
    [
      'a stop that waits',
      { features: slowStops, intent: { order_type: 'stop', limit_price: null, stop_price: '120' } },
    ],
    ['selling what the run holds', { intent: { side: 'sell' }, holding: { qty: '10' } }],
    ['a short that is permitted', { intent: { side: 'sell' }, holding: { allowShort: true } }],
    [
      'a stop loss where there are stop limits',
      {
        features: { orderTypes: { equity: ['limit', 'stop_limit'], crypto: [] } },
        intent: { stop_loss: '90' },
      },
    ],
  ])('passes: %s', (_what, given) => {
    expect(check(given)).toBeNull()
  })
})

describe('the order as the venue is sent it', () => {
  const sent = (row: Partial<OrderRow>, features: Partial<VenueFeatures> = {}) =>
    orderToSend(
      {
        ...{ symbol: 'AAPL', side: 'sell', order_type: 'market', qty: '1.5', price: null, stop_price: null },
        ...{
          trail_price: null,
          trail_percent: null,
          time_in_force: 'gtc',
          extended_hours: false,
          parent_order_id: null,
        },
        ...row,
      } as OrderRow,
      { ...ALL_FEATURES, ...features },
      plainAsset('AAPL', pennies),
    )

  test('parts of a unit at the market leave for the day where the venue takes them only so', () => {
    expect(sent({}, onlyDay).time_in_force).toBe('day')
    expect(sent({ qty: '2' }, onlyDay).time_in_force).toBe('gtc')
    expect(sent({ order_type: 'limit', price: '100' }, onlyDay).time_in_force).toBe('gtc')
    expect(sent({}).time_in_force).toBe('gtc')
    expect(sent({ symbol: 'BTC/USD' }).time_in_force).toBe('gtc')
  })

  test('the prices of exits are put on the grid, never to close at a worse one; those of other orders are as they are', () => {
    const exit = { parent_order_id: 'entry', qty: '2' }
    expect(sent({ ...exit, order_type: 'stop', stop_price: '90.001' }).stop_price).toBe('90.01')
    expect(sent({ ...exit, order_type: 'limit', price: '110.009' }).limit_price).toBe('110.01')
    expect(sent({ ...exit, order_type: 'limit', price: '110.01' }).limit_price).toBe('110.01')
    expect(sent({ ...exit, side: 'buy', order_type: 'stop', stop_price: '110.009' }).stop_price).toBe('110')
    expect(sent({ ...exit, side: 'buy', order_type: 'limit', price: '0.12349' }).limit_price).toBe('0.1234')
    expect(sent({ order_type: 'limit', price: '110.009' }).limit_price).toBe('110.009')
    const stopLimits = { orderTypes: { equity: ['stop_limit'], crypto: [] } } as const
    expect(sent({ ...exit, order_type: 'stop', stop_price: '90.001' }, stopLimits)).toMatchObject({
      order_type: 'stop_limit',
      stop_price: '90.01',
      limit_price: '85.5',
    })
  })
})
