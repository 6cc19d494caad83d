/** Orders of paper and live runs on their way to a venue, and what is known of them. */
import type { Reader } from '../../database.ts'
import { tradesAroundTheClock } from '../calendar/calendar.ts'
import { FILLS, ORDERS, POSITIONS, selectList } from '../columns.ts'
import { ORDER_SENDS, type OrderSendRow, type TradingMode } from '../live_rows.ts'
import type { FillRow, OrderRow, PositionRow } from '../rows.ts'

export interface OrderPlace {
  order_id: string
  run_id: string
}

type Account = { exchange: string; mode: TradingMode }

/**
 * Which of the account's orders is meant: by the id that Weaver gave it, else by the venue's, which is that of the newest of
 * the orders that took each other's place, of one before it, or of one that is about to take its place. Whoever names a client
 * id that Weaver did not give means one of those that were replaced.
 */
export async function findOrder(
  reader: Reader,
  account: Account,
  ids: { client_order_id: string | null; exchange_order_id: string | null; replaces: string | null },
): Promise<OrderPlace | null> {
  if (ids.client_order_id !== null) {
    const [row] = await reader.query<OrderPlace>(
      `select o.id as order_id, o.run_id from weaver.orders o join weaver.runs r on r.id = o.run_id
       where r.exchange = $1 and r.mode = $2 and o.client_order_id = $3`,
      [account.exchange, account.mode, ids.client_order_id],
    )
    if (row !== undefined) return row
  }
  const isNamed = ids.client_order_id !== null
  for (const [id, onlyReplaced] of [
    [ids.exchange_order_id, isNamed],
    [ids.replaces, false],
  ] as const) {
    if (id === null) continue
    const [row] = await reader.query<OrderPlace>(
      `select o.id as order_id, o.run_id from weaver.orders o join weaver.runs r on r.id = o.run_id
         left join weaver.order_sends s on s.order_id = o.id
       where r.exchange = $1 and r.mode = $2 and o.exchange_order_id = $3 and (not $4::boolean or s.replaced_ids <> '[]')
       union all
       select s.order_id, s.run_id from weaver.order_sends s
       where s.exchange = $1 and s.mode = $2 and s.replaced_ids <> '[]' and s.replaced_ids ? $3
       limit 1`,
      [account.exchange, account.mode, id, onlyReplaced],
    )
    if (row !== undefined) return row
  }
  return null
}

/** Needs the run's lock, which whoever changes an order holds. */
export async function orderByClientId(tx: Reader, runId: string, clientOrderId: string): Promise<OrderRow | null> {
  const [row] = await tx.query<OrderRow>(
    `select ${selectList(ORDERS)} from weaver.orders where run_id = $1 and client_order_id = $2`,
    [runId, clientOrderId],
  )
  return row ?? null
}

/** The order's fills, oldest first. */
export function fillsOfOrder(reader: Reader, orderId: string): Promise<FillRow[]> {
  return reader.query<FillRow>(`select ${selectList(FILLS)} from weaver.fills where order_id = $1 order by ordinal`, [
    orderId,
  ])
}

export async function getOrderSend(reader: Reader, orderId: string): Promise<OrderSendRow | null> {
  const [row] = await reader.query<OrderSendRow>(
    `select ${selectList(ORDER_SENDS)} from weaver.order_sends where order_id = $1`,
    [orderId],
  )
  return row ?? null
}

export async function getPosition(reader: Reader, runId: string, symbol: string): Promise<PositionRow | null> {
  const [row] = await reader.query<PositionRow>(
    `select ${selectList(POSITIONS)} from weaver.positions where run_id = $1 and symbol = $2`,
    [runId, symbol],
  )
  return row ?? null
}

/** The run's orders in the symbol with how they were sent, oldest first: those that are open, and all attached exits. */
export async function symbolOrders(
  reader: Reader,
  runId: string,
  symbol: string,
): Promise<{ order: OrderRow; send: OrderSendRow | null }[]> {
  const orders = await reader.query<OrderRow>(
    `select ${selectList(ORDERS)} from weaver.orders
     where run_id = $1 and symbol = $2
       and (status in ('pending', 'submitted', 'accepted', 'partial') or parent_order_id is not null)
     order by ordinal`,
    [runId, symbol],
  )
  const sends = await reader.query<OrderSendRow>(
    `select ${selectList(ORDER_SENDS)} from weaver.order_sends where order_id = any ($1::uuid[])`,
    [orders.map(({ id }) => id)],
  )
  const byOrder = new Map(sends.map((send) => [send.order_id, send]))
  return orders.map((order) => ({ order, send: byOrder.get(order.id) ?? null }))
}

/** What stands against sending an order now. */
export interface Hindrance {
  /** The system is halted, or the run. */
  system_halt: boolean
  run_halt: boolean
  account_ready: boolean
  account_reason: string | null
  /** Why nothing is sent in the symbol. */
  paused_reason: string | null
  /** When the account was asked last for what it holds of it, and that was as expected. */
  equal_at: string | null
}

export async function hindranceOf(
  reader: Reader,
  run: { id: string; exchange: string | null; mode: string },
  symbol: string,
): Promise<Hindrance> {
  const [row] = await reader.query<Hindrance>(
    `select
       exists (select from weaver.halts where run_id is null and resumed_at is null) as system_halt,
       exists (select from weaver.halts where run_id = $1 and resumed_at is null) as run_halt,
       coalesce(a.state = 'ready', false) as account_ready,
       coalesce(a.state_reason, a.state) as account_reason,
       p.paused_reason, p.equal_at
     from (select 1) one left join weaver.accounts a on a.exchange = $2 and a.mode = $3
       left join weaver.account_positions p on p.exchange = $2 and p.mode = $3 and p.symbol = $4`,
    [run.id, run.exchange, run.mode, symbol],
  )
  return row as Hindrance
}

/** Of a symbol that may be split: what its runs hold, and their orders in it, may be in other shares than the venue's. */
export async function isPausedAsSplit(
  reader: Reader,
  account: { exchange: string | null; mode: string },
  symbol: string,
): Promise<boolean> {
  return !tradesAroundTheClock(symbol) && (await symbolsPausedAsSplit(reader, account)).includes(symbol)
}

export async function symbolsPausedAsSplit(
  reader: Reader,
  { exchange, mode }: { exchange: string | null; mode: string },
): Promise<string[]> {
  const rows = await reader.query<{ symbol: string }>(
    `select symbol from weaver.account_positions where exchange = $1 and mode = $2 and paused_class = 'split'`,
    [exchange, mode],
  )
  return rows.map(({ symbol }) => symbol)
}

/** What persons asked to be closed of the run in the last minutes and is no order yet. Needs the run's lock. */
export function unplacedByHand(
  tx: Reader,
  runId: string,
): Promise<Pick<OrderRow, 'client_order_id' | 'symbol' | 'side' | 'qty'>[]> {
  return tx.query(
    `select asked.* from weaver.outbox e
       cross join lateral jsonb_to_record(e.payload #> '{payload,intent}')
         as asked (client_order_id text, symbol text, side text, qty text)
     where e.run_id = $1 and e.type = 'live.PlaceOrder' and e.payload #> '{payload,by}' is not null
       and e.created_at > now() - interval '10 minutes'
       and not exists (select from weaver.orders o where o.client_order_id = asked.client_order_id)
     order by e.id`,
    [runId],
  )
}

/** A job asks the venue to cancel it, now or later. */
export async function isBeingCancelled(reader: Reader, orderId: string): Promise<boolean> {
  const [row] = await reader.query<{ found: boolean }>(
    `select exists (select from weaver.order_jobs where order_id = $1 and task = 'veda.send_cancel') as found`,
    [orderId],
  )
  return row?.found === true
}

/** Orders whose way to the venue is not over, take profits, which may have to make way, and cancels that the venue has not confirmed: those without a job. */
export function unfinishedSends(
  reader: Reader,
  account: { exchange: string; mode: TradingMode },
): Promise<(OrderPlace & { client_order_id: string; what: 'submit' | 'cancel' })[]> {
  return reader.query(
    `select s.order_id, s.run_id, o.client_order_id, case when s.state = 'answered' and s.cancel_requested_at is not null then 'cancel' else 'submit' end as what
     from (select order_id from weaver.order_sends where exchange = $1 and mode = $2 and state <> 'answered'
         union select id from weaver.orders where status in ('pending', 'submitted', 'accepted', 'partial')) open
       join weaver.order_sends s using (order_id) join weaver.orders o on o.id = s.order_id
     where s.exchange = $1 and s.mode = $2
       and not exists (select from weaver.order_jobs j where j.order_id = s.order_id)
       and (s.state <> 'answered' or s.cancel_requested_at is not null
         or (o.parent_order_id is not null and o.order_type = 'limit'))
     order by o.created_at, o.id`,
    [account.exchange, account.mode],
  )
}

export interface UnsettledSends {
  exchange: string
  mode: TradingMode
  state: OrderSendRow['state']
  count: number
  oldestSeconds: number
}

/** Open orders whose sending is not answered yet. */
export function unsettledSends(reader: Reader): Promise<UnsettledSends[]> {
  return reader.query(
    `select s.exchange, s.mode, s.state, count(*)::int as count,
       extract(epoch from clock_timestamp() - min(s.created_at))::float8 as "oldestSeconds"
     from weaver.order_sends s join weaver.orders o on o.id = s.order_id
     where s.state <> 'answered' and o.status in ('pending', 'submitted', 'accepted', 'partial')
     group by s.exchange, s.mode, s.state order by 1, 2, 3`,
  )
}

export interface RecentSends {
  exchange: string
  mode: TradingMode
  /** Seconds: median, 95th percentile, longest. */
  sent: (number | null)[]
  answered: (number | null)[]
}

/** How long orders took of which venues said something for the first time within the last minutes. */
export function recentSends(reader: Reader, minutes: number): Promise<RecentSends[]> {
  const quantiles = (value: string) =>
    ['0.5', '0.95', '1'].map((part) => `percentile_cont(${part}) within group (order by ${value})`).join(', ')
  return reader.query(
    `with told as (
       select client_order_id, min(created_at) as at from weaver.venue_updates
       where created_at > now() - make_interval(mins => $1) and client_order_id is not null group by 1
     ), orders as (
       select s.exchange, s.mode, extract(epoch from o.submitted_at - s.wanted_at)::float8 as sent,
         case when s.attempts = 1 then greatest(0, extract(epoch from told.at - s.last_sent_at)) end::float8 as answered
       from told join weaver.orders o using (client_order_id) join weaver.order_sends s on s.order_id = o.id
       where s.last_sent_at > now() - make_interval(mins => $1)
     )
     select exchange, mode, array[${quantiles('sent')}] as sent, array[${quantiles('answered')}] as answered
     from orders group by exchange, mode order by 1, 2`,
    [minutes],
  )
}

/** Needs the run's lock, under which jobs of its orders are finished. */
export async function hasOtherSubmit(tx: Reader, orderId: string): Promise<boolean> {
  const rows = await tx.query(
    `select from weaver.order_jobs where order_id = $1 and task = 'veda.submit_order' limit 2`,
    [orderId],
  )
  return rows.length > 1
}
