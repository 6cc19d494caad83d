import { describe, expect, test } from 'vitest'
import type { PlaceIntent } from '../../strategies/api.ts'
import { ALL_FEATURES, plainAsset } from '../../tests/support/scripted_venue.ts'
import { checkVenue, type Holding } from './checks.ts'
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
    ['what is not traded', { asset: { tradable: false } }, 'tradable'],
    ['a quantity off the grid', { asset: { qty_increment: '0.5' }, intent: { qty: '10.3' } }, 'qty_increment'],
    ['too small a quantity', { asset: { min_qty: '11' } }, 'min_qty'],
    ['too small a value', { asset: { min_notional: '1000.01' } }, 'min_notional'],
    ['a price off the grid', { asset: pennies, intent: { limit_price: '100.005' } }, 'price_increment'],
    ['a small price off its grid', { asset: pennies, intent: { limit_price: '0.12345' } }, 'price_increment'],
    ['an exit off the grid', { asset: pennies, intent: { stop_loss: '90.001' } }, 'price_increment'],
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
