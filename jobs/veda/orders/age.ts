/** How old what an order was decided on is by the time that it is placed: after an outage nobody wants it any more. */
import type { Reader } from '../../../db/database.ts'
import type { LogEvent } from '../../../db/events/envelope.ts'
import { getEvent } from '../../../db/events/read.ts'
import type { ClockTickRow } from '../../../db/walle/live_rows.ts'
import type { RunRow } from '../../../db/walle/rows.ts'
import { latestEmission } from '../../glados/boundaries.ts'
import { SEND_WITHIN_MS } from './hindrances.ts'

/**
 * Null: it may go on. As late as the clock may tick, and the order then leave. `tick`: at which, or after which, its strategy
 * spoke; orders that Weaver places itself, when a run is stopped, have none.
 */
export async function tooOld(
  reader: Reader,
  { timeframe }: RunRow,
  command: LogEvent,
  tick: ClockTickRow | null,
  now: number,
): Promise<{ reason: 'too_late'; rule: null; detail: string } | null> {
  const patience = SEND_WITHIN_MS + latestEmission(timeframe)
  if (tick === null || now - Date.parse(tick.ts) <= patience) return null
  const age = now - Date.parse(await heardAt(reader, command))
  if (age <= patience) return null
  return { reason: 'too_late', rule: null, detail: `it was decided on what was known ${Math.round(age / 1000)} s ago` }
}

/** Of what a person closes: five minutes later the position, or the market, is not what they saw. */
export function tooLateByHand(
  { ts }: Pick<LogEvent, 'ts'>,
  now: number,
  waitedFor: string | null,
): { reason: 'too_late'; rule: null; detail: string } | null {
  const age = now - Date.parse(ts)
  if (age <= SEND_WITHIN_MS) return null
  const why = waitedFor === null ? '' : `, and ${waitedFor}`
  return { reason: 'too_late', rule: null, detail: `it was asked for ${Math.round(age / 1000)} s ago${why}` }
}

/** The command was made of a request, that of a decision, and the decision of what was heard: a tick's windows, or news of an order. */
async function heardAt(reader: Reader, command: LogEvent): Promise<string> {
  let event = command
  for (let step = 0; step < 3; step++) {
    const cause = event.causation_id === null ? null : await getEvent(reader, event.causation_id)
    if (cause === null) break
    event = cause as LogEvent
  }
  return event.ts
}
