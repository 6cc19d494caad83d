/**
 * What was heard of one symbol and is still to be written: its newest mark, bars that were not told yet, and of quotes and
 * trades the newest. Pure but for the state that is handed in, which stays small whatever is heard.
 */
import { type BarNews, type Mark, type MarketNews, markOf, newer, type QuoteNews, type TradeNews } from './marks.ts'

/** Of a symbol's quotes, and of its trades, one is told at most so often: the newest. */
export const SAMPLE_EVERY_MS = 10_000
/** Bars that wait to be told, and of how many it is remembered what was told. The oldest beyond them are let go. */
const MOST_BARS = 20

export interface Sample {
  mark: Mark | null
  /** By open time. */
  bars: Map<number, BarNews>
  quote: QuoteNews | null
  trade: TradeNews | null
  sampledAt: { quote: number; trade: number }
  /** By open time, newest last. */
  told: Map<number, string>
  /** What was let go, or could not be written, and nobody was told of yet. */
  dropped: number
}

export function newSample(): Sample {
  const never = Number.NEGATIVE_INFINITY
  return {
    ...{ mark: null, bars: new Map(), quote: null, trade: null },
    ...{ sampledAt: { quote: never, trade: never }, told: new Map(), dropped: 0 },
  }
}

/** Takes in sound news. */
export function hear(sample: Sample, news: MarketNews): void {
  if (news.kind === 'bar') {
    if (!isNewBar(sample, news)) return
    sample.bars.set(news.time, news)
    if (sample.bars.size > MOST_BARS) {
      sample.bars.delete(Math.min(...sample.bars.keys()))
      sample.dropped += 1
    }
  } else if (news.kind === 'quote') {
    if (news.at >= (sample.quote?.at ?? 0)) sample.quote = news
  } else if (news.at >= (sample.trade?.at ?? 0)) sample.trade = news
  sample.mark = newer(sample.mark, markOf(news))
}

const textOf = ({ open, high, low, close, volume, revised }: BarNews) =>
  `${revised ? 'revised' : 'first'} ${open} ${high} ${low} ${close} ${volume}`

/** Not told already, and not what a correction, told or waiting, has replaced. */
function isNewBar({ bars, told }: Sample, bar: BarNews): boolean {
  const known = told.get(bar.time)
  if (known === textOf(bar)) return false
  return bar.revised || !(known?.startsWith('revised') || bars.get(bar.time)?.revised)
}

/** What is due to be told; it does not wait any more. */
export function take(sample: Sample, now: number): MarketNews[] {
  const bars = [...sample.bars.values()].sort((one, other) => one.time - other.time)
  sample.bars.clear()
  for (const bar of bars) {
    sample.told.delete(bar.time)
    sample.told.set(bar.time, textOf(bar))
  }
  for (const time of sample.told.keys()) {
    if (sample.told.size <= MOST_BARS) break
    sample.told.delete(time)
  }
  return [...bars, ...sampled(sample, 'quote', now), ...sampled(sample, 'trade', now)]
}

function sampled(sample: Sample, kind: 'quote' | 'trade', now: number): MarketNews[] {
  const newest = sample[kind]
  if (newest === null || now - sample.sampledAt[kind] < SAMPLE_EVERY_MS) return []
  sample.sampledAt[kind] = now
  sample[kind] = null
  return [newest]
}

/** Whether `take` would give something. */
export function hasNews({ bars, quote, trade, sampledAt }: Sample, now: number): boolean {
  const isDue = (kind: 'quote' | 'trade') => now - sampledAt[kind] >= SAMPLE_EVERY_MS
  return bars.size > 0 || (quote !== null && isDue('quote')) || (trade !== null && isDue('trade'))
}
