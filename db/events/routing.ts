/** Which jobs an event sets off: the one table of subscribers. */
import type { NewEvent } from './envelope.ts'
import type { NewJob } from './tasks.ts'

type CausedTask = Exclude<NewJob['task'], 'greta.run_chunk'>

/** In the order in which they run: a run's jobs go one after the other through its queue. */
function subscribers(event: NewEvent): readonly CausedTask[] {
  switch (event.type) {
    case 'clock.Tick':
      return event.payload.is_backtest ? ['greta.match_orders', 'marvin.on_tick'] : []
    case 'backtest.FetchWindow':
      return ['greta.fetch_window']
    case 'data.WindowReady':
    case 'data.WindowComplete':
      return ['marvin.on_window']
    case 'backtest.PlaceOrder':
      return ['greta.place_order']
    case 'backtest.CancelOrder':
      return ['greta.cancel_order']
    default:
      return []
  }
}

export function jobsOf(event: NewEvent): NewJob[] {
  const { run_id, id } = event
  if (run_id === null) return []
  return subscribers(event).map((task) => ({ task, payload: { run_id, event_id: id }, queue: `run:${run_id}` }))
}
