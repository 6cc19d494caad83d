/**
 * What a position is worth between ticks. Pure. A stream may double, swap and garble what it says: whatever comes, a mark
 * never goes back in time, and a price that cannot be is none.
 */
import type { Timeframe } from '../../strategies/api.ts'
import { TIMEFRAME_MS } from '../../strategies/api.ts'
import { Decimal } from '../greta/decimals.ts'
import type { VenueBar } from './venue.ts'

/** How much of the market is followed: bars, quotes besides, or trades too. */
export const MARKET_DETAILS = ['bars', 'quotes', 'trades'] as const
export type MarketDetail = (typeof MARKET_DETAILS)[number]

export type BarNews = VenueBar & { kind: 'bar'; symbol: string; timeframe: Timeframe; revised: boolean }
export interface QuoteNews {
  kind: 'quote'
  symbol: string
  at: number
  bid: string
  ask: string
}
export interface TradeNews {
  kind: 'trade'
  symbol: string
  at: number
  price: string
  size: string
}

/** What a venue's stream tells of the market. */
export type MarketNews = BarNews | QuoteNews | TradeNews

export interface Mark {
  price: string
  /** When it was so at the venue; of a bar, its end. Epoch milliseconds. */
  at: number
  source: MarketNews['kind']
}

/** Of the middle. A wider quote says little of what the position is worth: the last trade or bar counts. */
export const WIDEST_SPREAD = 0.01
/** The venue's clock may be ahead of ours by so much; what claims to be later still is not believed. */
export const MOST_AHEAD_MS = 5_000

const POSITIVE = /^(?=.*[1-9])\d{1,20}(\.\d{1,20})?$/
const NOT_NEGATIVE = /^\d{1,30}(\.\d{1,20})?$/

/** When it was so. */
export function momentOf(news: MarketNews): number {
  return news.kind === 'bar' ? news.time + TIMEFRAME_MS[news.timeframe] : news.at
}

/** Whether it can be: prices above nothing, at a moment that has been. */
export function isSound(news: MarketNews, now: number): boolean {
  const at = momentOf(news)
  if (!Number.isSafeInteger(at) || at < 0 || at > now + MOST_AHEAD_MS) return false
  switch (news.kind) {
    case 'bar': {
      const { open, high, low, close, volume } = news
      return [open, high, low, close].every((price) => POSITIVE.test(price)) && NOT_NEGATIVE.test(volume)
    }
    case 'quote':
      return POSITIVE.test(news.bid) && POSITIVE.test(news.ask)
    case 'trade':
      return POSITIVE.test(news.price) && NOT_NEGATIVE.test(news.size)
  }
}

/** The price that sound news gives; null: it says nothing of what a position is worth. */
export function markOf(news: MarketNews): Mark | null {
  const at = momentOf(news)
  if (news.kind === 'bar') return { price: new Decimal(news.close).toString(), at, source: 'bar' }
  if (news.kind === 'trade') return { price: new Decimal(news.price).toString(), at, source: 'trade' }
  const [bid, ask] = [new Decimal(news.bid), new Decimal(news.ask)]
  const middle = bid.plus(ask).times('0.5')
  if (bid.gt(ask) || ask.minus(bid).gt(middle.times(WIDEST_SPREAD))) return null
  return { price: middle.toString(), at, source: 'quote' }
}

/** The newer of two. Of one moment, what was heard last counts. */
export function newer(known: Mark | null, mark: Mark | null): Mark | null {
  if (mark === null) return known
  return known === null || mark.at >= known.at ? mark : known
}
