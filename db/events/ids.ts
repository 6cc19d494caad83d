/**
 * Ids that follow from what they name: a backtest that is resumed, chained or traced has the same ones, and what was
 * written before a crash is found again after it.
 */
import { parse, v5 } from 'uuid'

/** Names and namespaces go to the library as bytes: a million-bar run derives 200,000 ids, text costs it 10x the time. */
const encoder = new TextEncoder()
let namespaceText = ''
let namespaceBytes: Uint8Array = new Uint8Array(16)

function derived(name: string, namespace: string): string {
  if (namespace !== namespaceText) {
    namespaceBytes = parse(namespace)
    namespaceText = namespace
  }
  return v5(encoder.encode(name), namespaceBytes)
}

/** Of the event that is the `ordinal`th (from 0) of the run's tick `barIndex`. */
export function tickEventId(runId: string, barIndex: number, ordinal: number): string {
  return derived(`tick:${barIndex}:${ordinal}`, runId)
}

export function orderId(runId: string, clientOrderId: string): string {
  return derived(`order:${clientOrderId}`, runId)
}
