/** The only way into the log. */
import { z } from 'zod'
import type { WriteTx } from '../database.ts'
import { jsonText } from '../json_text.ts'
import { redactJson } from '../secrets.ts'
import type { Envelope, NewEvent } from './envelope.ts'
import { definitionOf, isEventType, MAX_PAYLOAD_BYTES } from './registry.ts'
import { jobsOf } from './routing.ts'
import { type NewJob, TASKS, type TaskPolicy } from './tasks.ts'

/** Rows of one insert. */
const BATCH = 1_000
/** Of those that wait for numbered events; the sequencer listens to the first and tells on the second. */
export const APPENDED = 'weaver_events'
export const SEQUENCED = 'weaver_sequenced'

export interface AppendOptions {
  /** False: the events are for the record only and set off no jobs. */
  route?: boolean
  /** Jobs that no event sets off, after those that events do. */
  jobs?: readonly NewJob[]
}

/**
 * Appends events, in their order, and adds the jobs that they set off, in the caller's transaction. An event that is not
 * registered or does not fit is an error before anything is sent; what Postgres refuses fails the transaction. Appends of one run are made one transaction after
 * the other, by its row lock: so their ids, and with them their seqs, are in the order in which they were committed.
 */
export async function append(tx: WriteTx, events: readonly NewEvent[], options: AppendOptions = {}): Promise<void> {
  const envelopes = events.map((event, index) => seal(event, index))
  const jobs = options.route === false ? [] : events.flatMap(jobsOf)
  const specs = [...jobs, ...(options.jobs ?? [])].map(checkJob)
  const runs = [...new Set(events.flatMap(({ run_id }) => (run_id === null ? [] : [run_id])))]
  for (let from = 0; from < envelopes.length; from += BATCH) {
    const batch = [`[${envelopes.slice(from, from + BATCH).join(',')}]`, runs]
    // Of a long history only one batch is under way at a time.
    if (from + BATCH < envelopes.length) await tx.execute(INSERT, batch)
    else tx.send(INSERT, batch)
  }
  if (specs.length > 0) tx.send('select weaver.enqueue($1::jsonb)', [JSON.stringify(specs)])
}

/** The whole envelope as JSON. */
function seal(event: NewEvent, index: number): string {
  const { id, type, run_id, corr_id, causation_id, ts, producer } = event
  if (!isEventType(type)) {
    throw new Error(`event ${index}: the type '${String(type)}' is not registered, add it to db/events/types`)
  }
  const { kind, version, payload: schema } = definitionOf(type)
  const header = HEADER.safeParse({ id, run_id, corr_id, causation_id, ts, producer })
  if (!header.success) throw misfit(type, 'envelope', header.error)
  const checked = schema.safeParse(event.payload)
  if (!checked.success) throw misfit(type, 'payload', checked.error)
  const payload = redactJson(jsonText(checked.data))
  const bytes = Buffer.byteLength(payload)
  if (bytes > MAX_PAYLOAD_BYTES) {
    throw new Error(
      `${type}: its payload has ${bytes} bytes, at most ${MAX_PAYLOAD_BYTES} are allowed: refer to stored data instead`,
    )
  }
  const envelope: Omit<Envelope, 'payload'> = {
    id,
    kind,
    type,
    version,
    run_id,
    corr_id,
    causation_id,
    trace_id: null,
    ts,
    producer,
    headers: {},
  }
  return `${JSON.stringify(envelope).slice(0, -1)},"payload":${payload}}`
}

const HEADER = z.object({
  id: z.uuid(),
  run_id: z.uuid().nullable(),
  corr_id: z.uuid(),
  causation_id: z.uuid().nullable(),
  ts: z.iso.datetime({ precision: 3 }),
  producer: z.enum(['glados', 'veda', 'greta', 'marvin', 'walle']),
})

function misfit(type: string, part: 'envelope' | 'payload', error: z.ZodError): Error {
  const problems = error.issues.map((issue) => `${[part, ...issue.path].join('.')}: ${issue.message}`)
  return new Error(`${type} does not fit its schema: ${problems.join('; ')}`)
}

function checkJob({ task, payload, queue }: NewJob) {
  const { payload: schema, maxAttempts, priority, mostOfAccount }: TaskPolicy = TASKS[task]
  const checked = schema.safeParse(payload)
  if (!checked.success) throw misfit(`job ${task}`, 'payload', checked.error)
  const by_account = mostOfAccount !== undefined
  return { task, payload: checked.data, queue: queue ?? null, max_attempts: maxAttempts, priority, by_account }
}

/**
 * One round trip: the rows are joined with the count of the locked runs, so that all of these are locked before the first
 * row gets its id. Not `for update`, which would keep others from inserting rows that refer to the run.
 */
const INSERT = `with locked as materialized (
    select id from weaver.runs where id = any ($2::uuid[]) order by id for no key update
  ), added as (
    insert into weaver.outbox (event_id, type, run_id, corr_id, causation_id, payload)
    select (e ->> 'id')::uuid, e ->> 'type', (e ->> 'run_id')::uuid, (e ->> 'corr_id')::uuid,
      (e ->> 'causation_id')::uuid, e
    from (select count(*) from locked) first cross join jsonb_array_elements($1::jsonb) with ordinality as list (e, n)
    order by n
  )
  select pg_notify('${APPENDED}', '')`
