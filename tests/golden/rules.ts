/** The two golden rules that no shipped strategy follows: one-bar limit and stop orders, cancelled before each decision. */
import { defineStrategy, z } from '../../strategies/api.ts'

export const limitPullback = defineStrategy({
  id: 'limit_pullback',
  version: '1',
  description: 'Flat: limit buy below the close. Long: limit sell above the entry.',
  params: z.object({ below: z.number(), above: z.number(), qty: z.string() }),
  window: () => ({ bars: 2 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    ctx.cancelAll()
    const { close } = ctx.window(symbol)
    const { qty, avg_price } = ctx.position(symbol)
    const last = close.at(-1) as number
    if (qty === '0') ctx.buy({ symbol, qty: ctx.params.qty, type: 'limit', limit_price: last * ctx.params.below })
    else ctx.sell({ symbol, qty, type: 'limit', limit_price: Number(avg_price) * ctx.params.above })
  },
})

export const stopBreakout = defineStrategy({
  id: 'stop_breakout',
  version: '1',
  description: 'Flat: stop buy above the high. Long: stop sell below the low.',
  params: z.object({ above: z.number(), below: z.number(), qty: z.string() }),
  window: () => ({ bars: 2 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    ctx.cancelAll()
    const { high, low } = ctx.window(symbol)
    const { qty } = ctx.position(symbol)
    const top = high.at(-1) as number
    const bottom = low.at(-1) as number
    if (qty === '0') ctx.buy({ symbol, qty: ctx.params.qty, type: 'stop', stop_price: top * ctx.params.above })
    else ctx.sell({ symbol, qty, type: 'stop', stop_price: bottom * ctx.params.below })
  },
})
