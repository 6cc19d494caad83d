/** Fewer points that look the same: of each bucket its first, lowest, highest and last. Pure. */

const PER_BUCKET = 4

/** Indices of at most `points` (4 or more) of the values, ascending, the first and the last among them. */
export function downsample(values: Float64Array, points: number): number[] {
  const { length } = values
  if (length <= points) return Array.from(values, (_, index) => index)
  const buckets = Math.max(1, Math.floor(points / PER_BUCKET))
  const chosen: number[] = []
  for (let bucket = 0; bucket < buckets; bucket++) {
    const from = Math.floor((bucket * length) / buckets)
    const to = Math.floor(((bucket + 1) * length) / buckets)
    let low = from
    let high = from
    for (let i = from + 1; i < to; i++) {
      if ((values[i] as number) < (values[low] as number)) low = i
      if ((values[i] as number) > (values[high] as number)) high = i
    }
    chosen.push(...new Set([from, Math.min(low, high), Math.max(low, high), to - 1]))
  }
  return chosen
}

/** How far each value lies below the highest so far, as a fraction of it. */
export function drawdowns(equity: Float64Array, start: number): Float64Array {
  let peak = start
  return equity.map((value) => {
    peak = Math.max(peak, value)
    return peak > 0 ? (peak - value) / peak : 0
  })
}
