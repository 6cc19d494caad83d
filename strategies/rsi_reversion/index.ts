import { defineStrategy, z } from '../api.ts'
import { continueWilder, rsiOf, startWilder, type WilderAverages } from '../indicators.ts'

/** Wilder's averages as of the bar named `time`. */
interface Wilder extends WilderAverages {
  time: number
}

/**
 * Takes the bars after `carried.time` into the averages. Starts anew from the window when nothing is carried, or when
 * more bars were missed than the window holds. False when there was no new bar.
 */
function follow(averages: Wilder, time: Float64Array, close: Float64Array, period: number): boolean {
  const newest = time[time.length - 1] as number
  if (averages.time === newest) return false
  let from = time.lastIndexOf(averages.time) + 1
  if (from === 0) {
    Object.assign(averages, startWilder(close, period))
    from = period + 1
  }
  for (let bar = from; bar < close.length; bar++) {
    continueWilder(averages, (close[bar] as number) - (close[bar - 1] as number), period)
  }
  averages.time = newest
  return true
}

export default defineStrategy({
  id: 'rsi_reversion',
  version: '1',
  description: "Buys when Wilder's RSI is below its low mark, sells when it is above its high mark.",
  params: z.object({
    period: z.int().min(1).max(10_000).default(14),
    low: z.number().min(0).max(100).default(30),
    high: z.number().min(0).max(100).default(70),
    qty: z.string().default('1'),
  }),
  window: ({ period }) => ({ bars: period + 2 }),
  init: (): { wilder: Record<string, Wilder> } => ({ wilder: {} }),
  onWindow(ctx) {
    const { period, low, high, qty } = ctx.params
    for (const symbol of ctx.symbols) {
      const { time, close } = ctx.window(symbol)
      ctx.state.wilder[symbol] ??= { gain: 0, loss: 0, time: -1 }
      const averages = ctx.state.wilder[symbol]
      if (!follow(averages, time, close, period)) continue
      const value = rsiOf(averages)
      if (value >= low && value <= high) continue
      const held = ctx.position(symbol).qty
      const wanted = value < low ? held === '0' : held !== '0'
      // An order that is still on its way (a closed market, a capped fill) is not sent twice.
      if (!wanted || ctx.openOrders(symbol).length > 0) continue
      if (value < low) ctx.buy({ symbol, qty, type: 'market', reason: `rsi ${value.toFixed(2)} below ${low}` })
      else ctx.close(symbol, `rsi ${value.toFixed(2)} above ${high}`)
    }
  },
})
