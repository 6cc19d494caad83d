/**
 * What can be traded at Alpaca, remembered for a while: every order asks for its symbol before it leaves, and a run for
 * all of its symbols at once. Coins are listed, they are few; shares are listed where many are wanted at a time.
 */
import { tradesAroundTheClock } from '../../../../db/walle/calendar/calendar.ts'
import type { VenueAsset, VenueWorld } from '../../venue.ts'
import { venueError } from './errors.ts'
import { assetOf } from './mapping.ts'
import type { Rest } from './rest.ts'
import { wireAsset, wireAssets } from './wire.ts'

export interface Assets {
  /** Null: there is none of that name. */
  find(symbol: string): Promise<VenueAsset | null>
  /** Names of the coins. Asked for once. */
  pairs(): Promise<readonly string[]>
  /** Without asking: what is not known is told by its ending. */
  pairsNow(): readonly string[]
}

/** Then it is asked for again; until that is answered, what was known counts. */
const GOOD_FOR_MS = 300_000
const MOST_KEPT = 2_000
/** So many shares at a time are worth the long list of all. */
const MANY = 5

export function createAssets(rest: Rest, world: VenueWorld): Assets {
  const known = new Map<string, { asset: VenueAsset; at: number }>()
  const wanted = new Map<string, Promise<VenueAsset | null>>()
  let pairs: readonly string[] = []
  let pairsAt = Number.NEGATIVE_INFINITY
  let listing: Promise<void> | null = null
  let round: { symbols: string[]; asked: Promise<void> } | null = null

  const isFresh = (at: number) => world.now() - at < GOOD_FOR_MS

  function keep(asset: VenueAsset, at: number): void {
    known.delete(asset.symbol)
    known.set(asset.symbol, { asset, at })
    for (const oldest of known.keys()) {
      if (known.size <= MOST_KEPT) break
      known.delete(oldest)
    }
  }

  async function list(asked: { assetClass: string; status?: string }): Promise<VenueAsset[]> {
    const send = () => rest.assets.getV2AssetsRaw(asked)
    const rows = await rest.ask({ what: `${asked.assetClass} assets`, urgent: true, send, shape: wireAssets })
    return rows.flatMap((row) => ('value' in row ? [assetOf(row.value)] : []))
  }

  async function listPairs(): Promise<void> {
    const assets = await list({ assetClass: 'crypto' })
    pairsAt = world.now()
    for (const asset of assets) keep(asset, pairsAt)
    pairs = assets.map(({ symbol }) => symbol)
  }

  function pairsListed(): Promise<void> {
    listing ??= listPairs().finally(() => {
      listing = null
    })
    return listing
  }

  /** All that is asked for in one breath. */
  async function askRound(symbols: readonly string[]): Promise<void> {
    await Promise.resolve()
    round = null
    if (symbols.length < MANY) return
    const asked = new Set(symbols)
    const assets = await list({ assetClass: 'us_equity', status: 'active' })
    for (const asset of assets) if (asked.has(asset.symbol)) keep(asset, world.now())
  }

  async function askShare(symbol: string): Promise<VenueAsset | null> {
    round ??= ((symbols: string[]) => ({ symbols, asked: askRound(symbols) }))([])
    round.symbols.push(symbol)
    await round.asked
    const listed = known.get(symbol)
    if (listed !== undefined && isFresh(listed.at)) return listed.asset
    const what = `asset ${symbol}`
    const send = () => rest.assets.getV2AssetsSymbolOrAssetIdRaw({ symbolOrAssetId: symbol })
    const answer = await rest.attempt({ what, urgent: true, send, shape: wireAsset })
    if ('failure' in answer) {
      if (answer.failure.kind === 'not_found') return null
      throw venueError(answer.failure, what)
    }
    const asset = assetOf(answer.value)
    // `BTCUSD` finds an asset too; Weaver knows it by one name only.
    if (asset.symbol !== symbol) return null
    keep(asset, world.now())
    return asset
  }

  async function askCoin(symbol: string): Promise<VenueAsset | null> {
    if (!isFresh(pairsAt)) await pairsListed()
    const listed = known.get(symbol)
    return listed !== undefined && listed.at >= pairsAt ? listed.asset : null
  }

  async function ask(symbol: string): Promise<VenueAsset | null> {
    try {
      return await (tradesAroundTheClock(symbol) ? askCoin(symbol) : askShare(symbol))
    } catch (error) {
      const before = known.get(symbol)
      if (before === undefined) throw error
      return before.asset
    }
  }

  return {
    async find(symbol) {
      const before = known.get(symbol)
      if (before !== undefined && isFresh(before.at)) return before.asset
      const asking = wanted.get(symbol) ?? ask(symbol).finally(() => wanted.delete(symbol))
      wanted.set(symbol, asking)
      return asking
    },
    async pairs() {
      if (pairs.length === 0) await pairsListed()
      return pairs
    },
    pairsNow: () => pairs,
  }
}
