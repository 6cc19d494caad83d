/**
 * Ids that follow from what they name: a backtest that is resumed, chained or traced has the same ones, and what was
 * written before a crash is found again after it. They are UUIDs of version 5 (RFC 9562), made here in one call of the
 * hash because a million-bar run derives 200,000 of them: the uuid library took half of such a run's time.
 */
import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import { parse } from 'uuid'

const NAMESPACE_BYTES = 16
const LONGEST_NAME = 1024
const input = Buffer.alloc(NAMESPACE_BYTES + LONGEST_NAME)
let namespaceText = ''

function derived(name: string, namespace: string): string {
  if (namespace !== namespaceText) {
    input.set(parse(namespace), 0)
    namespaceText = namespace
  }
  const length = input.write(name, NAMESPACE_BYTES, 'utf8')
  const hex = hash('sha1', input.subarray(0, NAMESPACE_BYTES + length), 'hex')
  const variant = ((Number.parseInt(hex[16] as string, 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** Of the event that is the `ordinal`th (from 0) of the run's tick `barIndex`. */
export function tickEventId(runId: string, barIndex: number, ordinal: number): string {
  return derived(`tick:${barIndex}:${ordinal}`, runId)
}

/** Of the `ordinal`th event that the strategy set off when it heard of the event `causeId`, between two ticks. */
export function hopEventId(runId: string, causeId: string, ordinal: number): string {
  return derived(`hop:${causeId}:${ordinal}`, runId)
}

/** Of what befell an order at its venue: the same fact, however often and by whichever way it is heard, has the same id. */
export function venueEventId(runId: string, clientOrderId: string, fact: string): string {
  return derived(`venue:${clientOrderId}:${fact}`, runId)
}

export function orderId(runId: string, clientOrderId: string): string {
  return derived(`order:${clientOrderId}`, runId)
}

/** Of what is told once while a halt holds. */
export function haltEventId(haltId: string, fact: string): string {
  return derived(`halt:${fact}`, haltId)
}
