/**
 * Keeps the exits of a run's entries in step with what it holds, within the transaction that changes that: an entry's fill
 * is never on record without the orders that protect it. What is to be done is decided in veda/exits.ts.
 */
import type { WriteTx } from '../../../db/database.ts'
import type { NewEvent } from '../../../db/events/envelope.ts'
import { orderId, venueEventId } from '../../../db/events/ids.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import type { NewJob } from '../../../db/events/tasks.ts'
import type { OrderSendRow, RunLedgerRow, TradingMode } from '../../../db/walle/live_rows.ts'
import type { Outcome, Write } from '../../../db/walle/outcome.ts'
import { haltedSinceCompared } from '../../../db/walle/queries/halts.ts'
import { hindranceOf, isPausedAsSplit, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getOrder } from '../../../db/walle/queries/orders.ts'
import type { FillRow, OrderRow, PositionRow, RunRow } from '../../../db/walle/rows.ts'
import type { PlaceIntent } from '../../../strategies/api.ts'
import { Decimal, ZERO } from '../../greta/decimals.ts'
import { ownIntent } from '../../greta/order_events.ts'
import { type AppliedSplit, type SplitRatio, splitPrice, splitSince, splitsOf } from '../../greta/splits.ts'
import {
  type Birth,
  type ExitPlan,
  endedElsewhere,
  follows,
  type Leg,
  type NewLeg,
  planExits,
  rolesOf,
  SPENT,
  SPLIT,
} from '../exits.ts'
import type { OrderBody } from '../reports.ts'
import { newOrderOutcome } from './birth.ts'
import { isFree } from './hindrances.ts'
import { cancelJob, submitJob } from './job_specs.ts'

interface ExitWorld {
  now(): number
}

/** An order as it is from here on, what it filled just now, and the run's ledger and position after that. */
interface Changed {
  run: RunRow
  order: OrderRow
  send: OrderSendRow
  fills: readonly FillRow[]
  ledger: RunLedgerRow
  position: PositionRow | null
  /** What is held was changed by no order, or how much an exit closes by no doing of Weaver's. */
  fits?: true
}

export interface ExitOutcome {
  outcome: Outcome
  ledger: RunLedgerRow
  /** Of an exit that was ended elsewhere while there was something to close: whether another takes its place. Null: it was not. */
  lost: 'for now' | 'for good' | null
}

type Sent = { order: OrderRow; send: OrderSendRow }

export async function exitOutcome(world: ExitWorld, tx: WriteTx, changed: Changed): Promise<ExitOutcome> {
  const { run, order, fills, position } = changed
  const nothing: ExitOutcome = { outcome: { writes: [], events: [] }, ledger: changed.ledger, lost: null }
  const births = fills.length > 0 && rolesOf(order).length > 0 ? birthsOf(order, fills, position) : []
  const closes = order.parent_order_id === null && order.order_type === 'market'
  if (fills.length === 0 && isOpen(order.status) && !closes && changed.fits !== true) return nothing
  const outcome = { writes: [] as Write[], events: [], jobs: [] as NewJob[] }
  const isUnsure = await isPausedAsSplit(tx, run, order.symbol)
  const splits = splitsOf(changed.ledger)
  const { send, isLost } = await withCause(world, tx, changed, isUnsure)
  if (send !== changed.send) outcome.writes.push({ kind: 'save_order_sends', rows: [send] })
  const known = await symbolOrders(tx, run.id, order.symbol)
  const all = known.map((one) => (one.order.id === order.id ? { order, send } : one))
  if (!known.some((one) => one.order.id === order.id)) all.push({ order, send })
  const legs = all.filter((one): one is Sent => one.order.parent_order_id !== null && one.send !== null)
  const asLegs = legs.map((one) => legOf(one, splits))
  const qty = position?.qty ?? '0'
  const claimed = await claimedOf(tx, run, all, qty)
  const increment =
    [...all.map((one) => one.send), send].findLast((one) => one?.qty_increment != null)?.qty_increment ?? null
  const plan = planExits(qty, claimed, asLegs, births, { increment, isUnsure })
  carryOut(plan, legs, world.now(), outcome)
  if (!isOpen(order.status)) tryAgain(plan, legs, outcome)
  const isHeld = order.side === 'sell' ? new Decimal(qty).gt(ZERO) : new Decimal(qty).lt(ZERO)
  const lost = isLost && isHeld ? 'for good' : null
  const placed = await placeLegs(world, tx, changed, plan.place, outcome)
  const isFollowed = plan.place.some((leg) => follows(leg.client_order_id, order.client_order_id))
  return { ...placed, lost: lost && isFollowed ? 'for now' : lost }
}

function legOf({ order, send }: Sent, splits: readonly AppliedSplit[]): Leg {
  return { order, cancelReason: cancelReasonOf(send), ratio: splitSince(splits, order) }
}

/**
 * An exit that a halt of the system ended, whoever asked the venue for it, does not come back. What ends in a symbol that looks
 * like a split was ended for that.
 */
async function withCause({ now }: ExitWorld, tx: WriteTx, { run, order, send }: Changed, isUnsure: boolean) {
  const cancelReason = cancelReasonOf(send)
  const isLost = order.parent_order_id !== null && endedElsewhere({ order, cancelReason })
  if (!isLost) return { send, isLost }
  if (await haltedSinceCompared(tx, run)) return { send: cancelWanted(send, 'halt', now()), isLost: false }
  return isUnsure ? { send: cancelWanted(send, SPLIT, now()), isLost: false } : { send, isLost }
}

interface Collected {
  writes: Write[]
  jobs: NewJob[]
}

function carryOut(plan: ExitPlan, legs: readonly Sent[], now: number, { writes, jobs }: Collected): void {
  const sendOf = ({ order }: Leg) => legs.find((one) => one.order.id === order.id)?.send as OrderSendRow
  const rows = [
    ...plan.cancel.map(({ leg, reason }) => cancelWanted(sendOf(leg), reason, now)),
    ...plan.retire.map((leg) => ({ ...sendOf(leg), cancel_reason: SPENT })),
  ]
  if (rows.length > 0) writes.push({ kind: 'save_order_sends', rows })
  for (const { leg } of plan.cancel) {
    const send = sendOf(leg)
    if (send.state === 'answered') jobs.push(cancelJob(leg.order))
    else if (isRefused(send)) jobs.push(submitJob(leg.order))
  }
}

/** What ended may have been what the venue refused an exit for. */
function tryAgain(plan: ExitPlan, legs: readonly Sent[], { writes, jobs }: Collected): void {
  const refused = legs.filter(
    ({ order, send }) =>
      isOpen(order.status) &&
      isRefused(send) &&
      send.cancel_requested_at === null &&
      !plan.cancel.some(({ leg }) => leg.order.id === order.id),
  )
  if (refused.length === 0) return
  writes.push({ kind: 'save_order_sends', rows: refused.map(({ send }) => ({ ...send, last_sent_at: null })) })
  jobs.push(...refused.map(({ order }) => submitJob(order)))
}

function isRefused({ state, refusals }: OrderSendRow): boolean {
  return state === 'to_send' && refusals > 0
}

function cancelReasonOf(send: OrderSendRow): string | null {
  return send.cancel_reason ?? (send.cancel_requested_at === null ? null : 'asked for')
}

/**
 * What market orders will close of the position: those that were sent, and those that may be sent now. The exits stay for one
 * that could not leave.
 */
async function claimedOf(
  tx: WriteTx,
  run: RunRow,
  all: readonly { order: OrderRow; send: OrderSendRow | null }[],
  position: string,
): Promise<string> {
  const side = new Decimal(position).gt(ZERO) ? 'sell' : 'buy'
  const closing = all.filter(
    ({ order }) =>
      order.parent_order_id === null && order.order_type === 'market' && order.side === side && isOpen(order.status),
  )
  const unsent = closing.find(({ send }) => send?.state === 'to_send')
  const mayLeave = unsent !== undefined && isFree(await hindranceOf(tx, run, unsent.order.symbol), unsent.order)
  return closing
    .filter(({ send }) => send?.state !== 'to_send' || (mayLeave && send.cancel_requested_at === null))
    .reduce((sum, { order }) => sum.plus(order.qty).minus(order.filled_qty), ZERO)
    .toString()
}

/** The fills by which the position grew in the entry's direction, and by how much. */
function birthsOf(entry: OrderRow, fills: readonly FillRow[], position: PositionRow | null): Birth[] {
  const sign = entry.side === 'buy' ? 1 : -1
  const received = fills.map((fill) => new Decimal(fill.qty).minus(fill.fee_qty))
  let held = new Decimal(position?.qty ?? '0').times(sign).minus(received.reduce((sum, one) => sum.plus(one), ZERO))
  return fills.flatMap((fill, index) => {
    const before = held
    held = held.plus(received[index] as Decimal)
    const grown = held.minus(before.gt(ZERO) ? before : ZERO)
    return grown.gt(ZERO) ? [{ entry, pair: fill.ordinal, qty: grown.toString() }] : []
  })
}

export function cancelWanted(send: OrderSendRow, reason: string, now: number): OrderSendRow {
  const cancel_requested_at = send.cancel_requested_at ?? new Date(now).toISOString()
  return { ...send, cancel_requested_at, cancel_reason: reason }
}

async function placeLegs(
  world: ExitWorld,
  tx: WriteTx,
  { run, order, fills, ledger }: Changed,
  legs: readonly NewLeg[],
  outcome: Outcome,
): Promise<Omit<ExitOutcome, 'lost'>> {
  const writes: Write[] = [...outcome.writes]
  const events: NewEvent[] = []
  const jobs: NewJob[] = [...(outcome.jobs ?? [])]
  let next = ledger.next_order
  for (const leg of legs) {
    const entry = leg.entry_id === order.id ? order : await getOrder(tx, leg.entry_id)
    if (entry === null) throw new Error(`the exit ${leg.client_order_id} has no entry ${leg.entry_id}`)
    const born = newOrderOutcome({
      run: run as RunRow & { exchange: string; mode: TradingMode },
      intent: legIntent(entry, leg, splitSince(splitsOf(ledger), leg.after ?? entry)),
      ordinal: next++,
      corrId: entry.corr_id,
      cause: fills.at(-1)?.id ?? order.last_event_id,
      eventId: venueEventId(run.id, leg.client_order_id, 'created'),
      id: orderId(run.id, leg.client_order_id),
      parent: entry,
      barIndex: entry.bar_index,
      placedAt: entry.placed_at,
      decidedClose: null,
      now: world.now(),
    })
    writes.push(...born.outcome.writes)
    events.push(...born.outcome.events)
    jobs.push(...(born.outcome.jobs ?? []))
  }
  return { outcome: { writes, events, jobs }, ledger: { ...ledger, next_order: next } }
}

/** One that follows another has its prices: somebody may have changed them at the venue. `ratio`: what a share of those is now. */
function legIntent(entry: OrderRow, { role, client_order_id, qty, after }: NewLeg, ratio: SplitRatio): PlaceIntent {
  const stop = role === 'sl'
  if (after !== null) {
    const { symbol, side, order_type, trail_percent, reason } = after
    const [limit_price, stop_price] = [splitPrice(after.price, ratio), splitPrice(after.stop_price, ratio)]
    const prices = { limit_price, stop_price, trail_price: splitPrice(after.trail_price, ratio), trail_percent }
    return ownIntent({ client_order_id, symbol, side, order_type, qty, reason, ...prices })
  }
  const trails = stop && entry.stop_loss === null
  return ownIntent({
    client_order_id,
    symbol: entry.symbol,
    side: entry.side === 'buy' ? 'sell' : 'buy',
    order_type: trails ? 'trailing_stop' : stop ? 'stop' : 'limit',
    qty,
    limit_price: stop ? null : splitPrice(entry.take_profit, ratio),
    stop_price: stop && !trails ? splitPrice(entry.stop_loss, ratio) : null,
    trail_price: trails ? splitPrice(entry.trail_price, ratio) : null,
    trail_percent: trails ? entry.trail_percent : null,
    reason: trails ? 'trailing stop' : stop ? 'stop loss' : 'take profit',
  })
}

/** A position without the exit that it was to have is for a person to look at. */
export function exitAlarms(
  order: OrderRow,
  bodies: readonly OrderBody[],
  lost: ExitOutcome['lost'],
  ts: string,
): NewEvent[] {
  if (order.parent_order_id === null) return []
  const after = lost === null ? '' : lost === 'for now' ? '. Another takes its place' : '. No other takes its place'
  const rejected = bodies.find(({ type }) => type === 'orders.Rejected')
  if (rejected !== undefined) {
    return [exitAlarm(order, { fact: 'alarm', cause: rejected.id, ts, why: `${order.reject_reason}${after}` })]
  }
  const cancelled = bodies.find((body) => body.type === 'orders.Cancelled')
  if (cancelled === undefined || lost === null) return []
  const why = `it was ended there without Weaver's wish: ${cancelled.payload.reason ?? 'cancelled'}${after}`
  return [exitAlarm(order, { fact: 'alarm', cause: cancelled.id, ts, why })]
}

/** Whoever made it smaller meant it: what it does not close any more stays without it, and is told of. */
export function smallerAlarms(before: OrderRow, bodies: readonly OrderBody[], ts: string): NewEvent[] {
  const replaced = bodies.findLast((body) => body.type === 'orders.Replaced')
  if (before.parent_order_id === null || replaced === undefined) return []
  const { qty, exchange_order_id } = replaced.payload
  const less = new Decimal(before.qty).minus(qty)
  if (less.lte(ZERO)) return []
  const what = `${before.reason ?? before.order_type}, ${before.side} ${before.qty} ${before.symbol}`
  return [
    {
      id: venueEventId(before.run_id, before.client_order_id, `alarm:smaller:${exchange_order_id}`),
      type: 'system.Error',
      run_id: before.run_id,
      corr_id: before.corr_id,
      causation_id: replaced.id,
      ts,
      producer: 'veda',
      payload: {
        part: 'orders',
        message: `the exit ${before.client_order_id} (${what}) was made smaller at the venue: it closes ${qty}, and ${less} are without it`,
      },
    },
  ]
}

interface Alarm {
  fact: 'alarm' | 'alarm:refused'
  cause: string | null
  ts: string
  why: string
}

export function exitAlarm(order: OrderRow, { fact, cause, ts, why }: Alarm): NewEvent {
  const what = `${order.reason ?? order.order_type}, ${order.side} ${order.qty} ${order.symbol}`
  return {
    id: venueEventId(order.run_id, order.client_order_id, fact),
    type: 'system.Error',
    run_id: order.run_id,
    corr_id: order.corr_id,
    causation_id: cause,
    ts,
    producer: 'veda',
    payload: { part: 'orders', message: `the exit ${order.client_order_id} (${what}) is not at the venue: ${why}` },
  }
}
