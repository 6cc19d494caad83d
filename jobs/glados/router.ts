/** Domain routing: which side answers a strategy's request. Pure; correlation and cause are kept by the caller. */
import type { EventType } from '../../db/events/registry.ts'
import type { Mode } from '../../strategies/api.ts'

const ROUTES = {
  backtest: {
    'strategy.FetchWindow': 'backtest.FetchWindow',
    'strategy.PlaceRequest': 'backtest.PlaceOrder',
    'strategy.CancelRequest': 'backtest.CancelOrder',
  },
  live: {
    'strategy.FetchWindow': 'live.FetchWindow',
    'strategy.PlaceRequest': 'live.PlaceOrder',
    'strategy.CancelRequest': 'live.CancelOrder',
  },
} as const satisfies Record<string, Partial<Record<EventType, EventType>>>

export type StrategyRequest = keyof (typeof ROUTES)['backtest']
type RouteOf<M extends Mode> = M extends 'backtest' ? (typeof ROUTES)['backtest'] : (typeof ROUTES)['live']

/** The command that a strategy's request becomes in a run of this mode; paper goes the way of live. */
export function route<T extends StrategyRequest, M extends Mode>(type: T, mode: M): RouteOf<M>[T] {
  return ROUTES[mode === 'backtest' ? 'backtest' : 'live'][type] as RouteOf<M>[T]
}
