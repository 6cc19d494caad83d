/**
 * What a report of an order means: order as it is known + report → events. Reports come late, twice, out of order or not
 * at all, so nothing counts but cumulative quantities. The fills on record always cover the order's first units without a
 * hole: what a report shows beyond them is booked, whatever was heard of it in between, and what lies within them is known.
 * Pure.
 */
import { venueEventId } from '../../db/events/ids.ts'
import { isOpen, type OrderEventType, transition } from '../../db/events/order_state.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { FillRow, OrderRow } from '../../db/walle/rows.ts'
import type { OrderStatus } from '../../strategies/api.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import type { Execution, VenueOrder, VenueStatus } from './venue.ts'

/** From wherever: the answer of a submit, a stream, a poll, a reconciliation. At least one of the two. */
export interface OrderReport {
  order: VenueOrder | null
  execution: Execution | null
}

export type KnownFill = Pick<FillRow, 'execution_id' | 'qty' | 'price' | 'fee' | 'fee_qty'>

/** The order as it is on record, with all its fills. */
export interface KnownOrder {
  row: OrderRow
  fills: readonly KnownFill[]
  /** What its strategy saw last when the order was placed; null: nothing. */
  decidedClose: string | null
}

export interface ReportedFill {
  execution_id: string
  qty: string
  price: string
  /** All of it in quote currency, with what `fee_qty` is worth. */
  fee: string
  fee_qty: string
  at: number
}

export type OrderBody = {
  [T in OrderEventType]: { id: string; type: T; payload: PayloadOf<T> }
}[OrderEventType]

export interface Applied {
  /** In the order in which they are to be recorded; their ids follow from the facts that they tell. */
  events: OrderBody[]
  /** The report shows that something was missed and not what: the venue is to be asked for the order. */
  gap: boolean
}

/** Venues cut what they are sent to their grid: by less than such a part of it. */
const CUT = '0.01'

/**
 * Of another order that the venue has, or had, under the same client id: those come again when a run goes on from a restored
 * backup. By the venue's own id an order is known whatever it says, for somebody may have made it smaller there.
 */
export function isOther(
  row: Pick<OrderRow, 'exchange_order_id' | 'symbol' | 'side' | 'qty'>,
  { order, execution }: OrderReport,
): boolean {
  const plain = (symbol: string) => symbol.replaceAll('/', '')
  const differs = (one: VenueOrder | Execution) =>
    one.exchange_order_id !== row.exchange_order_id &&
    (plain(one.symbol) !== plain(row.symbol) || one.side !== row.side)
  if (execution !== null && differs(execution)) return true
  if (order === null || order.exchange_order_id === row.exchange_order_id) return false
  const less = new Decimal(row.qty).minus(order.qty)
  return differs(order) || less.lt(ZERO) || less.gt(new Decimal(row.qty).times(CUT))
}

/**
 * Of shares, an open order that the venue has made one of another size, as brokers do at a split: at other prices than those on
 * record too. Where somebody changes an order there, another one takes its place.
 */
export function isResizedThere(
  row: Pick<OrderRow, 'exchange_order_id' | 'symbol' | 'status' | 'qty'>,
  order: Pick<VenueOrder, 'exchange_order_id' | 'status' | 'qty'> | null,
): boolean {
  if (order === null || order.exchange_order_id !== row.exchange_order_id || !isOpen(row.status)) return false
  if (tradesAroundTheClock(row.symbol) || !AT_VENUE.includes(order.status)) return false
  return new Decimal(order.qty).minus(row.qty).abs().gt(new Decimal(row.qty).times(CUT))
}

/** It can still fill there. */
export const AT_VENUE: readonly VenueStatus[] = ['pending', 'accepted', 'partial']

/** Of a fill that was seen in the order's cumulative quantity alone. */
export function cumulativeId(filledQty: string): string {
  return `cum:${filledQty}`
}

const isCumulative = (id: string | null) => id?.startsWith('cum:') === true

export function applyReport(known: KnownOrder, report: OrderReport, nextFill: number): Applied {
  const { row } = known
  const { fills, gap } = newFills(known, report)
  const applied: Applied = { events: [], gap }
  const state = { status: row.status }
  const tell = (body: OrderBody) => {
    const next = transition(state.status, body.type)
    const fills = body.type === 'orders.Filled' || body.type === 'orders.PartiallyFilled'
    // What was filled after the end was heard of has been paid for all the same.
    if (next === 'ignored' && !fills) return
    if (next !== 'ignored') state.status = next
    applied.events.push(body)
  }
  const idOf = (fact: string) => venueEventId(row.run_id, row.client_order_id, fact)
  const exchangeOrderId = report.order?.exchange_order_id ?? report.execution?.exchange_order_id
  if (row.exchange_order_id === null && exchangeOrderId !== undefined) {
    const payload = { order_id: row.id, client_order_id: row.client_order_id, exchange_order_id: exchangeOrderId }
    tell({ id: idOf('accepted'), type: 'orders.Accepted', payload })
  }
  const told = filledTeller(known, nextFill)
  for (const fill of fills) tell(told(fill, idOf(`fill:${fill.execution_id}`)))
  const end = report.order === null || gap ? undefined : ENDS[report.order.status]
  if (report.order !== null && end !== undefined && isOpen(state.status)) {
    tell(endBody(row, state.status, end(report.order)))
  }
  return applied
}

function endBody(row: OrderRow, status: OrderStatus, { type, reason }: End): OrderBody {
  const ids = { order_id: row.id, client_order_id: row.client_order_id }
  const idOf = (fact: string) => venueEventId(row.run_id, row.client_order_id, fact)
  if (type === 'orders.Expired') return { id: idOf('expired'), type, payload: { ...ids, reason } }
  // What has filled in part can no longer be rejected: its rest is gone.
  if (type === 'orders.Cancelled' || status === 'partial') {
    return { id: idOf('cancelled'), type: 'orders.Cancelled', payload: { ...ids, reason } }
  }
  return { id: idOf('rejected'), type, payload: { ...ids, reason: 'venue', rule: null, detail: reason } }
}

type End = { type: 'orders.Cancelled' | 'orders.Expired' | 'orders.Rejected'; reason: string | null }

const ENDS: Partial<Record<VenueStatus, (order: VenueOrder) => End>> = {
  cancelled: ({ reject_reason }) => ({ type: 'orders.Cancelled', reason: reject_reason }),
  expired: ({ reject_reason }) => ({ type: 'orders.Expired', reason: reject_reason }),
  rejected: ({ reject_reason }) => ({ type: 'orders.Rejected', reason: reject_reason }),
  replaced: ({ replaced_by }) => ({
    type: 'orders.Cancelled',
    reason: `replaced at the venue${replaced_by === null ? '' : ` by its order ${replaced_by}`}`,
  }),
  // Only met when the venue calls an order filled that has less than was asked for: somebody made it smaller there.
  filled: () => ({ type: 'orders.Cancelled', reason: 'the venue filled less than was asked for and calls it filled' }),
}

interface NewFills {
  fills: ReportedFill[]
  gap: boolean
}

/** What is not on record yet, oldest first. */
function newFills(known: KnownOrder, report: OrderReport): NewFills {
  const { order } = report
  if (order !== null && order.filled_avg_price === null && new Decimal(order.filled_qty).gt(ZERO)) {
    return { fills: [], gap: true }
  }
  const execution = isNew(report.execution, known) ? report.execution : null
  if (execution === null) return missing(known.fills, order)
  const booked = totalOf(known.fills)
  const after = cumulativeOf(execution, report, known)
  if (after === null) return { ...missing(known.fills, order), gap: order === null }
  if (after.lte(booked)) return missing(known.fills, order)
  const before = after.minus(execution.qty)
  if (before.lte(booked)) {
    const fill = executed(execution, after.minus(booked))
    const further = missing([...known.fills, fill], order)
    return { fills: [fill, ...further.fills], gap: false }
  }
  // Fills before this one were missed: the order's own totals tell what they were together.
  if (order !== null && after.eq(order.filled_qty)) {
    const fill = executed(execution, new Decimal(execution.qty))
    return { fills: [cumulative(before, before.minus(booked), order, [...known.fills, fill]), fill], gap: false }
  }
  const gap = order === null || after.gt(order.filled_qty)
  return { ...missing(known.fills, order), gap }
}

function isNew(execution: Execution | null, { fills }: KnownOrder): execution is Execution {
  return execution !== null && !fills.some(({ execution_id }) => execution_id === execution.execution_id)
}

/** The order's cumulative quantity after the execution; null where that cannot be told. */
function cumulativeOf(execution: Execution, { order }: OrderReport, { fills }: KnownOrder): Decimal | null {
  if (execution.cum_qty !== null) return new Decimal(execution.cum_qty)
  if (order !== null) return new Decimal(order.filled_qty)
  if (fills.some(({ execution_id }) => isCumulative(execution_id))) return null
  return totalOf(fills).plus(execution.qty)
}

/** What the order's cumulative quantity shows beyond its fills. */
function missing(fills: readonly KnownFill[], order: VenueOrder | null): NewFills {
  const qty = order === null ? ZERO : new Decimal(order.filled_qty).minus(totalOf(fills))
  if (order === null || qty.lte(ZERO)) return { fills: [], gap: false }
  return { fills: [cumulative(new Decimal(order.filled_qty), qty, order, fills)], gap: false }
}

/** A price of what is missing that makes the order's average right. */
function priceOf(order: VenueOrder, fills: readonly KnownFill[]): string {
  const average = new Decimal(order.filled_avg_price as string)
  const qty = new Decimal(order.filled_qty).minus(totalOf(fills))
  const price = average.times(order.filled_qty).minus(paidOf(fills)).div(qty)
  // The venue rounds its averages: for a small rest that can leave nothing.
  return (price.gt(ZERO) ? price : average).toString()
}

/** `qty` that the order's totals show beyond its fills, with what of its fees they do not bear yet. */
function cumulative(after: Decimal, qty: Decimal, order: VenueOrder, fills: readonly KnownFill[]): ReportedFill {
  const price = priceOf(order, fills)
  const kept = fills.reduce((sum, { fee_qty }) => sum.plus(fee_qty), ZERO)
  const charged = fills.reduce(
    (sum, fill) => sum.plus(fill.fee).minus(new Decimal(fill.fee_qty).times(fill.price)),
    ZERO,
  )
  const fee = leftOf(order.fee, charged)
  const feeQty = leftOf(order.fee_qty, kept)
  return {
    execution_id: cumulativeId(after.toString()),
    qty: qty.toString(),
    price,
    ...feesOf(fee, feeQty.gt(qty) ? qty : feeQty, price),
    at: order.updated_at,
  }
}

function leftOf(total: string | null, known: Decimal): Decimal {
  const left = new Decimal(total ?? ZERO).minus(known)
  return left.gt(ZERO) ? left : ZERO
}

/**
 * The one place where a venue's fee becomes that of a fill: what it kept of the coin is worth its price, and cash pays for
 * what arrived and for the fee, so that it pays for each coin once.
 */
function feesOf(fee: Decimal, feeQty: Decimal, price: string): { fee: string; fee_qty: string } {
  return { fee: fee.plus(feeQty.times(price)).toString(), fee_qty: feeQty.toString() }
}

/** `qty` of an execution: all of it, or what is not on record of it. */
function executed(execution: Execution, qty: Decimal): ReportedFill {
  const part = (amount: string | null) => {
    const whole = new Decimal(execution.qty)
    return qty.eq(whole) ? new Decimal(amount ?? ZERO) : new Decimal(amount ?? ZERO).times(qty).div(whole)
  }
  const price = new Decimal(execution.price).toString()
  return {
    execution_id: execution.execution_id,
    qty: qty.toString(),
    price,
    ...feesOf(part(execution.fee), part(execution.fee_qty), price),
    at: execution.at,
  }
}

function totalOf(fills: readonly { qty: string }[]): Decimal {
  return fills.reduce((sum, { qty }) => sum.plus(qty), ZERO)
}

function paidOf(fills: readonly { qty: string; price: string }[]): Decimal {
  return fills.reduce((sum, { qty, price }) => sum.plus(new Decimal(qty).times(price)), ZERO)
}

/**
 * As in a backtest, only what takes the price that there is can slip; but what the price would have been without it nobody
 * tells: a market order is held against what its strategy saw last, a stop against its own price. Negative: it was better.
 */
function slippageOf({ row, decidedClose }: KnownOrder, { qty, price }: ReportedFill): string {
  const base = row.order_type === 'market' ? decidedClose : row.order_type === 'stop' ? row.stop_price : null
  if (base === null) return '0'
  const worse = row.side === 'buy' ? new Decimal(price).minus(base) : new Decimal(base).minus(price)
  return worse.times(qty).toString()
}

/** Tells of fills one after the other, with the order's totals after each. */
function filledTeller(known: KnownOrder, nextFill: number) {
  const { row, fills } = known
  let qty = totalOf(fills)
  let paid = paidOf(fills)
  let fees = fills.reduce((sum, { fee }) => sum.plus(fee), ZERO)
  let ordinal = nextFill
  return (fill: ReportedFill, id: string): OrderBody => {
    qty = qty.plus(fill.qty)
    paid = paid.plus(new Decimal(fill.qty).times(fill.price))
    fees = fees.plus(fill.fee)
    const payload = {
      order_id: row.id,
      client_order_id: row.client_order_id,
      symbol: row.symbol,
      side: row.side,
      ordinal: ordinal++,
      qty: fill.qty,
      price: fill.price,
      fee: fill.fee,
      fee_qty: fill.fee_qty,
      slippage: slippageOf(known, fill),
      timestamp: new Date(fill.at).toISOString(),
      filled_qty: qty.toString(),
      filled_avg_price: paid.div(qty).toString(),
      fees: fees.toString(),
      ambiguous: false,
      execution_id: fill.execution_id,
    }
    return { id, type: qty.gte(row.qty) ? 'orders.Filled' : 'orders.PartiallyFilled', payload }
  }
}
