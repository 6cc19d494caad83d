/** The events that tell of stored candles. Only the write knows which bars were new, so only it can word them. */
import type { WriteTx } from '../../database.ts'
import type { NewEvent } from '../../events/envelope.ts'
import type { PayloadOf } from '../../events/registry.ts'
import type { StoredCandles } from '../candles.ts'

/** `cause` is the event that the candles were stored for; without one each event is a root. */
export async function candleEvents(
  tx: WriteTx,
  stored: readonly StoredCandles[],
  cause: NewEvent | undefined,
): Promise<NewEvent[]> {
  const payloads = stored.flatMap(payloadsOf)
  if (payloads.length === 0) return []
  const stamps = await tx.query<{ id: string; ts: string }>(
    'select gen_random_uuid() as id, clock_timestamp() as ts from generate_series(1, $1)',
    [payloads.length],
  )
  return payloads.flatMap((told, i): NewEvent[] => {
    const stamp = stamps[i]
    if (stamp === undefined) return []
    const corr_id = cause?.corr_id ?? stamp.id
    return [{ ...stamp, run_id: null, corr_id, causation_id: cause?.id ?? null, producer: 'walle', ...told }]
  })
}

type Told = {
  [T in 'data.CandlesImported' | 'data.CandlesRevised']: { type: T; payload: PayloadOf<T> }
}['data.CandlesImported' | 'data.CandlesRevised']

function payloadsOf({ symbol, timeframe, stored, revised }: StoredCandles): Told[] {
  const told: Told[] = []
  if (stored.first !== null && stored.last !== null) {
    const { count, first, last } = stored
    told.push({ type: 'data.CandlesImported', payload: { symbol, timeframe, stored: count, first, last } })
  }
  if (revised.first !== null && revised.last !== null) {
    const { count, first, last } = revised
    told.push({ type: 'data.CandlesRevised', payload: { symbol, timeframe, revised: count, first, last } })
  }
  return told
}
