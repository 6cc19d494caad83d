/** Trades at each tick, and throws at one. */
export const BREAKS = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'breaks', version: '1', description: 'Throws at tick 20.', params: z.object({}), window: () => ({ bars: 1 }),
  onWindow(ctx) {
    if (ctx.bar_index === 20) throw new Error('enough')
    const [symbol] = ctx.symbols
    if (ctx.position(symbol).qty === '0') ctx.buy({ symbol, qty: '1', type: 'market' })
    else ctx.close(symbol)
  },
})
`
