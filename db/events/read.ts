/** Reading the log: in the order of seq, or one event by its id. */
import type { Reader } from '../database.ts'
import type { Envelope } from './envelope.ts'
import type { EventType } from './registry.ts'

export interface LoggedEvent {
  /** Gapless position in the log, from 0. */
  seq: number
  envelope: Envelope
}

export interface EventFilter {
  runId?: string
  types?: readonly EventType[]
}

/** `offset 0` keeps the planner from joining the whole log, of which a few rows are wanted. */
const ROW_OF_SEQ = `select o.payload from weaver.outbox o
  where o.created_at = s.created_at and o.id = s.outbox_id offset 0`

/** The first `limit` events after `seq` (-1 = from the start). */
export async function readAfter(
  reader: Reader,
  seq: number,
  limit: number,
  filter: EventFilter = {},
): Promise<LoggedEvent[]> {
  const values: unknown[] = [seq, limit]
  const conditions = ['s.seq > $1']
  if (filter.runId !== undefined) conditions.push(`s.run_id = $${values.push(filter.runId)}::uuid`)
  if (filter.types !== undefined) conditions.push(`s.type = any ($${values.push(filter.types)}::text[])`)
  const rows = await reader.query<{ seq: string | number; payload: Envelope }>(
    `select s.seq, o.payload
     from weaver.outbox_seq s cross join lateral (${ROW_OF_SEQ}) o
     where ${conditions.join(' and ')} order by s.seq limit $2`,
    values,
  )
  return rows.map((row) => ({ seq: Number(row.seq), envelope: row.payload }))
}

/** A page of a run's events, oldest first, and how many there are, counted up to `countTo`. */
export async function pageOfRun(
  reader: Reader,
  runId: string,
  { page, page_size, countTo }: { page: number; page_size: number; countTo: number },
): Promise<{ items: LoggedEvent[]; total: number }> {
  const rows = await reader.query<{ seq: string | number; payload: Envelope }>(
    `select s.seq, o.payload
     from (select seq, outbox_id, created_at from weaver.outbox_seq where run_id = $1::uuid
       order by seq limit $2 offset $3) s
     cross join lateral (${ROW_OF_SEQ}) o order by s.seq`,
    [runId, page_size, (page - 1) * page_size],
  )
  const [counted] = await reader.query<{ total: number }>(
    'select count(*) as total from (select 1 from weaver.outbox_seq where run_id = $1::uuid limit $2) counted',
    [runId, countTo],
  )
  return {
    items: rows.map((row) => ({ seq: Number(row.seq), envelope: row.payload })),
    total: Number(counted?.total ?? 0),
  }
}

/** The seq of the newest event; -1 when there is none. */
export async function head(reader: Reader): Promise<number> {
  const [row] = await reader.query<{ seq: string | number }>(
    'select coalesce(max(seq), -1) as seq from weaver.outbox_seq',
  )
  return Number(row?.seq ?? -1)
}

/** The lowest seq that can still be read; null when there is none. */
export async function oldest(reader: Reader): Promise<number | null> {
  const [row] = await reader.query<{ seq: string | number }>(
    `select s.seq from weaver.outbox_seq s
     cross join lateral (${ROW_OF_SEQ}) o
     order by s.seq limit 1`,
  )
  return row === undefined ? null : Number(row.seq)
}

/** Also an event that has no seq yet. */
export async function getEvent(reader: Reader, id: string): Promise<Envelope | null> {
  const [row] = await reader.query<{ payload: Envelope }>(
    'select payload from weaver.outbox where event_id = $1::uuid limit 1',
    [id],
  )
  return row?.payload ?? null
}
