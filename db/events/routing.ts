/** Which jobs an event sets off: the one table of subscribers. */
import type { NewEvent } from './envelope.ts'
import type { NewJob, TaskName, TaskPayload } from './tasks.ts'

type CausedTask = {
  [T in TaskName]: TaskPayload<T> extends { event_id: string } ? T : never
}[TaskName]

/** In the order in which they run: a run's jobs go one after the other through its queue. */
function subscribers(event: NewEvent): readonly CausedTask[] {
  switch (event.type) {
    case 'clock.Tick':
      // A live one comes with its fetch: whoever hears of the tick wants its bars.
      return event.payload.is_backtest ? ['greta.match_orders', 'marvin.on_tick'] : []
    case 'backtest.FetchWindow':
      return ['greta.fetch_window']
    case 'live.FetchWindow':
      return ['veda.fetch_window']
    case 'data.WindowReady':
    case 'data.WindowComplete':
      return [event.producer === 'veda' ? 'marvin.on_live_window' : 'marvin.on_window']
    case 'backtest.PlaceOrder':
      return ['greta.place_order']
    case 'backtest.CancelOrder':
      return ['greta.cancel_order']
    case 'live.PlaceOrder':
      return ['veda.place_order']
    case 'live.CancelOrder':
      return ['veda.cancel_order']
    // What Weaver did itself (created, submitted) is no news to the strategy.
    case 'orders.Accepted':
    case 'orders.Replaced':
    case 'orders.PartiallyFilled':
    case 'orders.Filled':
    case 'orders.Cancelled':
    case 'orders.Rejected':
    case 'orders.Expired':
      return event.producer === 'veda' ? ['marvin.on_order'] : []
    case 'account.PositionAttributed':
      return ['veda.fit_exits']
    default:
      return []
  }
}

export function jobsOf(event: NewEvent): NewJob[] {
  const { run_id, id } = event
  if (run_id === null) return []
  return subscribers(event).map((task) => ({ task, payload: { run_id, event_id: id }, queue: `run:${run_id}` }))
}
