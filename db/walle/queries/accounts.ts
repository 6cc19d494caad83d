/** Accounts at venues: what they hold, whose it is, and what of our orders is open there. */
import type { Reader } from '../../database.ts'
import { ORDERS, selectList } from '../columns.ts'
import {
  ACCOUNT_POSITIONS,
  ACCOUNTS,
  type AccountPositionRow,
  type AccountRow,
  type OrderSendRow,
  type TradingMode,
} from '../live_rows.ts'
import type { OrderRow } from '../rows.ts'

export interface AccountName {
  exchange: string
  mode: TradingMode
}

export async function getAccount(reader: Reader, { exchange, mode }: AccountName): Promise<AccountRow | null> {
  const [row] = await reader.query<AccountRow>(
    `select ${selectList(ACCOUNTS)} from weaver.accounts where exchange = $1 and mode = $2`,
    [exchange, mode],
  )
  return row ?? null
}

/** Kept as it is until the transaction ends: whoever changes an account or its positions holds this lock. */
export async function lockAccount(tx: Reader, { exchange, mode }: AccountName): Promise<AccountRow | null> {
  const [row] = await tx.query<AccountRow>(
    `select ${selectList(ACCOUNTS)} from weaver.accounts where exchange = $1 and mode = $2 for no key update`,
    [exchange, mode],
  )
  return row ?? null
}

export function listAccounts(reader: Reader): Promise<AccountRow[]> {
  return reader.query<AccountRow>(`select ${selectList(ACCOUNTS)} from weaver.accounts order by exchange, mode`)
}

export function accountPositions(reader: Reader, { exchange, mode }: AccountName): Promise<AccountPositionRow[]> {
  return reader.query<AccountPositionRow>(
    `select ${selectList(ACCOUNT_POSITIONS)} from weaver.account_positions
     where exchange = $1 and mode = $2 order by symbol`,
    [exchange, mode],
  )
}

export function listAccountPositions(reader: Reader): Promise<AccountPositionRow[]> {
  return reader.query<AccountPositionRow>(
    `select ${selectList(ACCOUNT_POSITIONS)} from weaver.account_positions order by exchange, mode, symbol`,
  )
}

export interface HeldByRun {
  run_id: string
  symbol: string
  qty: string
  ended: boolean
}

/** A run of the account that has its number now: what was held in another one is not held here. */
const ITS_RUNS = `weaver.runs r join weaver.accounts a on a.exchange = r.exchange and a.mode = r.mode
  and (a.number_since is null or r.started_at >= a.number_since)`

/** What the account's runs hold, those that ended first at the head: their positions stay. */
export function heldByRuns(reader: Reader, { exchange, mode }: AccountName): Promise<HeldByRun[]> {
  return reader.query<HeldByRun>(
    `select p.run_id, p.symbol, p.qty, r.status <> 'running' as ended
     from weaver.positions p join (${ITS_RUNS}) on r.id = p.run_id
     where r.exchange = $1 and r.mode = $2 and p.qty <> 0
     order by r.status = 'running', r.stopped_at, r.created_at, r.id, p.symbol`,
    [exchange, mode],
  )
}

/** Which of these are runs of the account. */
export async function runsOfAccount(
  reader: Reader,
  { exchange, mode }: AccountName,
  ids: readonly string[],
): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows = await reader.query<{ id: string }>(
    'select id from weaver.runs where exchange = $1 and mode = $2 and id = any ($3::uuid[])',
    [exchange, mode, ids],
  )
  return new Set(rows.map(({ id }) => id))
}

export interface BoughtByRun {
  run_id: string
  symbol: string
  qty: string
  kept: string
  fills: number
}

/** What each run has bought of these symbols since the account's books were right last, the newest purchase first. */
export async function purchasesOf(
  reader: Reader,
  { exchange, mode }: AccountName,
  symbols: readonly string[],
): Promise<BoughtByRun[]> {
  if (symbols.length === 0) return []
  return reader.query<BoughtByRun>(
    `select f.run_id, f.symbol, sum(f.qty) as qty, sum(f.fee_qty) as kept, count(*)::int as fills
     from weaver.fills f join (${ITS_RUNS}) on r.id = f.run_id
       left join weaver.account_positions p on p.exchange = r.exchange and p.mode = r.mode and p.symbol = f.symbol
     where r.exchange = $1 and r.mode = $2 and f.side = 'buy' and f.symbol = any ($3::text[])
       and (p.equal_at is null or f.known_at > p.equal_at)
     group by f.run_id, f.symbol order by max(f.known_at) desc, f.run_id`,
    [exchange, mode, symbols],
  )
}

export type AccountOrder = OrderRow & { send_state: OrderSendRow['state'] | null } & Pick<
    OrderSendRow,
    'replaced_ids' | 'filled_before'
  >

const ACCOUNT_ORDERS = `select ${selectList(ORDERS, 'o')}, s.state as send_state,
    coalesce(s.replaced_ids, '[]') as replaced_ids, coalesce(s.filled_before, 0) as filled_before
  from weaver.orders o join weaver.runs r on r.id = o.run_id left join weaver.order_sends s on s.order_id = o.id`

/** Our orders of the account that may still change. */
export function openAccountOrders(reader: Reader, { exchange, mode }: AccountName): Promise<AccountOrder[]> {
  return reader.query<AccountOrder>(
    `${ACCOUNT_ORDERS}
     where r.exchange = $1 and r.mode = $2 and o.status in ('pending', 'submitted', 'accepted', 'partial')
     order by o.created_at, o.id`,
    [exchange, mode],
  )
}

/** Those of them that are ours: by the ids that Weaver gave, or by the venue's of what took the place of ours. */
export async function ordersNamed(
  reader: Reader,
  { exchange, mode }: AccountName,
  clientOrderIds: readonly string[],
  exchangeOrderIds: readonly string[],
): Promise<AccountOrder[]> {
  const own = await reader.query<AccountOrder>(`${ACCOUNT_ORDERS} where o.client_order_id = any ($1::text[])`, [
    clientOrderIds,
  ])
  const replaced = await reader.query<AccountOrder>(
    `${ACCOUNT_ORDERS} where s.exchange = $1 and s.mode = $2 and s.replaced_ids <> '[]' and o.id in (
       select id from weaver.orders where exchange_order_id = any ($3::text[])
       union all select order_id from weaver.order_sends where replaced_ids <> '[]' and replaced_ids ?| $3::text[])`,
    [exchange, mode, exchangeOrderIds],
  )
  return [...new Map([...own, ...replaced].map((order) => [order.id, order])).values()]
}

/** Runs of the account that hold one of the symbols, or have orders in it that may be open at the venue. */
export function runsWithSymbols(
  reader: Reader,
  { exchange, mode }: AccountName,
  symbols: readonly string[],
): Promise<{ run_id: string; symbol: string }[]> {
  if (symbols.length === 0) return Promise.resolve([])
  return reader.query(
    `select r.id as run_id, s.symbol from weaver.runs r cross join unnest($3::text[]) as s (symbol)
     where r.exchange = $1 and r.mode = $2 and (
       exists (select from weaver.positions p where p.run_id = r.id and p.symbol = s.symbol and p.qty <> 0)
       or exists (select from weaver.orders o where o.run_id = r.id and o.symbol = s.symbol
         and o.status in ('pending', 'submitted', 'accepted', 'partial')))
     order by r.id, s.symbol`,
    [exchange, mode, symbols],
  )
}

/** Symbols of the account in which something may have filled in the last moments. */
export async function movingSymbols(
  reader: Reader,
  { exchange, mode }: AccountName,
  withinMs: number,
): Promise<Set<string>> {
  const rows = await reader.query<{ symbol: string }>(
    `select o.symbol from weaver.orders o join weaver.runs r on r.id = o.run_id
     where r.exchange = $1 and r.mode = $2 and o.status in ('submitted', 'accepted', 'partial')
     union select o.symbol from weaver.orders o join weaver.runs r on r.id = o.run_id
     where r.exchange = $1 and r.mode = $2 and o.exchange_order_id is not null
       and o.updated_at > now() - make_interval(secs => $3::float8 / 1000)`,
    [exchange, mode, withinMs],
  )
  return new Set(rows.map(({ symbol }) => symbol))
}

/** Which of these executions of the account are on record. */
export async function knownExecutions(
  reader: Reader,
  { exchange, mode }: AccountName,
  executionIds: readonly string[],
): Promise<Set<string>> {
  const rows = await reader.query<{ execution_id: string }>(
    `select execution_id from weaver.venue_updates
     where exchange = $1 and mode = $2 and execution_id = any ($3::text[])`,
    [exchange, mode, executionIds],
  )
  return new Set(rows.map((row) => row.execution_id))
}

/** The newest thing that was heard of its orders, by whichever process; 0: nothing yet. */
export async function newestUpdate(reader: Reader, { exchange, mode }: AccountName): Promise<number> {
  const [row] = await reader.query<{ id: number }>(
    'select id from weaver.venue_updates where exchange = $1 and mode = $2 order by id desc limit 1',
    [exchange, mode],
  )
  return Number(row?.id ?? 0)
}

export interface AccountHealth extends AccountName {
  state: AccountRow['state']
  stream: AccountRow['stream']
  state_reason: string | null
  /** Running runs that use it. */
  runs: number
  /** Null: never. */
  reconciledSeconds: number | null
  pausedSymbols: string[]
}

/** Accounts that are kept, and those that running runs want. */
export function accountHealth(reader: Reader): Promise<AccountHealth[]> {
  return reader.query<AccountHealth>(
    `select coalesce(a.exchange, u.exchange) as exchange, coalesce(a.mode, u.mode) as mode,
       coalesce(a.state, 'unknown') as state, a.stream,
       case when a.id is null then 'nobody keeps it' else a.state_reason end as state_reason, coalesce(u.runs, 0) as runs,
       extract(epoch from clock_timestamp() - a.reconciled_at)::float8 as "reconciledSeconds",
       array(select p.symbol from weaver.account_positions p
         where p.exchange = a.exchange and p.mode = a.mode and p.paused_reason is not null order by p.symbol
       ) as "pausedSymbols"
     from weaver.accounts a full join (
       select exchange, mode, count(*)::int as runs from weaver.runs
       where status = 'running' and mode <> 'backtest' and exchange is not null group by exchange, mode
     ) u on u.exchange = a.exchange and u.mode = a.mode
     order by 1, 2`,
  )
}

export interface UpdateCount extends AccountName {
  source: string
  count: number
}

/** What was heard of orders within the last minutes. */
export function recentUpdates(reader: Reader, minutes: number): Promise<UpdateCount[]> {
  return reader.query<UpdateCount>(
    `select exchange, mode, source, count(*)::int as count from weaver.venue_updates
     where created_at > clock_timestamp() - make_interval(mins => $1) group by exchange, mode, source order by 1, 2, 3`,
    [minutes],
  )
}

export interface ClockHealth extends AccountName {
  skew_ms: number
}

/** Of the accounts that running runs use, by what was found within the last minutes. */
export function venueClocks(reader: Reader, minutes: number): Promise<ClockHealth[]> {
  return reader.query<ClockHealth>(
    `select c.exchange, c.mode, c.skew_ms from weaver.venue_clocks c
     where c.updated_at > clock_timestamp() - make_interval(mins => $1) and exists (
       select from weaver.runs r where r.exchange = c.exchange and r.mode = c.mode and r.status = 'running'
     ) order by 1, 2`,
    [minutes],
  )
}
