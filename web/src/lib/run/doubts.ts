/** What a report says against its own numbers: the range of the assumption band, and why nothing was done. Pure. */
import { count, percent } from '../format.ts'
import type { Band, Report } from '../types.ts'

type Variant = NonNullable<Band['result']>['variants'][number]

export interface BandView {
  own: Variant
  worst: Variant
  best: Variant
}

export function bandView(band: Band | null | undefined): BandView | null {
  const variants = band?.result?.variants ?? []
  const sorted = variants.toSorted((a, b) => Number(a.final_equity) - Number(b.final_equity))
  const [own, worst, best] = [variants[0], sorted[0], sorted.at(-1)]
  return own && worst && best ? { own, worst, best } : null
}

const LIMITS = { touch: 'limits filled when touched', penetrate: 'limits filled when traded through' } as const
const MARKETS = {
  next_open: 'market orders at the next open',
  next_close: "market orders at the next bar's close",
} as const
const EXITS = { stop_loss: 'stop loss first', take_profit: 'take profit first' } as const

/** Under what a variant was played, in words. */
export function assumptions(variant: Variant): string {
  const { limit_fill, market_fill, slippage_bps, ambiguous_bar } = variant
  return [LIMITS[limit_fill], MARKETS[market_fill], `slippage ${slippage_bps} bps`, EXITS[ambiguous_bar]].join(', ')
}

const SAID_BY = { skipped: 'the strategy', risk: 'a risk rule', rejected: 'the account or the venue' } as const

export interface SkipView {
  key: string
  reason: string
  saidBy: string
  ticks: string
  share: string
}

export function skipViews(report: Pick<Report, 'skips'>, ticks: number | null): SkipView[] {
  return report.skips.map((skip) => ({
    key: `${skip.kind} ${skip.reason}`,
    reason: skip.reason,
    saidBy: SAID_BY[skip.kind],
    ticks: count(skip.ticks),
    share: percent(ticks ? skip.ticks / ticks : null),
  }))
}
