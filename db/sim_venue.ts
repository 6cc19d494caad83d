/**
 * The books of the built-in market simulator (migration 013). It plays the outside world: it writes them in transactions
 * of its own, never in Weaver's, and what it has committed stands whatever becomes of the caller.
 */
import type { Json, OrderType, Side, TimeInForce } from '../strategies/api.ts'
import type { Database, Reader, WriteTx } from './database.ts'

export interface SimAccountRow {
  account: string
  settings: Json
  faults: Json
  cash: string
  clock_at: string
  next_order: number
  next_execution: number
  next_update: number
}

export interface SimPositionRow {
  symbol: string
  /** Negative when short. */
  qty: string
  /** What the open quantity cost; negative when short. */
  cost: string
}

export interface SimOrderRow {
  exchange_order_id: string
  client_order_id: string
  symbol: string
  side: Side
  order_type: OrderType
  qty: string
  limit_price: string | null
  stop_price: string | null
  trail_price: string | null
  trail_percent: string | null
  time_in_force: TimeInForce
  status: 'accepted' | 'partial' | 'filled' | 'cancelled' | 'rejected' | 'expired'
  filled_qty: string
  filled_notional: string
  /** Of all its fills. */
  fee: string
  fee_qty: string
  reject_reason: string | null
  tested_to: number
  triggered: boolean
  best_price: string | null
  submitted_at: string
  changed_at: string
}

export interface SimExecutionRow {
  execution_id: string
  exchange_order_id: string
  symbol: string
  side: Side
  qty: string
  price: string
  cum_qty: string
  fee: string
  fee_qty: string
  executed_at: string
}

/** The account's book, while nobody else has it. */
export interface SimBookTx {
  account: SimAccountRow
  openOrders(): Promise<SimOrderRow[]>
  ordersSince(at: string): Promise<SimOrderRow[]>
  order(by: { exchange_order_id: string } | { client_order_id: string }): Promise<SimOrderRow | null>
  executionsSince(at: string): Promise<(SimExecutionRow & { client_order_id: string })[]>
  positions(): Promise<SimPositionRow[]>
  saveAccount(): Promise<void>
  saveOrder(order: SimOrderRow): Promise<void>
  savePosition(position: SimPositionRow): Promise<void>
  addExecution(execution: SimExecutionRow): Promise<void>
  /** One more thing for the stream to tell. */
  tell(payload: Json): Promise<void>
}

export interface SimBook {
  /** One transaction, alone with the account, which is opened when there is none. */
  use<T>(opening: SimOpening, work: (tx: SimBookTx) => Promise<T>): Promise<T>
  /** `newest`: number of the newest thing told, 0 when nothing was. Null: the account was not opened yet. */
  peek(account: string): Promise<{ newest: number; faults: Json; settings: Json } | null>
  told(account: string, after: number, limit: number): Promise<{ number: number; payload: Json }[]>
}

export interface SimOpening {
  account: string
  settings: Json
  cash: string
  at: string
}

/** Whoever is further behind has missed something, as with any venue's stream. */
const UPDATES_KEPT = 10_000
const UPDATES_PER_SWEEP = 1_000

const ACCOUNT = 'account, settings, faults, cash, clock_at, next_order, next_execution, next_update'
const ORDER_COLUMNS = [
  'exchange_order_id',
  'client_order_id',
  'symbol',
  'side',
  'order_type',
  'qty',
  'limit_price',
  'stop_price',
  'trail_price',
  'trail_percent',
  'time_in_force',
  'status',
  'filled_qty',
  'filled_notional',
  'fee',
  'fee_qty',
  'reject_reason',
  'tested_to',
  'triggered',
  'best_price',
  'submitted_at',
  'changed_at',
] as const satisfies readonly (keyof SimOrderRow)[]
const ORDER = ORDER_COLUMNS.join(', ')
/** What changes after an order was taken in. */
const CHANGING = [
  'status',
  'filled_qty',
  'filled_notional',
  'fee',
  'fee_qty',
  'reject_reason',
  'tested_to',
  'triggered',
  'best_price',
  'changed_at',
]

const EXECUTION_COLUMNS = [
  'execution_id',
  'exchange_order_id',
  'symbol',
  'side',
  'qty',
  'price',
  'cum_qty',
  'fee',
  'fee_qty',
  'executed_at',
] as const satisfies readonly (keyof SimExecutionRow)[]

const places = (count: number) => Array.from({ length: count }, (_, index) => `$${index + 2}`).join(', ')

const SAVE_ORDER = `insert into weaver.sim_orders (account, ${ORDER}) values ($1, ${places(ORDER_COLUMNS.length)})
  on conflict (account, exchange_order_id) do update set ${CHANGING.map((name) => `${name} = excluded.${name}`).join(', ')}`
const ADD_EXECUTION = `insert into weaver.sim_executions (account, ${EXECUTION_COLUMNS.join(', ')})
  values ($1, ${places(EXECUTION_COLUMNS.length)})`

export function createSimBook(db: Database): SimBook {
  return {
    use: (opening, work) => db.write(async (tx) => work(bookOf(tx, await lockAccount(tx, opening)))),
    async peek(account) {
      const [row] = await db.reader.query<{ newest: number; faults: Json; settings: Json }>(
        'select next_update - 1 as newest, faults, settings from weaver.sim_accounts where account = $1',
        [account],
      )
      return row ?? null
    },
    told: (account, after, limit) =>
      db.reader.query(
        'select number, payload from weaver.sim_updates where account = $1 and number > $2 order by number limit $3',
        [account, after, limit],
      ),
  }
}

async function lockAccount(tx: WriteTx, { account, settings, cash, at }: SimOpening): Promise<SimAccountRow> {
  const lock = () =>
    tx.query<SimAccountRow>(`select ${ACCOUNT} from weaver.sim_accounts where account = $1 for update`, [account])
  const [found] = await lock()
  if (found !== undefined) return found
  await tx.execute(
    `insert into weaver.sim_accounts (account, settings, cash, clock_at) values ($1, $2, $3, $4) on conflict do nothing`,
    [account, JSON.stringify(settings), cash, at],
  )
  const [opened] = await lock()
  if (opened === undefined) throw new Error(`the simulator's account ${account} was closed while it was opened`)
  return opened
}

function bookOf(tx: WriteTx, row: SimAccountRow): SimBookTx {
  const { account } = row
  const orders = (reader: Reader, where: string, values: unknown[]) =>
    reader.query<SimOrderRow>(`select ${ORDER} from weaver.sim_orders where account = $1 and ${where}`, [
      account,
      ...values,
    ])
  return {
    account: row,
    openOrders: () => orders(tx, `status in ('accepted', 'partial') order by submitted_at, exchange_order_id`, []),
    ordersSince: (at) => orders(tx, 'changed_at >= $2 order by changed_at, exchange_order_id', [at]),
    async order(by) {
      const [name, value] = Object.entries(by)[0] as [string, string]
      const [found] = await orders(tx, `${name} = $2`, [value])
      return found ?? null
    },
    executionsSince: (at) =>
      tx.query(
        `select ${EXECUTION_COLUMNS.map((name) => `e.${name}`).join(', ')}, o.client_order_id
        from weaver.sim_executions e join weaver.sim_orders o using (account, exchange_order_id)
        where e.account = $1 and e.executed_at >= $2 order by e.executed_at, e.execution_id`,
        [account, at],
      ),
    positions: () =>
      tx.query(`select symbol, qty, cost from weaver.sim_positions where account = $1 and qty <> 0 order by symbol`, [
        account,
      ]),
    async saveAccount() {
      await tx.execute(
        `update weaver.sim_accounts set faults = $2, cash = $3, clock_at = $4, next_order = $5, next_execution = $6, next_update = $7
        where account = $1`,
        [
          account,
          JSON.stringify(row.faults),
          row.cash,
          row.clock_at,
          row.next_order,
          row.next_execution,
          row.next_update,
        ],
      )
    },
    async saveOrder(order) {
      await tx.execute(SAVE_ORDER, [account, ...ORDER_COLUMNS.map((name) => order[name])])
    },
    async savePosition({ symbol, qty, cost }) {
      await tx.execute(
        `insert into weaver.sim_positions (account, symbol, qty, cost) values ($1, $2, $3, $4)
        on conflict (account, symbol) do update set qty = excluded.qty, cost = excluded.cost`,
        [account, symbol, qty, cost],
      )
    },
    async addExecution(execution) {
      await tx.execute(ADD_EXECUTION, [account, ...EXECUTION_COLUMNS.map((name) => execution[name])])
    },
    tell: (payload) => addUpdate(tx, row, payload),
  }
}

async function addUpdate(tx: WriteTx, row: SimAccountRow, payload: Json): Promise<void> {
  const number = row.next_update
  row.next_update += 1
  await tx.execute('insert into weaver.sim_updates (account, number, payload) values ($1, $2, $3)', [
    row.account,
    number,
    JSON.stringify(payload),
  ])
  if (number % UPDATES_PER_SWEEP !== 0) return
  await tx.execute('delete from weaver.sim_updates where account = $1 and number <= $2', [
    row.account,
    number - UPDATES_KEPT,
  ])
}
