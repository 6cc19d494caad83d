/** Reading the log: in the order of seq, or one event by its id. */
import type { Reader } from '../database.ts'
import type { Envelope } from './envelope.ts'
import { openEnvelope } from './open_envelope.ts'
import type { EventType } from './registry.ts'

export interface LoggedEvent {
  /** Gapless position in the log, from 0. */
  seq: number
  envelope: Envelope
}

export interface EventFilter {
  /** The last seq that is looked at. */
  upTo?: number
  runId?: string
  types?: readonly EventType[]
}

/** A row of the log that is no event as this version knows them: written by hand, or by a newer Weaver. */
export interface UnreadableRow {
  seq: number
  id: string | null
  type: string
  /** What is wrong with it. */
  problem: string
}

export type LogRow = LoggedEvent | UnreadableRow

export function isReadable(row: LogRow): row is LoggedEvent {
  return 'envelope' in row
}

/** Whoever must not pass over an event stops at one that it cannot read. */
export class UnreadableEvent extends Error {
  override readonly name = 'UnreadableEvent'
  readonly row: UnreadableRow

  constructor(row: UnreadableRow) {
    super(`the event ${row.id ?? 'without id'} (seq ${row.seq}, ${row.type}) cannot be read: ${row.problem}`)
    this.row = row
  }
}

/** `offset 0` keeps the planner from joining the whole log, of which a few rows are wanted. */
const ROW_OF_SEQ = `select o.event_id, o.payload from weaver.outbox o
  where o.created_at = s.created_at and o.id = s.outbox_id offset 0`

/** The first `limit` rows after `seq` (-1 = from the start), as they are. */
export async function readLog(reader: Reader, seq: number, limit: number, filter: EventFilter = {}): Promise<LogRow[]> {
  const values: unknown[] = [seq, limit]
  const conditions = ['s.seq > $1']
  if (filter.upTo !== undefined) conditions.push(`s.seq <= $${values.push(filter.upTo)}`)
  if (filter.runId !== undefined) conditions.push(`s.run_id = $${values.push(filter.runId)}::uuid`)
  if (filter.types !== undefined) conditions.push(`s.type = any ($${values.push(filter.types)}::text[])`)
  const rows = await reader.query<StoredRow>(
    `select s.seq, s.type, o.event_id, o.payload
     from weaver.outbox_seq s left join lateral (${ROW_OF_SEQ}) o on true
     where ${conditions.join(' and ')} order by s.seq limit $2`,
    values,
  )
  return rows.map(rowOf)
}

/** The first `limit` events after `seq`. Throws UnreadableEvent at a row that is none. */
export async function readAfter(
  reader: Reader,
  seq: number,
  limit: number,
  filter: EventFilter = {},
): Promise<LoggedEvent[]> {
  return (await readLog(reader, seq, limit, filter)).map((row) => {
    if (!isReadable(row)) throw new UnreadableEvent(row)
    return row
  })
}

interface StoredRow {
  seq: string | number
  type: string
  event_id: string | null
  payload: unknown
}

function rowOf({ seq, type, event_id, payload }: StoredRow): LogRow {
  const checked = openEnvelope(type, event_id, payload)
  return typeof checked === 'string'
    ? { seq: Number(seq), id: event_id, type, problem: checked }
    : { seq: Number(seq), envelope: checked }
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

/**
 * From here on the log is whole; of what lies before, retention has left what is kept for audit. For a run whose events
 * are kept, from where on those are whole.
 */
export async function horizon(reader: Reader, runId: string | null = null): Promise<number> {
  const [row] = await reader.query<{ seq: string | number }>(
    `select case when exists (
         select from weaver.runs r where r.id = $1::uuid and (r.mode in ('live', 'paper') or r.audit = 'full')
       ) then h.audit_seq else h.seq end as seq
     from weaver.outbox_horizon h`,
    [runId],
  )
  return Number(row?.seq ?? 0)
}

/** What wants a person (`system.Error`), newest first; of one run where that is given. */
export async function newestAlerts(
  reader: Reader,
  { run_id, limit }: { run_id: string | null; limit: number },
): Promise<Envelope<'system.Error'>[]> {
  const rows = await reader.query<{ payload: Envelope<'system.Error'> }>(
    `select payload from weaver.outbox where type = 'system.Error' and ($1::uuid is null or run_id = $1::uuid)
     order by id desc limit $2`,
    [run_id, limit],
  )
  return rows.map(({ payload }) => payload)
}

/** Also an event that has no seq yet. */
export async function getEvent(reader: Reader, id: string): Promise<Envelope | null> {
  const [row] = await reader.query<{ payload: Envelope }>(
    'select payload from weaver.outbox where event_id = $1::uuid limit 1',
    [id],
  )
  return row?.payload ?? null
}

/** Of a run's newest events, so many are looked at. */
const NEWEST_OF_RUN = 100

/** The newest event of a type among the newest of its run; null: there is none. */
export async function newestOfRun<T extends EventType>(
  reader: Reader,
  runId: string,
  type: T,
): Promise<Envelope<T> | null> {
  const [row] = await reader.query<{ payload: Envelope<T> }>(
    `select o.payload from (
       select seq, type, outbox_id, created_at from weaver.outbox_seq where run_id = $1::uuid order by seq desc limit $3
     ) s join lateral (${ROW_OF_SEQ}) o on true
     where s.type = $2 order by s.seq desc limit 1`,
    [runId, type, NEWEST_OF_RUN],
  )
  return row?.payload ?? null
}

/** The events of a type that have the same cause as another one of their run, and came before it; in their order. */
export async function listSiblings<T extends EventType>(
  reader: Reader,
  { id, run_id, causation_id }: Pick<Envelope, 'id' | 'run_id' | 'causation_id'>,
  type: T,
): Promise<Envelope<T>[]> {
  const rows = await reader.query<{ payload: Envelope<T> }>(
    `select o.payload from weaver.outbox o
     where o.run_id = $2::uuid and o.type = $4 and o.causation_id = $3::uuid
       and o.id > (select id from weaver.outbox where event_id = $3::uuid)
       and o.id < (select id from weaver.outbox where event_id = $1::uuid)
     order by o.id`,
    [id, run_id, causation_id, type],
  )
  return rows.map(({ payload }) => payload)
}
