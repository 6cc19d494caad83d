import { defineStrategy, z } from '../api.ts'
import { highest, isNewBar, lowest } from '../indicators.ts'

export default defineStrategy({
  id: 'breakout',
  version: '1',
  description: 'Donchian channel: a stop order buys above the highest high, another sells below the lowest low.',
  params: z.object({
    /** Bars whose highest high is the way in. */
    entry: z.int().min(1).max(10_000).default(20),
    /** Bars whose lowest low is the way out. */
    exit: z.int().min(1).max(10_000).default(10),
    qty: z.string().default('1'),
  }),
  window: ({ entry, exit }) => ({ bars: Math.max(entry, exit) }),
  init: (): { seen: Record<string, number> } => ({ seen: {} }),
  onWindow(ctx) {
    const { entry, exit, qty } = ctx.params
    for (const symbol of ctx.symbols) {
      const { high, low, time } = ctx.window(symbol)
      if (!isNewBar(ctx.state.seen, symbol, time)) continue
      const held = ctx.position(symbol).qty
      const side = held === '0' ? 'buy' : 'sell'
      const stop = side === 'buy' ? highest(high, entry) : lowest(low, exit)
      const open = ctx.openOrders(symbol)
      const [order] = open
      if (open.length === 1 && order?.side === side && Number(order.stop_price) === stop) continue
      if (open.length > 0) ctx.cancelAll(symbol)
      if (side === 'buy') ctx.buy({ symbol, qty, type: 'stop', stop_price: stop, reason: `high of ${entry} bars` })
      else ctx.sell({ symbol, qty: held, type: 'stop', stop_price: stop, reason: `low of ${exit} bars` })
    }
  },
})
