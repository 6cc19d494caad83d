import { z } from 'zod'
import { evt } from './kinds.ts'
import { decimal, instant, timeframe } from './shared.ts'

/** Of which account's stream. `at`: when it was so at the venue, of a bar its end. */
const told = {
  exchange: z.string().min(1).max(50),
  mode: z.enum(['paper', 'live']),
  symbol: z.string().min(1).max(50),
  at: instant,
}

/** What a venue's stream says of the market: for the page and for marks. Strategies see the bars of their windows. */
export const marketEvents = {
  /** `revised`: told before, and corrected. */
  'market.Bar': evt({
    ...told,
    timeframe,
    timestamp: instant,
    open: decimal,
    high: decimal,
    low: decimal,
    close: decimal,
    volume: decimal,
    revised: z.boolean(),
  }),
  /** A sample: the newest. */
  'market.Quote': evt({ ...told, bid: decimal, ask: decimal }),
  /** A sample: the newest. */
  'market.Trade': evt({ ...told, price: decimal, size: decimal }),
} as const
