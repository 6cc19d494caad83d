/** Any symbol of a likely form exists: a pair with USD trades around the clock, the rest are US equities. */
import type { VenueAsset, VenueFeatures } from '../../venue.ts'
import type { SimSettings } from './settings.ts'

const SYMBOL = /^[A-Z][A-Z0-9.]{0,11}(\/USD)?$/

export function assetOf(symbol: string, { allow_short }: SimSettings): VenueAsset | null {
  if (!SYMBOL.test(symbol)) return null
  const crypto = symbol.includes('/')
  return {
    symbol,
    asset_class: crypto ? 'crypto' : 'equity',
    tradable: true,
    fractionable: true,
    shortable: allow_short && !crypto,
    qty_increment: '0.000000001',
    min_qty: '0.000000001',
    price_increments: [{ below: null, increment: '0.01' }],
    min_notional: '1',
    min_purchase: null,
  }
}

const ORDER_TYPES = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop'] as const
const EQUITY_TIMES = ['day', 'gtc', 'ioc', 'fok', 'opg', 'cls'] as const
const CRYPTO_TIMES = ['day', 'gtc', 'ioc', 'fok'] as const

export function featuresOf({ allow_short }: SimSettings): VenueFeatures {
  return {
    orderTypes: { equity: ORDER_TYPES, crypto: ORDER_TYPES },
    timeInForce: { equity: EQUITY_TIMES, crypto: CRYPTO_TIMES },
    timesByType: { equity: {}, crypto: {} },
    fractional: { equity: EQUITY_TIMES, crypto: CRYPTO_TIMES },
    wholeOnly: { equity: [], crypto: [] },
    extendedHours: false,
    shorting: { equity: allow_short, crypto: false },
    orderStream: true,
    barStream: true,
    barsSettleMs: 0,
    unsureFeeInKind: { equity: null, crypto: null },
  }
}
