/**
 * One name for a pair: Alpaca writes `BTC/USD` in orders, assets and data, and `BTCUSD` in positions and in older orders.
 */
/** What pairs are quoted in, longest first: USDT is no USD. */
const QUOTES = ['USDT', 'USDC', 'USD', 'BTC', 'ETH', 'EUR']

/** `pairs`: the names of the venue's crypto assets. */
export function weaverSymbol(symbol: string, assetClass: string | null, pairs: readonly string[]): string {
  if (assetClass !== 'crypto' || symbol.includes('/')) return symbol
  const known = pairs.find((pair) => pair.replace('/', '') === symbol)
  if (known !== undefined) return known
  const quote = QUOTES.find((each) => symbol.endsWith(each) && symbol.length > each.length)
  return quote === undefined ? symbol : `${symbol.slice(0, -quote.length)}/${quote}`
}
