/**
 * The one place that records what venues say of orders, and the only one that books a fill of a paper or live run: under
 * the run's lock, in one transaction. Locks are taken in this order: run, then everything that belongs to it (order, send,
 * ledger, position), which nobody changes without the run's lock; an account is not locked here (who needs both locks the run first).
 * Idempotent: what is known already leaves nothing behind.
 */
import type { Database, WriteTx } from '../../../db/database.ts'
import type { NewEvent } from '../../../db/events/envelope.ts'
import { venueEventId } from '../../../db/events/ids.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { getEvent } from '../../../db/events/read.ts'
import type { OrderSendRow, RunLedgerRow, TradingMode, VenueUpdateRow } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { fillOf, isFillEvent } from '../../../db/walle/projections/fills.ts'
import { evolveOrder, type OrderEvent } from '../../../db/walle/projections/orders.ts'
import {
  fillsOfOrder,
  findOrder,
  getOrderSend,
  getPosition,
  isBeingCancelled,
  type OrderPlace,
} from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { getOrder } from '../../../db/walle/queries/orders.ts'
import { lockRun } from '../../../db/walle/queries/runs.ts'
import type { FillRow, OrderRow, PositionRow, RunRow } from '../../../db/walle/rows.ts'
import type { Json } from '../../../strategies/api.ts'
import { newestTick } from '../../greta/attribution.ts'
import { type Booked, type Books, closeBooks, openBooks } from '../../greta/books.ts'
import { Decimal, ZERO } from '../../greta/decimals.ts'
import { applyFill } from '../../greta/ledger.ts'
import type { Live } from '../../live/live.ts'
import { SPLIT } from '../exits.ts'
import {
  AT_VENUE,
  applyReport,
  isOther,
  isResizedThere,
  type KnownOrder,
  newestOf,
  type OrderBody,
  type OrderReport,
} from '../reports.ts'
import { exitAlarms, exitOutcome, smallerAlarms } from './exits.ts'
import { cancelJob } from './job_specs.ts'

export type ReportSource = VenueUpdateRow['source']

/** A report, of which account, and how it was heard. */
export interface Heard extends OrderReport {
  exchange: string
  mode: TradingMode
  source: ReportSource
  /** What a submit was answered: the order that it made, whatever it says. */
  made?: true
}

export type Reported =
  /** No order of ours in this account. */
  | { kind: 'foreign' }
  | {
      kind: 'known'
      order: OrderPlace
      /** Types of the events that it left. */
      told: OrderBody['type'][]
      /** Something was missed: ask the venue for the order, and report that. */
      gap: boolean
    }

export type ReportJobs = Pick<Live, 'record' | 'now' | 'newId' | 'log'> & { db: Database }

export async function recordReport(jobs: ReportJobs, heard: Heard): Promise<Reported> {
  const ids = {
    client_order_id: heard.order?.client_order_id ?? heard.execution?.client_order_id ?? null,
    exchange_order_id: heard.order?.exchange_order_id ?? heard.execution?.exchange_order_id ?? null,
    replaces: heard.order?.replaces ?? null,
  }
  const place = await findOrder(jobs.db.reader, heard, ids)
  if (place === null) return { kind: 'foreign' }
  if (heard.execution === null && (heard.source === 'poll' || heard.source === 'reconcile')) {
    // Asked for again and again, and mostly nothing new: no lock for that.
    const order = await getOrder(jobs.db.reader, place.order_id)
    const send = await getOrderSend(jobs.db.reader, place.order_id)
    const fills = await fillsOfOrder(jobs.db.reader, place.order_id)
    const news = order === null || send === null ? null : applyReport(knownOf(order, send, fills), heard, 0)
    const isWrong = order !== null && send !== null && (isZombie(order, send, heard) || isResized(order, send, heard))
    const lives = isWrong && !(await isBeingCancelled(jobs.db.reader, order.id))
    if (news?.events.length === 0 && send?.state === 'answered' && !lives) {
      return { kind: 'known', order: place, told: [], gap: news.gap }
    }
  }
  return jobs.db.write(async (tx) => {
    const locked = await lockOrder(tx, place)
    if (locked === null) return { kind: 'foreign' }
    const { outcome, told, gap } = await reportOutcome(jobs, tx, locked, heard)
    await jobs.record(tx, outcome)
    return { kind: 'known', order: place, told, gap }
  })
}

function knownOf(row: OrderRow, send: OrderSendRow, fills: readonly FillRow[]): KnownOrder {
  const { decided_close: decidedClose, replaced_ids: replacedIds, filled_before: filledBefore } = send
  return { row, fills, decidedClose, replacedIds, filledBefore }
}

export interface LockedOrder {
  run: RunRow
  order: OrderRow
  send: OrderSendRow
}

/** The run is locked first, then its order is read. Null: there is no such order any more. */
export async function lockOrder(tx: WriteTx, { run_id, order_id }: OrderPlace): Promise<LockedOrder | null> {
  const run = await lockRun(tx, run_id)
  const [order, send] =
    run === null ? [null, null] : await Promise.all([getOrder(tx, order_id), getOrderSend(tx, order_id)])
  return run && order && send && { run, order, send }
}

export interface ReportOutcome {
  outcome: Outcome
  /** The order and its send as they are after it. */
  order: OrderRow
  send: OrderSendRow
  told: OrderBody['type'][]
  gap: boolean
  /** The report is of another order that the venue has by the same client id. */
  other: boolean
}

/** What a report changes of an order that is locked: rows, events, jobs. */
export async function reportOutcome(
  jobs: Pick<ReportJobs, 'now' | 'newId' | 'log'>,
  tx: WriteTx,
  locked: LockedOrder,
  heard: Heard,
): Promise<ReportOutcome> {
  const { order, run } = locked
  if (heard.made !== true && isOther(order, heard, locked.send.replaced_ids))
    return otherOutcome(jobs, tx, locked, heard)
  const ledger = await getRunLedger(tx, run.id)
  if (ledger === null) throw new Error(`the run ${run.id} has no ledger: it was never started`)
  const fills = await fillsOfOrder(tx, order.id)
  const known = knownOf(order, locked.send, fills)
  const { events, gap, replacedIds, filledBefore } = applyReport(known, heard, ledger.next_fill)
  const send: OrderSendRow = {
    ...locked.send,
    ...{ state: 'answered', last_error: null, replaced_ids: [...replacedIds], filled_before: filledBefore },
  }
  const zombie = isZombie(order, locked.send, heard)
  const resized = isResized(order, locked.send, heard)
  const cancels = (zombie || resized) && !(await isBeingCancelled(tx, order.id))
  if (zombie && order.exchange_order_id === null && send.cancel_requested_at === null) {
    send.cancel_requested_at = new Date(jobs.now()).toISOString()
    send.cancel_reason = 'it was given up, and the venue has it'
  }
  if (resized && send.cancel_requested_at === null) {
    send.cancel_requested_at = new Date(jobs.now()).toISOString()
    send.cancel_reason = SPLIT
  }
  const change = await ordersChange(jobs, tx, { run, order, send }, events, ledger)
  const changed = JSON.stringify(send) !== JSON.stringify(locked.send)
  return {
    outcome: {
      writes: [
        { kind: 'insert_venue_updates', rows: updatesOf(order, heard) },
        ...(changed ? [{ kind: 'save_order_sends' as const, rows: [send] }] : []),
        ...change.outcome.writes,
      ],
      events: change.outcome.events,
      jobs: [...(change.outcome.jobs ?? []), ...(cancels ? [cancelJob(locked.order)] : [])],
    },
    order: change.order,
    send,
    told: events.map(({ type }) => type),
    gap,
    other: false,
  }
}

/** One for each of the venue's orders. */
function updatesOf({ client_order_id }: OrderRow, heard: Heard): VenueUpdateRow[] {
  const { exchange, mode, source, order, execution, successors = [] } = heard
  const of = (payload: Pick<Heard, 'order' | 'execution'>): VenueUpdateRow => ({
    ...{ exchange, mode, source, client_order_id, execution_id: payload.execution?.execution_id ?? null },
    payload: payload as unknown as Json,
  })
  return [of({ order, execution }), ...successors.map((one) => of({ order: one, execution: null }))]
}

/** Nothing is booked. What it traded no order explains: the comparison of positions pauses its symbol. Told once. */
async function otherOutcome(
  jobs: Pick<ReportJobs, 'now'>,
  tx: WriteTx,
  { order, send }: LockedOrder,
  heard: Heard,
): Promise<ReportOutcome> {
  const id = venueEventId(order.run_id, order.client_order_id, 'other')
  const nothing = { outcome: { writes: [], events: [] }, order, send, told: [], gap: false, other: true }
  const update = { kind: 'insert_venue_updates' as const, rows: updatesOf(order, heard) }
  if ((await getEvent(tx, id)) !== null) {
    // On record, so that it is not asked for again.
    return heard.execution === null ? nothing : { ...nothing, outcome: { writes: [update], events: [] } }
  }
  const event = {
    id,
    type: 'system.Error',
    run_id: order.run_id,
    corr_id: order.corr_id,
    causation_id: order.last_event_id,
    ts: new Date(jobs.now()).toISOString(),
    producer: 'veda',
    payload: { part: 'orders', message: `nothing is booked on ${order.client_order_id}: ${otherWords(order, heard)}` },
  } satisfies NewEvent
  return { ...nothing, outcome: { writes: [update], events: [event] } }
}

export function otherWords(ours: OrderRow, { order, execution }: OrderReport): string {
  const theirs = (order ?? execution) as NonNullable<typeof order | typeof execution>
  const words = ({ side, qty, symbol }: Pick<OrderRow, 'side' | 'qty' | 'symbol'>) => `${side} ${qty} ${symbol}`
  return `the venue has its client order id for another order, ${theirs.exchange_order_id}: ${words(theirs)}, not ${words(ours)}`
}

/**
 * It has ended with Weaver, which gave it up as never having reached the venue, or heard wrongly of its end; and there it is.
 * What a stream or an answer says of an order that the venue has acknowledged may be older than its end.
 */
function isZombie({ status, exchange_order_id }: OrderRow, { replaced_ids }: OrderSendRow, heard: Heard): boolean {
  const { order, source, successors = [] } = heard
  const newest = successors.find((one) => one.exchange_order_id === exchange_order_id) ?? order
  if (isOpen(status) || newest === null || !AT_VENUE.includes(newest.status)) return false
  // What another took the place of ended there, whatever a late word says; what took its place after its end is not ours.
  if (replaced_ids.includes(newest.exchange_order_id)) return false
  if (newest.replaces !== null && newest.exchange_order_id !== exchange_order_id) return false
  return exchange_order_id === null || source === 'poll' || source === 'reconcile'
}

function isResized(order: OrderRow, { filled_before }: OrderSendRow, heard: Heard): boolean {
  return isResizedThere(order, newestOf(heard), filled_before)
}

interface OrdersChange {
  outcome: Outcome
  order: OrderRow
}

/** What events of an order change: its row, fills, the run's ledger, position and trades, and the exits it brings along. */
export async function ordersChange(
  jobs: Pick<ReportJobs, 'now' | 'newId' | 'log'>,
  tx: WriteTx,
  { run, order: before, send }: LockedOrder,
  bodies: readonly OrderBody[],
  ledger: RunLedgerRow,
): Promise<OrdersChange> {
  if (bodies.length === 0) return { outcome: { writes: [], events: [] }, order: before }
  const ts = new Date(jobs.now()).toISOString()
  const events: NewEvent[] = []
  const fills: FillRow[] = []
  let order = before
  for (const body of bodies) {
    const event = eventOf(order, body, ts)
    events.push(event)
    order = evolveOrder(order, event as unknown as OrderEvent) as OrderRow
    const logged = event as unknown as OrderEvent
    if (isFillEvent(logged)) fills.push(fillOf(logged))
  }
  const booked = await book(tx, run, order, fills, ledger)
  const exits = await exitOutcome(jobs, tx, {
    run,
    order,
    send,
    fills,
    ledger: booked.ledger,
    position: booked.position,
    // An exit of another size, and nobody here made it so.
    ...(bodies.some(({ type }) => type === 'orders.Replaced') && order.parent_order_id !== null ? { fits: true } : {}),
  })
  return {
    outcome: {
      writes: [
        { kind: 'update_orders', rows: [order] },
        { kind: 'insert_fills', rows: fills },
        { kind: 'save_positions', rows: fills.length > 0 && booked.position ? [booked.position] : [] },
        { kind: 'insert_trades', rows: booked.trades },
        { kind: 'save_run_ledgers', rows: [exits.ledger] },
        ...exits.outcome.writes,
      ],
      events: [
        ...events,
        ...positionChanged(run, order, fills, booked.position, ts),
        ...exitAlarms(order, bodies, exits.lost, ts),
        ...smallerAlarms(before, bodies, ts),
        ...exits.outcome.events,
      ],
      jobs: exits.outcome.jobs ?? [],
    },
    order,
  }
}

export function eventOf(order: OrderRow, body: OrderBody, ts: string): NewEvent {
  return {
    ...body,
    run_id: order.run_id,
    corr_id: order.corr_id,
    causation_id: order.last_event_id,
    ts,
    producer: 'veda',
  } as NewEvent
}

async function book(
  tx: WriteTx,
  run: RunRow,
  order: OrderRow,
  fills: readonly FillRow[],
  before: RunLedgerRow,
): Promise<Omit<Booked, 'position'> & { position: PositionRow | null }> {
  const held = await getPosition(tx, run.id, order.symbol)
  const books = openBooks(before, held)
  for (const fill of fills) bookFill(books, run, fill)
  if (!isOpen(order.status)) books.trades.onOrderEnd(order.id)
  const last_price = held?.last_price ?? Number(fills.at(-1)?.price)
  const booked = closeBooks(books, before, { symbol: order.symbol, last_price })
  return {
    ...booked,
    ledger: { ...booked.ledger, next_fill: before.next_fill + fills.length },
    position: held === null && fills.length === 0 ? null : booked.position,
  }
}

function bookFill({ ledger, trades }: Books, run: RunRow, fill: FillRow): void {
  const received = new Decimal(fill.qty).minus(fill.fee_qty)
  const signed = fill.side === 'buy' ? received : received.neg()
  applyFill(ledger, 0, signed, new Decimal(fill.price), new Decimal(fill.fee))
  if (received.eq(ZERO)) return
  trades.onFill({
    symbol: fill.symbol,
    side: fill.side,
    qty: received.toString(),
    price: fill.price,
    fee: fill.fee,
    orderId: fill.order_id,
    time: Date.parse(fill.timestamp),
    barIndex: newestTick(run),
  })
}

function positionChanged(
  run: RunRow,
  order: OrderRow,
  fills: readonly FillRow[],
  position: PositionRow | null,
  ts: string,
): NewEvent[] {
  const last = fills.at(-1)
  if (last === undefined || position === null || run.exchange === null || run.mode === 'backtest') return []
  return [
    {
      id: venueEventId(run.id, order.client_order_id, `position:${last.execution_id}`),
      type: 'account.PositionChanged',
      run_id: run.id,
      corr_id: order.corr_id,
      causation_id: last.id,
      ts,
      producer: 'veda',
      payload: {
        exchange: run.exchange,
        mode: run.mode,
        symbol: order.symbol,
        qty: position.qty,
        avg_price: position.avg_price,
      },
    },
  ]
}
