/** Domain routing: which side answers a strategy's request. Pure; correlation and cause are kept by the caller. */
import type { EventType } from '../../db/events/registry.ts'
import type { Mode } from '../../strategies/api.ts'

const BACKTEST = {
  'strategy.FetchWindow': 'backtest.FetchWindow',
  'strategy.PlaceRequest': 'backtest.PlaceOrder',
  'strategy.CancelRequest': 'backtest.CancelOrder',
} as const satisfies Partial<Record<EventType, EventType>>

export type StrategyRequest = keyof typeof BACKTEST

/** The command that a strategy's request becomes in a run of this mode. */
export function route<T extends StrategyRequest>(type: T, mode: Mode): (typeof BACKTEST)[T] {
  if (mode !== 'backtest')
    throw new RangeError(`No route for ${type} in mode ${mode}: only backtests run in this version`)
  return BACKTEST[type]
}
