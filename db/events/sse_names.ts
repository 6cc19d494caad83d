/** The one table from outbox types to the names on the event stream; null is not shown. */
import type { EventType } from './registry.ts'

export type SseName =
  | `run.${'created' | 'started' | 'stopped' | 'completed' | 'error' | 'progress'}`
  | `order.${'created' | 'submitted' | 'accepted' | 'replaced' | 'partial' | 'filled' | 'cancelled' | 'rejected' | 'expired'}`
  | 'tick'
  | 'account.changed'
  | `system.${'halted' | 'resumed'}`
  | 'data.changed'
  | 'job.failed'

export const SSE_NAMES: Readonly<Record<EventType, SseName | null>> = {
  'run.Created': 'run.created',
  'run.Started': 'run.started',
  'run.LimitsChanged': null,
  'run.StopRequested': null,
  'run.Stopped': 'run.stopped',
  'run.Completed': 'run.completed',
  'run.Error': 'run.error',
  'run.Progressed': 'run.progress',
  'run.Deleted': null,
  'run.Rebuilt': null,
  'clock.Tick': 'tick',
  'strategy.FetchWindow': null,
  'strategy.DecisionMade': null,
  'strategy.PlaceRequest': null,
  'strategy.CancelRequest': null,
  'backtest.FetchWindow': null,
  'backtest.PlaceOrder': null,
  'backtest.CancelOrder': null,
  'live.FetchWindow': null,
  'live.PlaceOrder': null,
  'live.CancelOrder': null,
  'data.WindowReady': null,
  'data.WindowChunk': null,
  'data.WindowComplete': null,
  'data.CandlesImported': 'data.changed',
  'data.CandlesRevised': 'data.changed',
  'market.Bar': 'data.changed',
  'market.Quote': 'data.changed',
  'market.Trade': 'data.changed',
  'orders.Created': 'order.created',
  'orders.Submitted': 'order.submitted',
  'orders.Accepted': 'order.accepted',
  'orders.Replaced': 'order.replaced',
  'orders.PartiallyFilled': 'order.partial',
  'orders.Filled': 'order.filled',
  'orders.Cancelled': 'order.cancelled',
  'orders.Expired': 'order.expired',
  'orders.Rejected': 'order.rejected',
  'account.Updated': 'account.changed',
  'account.PositionChanged': 'account.changed',
  'account.PositionAttributed': 'account.changed',
  'account.Reconciled': 'account.changed',
  'job.Failed': 'job.failed',
  'system.Started': null,
  'system.Stopping': null,
  'system.Halted': 'system.halted',
  'system.Resumed': 'system.resumed',
  'system.Error': null,
}
