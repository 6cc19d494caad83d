/** What can be traded, as the venue lists it. */
export interface EmulatedAsset {
  id: string
  class: 'us_equity' | 'crypto'
  exchange: string
  symbol: string
  name: string
  status: 'active' | 'inactive'
  tradable: boolean
  marginable: boolean
  shortable: boolean
  easy_to_borrow: boolean
  fractionable: boolean
  min_order_size?: string
  min_trade_increment?: string
  price_increment?: string
}

const numbered = (number: number) => `b0b6dd9d-8b9b-48a9-ba46-${String(number).padStart(12, '0')}`

function equity(number: number, symbol: string, changes: Partial<EmulatedAsset> = {}): EmulatedAsset {
  return {
    id: numbered(number),
    class: 'us_equity',
    exchange: 'NASDAQ',
    symbol,
    name: `${symbol} Common Stock`,
    status: 'active',
    tradable: true,
    marginable: true,
    shortable: true,
    easy_to_borrow: true,
    fractionable: true,
    ...changes,
  }
}

function crypto(number: number, symbol: string, sizes: Partial<EmulatedAsset>): EmulatedAsset {
  return {
    ...equity(number, symbol, { marginable: false, shortable: false, easy_to_borrow: false }),
    class: 'crypto',
    exchange: 'CRYPTO',
    name: symbol.replace('/', ' / '),
    ...sizes,
  }
}

export const ASSETS: readonly EmulatedAsset[] = [
  equity(1, 'AAPL'),
  equity(2, 'SPY', { exchange: 'ARCA' }),
  equity(3, 'BRK.A', { exchange: 'NYSE', fractionable: false, shortable: false }),
  equity(4, 'GONE', { status: 'inactive', tradable: false }),
  crypto(11, 'BTC/USD', { min_order_size: '0.0001', min_trade_increment: '0.0001', price_increment: '1' }),
  crypto(12, 'ETH/USD', { min_order_size: '0.001', min_trade_increment: '0.000000001', price_increment: '0.1' }),
  crypto(13, 'BTC/USDT', { min_order_size: '0.0001', min_trade_increment: '0.000000001', price_increment: '0.01' }),
  crypto(14, 'SHIB/USDT', {
    min_order_size: '45871',
    min_trade_increment: '1',
    price_increment: '0.00000001',
    fractionable: false,
  }),
]

/** `BTCUSD` and `BTC/USD` are the same to orders and assets. */
export function assetNamed(assets: readonly EmulatedAsset[], name: string): EmulatedAsset | undefined {
  return assets.find(({ id, symbol }) => id === name || symbol === name || symbol.replace('/', '') === name)
}
