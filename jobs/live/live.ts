/** What the jobs and services of paper and live runs share. */
import type { Database, WriteTx } from '../../db/database.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { HopAnswer, HopView } from '../hosts/hop_view.ts'
import type { MarketDetail, MarketNews } from '../veda/marks.ts'
import type { TradingMode, Venue, VenueAddress } from '../veda/venue.ts'

/** An adapter as it was found. */
export interface Known {
  exchange: string
  /** That it has. */
  modes: TradingMode[]
  /** Of those, the ones that have what they need. */
  configured: TradingMode[]
  /** What is wrong with it or its settings, never with a secret. */
  problems: string[]
  /** Where orders go, of each configured mode. */
  accounts: ({ mode: TradingMode } & VenueAddress)[]
}

/** The venues of this process, opened when first asked for. */
export interface Venues {
  /** Throws VenueError `unauthorised` when the mode has no credentials. */
  get(exchange: string, mode: TradingMode): Promise<Venue>
  /** What is configured, never with a secret. */
  configured(): { exchange: string; mode: TradingMode }[]
  /** Every adapter, also one that does not load or lacks its settings. */
  known(): Known[]
  close(): Promise<void>
}

/** Who hears what venues' streams tell of the market. */
export interface LiveMarket {
  /** Of what running runs hold: bars only, quotes besides, or trades too. */
  follows: MarketDetail
  heard(venue: Venue, news: MarketNews): void
}

export interface Live {
  db: Database
  record: (tx: WriteTx, outcome: Outcome) => Promise<void>
  venues: Venues
  /** Lets the strategy speak in its host. Rejects with a StrategyFailure. */
  hop: (run: RunRow, view: HopView) => Promise<HopAnswer>
  /** The halt file is there: nothing may leave, whatever the database says of it yet. */
  isHalted: () => Promise<boolean>
  /** Absent: nobody here wants to hear of the market. */
  market?: LiveMarket
  now: () => number
  newId: () => string
  sleep: (ms: number) => Promise<void>
  log: (level: 'info' | 'warn' | 'error', fields: object, message: string) => void
}
