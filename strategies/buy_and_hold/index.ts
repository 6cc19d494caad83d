import { defineStrategy, z } from '../api.ts'

export default defineStrategy({
  id: 'buy_and_hold',
  version: '1',
  description: 'Buys each symbol once, at the first bar, and keeps it: what every other strategy is held against.',
  params: z.object({ qty: z.string().default('1') }),
  window: () => ({ bars: 1 }),
  init: () => ({ bought: false }),
  onWindow(ctx) {
    if (ctx.state.bought) return
    ctx.state.bought = true
    for (const symbol of ctx.symbols) ctx.buy({ symbol, qty: ctx.params.qty, type: 'market', reason: 'first bar' })
  },
})
