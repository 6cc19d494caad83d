/** A strategy that uses everything there is: every order type, cancels, fetches, state, randomness, onTick, onOrder. */
import { defineStrategy, z } from '../../strategies/api.ts'

export const restless = defineStrategy({
  id: 'restless',
  version: '1',
  description: 'Does something different at every tick.',
  params: z.object({}),
  window: () => ({ bars: 3 }),
  init: () => ({ heard: 0, ticks: 0, seen: {} as Record<string, number> }),
  onTick(ctx) {
    ctx.state.ticks += 1
    const [symbol] = ctx.symbols
    if (symbol !== undefined && ctx.random() < 0.2) ctx.fetch({ symbol, timeframe: ctx.timeframe, bars: 5 })
    if (ctx.random() < 0.1) ctx.cancelAll()
  },
  onOrder(ctx, order) {
    ctx.state.heard += 1
    ctx.state.seen[order.status] = (ctx.state.seen[order.status] ?? 0) + 1
    if (order.status === 'rejected') ctx.log('rejected', order.reject_reason)
  },
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    const { close, high, length } = ctx.window(symbol)
    const last = close[length - 1] as number
    // Nobody else may see this.
    high.fill(0)
    const dice = Math.floor(ctx.random() * 12)
    const qty = String(1 + (ctx.state.heard % 3))
    if (dice === 0) ctx.buy({ symbol, qty, type: 'market', stop_loss: last * 0.99, take_profit: last * 1.01 })
    else if (dice === 1) ctx.sell({ symbol, qty, type: 'market' })
    else if (dice === 2) ctx.buy({ symbol, qty, type: 'limit', limit_price: last * 0.995, time_in_force: 'day' })
    else if (dice === 3) ctx.sell({ symbol, qty, type: 'stop', stop_price: last * 0.995 })
    else if (dice === 4)
      ctx.buy({ symbol, qty, type: 'stop_limit', stop_price: last * 1.005, limit_price: last * 1.006 })
    else if (dice === 5) ctx.sell({ symbol, qty, type: 'trailing_stop', trail_percent: '1' })
    else if (dice === 6) ctx.close(symbol, 'enough')
    else if (dice === 7) ctx.target(symbol, '2')
    else if (dice === 8) ctx.buy({ symbol, qty: '-1', type: 'limit' })
    else if (dice === 10) ctx.buy({ symbol, qty, type: 'market', trail_percent: 1 })
    else if (dice === 9) ctx.buy({ symbol, qty, type: 'limit', limit_price: last, time_in_force: 'ioc' })
    else ctx.skip(`dice ${dice}`)
  },
})
