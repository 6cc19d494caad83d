import { defineStrategy, z } from '../api.ts'
import { crossOfAverages, isNewBar } from '../indicators.ts'

export default defineStrategy({
  id: 'sma_cross',
  version: '1',
  description: 'Long from the fast average crossing above the slow one until it crosses below.',
  params: z.object({
    fast: z.int().min(1).max(10_000).default(10),
    slow: z.int().min(2).max(10_000).default(30),
    qty: z.string().default('1'),
  }),
  window: ({ fast, slow }) => ({ bars: Math.max(fast, slow) + 1 }),
  init: (): { seen: Record<string, number> } => ({ seen: {} }),
  onWindow(ctx) {
    const { fast, slow, qty } = ctx.params
    const several = ctx.symbols.length > 1
    for (const symbol of ctx.symbols) {
      const window = ctx.window(symbol)
      if (several && !isNewBar(ctx.state.seen, symbol, window.time)) continue
      const cross = crossOfAverages(window.close, fast, slow)
      if (cross === 0) continue
      const held = ctx.position(symbol).qty
      if (cross > 0 && held === '0') ctx.buy({ symbol, qty, type: 'market', reason: 'fast crossed above slow' })
      if (cross < 0 && held !== '0') ctx.close(symbol, 'fast crossed below slow')
    }
  },
})
