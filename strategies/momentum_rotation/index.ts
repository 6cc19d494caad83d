import { defineStrategy, type StrategyContext, z } from '../api.ts'
import { rateOfChange } from '../indicators.ts'

const params = z.object({
  /** Bars over which the return is measured. */
  lookback: z.int().min(1).max(10_000).default(20),
  /** How many of the strongest symbols are held. */
  top: z.int().min(1).max(100).default(1),
  /** Calls from one choice to the next. */
  every: z.int().min(1).max(10_000).default(5),
  /** Fraction of the equity that is invested; the rest pays fees and gaps. */
  share: z.number().gt(0).max(1).default(0.95),
  /** Decimal places of the quantities. */
  places: z.int().min(0).max(9).default(4),
})

interface State {
  calls: number
  chosen: string[]
}
type Context = StrategyContext<z.output<typeof params>, State>

/** The symbols that rose most, strongest first; none that fell. Ties keep the run's order. */
function strongest(ctx: Context): string[] {
  const { lookback, top } = ctx.params
  const ranked = ctx.symbols.map((symbol) => ({ symbol, change: rateOfChange(ctx.window(symbol).close, lookback) }))
  ranked.sort((one, other) => other.change - one.change)
  return ranked
    .filter(({ change }) => change > 0)
    .slice(0, top)
    .map(({ symbol }) => symbol)
}

function enter(ctx: Context, symbol: string): void {
  const { top, share, places } = ctx.params
  const { close } = ctx.window(symbol)
  const grid = 10 ** places
  const qty = Math.floor(((ctx.equity * share) / top / (close[close.length - 1] as number)) * grid) / grid
  if (qty > 0) ctx.buy({ symbol, qty: qty.toFixed(places), type: 'market', reason: 'among the strongest' })
  else ctx.skip(`too little equity for ${symbol}`)
}

export default defineStrategy({
  id: 'momentum_rotation',
  version: '1',
  description: 'Holds those of its symbols that rose most, in equal parts, and chooses again every few bars.',
  params,
  window: ({ lookback }) => ({ bars: lookback + 1 }),
  init: (): State => ({ calls: 0, chosen: [] }),
  onWindow(ctx: Context) {
    const { state } = ctx
    if (state.calls % ctx.params.every === 0) state.chosen = strongest(ctx)
    state.calls += 1
    if (ctx.openOrders().length > 0) return
    const held = ctx.symbols.filter((symbol) => ctx.position(symbol).qty !== '0')
    const leaving = held.filter((symbol) => !state.chosen.includes(symbol))
    // What leaves is sold first; its money buys at a later call.
    for (const symbol of leaving) ctx.close(symbol, 'no longer among the strongest')
    if (leaving.length > 0) return
    for (const symbol of state.chosen) if (!held.includes(symbol)) enter(ctx, symbol)
  },
})
