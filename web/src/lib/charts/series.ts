/** What is drawn, computed from what was answered. Pure; times are epoch milliseconds. */
import type { Bars, Curve, Fill } from '../types.ts'

/** More markers than this are merged into groups. */
export const MAX_MARKERS = 300
export const MAX_BUCKETS = 2_000

/** Buckets of a fixed length over bars that came finer than asked for. */
export function aggregate(bars: Bars, limit: number = MAX_BUCKETS): Bars {
  const size = Math.ceil(bars.time.length / limit)
  if (size <= 1) return bars
  const out: Bars = { bucketMs: null, time: [], open: [], high: [], low: [], close: [], volume: [] }
  for (let from = 0; from < bars.time.length; from += size) {
    const to = Math.min(from + size, bars.time.length)
    let high = -Infinity
    let low = Infinity
    let volume = 0
    for (let i = from; i < to; i++) {
      high = Math.max(high, bars.high[i] ?? -Infinity)
      low = Math.min(low, bars.low[i] ?? Infinity)
      volume += bars.volume[i] ?? 0
    }
    out.time.push(bars.time[from] ?? 0)
    out.open.push(bars.open[from] ?? 0)
    out.high.push(high)
    out.low.push(low)
    out.close.push(bars.close[to - 1] ?? 0)
    out.volume.push(volume)
  }
  return out
}

/** Index of the last time that is at or before `at`, -1 when all are later. */
export function lastAtOrBefore(times: readonly number[], at: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] ?? Infinity) <= at) low = middle + 1
    else high = middle
  }
  return low - 1
}

export interface AlignedCurve {
  equity: (number | null)[]
  drawdown: (number | null)[]
}

/**
 * The curve on the chart's own times, so that all panes share one axis: of the marks in a bucket the last equity and the
 * deepest drawdown, drawn downwards from 0. Marks are made at bar closes, so a mark at a bucket's end belongs to it.
 */
export function alignCurve(curve: Curve, times: readonly number[], bucketMs: number): AlignedCurve {
  const out: AlignedCurve = { equity: [], drawdown: [] }
  let next = 0
  times.forEach((time, index) => {
    const end = Math.min(time + bucketMs, times[index + 1] ?? Infinity)
    let deepest: number | null = null
    let last: number | null = null
    for (; next < curve.time.length && (curve.time[next] ?? 0) <= end; next++) {
      last = curve.equity[next] ?? null
      deepest = Math.max(deepest ?? 0, curve.drawdown[next] ?? 0)
    }
    out.equity.push(last)
    out.drawdown.push(deepest === null ? null : 0 - deepest)
  })
  return out
}

/** What a marker needs of a fill. */
export type MarkedFill = Pick<Fill, 'side' | 'qty' | 'price' | 'timestamp'>

export interface Marker {
  time: number
  buys: number
  sells: number
  text: string
}

/** One marker a fill, or groups of neighbouring buckets when there would be more than `limit`. */
export function markers(fills: readonly MarkedFill[], times: readonly number[], limit: number = MAX_MARKERS): Marker[] {
  const at = new Map<number, MarkedFill[]>()
  for (const fill of fills) {
    const index = Math.max(0, lastAtOrBefore(times, Date.parse(fill.timestamp)))
    const list = at.get(index)
    if (list) list.push(fill)
    else at.set(index, [fill])
  }
  const indexes = [...at.keys()].sort((a, b) => a - b)
  const width = fills.length > limit ? Math.ceil(times.length / limit) : 1
  const groups = new Map<number, MarkedFill[]>()
  for (const index of indexes) {
    const slot = Math.floor(index / width)
    groups.set(slot, [...(groups.get(slot) ?? []), ...(at.get(index) ?? [])])
  }
  return [...groups].map(([slot, members]) => {
    const buys = members.filter((fill) => fill.side === 'buy').length
    const sells = members.length - buys
    const [only] = members
    const first = indexes.find((index) => Math.floor(index / width) === slot) ?? 0
    const text =
      members.length === 1 && only
        ? `${only.side} ${only.qty} @ ${only.price}`
        : [buys > 0 ? `${buys} buy` : '', sells > 0 ? `${sells} sell` : ''].filter(Boolean).join(', ')
    return { time: times[first] ?? 0, buys, sells, text }
  })
}

/** Enough digits for the ear. */
const short = (value: number) => String(Number(value.toPrecision(6)))

/** The chart in a sentence, for those who do not see it. */
export function describe(
  symbol: string,
  bars: Bars,
  curve: Curve,
  fills: number,
  percent: (value: number) => string,
): string {
  const said: string[] = []
  const open = bars.open[0]
  const close = bars.close.at(-1)
  if (open !== undefined && close !== undefined && open !== 0) {
    said.push(`${symbol} went from ${short(open)} to ${short(close)} (${percent(close / open - 1)})`)
  }
  const first = curve.equity[0]
  const last = curve.equity.at(-1)
  if (first !== undefined && last !== undefined && first !== 0) {
    const worst = curve.drawdown.reduce((deepest, value) => Math.max(deepest, value), 0)
    said.push(`equity ${percent(last / first - 1)}, deepest drawdown ${percent(-worst)}`)
  }
  said.push(`${fills} ${fills === 1 ? 'fill' : 'fills'}`)
  return `${said.join('; ')}.`
}
