/** A run's state as its events make it; what it was made with is only in its row. Pure. */
import type { LogEvent } from '../../events/envelope.ts'
import type { RunError, RunRow } from '../rows.ts'

export type RunState = Pick<
  RunRow,
  'id' | 'status' | 'started_at' | 'stopped_at' | 'stop_requested' | 'error' | 'result_hash' | 'last_event_id'
>

export function evolveRun(state: RunState | null, event: LogEvent): RunState | null {
  if (event.type === 'run.Created') {
    const nothing = { started_at: null, stopped_at: null, stop_requested: null, error: null, result_hash: null }
    return state ?? { ...nothing, id: event.payload.run_id, status: 'pending', last_event_id: event.id }
  }
  if (state === null) return null
  const moved = { ...state, last_event_id: event.id }
  switch (event.type) {
    case 'run.Started':
      // Also of a run that goes on after an error, once its job is tried again.
      return { ...moved, status: 'running', started_at: state.started_at ?? event.ts, stopped_at: null, error: null }
    case 'run.StopRequested': {
      const { run_id, ...wanted } = event.payload
      return { ...moved, stop_requested: wanted }
    }
    case 'run.Stopped':
      return { ...moved, status: 'stopped', stopped_at: event.ts }
    case 'run.Completed':
      return { ...moved, status: 'completed', stopped_at: event.ts, result_hash: event.payload.result_hash }
    case 'run.Error':
      return { ...moved, status: 'error', stopped_at: event.ts, error: errorOf(event.payload) }
    case 'run.Progressed':
      return moved
    default:
      return state
  }
}

function errorOf({ message, stack, bar_index, ts }: Extract<LogEvent, { type: 'run.Error' }>['payload']): RunError {
  return {
    message,
    ...(bar_index === null ? {} : { bar_index }),
    ...(ts === null ? {} : { ts }),
    ...(stack === null ? {} : { stack }),
  }
}
