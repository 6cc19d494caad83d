/** What goes to a strategy's host for one hop of the chain, of a backtest or a live run, and what comes back. */
import type { CandleColumns } from '../../db/walle/rows.ts'
import type { FetchRequest, OrderView, PositionView, Timeframe } from '../../strategies/api.ts'
import type { RunSpec } from '../backtest/backtest.ts'
import type { Asked, StrategyMemory } from '../marvin/contract.ts'

/** What a strategy's context reads during a hop. JSON, with the windows' columns beside it. */
export interface HopView {
  spec: RunSpec
  /**
   * `tick_window`: onTick, and onWindow at once where it asked for no windows. `order`: between two ticks, of a paper or
   * live run; it hears of `changed`, and `ts` is the older tick's.
   */
  phase: 'tick' | 'window' | 'tick_window' | 'order'
  ts: number
  bar_index: number
  memory: StrategyMemory | null
  cash: string
  equity: number
  positions: PositionView[]
  open_orders: readonly OrderView[]
  changed: OrderView[]
  windows: { symbol: string; timeframe: Timeframe; columns: CandleColumns }[]
}

export interface HopAnswer {
  memory: StrategyMemory
  asked: Asked
  requests: FetchRequest[]
  /** What the strategy has a method for: it need not be asked about the rest. */
  hears: { ticks: boolean; orders: boolean }
}
