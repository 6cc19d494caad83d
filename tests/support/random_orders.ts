/** Streams of random orders: every type, time in force and exit, in two symbols, over bars made from a seed. */
import { mulberry32 } from '../../db/walle/generate.ts'
import type { CandleColumns, FillRow, OrderRow } from '../../db/walle/rows.ts'
import type { Stretch } from '../../jobs/backtest/backtest.ts'
import { type FillModel, type FillRequest, fillRequestSchema, resolveFillModel } from '../../jobs/greta/fill_model.ts'
import { defineStrategy, type OrderRequest, z } from '../../strategies/api.ts'
import { playPure } from './pure_run.ts'

export const SYMBOLS = ['BTC/USD', 'ETH/USD'] as const
const BARS = 24
const HOUR = 3_600_000
export const CASH = '10000'

const FILLS: readonly FillRequest[] = [
  {},
  { slippage_bps: '7', commission_bps: '12.5', commission_min: '0.03' },
  { commission_per_share: '0.011', latency_bars: 2, close_at_end: true },
  { max_volume_share: 0.1, allow_short: true, leverage: 3, slippage_bps: '3' },
  { max_volume_share: 0.05, commission: 'alpaca_crypto', close_at_end: true },
  { commission: 'alpaca_crypto', slippage_bps: '2' },
  { preset: 'backtrader', allow_short: true, max_volume_share: 0.2, commission_bps: '5' },
  { limit_fill: 'touch', allow_short: true, leverage: 2, max_volume_share: 0.15, latency_bars: 1 },
]

/** Asks for up to three things at a tick. */
const stream = defineStrategy({
  id: 'stream',
  version: '1',
  description: 'Random orders.',
  params: z.object({}),
  window: () => ({ bars: 1 }),
  onWindow(ctx) {
    const below = (limit: number) => Math.floor(ctx.random() * limit)
    const pick = <T>(list: readonly T[]) => list[below(list.length)] as T
    for (let count = below(4); count > 0; count--) {
      const symbol = pick(ctx.symbols)
      const close = ctx.window(symbol).close.at(-1) as number
      const near = () => (close * (0.97 + ctx.random() * 0.06)).toFixed(2)
      const what = below(12)
      if (what === 0) ctx.cancelAll(symbol)
      else if (what === 1) ctx.close(symbol)
      else if (what === 2) ctx.target(symbol, below(5) - 1)
      else {
        const side = pick(['buy', 'buy', 'sell'] as const)
        const type = pick(['market', 'market', 'limit', 'limit', 'stop', 'stop_limit', 'trailing_stop'] as const)
        const order: OrderRequest = {
          symbol,
          type,
          qty: ((1 + below(80_000)) / 10_000).toString(),
          time_in_force: pick(['gtc', 'gtc', 'day', 'ioc', 'fok'] as const),
        }
        if (type === 'limit' || type === 'stop_limit') order.limit_price = near()
        if (type === 'stop' || type === 'stop_limit') order.stop_price = near()
        if (type === 'trailing_stop') order.trail_percent = '1.5'
        const away = (share: number) => (close * (side === 'buy' ? 1 + share : 1 - share)).toFixed(2)
        if (below(2) === 0) order.take_profit = away(0.005 + ctx.random() * 0.03)
        const exit = below(3)
        if (exit === 0) order.stop_loss = away(-0.005 - ctx.random() * 0.03)
        else if (exit === 1 && type !== 'trailing_stop') order.trail_price = '1.25'
        ctx[side](order)
      }
    }
  },
})

function bars(random: () => number, price: number): CandleColumns {
  const columns = Object.fromEntries(
    ['time', 'open', 'high', 'low', 'close', 'volume'].map((name) => [name, new Float64Array(BARS)]),
  ) as unknown as CandleColumns
  const cents = (value: number) => Math.round(value * 100) / 100
  let last = price
  for (let bar = 0; bar < BARS; bar++) {
    const open = cents(last * (0.99 + random() * 0.02))
    const close = cents(open * (0.98 + random() * 0.04))
    columns.time[bar] = Date.UTC(2024, 0, 1, 15) + bar * HOUR
    columns.open[bar] = open
    columns.close[bar] = close
    columns.high[bar] = cents(Math.max(open, close) * (1 + random() * 0.01))
    columns.low[bar] = cents(Math.min(open, close) * (1 - random() * 0.01))
    columns.volume[bar] = Math.floor(random() * 60)
    last = close
  }
  return columns
}

export interface PlayedStream {
  model: FillModel
  columns: Record<string, CandleColumns>
  orders: Map<string, OrderRow>
  fills: FillRow[]
  played: Stretch
}

export function playStream(seed: number): PlayedStream {
  const random = mulberry32(seed)
  const [first, second] = [bars(random, 100), bars(random, 12)]
  const fill = FILLS[seed % FILLS.length] as FillRequest
  const played = playPure({
    strategy: stream,
    columns: first,
    symbol: SYMBOLS[0],
    more: [{ symbol: SYMBOLS[1], columns: second }],
    timeframe: '1h',
    cash: CASH,
    fill,
    seed,
  })
  if (played.failure) throw new Error(played.failure.stack)
  return {
    model: resolveFillModel(fillRequestSchema.parse(fill)),
    columns: { [SYMBOLS[0]]: first, [SYMBOLS[1]]: second },
    orders: new Map(played.newOrders.map((order) => [order.id, order])),
    fills: played.fills,
    played,
  }
}
