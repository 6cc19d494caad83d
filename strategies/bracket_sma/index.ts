import { defineStrategy, z } from '../api.ts'
import { crossOfAverages, isNewBar } from '../indicators.ts'

export default defineStrategy({
  id: 'bracket_sma',
  version: '1',
  description:
    'Buys when the fast average crosses above the slow one; only its stop loss or take profit ends the trade.',
  params: z.object({
    fast: z.int().min(1).max(10_000).default(10),
    slow: z.int().min(2).max(10_000).default(30),
    /** Factors of the close at the decision. */
    loss: z.number().gt(0).lt(1).default(0.95),
    gain: z.number().gt(1).default(1.1),
    qty: z.string().default('1'),
  }),
  window: ({ fast, slow }) => ({ bars: Math.max(fast, slow) + 1 }),
  init: (): { seen: Record<string, number> } => ({ seen: {} }),
  onWindow(ctx) {
    const { fast, slow, loss, gain, qty } = ctx.params
    const several = ctx.symbols.length > 1
    for (const symbol of ctx.symbols) {
      const { close, time } = ctx.window(symbol)
      if (several && !isNewBar(ctx.state.seen, symbol, time)) continue
      if (crossOfAverages(close, fast, slow) <= 0 || ctx.position(symbol).qty !== '0') continue
      const last = close[close.length - 1] as number
      ctx.buy({
        symbol,
        qty,
        type: 'market',
        stop_loss: last * loss,
        take_profit: last * gain,
        reason: 'fast crossed above slow',
      })
    }
  },
})
