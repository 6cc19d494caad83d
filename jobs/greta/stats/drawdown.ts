/** Falls of the equity curve from its running peak, tick by tick. The curve starts with the initial cash. */
import { Decimal } from '../decimals.ts'

/** One fall: from a peak until the curve is back at it, or until the end. */
export type Drawdown = {
  /** Fraction of the peak, above 0. */
  drawdown: number
  amount: string
  peak_at: string
  trough_at: string
  /** Null while it lasts. */
  recovered_at: string | null
  /** From the peak to the recovery, else to the last tick. */
  duration_seconds: number
}

interface Fall {
  depth: number
  peak: number
  trough: number
  /** Tick of the peak; -1 is the start. */
  from: number
  low: number
  /** Tick at which the peak was reached again; -1 when it was not. */
  back: number
}

const KEPT = 5
/** float64 marks carry about 16 digits, of which the last ones are the rounding of cash + qty x close. */
const DIGITS = 14

/** Deepest first, at most `KEPT`. `start` is the curve's first value, at the open of the first bar. */
export function drawdowns(ts: Float64Array, equity: Float64Array, start: { value: number; ts: number }): Drawdown[] {
  const top: Fall[] = []
  let peak = start.value
  let from = -1
  let trough = peak
  let low = -1
  const close = (back: number) => {
    if (low < 0 || !(peak > 0)) return
    keep(top, { depth: (peak - trough) / peak, peak, trough, from, low, back })
  }
  for (let tick = 0; tick < equity.length; tick++) {
    const value = equity[tick] as number
    if (!Number.isFinite(value)) continue
    if (value >= peak) {
      close(tick)
      peak = value
      from = tick
      trough = value
      low = -1
    } else if (value < trough) {
      trough = value
      low = tick
    }
  }
  close(-1)
  const at = (tick: number) => (tick < 0 ? start.ts : (ts[tick] as number))
  return top.map((fall) => {
    const end = fall.back < 0 ? equity.length - 1 : fall.back
    return {
      drawdown: fall.depth,
      amount: amountOf(fall),
      peak_at: new Date(at(fall.from)).toISOString(),
      trough_at: new Date(at(fall.low)).toISOString(),
      recovered_at: fall.back < 0 ? null : new Date(at(fall.back)).toISOString(),
      duration_seconds: (at(end) - at(fall.from)) / 1000,
    }
  })
}

/** Deepest first; of equal ones the earlier. */
function keep(top: Fall[], fall: Fall): void {
  let place = top.length
  while (place > 0 && fall.depth > (top[place - 1] as Fall).depth) place -= 1
  if (place === KEPT) return
  top.splice(place, 0, fall)
  if (top.length > KEPT) top.pop()
}

function amountOf(fall: Fall): string {
  return new Decimal(fall.peak.toPrecision(DIGITS)).minus(fall.trough.toPrecision(DIGITS)).toString()
}
