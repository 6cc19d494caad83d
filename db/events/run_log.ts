/** A run's own events in the order in which they were written, numbered or not: appends of one run never overlap. */
import type { Reader } from '../database.ts'
import type { LogEvent } from './envelope.ts'
import { definitionOf, type EventType } from './registry.ts'

export interface RunLogPage {
  events: LogEvent[]
  /** Of each, `outbox.id`. */
  places: number[]
  /** The place of the last one; null when there is none. */
  last: string | null
}

/** An event that was written by another version, or changed since: nothing can be made of a run's log that has one. */
export class MisfitEvent extends Error {
  override readonly name = 'MisfitEvent'
}

/** The next events of some types. Throws a MisfitEvent where one is not what this version's registry says. */
export async function readRunLog(
  reader: Reader,
  runId: string,
  { types, after, limit }: { types: readonly EventType[]; after: string; limit: number },
): Promise<RunLogPage> {
  const rows = await reader.query<{ id: string; payload: LogEvent }>(
    `select o.id::text as id, o.payload from weaver.outbox o
     where o.run_id = $1::uuid and o.id > $2::bigint and o.type = any ($3::text[]) order by o.id limit $4`,
    [runId, after, types, limit],
  )
  for (const { payload: event } of rows) {
    const checked = definitionOf(event.type).payload.safeParse(event.payload)
    if (checked.success) continue
    const [issue] = checked.error.issues
    const problem = `${issue?.path.join('.')}: ${issue?.message}`
    throw new MisfitEvent(`event ${event.id} (${event.type}) is of another version of Weaver, or changed: ${problem}`)
  }
  return {
    events: rows.map((row) => row.payload),
    places: rows.map(({ id }) => Number(id)),
    last: rows.at(-1)?.id ?? null,
  }
}

/** The place of the run's oldest event; 0: it has none. */
export async function firstOfRun(reader: Reader, runId: string): Promise<number> {
  const [row] = await reader.query<{ id: string }>(
    'select o.id::text as id from weaver.outbox o where o.run_id = $1::uuid order by o.id limit 1',
    [runId],
  )
  return Number(row?.id ?? 0)
}

/** The place of the run's newest event; 0: it has none. */
export async function lastOfRun(reader: Reader, runId: string): Promise<number> {
  const [row] = await reader.query<{ id: string }>(
    'select o.id::text as id from weaver.outbox o where o.run_id = $1::uuid order by o.id desc limit 1',
    [runId],
  )
  return Number(row?.id ?? 0)
}
