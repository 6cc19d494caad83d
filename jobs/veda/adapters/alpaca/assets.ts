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
  const shelf = createShelf(world)
  const coins = createCoins(rest, world, shelf)
  const askShare = createShares(rest, shelf)
  const wanted = new Map<string, Promise<VenueAsset | null>>()

  async function ask(symbol: string): Promise<VenueAsset | null> {
    try {
      return await (tradesAroundTheClock(symbol) ? coins.find(symbol) : askShare(symbol))
    } catch (error) {
      const before = shelf.get(symbol)
      if (before === null) throw error
      return before
    }
  }

  return {
    async find(symbol) {
      const known = shelf.fresh(symbol)
      if (known !== null) return known
      const asking = wanted.get(symbol) ?? ask(symbol).finally(() => wanted.delete(symbol))
      wanted.set(symbol, asking)
      return asking
    },
    pairs: coins.pairs,
    pairsNow: coins.pairsNow,
  }
}

interface Shelf {
  keep(asset: VenueAsset): void
  get(symbol: string): VenueAsset | null
  /** Null too where it is to be asked for again. */
  fresh(symbol: string): VenueAsset | null
  isFresh(at: number): boolean
}

function createShelf(world: VenueWorld): Shelf {
  const known = new Map<string, { asset: VenueAsset; at: number }>()
  const isFresh = (at: number) => world.now() - at < GOOD_FOR_MS
  return {
    isFresh,
    keep(asset) {
      known.delete(asset.symbol)
      known.set(asset.symbol, { asset, at: world.now() })
      for (const oldest of known.keys()) {
        if (known.size <= MOST_KEPT) break
        known.delete(oldest)
      }
    },
    get: (symbol) => known.get(symbol)?.asset ?? null,
    fresh(symbol) {
      const one = known.get(symbol)
      return one !== undefined && isFresh(one.at) ? one.asset : null
    },
  }
}

async function list(rest: Rest, asked: { assetClass: string; status?: string }): Promise<VenueAsset[]> {
  const send = () => rest.assets.getV2AssetsRaw(asked)
  const rows = await rest.ask({ what: `${asked.assetClass} assets`, urgent: true, send, shape: wireAssets })
  return rows.flatMap((row) => ('value' in row ? [assetOf(row.value)] : []))
}

function createCoins(rest: Rest, world: VenueWorld, shelf: Shelf): Assets {
  let pairs: readonly string[] = []
  let listedAt = Number.NEGATIVE_INFINITY
  let listing: Promise<void> | null = null

  async function ask(): Promise<void> {
    const assets = await list(rest, { assetClass: 'crypto' })
    listedAt = world.now()
    for (const asset of assets) shelf.keep(asset)
    pairs = assets.map(({ symbol }) => symbol)
  }

  function listed(): Promise<void> {
    listing ??= ask().finally(() => {
      listing = null
    })
    return listing
  }

  return {
    async find(symbol) {
      if (!shelf.isFresh(listedAt)) await listed()
      return pairs.includes(symbol) ? shelf.get(symbol) : null
    },
    async pairs() {
      if (pairs.length === 0) await listed()
      return pairs
    },
    pairsNow: () => pairs,
  }
}

function createShares(rest: Rest, shelf: Shelf): Assets['find'] {
  let round: { symbols: string[]; asked: Promise<void> } | null = null

  /** All that is asked for in one breath. */
  async function askRound(symbols: readonly string[]): Promise<void> {
    await Promise.resolve()
    round = null
    if (symbols.length < MANY) return
    const asked = new Set(symbols)
    const assets = await list(rest, { assetClass: 'us_equity', status: 'active' })
    for (const asset of assets) if (asked.has(asset.symbol)) shelf.keep(asset)
  }

  return async (symbol) => {
    round ??= ((symbols: string[]) => ({ symbols, asked: askRound(symbols) }))([])
    round.symbols.push(symbol)
    await round.asked
    const known = shelf.fresh(symbol)
    if (known !== null) return known
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
    shelf.keep(asset)
    return asset
  }
}
