import { defineStrategy, z } from '../api.ts'
import { bollinger, isNewBar } from '../indicators.ts'

export default defineStrategy({
  id: 'mean_reversion',
  version: '1',
  description: 'The sample: buys when the close is below a band around its average, sells when it is above it.',
  params: z.object({
    period: z.int().min(2).max(10_000).default(20),
    /** Half the band, in standard deviations. */
    width: z.number().gt(0).default(2),
    qty: z.string().default('1'),
  }),
  window: ({ period }) => ({ bars: period }),
  init: (): { seen: Record<string, number> } => ({ seen: {} }),
  onWindow(ctx) {
    const { period, width, qty } = ctx.params
    for (const symbol of ctx.symbols) {
      const { close, time } = ctx.window(symbol)
      if (!isNewBar(ctx.state.seen, symbol, time)) continue
      const { lower, upper } = bollinger(close, period, width)
      const last = close[close.length - 1] as number
      if (last >= lower && last <= upper) continue
      const held = ctx.position(symbol).qty
      const wanted = last < lower ? held === '0' : held !== '0'
      // An order that is still on its way (a closed market, a capped fill) is not sent twice.
      if (!wanted || ctx.openOrders(symbol).length > 0) continue
      if (last < lower) ctx.buy({ symbol, qty, type: 'market', reason: 'close below the band' })
      else ctx.close(symbol, 'close above the band')
    }
  },
})
