/**
 * The simulator's own side: accounts, orders and their matching, on the book in Postgres. Whoever looks brings the market
 * up to his moment first, alone with the account: nobody needs to be there for orders to fill.
 */
import type { SimBook, SimBookTx, SimExecutionRow, SimOrderRow, SimPositionRow } from '../../../../db/sim_venue.ts'
import type { Json } from '../../../../strategies/api.ts'
import { Decimal } from '../../../greta/decimals.ts'
import type { CancelAnswer, Execution, OrderToSend, SubmitAnswer, VenueOrder } from '../../venue.ts'
import { assetOf } from './assets.ts'
import { bookFill, refusalOf, type Situation } from './books.ts'
import { type FaultRequest, type SimFaults, simFaults } from './faults.ts'
import { createMarket, type Market, priceText, share, textSeed } from './market.ts'
import { type Tested, testOrder } from './matching.ts'
import { type SimSettings, simSettings } from './settings.ts'

/** What the stream tells. */
export interface Told {
  order: VenueOrder
  execution: Execution | null
}

/** The account as it is at a moment. */
export interface Look {
  tx: SimBookTx
  settings: SimSettings
  faults: SimFaults
  /** The venue's moment. */
  at: number
  market: (symbol: string) => Market
  open: SimOrderRow[]
  positions: SimPositionRow[]
}

export interface Exchange {
  look<T>(work: (look: Look) => Promise<T> | T): Promise<T>
  /** Without bringing the market up to now. */
  peek(): Promise<{ newest: number; faults: SimFaults }>
  told(after: number): Promise<{ number: number; told: Told }[]>
  /** Those not named are off. */
  setFaults(faults: FaultRequest): Promise<void>
}

export interface ExchangeOptions {
  book: SimBook
  account: string
  settings: SimSettings
  now: () => number
}

const TOLD_AT_ONCE = 500

export function createExchange({ book, account, settings, now }: ExchangeOptions): Exchange {
  const opening = () => ({ account, settings, cash: settings.cash, at: new Date(now()).toISOString() })
  const markets = new Map<string, Market>()

  async function look<T>(work: (look: Look) => Promise<T> | T): Promise<T> {
    return book.use(opening(), async (tx) => {
      const opened = simSettings.parse(tx.account.settings)
      const market = (symbol: string) => {
        const key = `${opened.seed} ${opened.spread_bps} ${opened.depth} ${symbol}`
        const known = markets.get(key) ?? createMarket(opened, symbol)
        markets.set(key, known)
        return known
      }
      const at = Math.max(Date.parse(tx.account.clock_at), now())
      tx.account.clock_at = new Date(at).toISOString()
      const faults = simFaults.parse(tx.account.faults)
      const current: Look = {
        tx,
        settings: opened,
        faults,
        at,
        market,
        open: await tx.openOrders(),
        positions: await tx.positions(),
      }
      await matchAll(current)
      const result = await work(current)
      await tx.saveAccount()
      return result
    })
  }

  return {
    look,
    async peek() {
      const found = await book.peek(account)
      return { newest: found?.newest ?? 0, faults: simFaults.parse(found?.faults ?? {}) }
    },
    async told(after) {
      const rows = await book.told(account, after, TOLD_AT_ONCE)
      return rows.map(({ number, payload }) => ({ number, told: payload as unknown as Told }))
    },
    setFaults: (faults) =>
      look(async ({ tx, open }) => {
        tx.account.faults = { ...simFaults.parse(faults) }
        // What a halt kept from trading until now stays as it is.
        for (const order of open) await tx.saveOrder(order)
      }),
  }
}

/** What happened since somebody last looked, in the order in which it happened. */
async function matchAll(look: Look): Promise<void> {
  const to = Math.floor(look.at / 1000)
  const tested = look.open
    .filter((order) => order.tested_to < to)
    .map((order) => ({ order, result: testOrder(order, look.market(order.symbol), to, isHalted(look, order.symbol)) }))
  const facts = tested.flatMap(({ order, result }) => factsOf(order, result))
  for (const fact of facts.sort((one, other) => one.second - other.second)) await fact.happen(look)
  for (const { order, result } of tested) {
    const moved =
      facts.some((fact) => fact.order === order) ||
      order.triggered !== result.triggered ||
      order.best_price !== result.best_price ||
      result.tested_to - order.tested_to >= SAVED_EVERY_S
    const { triggered, best_price, tested_to } = result
    Object.assign(order, { triggered, best_price, tested_to })
    if (moved) await look.tx.saveOrder(order)
  }
  look.open = look.open.filter(isOpen)
}

/** How often the book notes that an order to which nothing happened was tested: it can be tested again from there. */
const SAVED_EVERY_S = 60

const isOpen = ({ status }: SimOrderRow) => status === 'accepted' || status === 'partial'
const isHalted = ({ faults }: Look, symbol: string) => faults.halted.includes(symbol)

interface Fact {
  second: number
  order: SimOrderRow
  happen(look: Look): Promise<void>
}

function factsOf(order: SimOrderRow, { fills, ended }: Tested): Fact[] {
  const facts: Fact[] = fills.map((fill) => ({
    second: fill.second,
    order,
    happen: (look) => fillOrder(look, order, fill, momentOf(order, fill.second)),
  }))
  if (ended !== null && ended.status !== 'filled') {
    const { status, second } = ended
    facts.push({ second, order, happen: (look) => endOrder(look, order, status, momentOf(order, second), null) })
  }
  return facts
}

/** Never before it was sent. */
const momentOf = (order: SimOrderRow, second: number) =>
  new Date(Math.max(second * 1000, Date.parse(order.submitted_at))).toISOString()

type Filling = Tested['fills'][number]

async function fillOrder(look: Look, order: SimOrderRow, fill: Filling, at: string): Promise<void> {
  const { tx, settings } = look
  if (order.status === 'accepted' && rejectedLater(look, order)) {
    return endOrder(look, order, 'rejected', at, 'rejected by the market')
  }
  if (!isOpen(order)) return
  const position = look.positions.find(({ symbol }) => symbol === order.symbol) ?? newPosition(look, order.symbol)
  const booked = bookFill({ cash: tx.account.cash, position }, { ...fill, side: order.side }, settings)
  tx.account.cash = booked.cash
  Object.assign(position, booked.position)
  order.filled_qty = new Decimal(order.filled_qty).plus(fill.qty).toString()
  order.filled_notional = new Decimal(order.filled_notional).plus(new Decimal(fill.qty).times(fill.price)).toString()
  order.fee = new Decimal(order.fee).plus(booked.fee).toString()
  order.fee_qty = new Decimal(order.fee_qty).plus(booked.fee_qty).toString()
  order.status = new Decimal(order.filled_qty).gte(order.qty) ? 'filled' : 'partial'
  order.changed_at = at
  const execution: SimExecutionRow = {
    execution_id: `SIM-X-${tx.account.next_execution}`,
    exchange_order_id: order.exchange_order_id,
    symbol: order.symbol,
    side: order.side,
    qty: fill.qty,
    price: fill.price,
    cum_qty: order.filled_qty,
    fee: booked.fee,
    fee_qty: booked.fee_qty,
    executed_at: at,
  }
  tx.account.next_execution += 1
  await tx.savePosition(position)
  await tx.addExecution(execution)
  await tell(look, order, executionOf(execution, order.client_order_id))
}

function newPosition(look: Look, symbol: string): SimPositionRow {
  const position = { symbol, qty: '0', cost: '0' }
  look.positions.push(position)
  return position
}

/** The same whoever looks. */
function rejectedLater({ faults, settings }: Look, { client_order_id }: SimOrderRow): boolean {
  return faults.rejected > 0 && share(textSeed(settings.seed, client_order_id)) < faults.rejected
}

async function endOrder(
  look: Look,
  order: SimOrderRow,
  status: 'cancelled' | 'expired' | 'rejected',
  at: string,
  reason: string | null,
): Promise<void> {
  if (!isOpen(order)) return
  Object.assign(order, { status, reject_reason: reason, changed_at: at })
  await tell(look, order, null)
}

async function tell({ tx }: Look, order: SimOrderRow, execution: Execution | null): Promise<void> {
  const told: Told = { order: orderOf(order), execution }
  await tx.tell(told as unknown as Json)
}

export async function submitOrder(look: Look, order: OrderToSend): Promise<SubmitAnswer> {
  const { tx, at, market, settings } = look
  if ((await tx.order({ client_order_id: order.client_order_id })) !== null) return { kind: 'duplicate' }
  const asset = assetOf(order.symbol, settings)
  if (asset === null) return { kind: 'rejected', reason: `asset "${order.symbol}" not found` }
  const refusal = timeRefusal(order) ?? refusalOf(order, situationOf(look), asset, settings)
  if (refusal !== null) return { kind: 'rejected', reason: refusal }
  const second = Math.floor(at / 1000)
  const { extended_hours: _, ...given } = order
  const row: SimOrderRow = {
    ...given,
    exchange_order_id: `SIM-O-${tx.account.next_order}`,
    status: 'accepted',
    filled_qty: '0',
    filled_notional: '0',
    fee: '0',
    fee_qty: '0',
    reject_reason: null,
    tested_to: second - 1,
    triggered: false,
    best_price: order.order_type === 'trailing_stop' ? priceText(market(order.symbol).mid(second)) : null,
    submitted_at: new Date(at).toISOString(),
    changed_at: new Date(at).toISOString(),
  }
  tx.account.next_order += 1
  await tx.saveOrder(row)
  await tell(look, row, null)
  return { kind: 'accepted', order: orderOf(row) }
}

function timeRefusal({ order_type, time_in_force, symbol, extended_hours }: OrderToSend): string | null {
  if (extended_hours) return 'extended hours are not supported'
  if (time_in_force !== 'opg' && time_in_force !== 'cls') return null
  if (symbol.includes('/')) return 'invalid crypto time_in_force'
  return order_type === 'market' || order_type === 'limit' ? null : 'opg and cls orders must be market or limit orders'
}

export async function cancelOrder(look: Look, exchange_order_id: string): Promise<CancelAnswer> {
  const row = await look.tx.order({ exchange_order_id })
  if (row === null) return 'not_found'
  if (!isOpen(row)) return 'ended'
  await endOrder(look, row, 'cancelled', new Date(look.at).toISOString(), null)
  await look.tx.saveOrder(row)
  return 'requested'
}

export function situationOf({ tx, positions, open, market, at }: Look): Situation {
  const second = Math.floor(at / 1000)
  return { cash: tx.account.cash, positions, open, price: (symbol) => priceText(market(symbol).mid(second)) }
}

export function orderOf(row: SimOrderRow): VenueOrder {
  return {
    exchange_order_id: row.exchange_order_id,
    client_order_id: row.client_order_id,
    symbol: row.symbol,
    side: row.side,
    order_type: row.order_type,
    qty: row.qty,
    limit_price: row.limit_price,
    stop_price: row.stop_price,
    trail_price: row.trail_price,
    trail_percent: row.trail_percent,
    time_in_force: row.time_in_force,
    status: row.status,
    filled_qty: row.filled_qty,
    filled_avg_price: averageOf(row),
    fee: row.fee,
    fee_qty: row.fee_qty,
    reject_reason: row.reject_reason,
    replaced_by: null,
    replaces: null,
    submitted_at: Date.parse(row.submitted_at),
    updated_at: Date.parse(row.changed_at),
  }
}

function averageOf({ filled_qty, filled_notional }: SimOrderRow): string | null {
  const filled = new Decimal(filled_qty)
  return filled.eq(0) ? null : new Decimal(filled_notional).div(filled).toString()
}

export function executionOf(row: SimExecutionRow, client_order_id: string): Execution {
  const { executed_at, ...told } = row
  return { ...told, client_order_id, at: Date.parse(executed_at) }
}
