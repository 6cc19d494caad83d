/** Rows of what is told outside (migration 016), in the notation of rows.ts. */
import type { Table } from './columns.ts'
import type { TradingMode } from './live_rows.ts'

export type ChannelName = 'webhook' | 'telegram' | 'mail'
export type NoticeKind = 'fills' | 'rejects' | 'errors' | 'halts' | 'mismatches' | 'jobs'
export type NoticeLevel = 'info' | 'warning' | 'critical'
export type NotificationState = 'to_send' | 'sent' | 'failed' | 'expired' | 'held'

export interface NotificationRow {
  /** Of the delivery: the same however often it is tried. */
  id: string
  /** Null: it sums up what was held back. */
  event_id: string | null
  channel: ChannelName
  kind: NoticeKind
  level: NoticeLevel
  /** Of the event. */
  type: string
  title: string
  body: string
  run_id: string | null
  order_id: string | null
  mode: TradingMode | null
  /** When it happened. */
  ts: string
  /** In which it was taken up: so many of a kind are told in each. */
  minute: string
  state: NotificationState
  attempts: number
  last_error: string | null
  sent_at: string | null
}

export interface HeartbeatRow {
  id: 'heartbeat'
  tried_at: string
  /** The last time that it was heard. */
  beat_at: string | null
  /** Why it did not beat, or was not heard. */
  problem: string | null
}

export const NOTIFICATIONS: Table<NotificationRow> = {
  name: 'weaver.notifications',
  columns: {
    id: 'uuid',
    event_id: 'uuid',
    channel: 'text',
    kind: 'text',
    level: 'text',
    type: 'text',
    title: 'text',
    body: 'text',
    run_id: 'uuid',
    order_id: 'uuid',
    mode: 'text',
    ts: 'timestamptz',
    minute: 'timestamptz',
    state: 'text',
    attempts: 'integer',
    last_error: 'text',
    sent_at: 'timestamptz',
  },
}

export const HEARTBEATS: Table<HeartbeatRow> = {
  name: 'weaver.heartbeats',
  columns: { id: 'text', tried_at: 'timestamptz', beat_at: 'timestamptz', problem: 'text' },
}
