/** A replay in words. Pure. */
import type { Parity } from '../types.ts'

/** Differences that the page shows. */
export const SHOWN_DIFFERENCES = 50

/** Such as `2 (order 1, fill 1)`; `none` where there are none. */
export function countsText({ counts, differences_total }: Pick<Parity, 'counts' | 'differences_total'>): string {
  if (counts === null || !differences_total) return 'none'
  const some = Object.entries(counts).filter(([, count]) => count > 0)
  return `${differences_total} (${some.map(([name, count]) => `${name} ${count}`).join(', ')})`
}

export function bpsText(bps: number | null | undefined): string {
  return bps == null ? 'unknown' : `${bps.toFixed(2)} bps`
}
