/**
 * What a report of an order means: order as it is known + report → events. Reports come late, twice, out of order or not
 * at all, so nothing counts but cumulative quantities. The fills on record always cover the order's first units without a
 * hole: what a report shows beyond them is booked, whatever was heard of it in between, and what lies within them is known.
 * An order that somebody replaced at its venue goes on as the one that took its place (ADR 26), which counts from nothing:
 * what those before it filled is on record in whole before it is followed, so that nothing they are told of later is news.
 * Pure.
 */
import { venueEventId } from '../../db/events/ids.ts'
import { isOpen, type OrderEventType, transition } from '../../db/events/order_state.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { FillRow, OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import type { Execution, VenueOrder, VenueStatus } from './venue.ts'

/** From wherever: the answer of a submit, a stream, a poll, a reconciliation. At least one of the two. */
export interface OrderReport {
  order: VenueOrder | null
  execution: Execution | null
  /** What took its place, one after the other, as far as the venue was asked and told. */
  successors?: readonly VenueOrder[]
  /** The venue has had the time to know what took the place of the last of them, and does not. */
  lost?: true
}

export type KnownFill = Pick<FillRow, 'execution_id' | 'qty' | 'price' | 'fee' | 'fee_qty'>

/** The order as it is on record, with all its fills. */
export interface KnownOrder {
  row: OrderRow
  fills: readonly KnownFill[]
  /** What its strategy saw last when the order was placed; null: nothing. */
  decidedClose: string | null
  /** The venue's ids of the orders that others took the place of, and what they had filled. */
  replacedIds: readonly string[]
  filledBefore: string
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
  /** As they are after it. */
  replacedIds: readonly string[]
  filledBefore: string
}

/** Venues cut what they are sent to their grid: by less than such a part of it. */
const CUT = '0.01'

/** Weaver's spelling or the venue's. */
const plain = (symbol: string) => symbol.replaceAll('/', '')

interface Named {
  exchange_order_id: string | null
  symbol: string
  side: OrderRow['side']
}

const isLike = (one: Pick<Named, 'symbol' | 'side'>, other: Pick<Named, 'symbol' | 'side'>) =>
  plain(one.symbol) === plain(other.symbol) && one.side === other.side

/**
 * Of another order that the venue has, or had, under the same client id: those come again when a run goes on from a restored
 * backup. By the venue's own id an order is known whatever it says, for somebody may have made it smaller there.
 */
export function isOther(
  row: Named & Pick<OrderRow, 'qty'>,
  { order, execution }: OrderReport,
  replacedIds: readonly string[],
): boolean {
  const ids = [row.exchange_order_id, ...replacedIds]
  const isKnown = (one: VenueOrder | Execution) => ids.includes(one.exchange_order_id)
  if (execution !== null && !isKnown(execution) && !isLike(execution, row)) return true
  if (order === null || isKnown(order)) return false
  if (!isLike(order, row)) return true
  if (order.replaces !== null && ids.includes(order.replaces)) return false
  const less = new Decimal(row.qty).minus(order.qty)
  return less.lt(ZERO) || less.gt(new Decimal(row.qty).times(CUT))
}

/** Whether that is the order by which somebody replaced the other. */
export function takesPlaceOf(order: VenueOrder, before: VenueOrder): boolean {
  if (before.status !== 'replaced' || order.exchange_order_id === before.exchange_order_id) return false
  if (!isLike(order, before)) return false
  if (before.replaced_by !== null) return before.replaced_by === order.exchange_order_id
  return order.replaces === before.exchange_order_id
}

/** What the venue has of it now. */
export function newestOf({ order, successors }: OrderReport): VenueOrder | null {
  return successors?.at(-1) ?? order
}

/**
 * Of shares, an open order that the venue has made one of another size, as brokers do at a split: at other prices than those on
 * record too. Where somebody changes an order there, another one takes its place.
 */
export function isResizedThere(
  row: Pick<OrderRow, 'exchange_order_id' | 'symbol' | 'status' | 'qty'>,
  order: Pick<VenueOrder, 'exchange_order_id' | 'status' | 'qty'> | null,
  filledBefore = '0',
): boolean {
  if (order === null || order.exchange_order_id !== row.exchange_order_id || !isOpen(row.status)) return false
  if (tradesAroundTheClock(row.symbol) || !AT_VENUE.includes(order.status)) return false
  return new Decimal(order.qty).plus(filledBefore).minus(row.qty).abs().gt(new Decimal(row.qty).times(CUT))
}

/** It can still fill there. */
export const AT_VENUE: readonly VenueStatus[] = ['pending', 'accepted', 'partial']

/** Of a fill that was seen in the order's cumulative quantity alone. */
export function cumulativeId(filledQty: string): string {
  return `cum:${filledQty}`
}

const isCumulative = (id: string | null) => id?.startsWith('cum:') === true

interface Telling {
  known: KnownOrder
  events: OrderBody[]
  gap: boolean
  nextFill: number
}

export function applyReport(known: KnownOrder, report: OrderReport, nextFill: number): Applied {
  const telling: Telling = { known, events: [], gap: false, nextFill }
  const links = linksOf(known, report)
  const first = links[0]?.order
  // It is about to take the place of ours, or has done so unheard.
  if (
    first != null &&
    first.replaces !== null &&
    isTrackedBy(known, first.replaces) &&
    !isTrackedBy(known, idOf(first))
  ) {
    return { ...applied(telling), gap: isOpen(known.row.status) }
  }
  for (const [index, link] of links.entries()) {
    tellLink(telling, link)
    const { order } = link
    if (telling.gap || order?.status !== 'replaced' || !isOpen(telling.known.row.status)) break
    const next = links[index + 1]?.order ?? null
    if (next !== null && takesPlaceOf(next, order)) {
      tellReplaced(telling, order, next)
    } else if (report.lost === true) {
      tell(telling, endBody(telling.known.row, lostEnd(order)))
      break
    } else {
      telling.gap = true
      break
    }
  }
  return applied(telling)
}

const applied = ({ known: { replacedIds, filledBefore }, events, gap }: Telling): Applied => ({
  ...{ events, gap, replacedIds, filledBefore },
})

const idOf = ({ exchange_order_id }: VenueOrder | Execution) => exchange_order_id
const isTrackedBy = ({ row, replacedIds }: KnownOrder, id: string) =>
  row.exchange_order_id === id || replacedIds.includes(id)

type Link = Pick<OrderReport, 'order' | 'execution'>

/** One after the other, without those that others took the place of: all of them is on record. */
function linksOf({ replacedIds }: KnownOrder, { order, execution, successors = [] }: OrderReport): Link[] {
  const links: Link[] = [{ order, execution }, ...successors.map((one) => ({ order: one, execution: null }))]
  return links.filter((link) => {
    const one = link.order ?? link.execution
    return one !== null && !replacedIds.includes(idOf(one))
  })
}

function tell(telling: Telling, body: OrderBody): void {
  const { row } = telling.known
  const next = transition(row.status, body.type)
  const isFill = body.type === 'orders.Filled' || body.type === 'orders.PartiallyFilled'
  // What was filled after the end was heard of has been paid for all the same.
  if (next === 'ignored' && !isFill) return
  telling.events.push(body)
  telling.known = { ...telling.known, row: { ...row, status: next === 'ignored' ? row.status : next } }
}

/** What is said of one of the venue's orders. */
function tellLink(telling: Telling, link: Link): void {
  const { order, execution } = link
  const { fills, gap } = newFills(telling.known, link)
  telling.gap = gap
  const exchange_order_id = order?.exchange_order_id ?? execution?.exchange_order_id
  const { row } = telling.known
  if (row.exchange_order_id === null && exchange_order_id !== undefined) {
    const payload = { order_id: row.id, client_order_id: row.client_order_id, exchange_order_id }
    tell(telling, { id: factId(row, 'accepted'), type: 'orders.Accepted', payload })
    telling.known = { ...telling.known, row: { ...telling.known.row, exchange_order_id } }
  }
  for (const fill of fills) {
    const { known, nextFill } = telling
    tell(telling, fillBody(known, fill, nextFill))
    telling.known = { ...telling.known, fills: [...known.fills, fill] }
    telling.nextFill += 1
  }
  const end = order === null || gap ? undefined : ENDS[order.status]
  if (order !== null && end !== undefined && isOpen(telling.known.row.status)) {
    tell(telling, endBody(telling.known.row, end(order)))
  }
}

/** All that `before` filled is on record: `next` counts from there. */
function tellReplaced(telling: Telling, before: VenueOrder, next: VenueOrder): void {
  const { known } = telling
  const { row } = known
  const filled = totalOf(known.fills)
  const terms = {
    exchange_order_id: next.exchange_order_id,
    qty: filled.plus(next.qty).toString(),
    ...termsOf(row, next),
  }
  const payload = {
    ...{ order_id: row.id, client_order_id: row.client_order_id, replaces: before.exchange_order_id, ...terms },
    filled_qty: filled.toString(),
    filled_avg_price: filled.eq(ZERO) ? null : paidOf(known.fills).div(filled).toString(),
  }
  tell(telling, { id: factId(row, `replaced:${next.exchange_order_id}`), type: 'orders.Replaced', payload })
  telling.known = {
    ...telling.known,
    row: { ...telling.known.row, ...terms },
    replacedIds: [...known.replacedIds, before.exchange_order_id],
    filledBefore: filled.toString(),
  }
}

/** Of the kinds of prices that the order has: a venue tells others beside them, as where a trailing stop lies now. */
function termsOf(row: OrderRow, { limit_price, stop_price, trail_price, trail_percent, time_in_force }: VenueOrder) {
  const has = (...types: OrderRow['order_type'][]) => types.includes(row.order_type)
  const trails = has('trailing_stop') && (trail_price ?? trail_percent) !== null
  return {
    price: has('limit', 'stop_limit') ? (limit_price ?? row.price) : row.price,
    stop_price: has('stop', 'stop_limit') ? (stop_price ?? row.stop_price) : row.stop_price,
    trail_price: trails ? trail_price : row.trail_price,
    trail_percent: trails ? (trail_price === null ? trail_percent : null) : row.trail_percent,
    time_in_force,
  }
}

function factId({ run_id, client_order_id }: OrderRow, fact: string): string {
  return venueEventId(run_id, client_order_id, fact)
}

function endBody(row: OrderRow, { type, reason }: End): OrderBody {
  const ids = { order_id: row.id, client_order_id: row.client_order_id }
  if (type === 'orders.Expired') return { id: factId(row, 'expired'), type, payload: { ...ids, reason } }
  // What has filled in part can no longer be rejected: its rest is gone.
  if (type === 'orders.Cancelled' || row.status === 'partial') {
    return { id: factId(row, 'cancelled'), type: 'orders.Cancelled', payload: { ...ids, reason } }
  }
  return { id: factId(row, 'rejected'), type, payload: { ...ids, reason: 'venue', rule: null, detail: reason } }
}

type End = { type: 'orders.Cancelled' | 'orders.Expired' | 'orders.Rejected'; reason: string | null }

const ENDS: Partial<Record<VenueStatus, (order: VenueOrder) => End>> = {
  cancelled: ({ reject_reason }) => ({ type: 'orders.Cancelled', reason: reject_reason }),
  expired: ({ reject_reason }) => ({ type: 'orders.Expired', reason: reject_reason }),
  rejected: ({ reject_reason }) => ({ type: 'orders.Rejected', reason: reject_reason }),
  // Only met when the venue calls an order filled that has less than was asked for: somebody made it smaller there.
  filled: () => ({ type: 'orders.Cancelled', reason: 'the venue filled less than was asked for and calls it filled' }),
}

function lostEnd({ replaced_by }: VenueOrder): End {
  const by = replaced_by === null ? 'another' : `its order ${replaced_by}`
  return { type: 'orders.Cancelled', reason: `replaced at the venue by ${by}, which it does not know` }
}

interface NewFills {
  fills: ReportedFill[]
  gap: boolean
}

/** The fills that the venue counts of the order that it has now. */
function fillsOfNewest({ fills, filledBefore }: KnownOrder): readonly KnownFill[] {
  let passed = ZERO
  return fills.filter(({ qty }) => {
    const isEarlier = passed.lt(filledBefore)
    passed = passed.plus(qty)
    return !isEarlier
  })
}

/** What is not on record yet, oldest first. */
function newFills(known: KnownOrder, report: Link): NewFills {
  const { order } = report
  const own: OwnFills = { fills: fillsOfNewest(known), before: new Decimal(known.filledBefore) }
  if (order !== null && order.filled_avg_price === null && new Decimal(order.filled_qty).gt(ZERO)) {
    return { fills: [], gap: true }
  }
  const execution = isNew(report.execution, known) ? report.execution : null
  if (execution === null) return missing(own, order)
  const booked = totalOf(own.fills)
  const after = cumulativeOf(execution, report, own)
  if (after === null) return { ...missing(own, order), gap: order === null }
  if (after.lte(booked)) return missing(own, order)
  const before = after.minus(execution.qty)
  if (before.lte(booked)) {
    const fill = executed(execution, after.minus(booked))
    const further = missing({ ...own, fills: [...own.fills, fill] }, order)
    return { fills: [fill, ...further.fills], gap: false }
  }
  // Fills before this one were missed: the order's own totals tell what they were together.
  if (order !== null && after.eq(order.filled_qty)) {
    const fill = executed(execution, new Decimal(execution.qty))
    const missed = cumulative(before, before.minus(booked), order, { ...own, fills: [...own.fills, fill] })
    return { fills: [missed, fill], gap: false }
  }
  const gap = order === null || after.gt(order.filled_qty)
  return { ...missing(own, order), gap }
}

/** Of the newest of the venue's orders, and what those before it had filled. */
interface OwnFills {
  fills: readonly KnownFill[]
  before: Decimal
}

function isNew(execution: Execution | null, { fills }: KnownOrder): execution is Execution {
  return execution !== null && !fills.some(({ execution_id }) => execution_id === execution.execution_id)
}

/** The order's cumulative quantity after the execution; null where that cannot be told. */
function cumulativeOf(execution: Execution, { order }: Link, { fills }: OwnFills): Decimal | null {
  if (execution.cum_qty !== null) return new Decimal(execution.cum_qty)
  if (order !== null) return new Decimal(order.filled_qty)
  if (fills.some(({ execution_id }) => isCumulative(execution_id))) return null
  return totalOf(fills).plus(execution.qty)
}

/** What the order's cumulative quantity shows beyond its fills. */
function missing(own: OwnFills, order: VenueOrder | null): NewFills {
  const qty = order === null ? ZERO : new Decimal(order.filled_qty).minus(totalOf(own.fills))
  if (order === null || qty.lte(ZERO)) return { fills: [], gap: false }
  return { fills: [cumulative(new Decimal(order.filled_qty), qty, order, own)], gap: false }
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
function cumulative(after: Decimal, qty: Decimal, order: VenueOrder, { fills, before }: OwnFills): ReportedFill {
  const price = priceOf(order, fills)
  const kept = fills.reduce((sum, { fee_qty }) => sum.plus(fee_qty), ZERO)
  const charged = fills.reduce(
    (sum, fill) => sum.plus(fill.fee).minus(new Decimal(fill.fee_qty).times(fill.price)),
    ZERO,
  )
  const fee = leftOf(order.fee, charged)
  const feeQty = leftOf(order.fee_qty, kept)
  return {
    execution_id: cumulativeId(before.plus(after).toString()),
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

/** With the order's totals after it. */
function fillBody(known: KnownOrder, fill: ReportedFill, ordinal: number): OrderBody {
  const { row } = known
  const fills = [...known.fills, fill]
  const qty = totalOf(fills)
  const payload = {
    order_id: row.id,
    client_order_id: row.client_order_id,
    symbol: row.symbol,
    side: row.side,
    ordinal,
    qty: fill.qty,
    price: fill.price,
    fee: fill.fee,
    fee_qty: fill.fee_qty,
    slippage: slippageOf(known, fill),
    timestamp: new Date(fill.at).toISOString(),
    filled_qty: qty.toString(),
    filled_avg_price: paidOf(fills).div(qty).toString(),
    fees: fills.reduce((sum, { fee }) => sum.plus(fee), ZERO).toString(),
    ambiguous: false,
    execution_id: fill.execution_id,
  }
  const id = factId(row, `fill:${fill.execution_id}`)
  return { id, type: qty.gte(row.qty) ? 'orders.Filled' : 'orders.PartiallyFilled', payload }
}
