/** What lies in the log, checked as it is read: it may have been written by hand, or by another version. */
import { z } from 'zod'
import type { Envelope } from './envelope.ts'
import { definitionOf, isEventType } from './registry.ts'

const ENVELOPE = z.object({
  id: z.uuid(),
  kind: z.enum(['evt', 'cmd']),
  type: z.string(),
  version: z.int(),
  run_id: z.uuid().nullable(),
  corr_id: z.uuid(),
  causation_id: z.uuid().nullable(),
  ts: z.iso.datetime(),
  producer: z.string(),
  payload: z.unknown(),
})

/** The envelope, or in words why it is none. `type` and `id` are the row's columns. */
export function openEnvelope(type: string, id: string | null, stored: unknown): Envelope | string {
  if (id === null) return 'its row is gone from the outbox'
  const envelope = ENVELOPE.safeParse(stored)
  if (!envelope.success) return problemsOf('envelope', envelope.error)
  const { data } = envelope
  if (data.type !== type) return `its column type says ${type}, its envelope ${data.type}`
  if (data.id !== id) return `its column event_id says ${id}, its envelope ${data.id}`
  if (!isEventType(type)) return `this version of Weaver has no event type ${type}: a newer one may have written it`
  const { payload, version } = definitionOf(type)
  if (data.version !== version) return `it has version ${data.version}, this Weaver knows version ${version}`
  const checked = payload.safeParse(data.payload)
  return checked.success ? (stored as Envelope) : problemsOf('payload', checked.error)
}

function problemsOf(part: string, error: z.ZodError): string {
  return error.issues.map((issue) => `${[part, ...issue.path].join('.')}: ${issue.message}`).join('; ')
}
