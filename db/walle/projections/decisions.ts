/** The decision's row as its event makes it. Pure. */
import type { Intent } from '../../../strategies/api.ts'
import type { LogEvent } from '../../events/envelope.ts'
import type { DecisionRow } from '../rows.ts'

export type DecisionEvent = Extract<LogEvent, { type: 'strategy.DecisionMade' }>

/** Null: nothing was asked for and nothing noted, which has no row. */
export function decisionOf(event: DecisionEvent): DecisionRow | null {
  const { bar_index, part = 0, intents, skips, logs, left_out } = event.payload
  const kept = left_out ? left_out.intents + left_out.logs : intents.length + logs.length
  if (kept === 0) return null
  return {
    id: event.id,
    run_id: event.run_id as string,
    bar_index,
    part,
    ts: event.ts,
    corr_id: event.corr_id,
    intents: intents as Intent[],
    skips,
    logs: logs as DecisionRow['logs'],
  }
}

/** True: what was decided is not in the event, which was too small for it, but in the row alone. */
export function isOnlyInRow(event: DecisionEvent): boolean {
  return event.payload.left_out !== undefined
}
