/** What of the log is shown, to whom and as what: the one contract of the stream and of the tail. */

import type { Reader } from '../db/database.ts'
import type { Envelope } from '../db/events/envelope.ts'
import { head, horizon, isReadable, type LoggedEvent, readLog, type UnreadableRow } from '../db/events/read.ts'
import { EVENTS, type EventType, isEventType } from '../db/events/registry.ts'
import { SSE_NAMES, type SseName } from '../db/events/sse_names.ts'
import { modesOf } from '../db/walle/queries/runs.ts'
import { DomainError } from '../jobs/glados/errors.ts'

export interface FeedFilter {
  runId: string | null
  /** Null: all that are shown. */
  names: ReadonlySet<SseName> | null
}

export interface FeedEvent {
  seq: number
  name: SseName
  runId: string | null
  /** Ticks and orders of backtests: shown only to who asks for the run. */
  onlyOfRun: boolean
  /** Under 1 KB: what the stream sends. */
  data: Record<string, unknown>
  /** All of it: what the tail shows besides. */
  envelope: Envelope
}

/** Ids and states; whatever else there is to know is a question to the API. */
const SHOWN_FIELDS = [
  'order_id',
  'client_order_id',
  'symbol',
  'side',
  'status',
  'timeframe',
  'bar_index',
  'progress',
  'next_tick',
  'ticks_total',
  'result_hash',
  'mode',
  'strategy_id',
  'rule',
  'job_id',
  'task',
  'stored',
  'revised',
] as const
/** The place before all events that there are. */
export const START = -1
const LONGEST_TEXT = 100
const PAGE = 500
/** Pages that one request of the tail reads at most. */
const TAIL_PAGES = 10
const KNOWN_MODES = 1_000
const KNOWN_UNREADABLE = 1_000

export const SHOWN_TYPES = (Object.keys(EVENTS) as EventType[]).filter((type) => SSE_NAMES[type] !== null)
const NAMES = new Set<string>(Object.values(SSE_NAMES).filter((name) => name !== null))
/** Names of the published contract that no event has here. Whoever asks for one waits in vain, but asks for nothing wrong. */
const SILENT_NAMES = new Set(['batch.progress', 'heartbeat'])

/** Of names of the stream, or types of the log that are shown on it. Throws the one that is neither. */
export function namesOf(texts: readonly string[]): Set<SseName> {
  const names = new Set<SseName>()
  for (const text of texts) {
    const name = isEventType(text) ? SSE_NAMES[text] : text
    if (name !== null && NAMES.has(name)) names.add(name as SseName)
    else if (!SILENT_NAMES.has(text)) throw noSuchName(text)
  }
  return names
}

function noSuchName(text: string): DomainError {
  const known = [...NAMES, ...SILENT_NAMES].join(', ')
  const message = `${text.slice(0, LONGEST_TEXT)} is not on the stream; there are ${known}`
  return new DomainError('VALIDATION_ERROR', `types: ${message}`, { issues: [{ path: 'types', message }] })
}

export function wants(filter: FeedFilter, event: Pick<FeedEvent, 'name' | 'runId' | 'onlyOfRun'>): boolean {
  if (filter.names && !filter.names.has(event.name)) return false
  return filter.runId === null ? !event.onlyOfRun : event.runId === filter.runId
}

export interface FeedPage {
  events: FeedEvent[]
  /** All up to here was looked at. */
  scanned: number
  /** The newest event there was when it was read. */
  head: number
}

export interface Feed {
  head(): Promise<number>
  /** Why reading on after `seq` would miss or repeat something; null when it would not. */
  resetReason(after: number, filter: FeedFilter): Promise<string | null>
  /** What the filter lets through of the next stretch of the log; null: all that is shown to anybody. */
  page(after: number, filter: FeedFilter | null, limit?: number): Promise<FeedPage>
  tail(after: number, filter: FeedFilter, limit: number): Promise<FeedPage>
}

/** `onUnreadable`: told once of each row that this version cannot read. Nobody can be shown it, and the others go on. */
export function createFeed(reader: Reader, onUnreadable: (row: UnreadableRow) => void): Feed {
  const named = new Set<number>()
  const showing = createShowing(reader)

  async function page(after: number, filter: FeedFilter | null, limit = PAGE): Promise<FeedPage> {
    // In this order: what is read then reaches at least as far as the head.
    const newest = await head(reader)
    const rows = await readLog(reader, after, limit, logFilter(filter))
    const last = rows.at(-1)?.seq ?? after
    for (const row of rows) {
      if (isReadable(row) || named.has(row.seq)) continue
      if (named.size >= KNOWN_UNREADABLE) named.clear()
      named.add(row.seq)
      onUnreadable(row)
    }
    const events = await showing(rows.filter(isReadable))
    return {
      events: filter === null ? events : events.filter((event) => wants(filter, event)),
      scanned: rows.length < limit ? Math.max(newest, last) : last,
      head: newest,
    }
  }

  return {
    head: () => head(reader),
    async resetReason(after, { runId }) {
      if (after === START) return null
      if (after > (await head(reader))) return 'ahead of the log'
      return after < (await horizon(reader, runId)) - 1 ? 'older than the log' : null
    },
    page,
    async tail(after, filter, limit) {
      const found: FeedEvent[] = []
      let scanned = after
      let newest = after
      for (let pages = 0; pages < TAIL_PAGES; pages++) {
        const wanted = limit - found.length
        const next = await page(scanned, filter, wanted)
        found.push(...next.events)
        const isEnd = next.scanned === scanned
        scanned = next.scanned
        newest = next.head
        if (isEnd || found.length >= limit) break
      }
      return { events: found, scanned, head: newest }
    },
  }
}

function logFilter(filter: FeedFilter | null) {
  const names = filter?.names ?? null
  const types = names ? SHOWN_TYPES.filter((type) => names.has(SSE_NAMES[type] as SseName)) : SHOWN_TYPES
  return { types, ...(filter === null || filter.runId === null ? {} : { runId: filter.runId }) }
}

/** Rows of the log as what is shown of them; it remembers which runs are backtests. */
function createShowing(reader: Reader): (rows: readonly LoggedEvent[]) => Promise<FeedEvent[]> {
  const backtests = new Map<string, boolean>()

  async function learn(ids: readonly string[]): Promise<void> {
    const unknown = [...new Set(ids)].filter((id) => !backtests.has(id))
    if (unknown.length === 0) return
    if (backtests.size > KNOWN_MODES) backtests.clear()
    const modes = await modesOf(reader, unknown)
    // Only a backtest can be deleted for good.
    for (const id of unknown) backtests.set(id, (modes.get(id) ?? 'backtest') === 'backtest')
  }

  return async (rows) => {
    const detailed = rows.filter(({ envelope }) => isDetail(SSE_NAMES[envelope.type]))
    const ids = detailed.flatMap(({ envelope }) => envelope.run_id ?? [])
    await learn(ids)
    const known = new Map(ids.map((id) => [id, backtests.get(id) ?? true]))
    return rows.flatMap(({ seq, envelope }) => {
      const name = SSE_NAMES[envelope.type]
      if (name === null) return []
      const onlyOfRun = isDetail(name) && envelope.run_id !== null && known.get(envelope.run_id) === true
      return { seq, name, runId: envelope.run_id, onlyOfRun, data: thin(envelope), envelope }
    })
  }
}

const isDetail = (name: SseName | null): boolean => name === 'tick' || (name?.startsWith('order.') ?? false)

function thin(envelope: Envelope): Record<string, unknown> {
  const payload = envelope.payload as Record<string, unknown>
  const shown: Record<string, unknown> = {
    id: envelope.id,
    type: envelope.type,
    run_id: envelope.run_id,
    ts: envelope.ts,
  }
  for (const field of SHOWN_FIELDS) {
    const value = payload[field]
    if (typeof value === 'string') shown[field] = value.slice(0, LONGEST_TEXT)
    else if (typeof value === 'number' || typeof value === 'boolean') shown[field] = value
  }
  return shown
}
