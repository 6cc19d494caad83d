/** Marks the runs whose bars were revised after they had seen them: the first reader of the log that is a service. */
import type { ConsumerDefinition, LoggedEvent } from '../../db/events/consumer.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import type { Write } from '../../db/walle/outcome.ts'
import { record } from '../../db/walle/record.ts'

export const dataInvalidation: ConsumerDefinition = {
  id: 'data_invalidation',
  types: ['data.CandlesRevised'],
  async handle(tx, events) {
    await record(tx, { writes: events.flatMap(writesOf), events: [] })
  },
}

function writesOf({ envelope }: LoggedEvent): Write[] {
  if (envelope.type !== 'data.CandlesRevised') return []
  const { symbol, timeframe, first, last, revised } = envelope.payload as PayloadOf<'data.CandlesRevised'>
  if (first === null || last === null) return []
  return [{ kind: 'invalidate_runs', revision: { event_id: envelope.id, symbol, timeframe, first, last, revised } }]
}
