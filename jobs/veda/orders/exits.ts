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
import { hindranceOf, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getOrder } from '../../../db/walle/queries/orders.ts'
import type { FillRow, OrderRow, PositionRow, RunRow } from '../../../db/walle/rows.ts'
import type { PlaceIntent } from '../../../strategies/api.ts'
import { Decimal, ZERO } from '../../greta/decimals.ts'
import { ownIntent } from '../../greta/order_events.ts'
import { type Birth, type Leg, type NewLeg, planExits, rolesOf, SPENT } from '../exits.ts'
import type { OrderBody } from '../reports.ts'
import { newOrderOutcome } from './birth.ts'
import { isFree } from './hindrances.ts'
import { cancelJob } from './job_specs.ts'

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
}

export interface ExitOutcome {
  outcome: Outcome
  ledger: RunLedgerRow
}

export async function exitOutcome(world: ExitWorld, tx: WriteTx, changed: Changed): Promise<ExitOutcome> {
  const { run, order, send, fills, position } = changed
  const nothing = { outcome: { writes: [], events: [] }, ledger: changed.ledger }
  const births = fills.length > 0 && rolesOf(order).length > 0 ? birthsOf(order, fills, position) : []
  const closes = order.parent_order_id === null && order.order_type === 'market'
  if (fills.length === 0 && isOpen(order.status) && !closes) return nothing
  const known = await symbolOrders(tx, run.id, order.symbol)
  const all = known.map((one) => (one.order.id === order.id ? { order, send } : one))
  if (!known.some((one) => one.order.id === order.id)) all.push({ order, send })
  const legs = all.filter((one) => one.order.parent_order_id !== null)
  const asLegs: Leg[] = legs.map((one) => ({ order: one.order, cancelReason: cancelReasonOf(one.send) }))
  const qty = position?.qty ?? '0'
  const plan = planExits(qty, await claimedOf(tx, run, all, qty), asLegs, births)
  const sendOf = (leg: Leg) => legs.find((one) => one.order.id === leg.order.id)?.send as OrderSendRow
  const sends = [
    ...plan.cancel.map(({ leg, reason }) => cancelWanted(sendOf(leg), reason, world.now())),
    ...plan.retire.map((leg) => ({ ...sendOf(leg), cancel_reason: SPENT })),
  ]
  const jobs: NewJob[] = plan.cancel.flatMap(({ leg }) =>
    sendOf(leg).state === 'answered' ? [cancelJob(leg.order)] : [],
  )
  const outcome: Outcome = {
    writes: sends.length > 0 ? [{ kind: 'save_order_sends', rows: sends }] : [],
    events: [],
    jobs,
  }
  return placeLegs(world, tx, changed, plan.place, outcome)
}

function cancelReasonOf(send: OrderSendRow | null): string | null {
  if (send === null || send.cancel_requested_at === null) return null
  return send.cancel_reason ?? 'asked for'
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
  const mayLeave = unsent !== undefined && isFree(await hindranceOf(tx, run, unsent.order.symbol))
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
): Promise<ExitOutcome> {
  const writes: Write[] = [...outcome.writes]
  const events: NewEvent[] = []
  const jobs: NewJob[] = [...(outcome.jobs ?? [])]
  let next = ledger.next_order
  for (const leg of legs) {
    const entry = leg.entry_id === order.id ? order : await getOrder(tx, leg.entry_id)
    if (entry === null) throw new Error(`the exit ${leg.client_order_id} has no entry ${leg.entry_id}`)
    const born = newOrderOutcome({
      run: run as RunRow & { exchange: string; mode: TradingMode },
      intent: legIntent(entry, leg),
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

function legIntent(entry: OrderRow, { role, client_order_id, qty }: NewLeg): PlaceIntent {
  const stop = role === 'sl'
  const trails = stop && entry.stop_loss === null
  return ownIntent({
    client_order_id,
    symbol: entry.symbol,
    side: entry.side === 'buy' ? 'sell' : 'buy',
    order_type: trails ? 'trailing_stop' : stop ? 'stop' : 'limit',
    qty,
    limit_price: stop ? null : entry.take_profit,
    stop_price: stop && !trails ? entry.stop_loss : null,
    trail_price: trails ? entry.trail_price : null,
    trail_percent: trails ? entry.trail_percent : null,
    reason: trails ? 'trailing stop' : stop ? 'stop loss' : 'take profit',
  })
}

/** A position without the exit that it was to have is for a person to look at. */
export function exitAlarms(order: OrderRow, bodies: readonly OrderBody[], ts: string): NewEvent[] {
  const rejected = bodies.find(({ type }) => type === 'orders.Rejected')
  if (order.parent_order_id === null || rejected === undefined) return []
  const what = `${order.reason ?? order.order_type}, ${order.side} ${order.qty} ${order.symbol}`
  const message = `the exit ${order.client_order_id} (${what}) is not at the venue: ${order.reject_reason}`
  return [
    {
      id: venueEventId(order.run_id, order.client_order_id, 'alarm'),
      type: 'system.Error',
      run_id: order.run_id,
      corr_id: order.corr_id,
      causation_id: rejected.id,
      ts,
      producer: 'veda',
      payload: { part: 'orders', message },
    },
  ]
}
