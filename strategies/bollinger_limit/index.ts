import { defineStrategy, z } from '../api.ts'
import { bollinger, isNewBar } from '../indicators.ts'

export default defineStrategy({
  id: 'bollinger_limit',
  version: '1',
  description: 'Waits with a limit buy at the lower Bollinger band and with a limit sell at the upper one.',
  params: z.object({
    period: z.int().min(2).max(10_000).default(20),
    /** Half the band, in standard deviations. */
    width: z.number().gt(0).default(2),
    /** Decimal places of the limit prices: what the venue's grid allows. */
    places: z.int().min(0).max(9).default(2),
    qty: z.string().default('1'),
  }),
  window: ({ period }) => ({ bars: period }),
  init: (): { seen: Record<string, number> } => ({ seen: {} }),
  onWindow(ctx) {
    const { period, width, places, qty } = ctx.params
    for (const symbol of ctx.symbols) {
      const { close, time } = ctx.window(symbol)
      if (!isNewBar(ctx.state.seen, symbol, time)) continue
      const { lower, upper } = bollinger(close, period, width)
      const held = ctx.position(symbol).qty
      const side = held === '0' ? 'buy' : 'sell'
      const limit = (side === 'buy' ? lower : upper).toFixed(places)
      const open = ctx.openOrders(symbol)
      const [order] = open
      if (open.length === 1 && order?.side === side && Number(order.limit_price) === Number(limit)) continue
      if (open.length > 0) ctx.cancelAll(symbol)
      if (Number(limit) <= 0) ctx.skip(`the lower band of ${symbol} is not above zero`)
      else if (side === 'buy') ctx.buy({ symbol, qty, type: 'limit', limit_price: limit, reason: 'lower band' })
      else ctx.sell({ symbol, qty: held, type: 'limit', limit_price: limit, reason: 'upper band' })
    }
  },
})
