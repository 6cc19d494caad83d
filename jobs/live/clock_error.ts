/** Something is wrong with a clock: a root of the log, for a person to read. */
import type { NewEvent } from '../../db/events/envelope.ts'
import type { PreciseClock } from '../glados/clock.ts'

type Naming = Pick<PreciseClock, 'now' | 'newId'>

export function clockError({ now, newId }: Naming, producer: 'glados' | 'veda', message: string): NewEvent {
  const id = newId()
  return {
    id,
    type: 'system.Error',
    run_id: null,
    corr_id: id,
    causation_id: null,
    ts: new Date(now()).toISOString(),
    producer,
    payload: { part: 'clock', message },
  }
}
