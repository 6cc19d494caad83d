/**
 * Plausible candles from a seed, for the demo and for tests. Only + - * / and rounding to whole ticks, so that every
 * runtime makes the same bits.
 */
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { CandleText } from './rows.ts'

/** Prices and volumes have 4 decimals: everything is counted in ten-thousandths. */
const SCALE = 10_000
const SMALLEST_PRICE = 1
/** One bar in so many opens away from the close before it. */
const BARS_PER_GAP = 50
const BASE_VOLUME = 100

export interface GenerateOptions {
  timeframe: Timeframe
  /** Open time of the first bar, epoch milliseconds; must lie on the timeframe's grid. */
  start: number
  bars: number
  seed: number
  startPrice: number
  /** Largest move of a bar's close, as a fraction of the price. */
  volatility: number
}

/** Uniform in [0, 1): the generator known as mulberry32. */
export function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export function generateCandles(options: GenerateOptions): CandleText[] {
  const { timeframe, start, bars, seed, startPrice, volatility } = options
  const step = TIMEFRAME_MS[timeframe]
  if (start % step !== 0) throw new RangeError(`the first bar must open on the grid of ${timeframe}: start is ${start}`)
  if (!(startPrice > 0)) throw new RangeError(`the first price must be greater than 0: it is ${startPrice}`)
  const random = mulberry32(seed)
  const around = (price: number, spread: number) =>
    Math.max(SMALLEST_PRICE, Math.round(price * (1 + spread * (random() - 0.5) * 2)))
  const candles: CandleText[] = []
  let close = Math.max(SMALLEST_PRICE, Math.round(startPrice * SCALE))
  for (let i = 0; i < bars; i++) {
    const open = random() < 1 / BARS_PER_GAP ? around(close, volatility * 2) : close
    close = around(open, volatility)
    const reach = volatility / 2
    const high = Math.max(open, close) + Math.floor(Math.max(open, close) * reach * random())
    const low = Math.max(SMALLEST_PRICE, Math.min(open, close) - Math.floor(Math.min(open, close) * reach * random()))
    const volume = Math.floor(BASE_VOLUME * SCALE * (0.5 + random()))
    candles.push({
      time: start + i * step,
      open: decimalText(open),
      high: decimalText(high),
      low: decimalText(low),
      close: decimalText(close),
      volume: decimalText(volume),
      trade_count: String(Math.floor(volume / SCALE)),
    })
  }
  return candles
}

/** Ten-thousandths as a plain decimal without trailing zeros. */
function decimalText(tenThousandths: number): string {
  const whole = Math.floor(tenThousandths / SCALE)
  const fraction = String(tenThousandths % SCALE)
    .padStart(4, '0')
    .replace(/0+$/, '')
  return fraction === '' ? String(whole) : `${whole}.${fraction}`
}
