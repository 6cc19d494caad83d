/** What is told outside: what messages are made of, how theirs stands, and the switch that hears that Weaver lives. */
import type { Mode, OrderType, Side } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { selectList } from '../columns.ts'
import {
  type ChannelName,
  HEARTBEATS,
  type HeartbeatRow,
  NOTIFICATIONS,
  type NoticeKind,
  type NotificationRow,
  type NotificationState,
} from '../notice_rows.ts'

export interface ToldRun {
  id: string
  mode: Mode
  strategy_id: string
  exchange: string | null
  label: string | null
}

export function runsToTell(reader: Reader, ids: readonly string[]): Promise<ToldRun[]> {
  return reader.query<ToldRun>(
    'select id, mode, strategy_id, exchange, label from weaver.runs where id = any ($1::uuid[])',
    [ids],
  )
}

export interface ToldOrder {
  id: string
  symbol: string
  side: Side
  order_type: OrderType
  qty: string
  filled_qty: string
  filled_avg_price: string | null
}

export function ordersToTell(reader: Reader, ids: readonly string[]): Promise<ToldOrder[]> {
  return reader.query<ToldOrder>(
    'select id, symbol, side, order_type, qty, filled_qty, filled_avg_price from weaver.orders where id = any ($1::uuid[])',
    [ids],
  )
}

export interface TakenUp {
  channel: ChannelName
  kind: NoticeKind
  /** Messages of events that were told in the minute, or are about to be. */
  told: number
  held: number
}

/** What was taken up in a minute so far. */
export function takenUpIn(reader: Reader, minute: string): Promise<TakenUp[]> {
  return reader.query<TakenUp>(
    `select channel, kind, (count(*) filter (where state not in ('expired', 'held') and event_id is not null))::int as told,
       (count(*) filter (where state = 'held'))::int as held
     from weaver.notifications where minute = $1 group by channel, kind`,
    [minute],
  )
}

export async function getNotification(reader: Reader, id: string): Promise<NotificationRow | null> {
  const [row] = await reader.query<NotificationRow>(
    `select ${selectList(NOTIFICATIONS)} from weaver.notifications where id = $1`,
    [id],
  )
  return row ?? null
}

export interface HeldBack {
  count: number
  /** Of the first few. */
  titles: string[]
}

const FIRST_FEW = 5

/** What a message that sums up stands for. */
export async function heldBack(
  reader: Reader,
  { channel, kind, minute }: Pick<NotificationRow, 'channel' | 'kind' | 'minute'>,
): Promise<HeldBack> {
  const [row] = await reader.query<HeldBack>(
    `select count(*)::int as count, coalesce((array_agg(title order by ts, id))[:${FIRST_FEW}], '{}') as titles
     from weaver.notifications where channel = $1 and kind = $2 and minute = $3 and state = 'held'`,
    [channel, kind, minute],
  )
  return row ?? { count: 0, titles: [] }
}

export interface ChannelHealth {
  channel: ChannelName
  counts: Record<NotificationState, number>
  /** Since when messages wait that could not be sent; null: none does. */
  failingSeconds: number | null
  lastError: string | null
  /** Since the last one that was; null: none ever. */
  sentSeconds: number | null
}

export async function channelHealth(reader: Reader): Promise<ChannelHealth[]> {
  const rows = await reader.query<Record<NotificationState, number> & Omit<ChannelHealth, 'counts'>>(
    `select channel, to_send::int, sent::int, failed::int, expired::int, held::int, last_error as "lastError",
       extract(epoch from clock_timestamp() - failing_since)::float8 as "failingSeconds",
       extract(epoch from clock_timestamp() - last_sent_at)::float8 as "sentSeconds"
     from weaver.notification_overview order by channel`,
  )
  return rows.map(({ to_send, sent, failed, expired, held, ...rest }) => ({
    ...rest,
    counts: { to_send, sent, failed, expired, held },
  }))
}

export async function getHeartbeat(reader: Reader): Promise<HeartbeatRow | null> {
  const [row] = await reader.query<HeartbeatRow>(`select ${selectList(HEARTBEATS)} from weaver.heartbeats limit 1`)
  return row ?? null
}

/** Some process's clock emits the ticks of paper and live runs. */
export async function clockIsLed(reader: Reader): Promise<boolean> {
  const [row] = await reader.query<{ led: boolean }>(
    `select exists (
       select from pg_locks l
       where l.locktype = 'advisory' and l.granted and l.objsubid = 1
         and l.database = (select d.oid from pg_database d where d.datname = current_database())
         and (l.classid::bigint << 32) | l.objid::bigint = hashtext('weaver:clock')::bigint
     ) as led`,
  )
  return row?.led ?? false
}
