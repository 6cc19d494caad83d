/** Orders that are born to be refused: on record with the reason, and never sent. */
import type { WriteTx } from '../../../db/database.ts'
import type { LogEvent, NewEvent } from '../../../db/events/envelope.ts'
import { orderId, venueEventId } from '../../../db/events/ids.ts'
import { getEvent } from '../../../db/events/read.ts'
import type { ClockTickRow, RunLedgerRow, TradingMode } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { evolveOrder, type OrderEvent } from '../../../db/walle/projections/orders.ts'
import { orderByClientId } from '../../../db/walle/queries/live_orders.ts'
import { getClockTick, getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import type { OrderRow, RunRow } from '../../../db/walle/rows.ts'
import type { PlaceIntent } from '../../../strategies/api.ts'
import { type BornOrder, newOrderOutcome } from './birth.ts'

export type LiveRun = RunRow & { exchange: string; mode: TradingMode }
export type PlaceCommand = Extract<LogEvent, { type: 'live.PlaceOrder' }>

export interface Refusal {
  reason: string
  rule: string | null
  detail: string | null
}

interface Circumstances {
  ledger: RunLedgerRow
  tick: ClockTickRow | null
  decidedClose: string | null
  now: number
}

/** The tick that a command is of; null: none, as what a person closes. */
export async function tickOf(tx: WriteTx, { id }: LiveRun, { payload }: PlaceCommand): Promise<ClockTickRow | null> {
  return payload.bar_index === undefined ? null : getClockTick(tx, id, payload.bar_index)
}

/** The order that a strategy's command asks for; `intent` as it fits its venue. */
export function commandedOrder(
  run: LiveRun,
  event: PlaceCommand,
  intent: PlaceIntent,
  { ledger, tick, decidedClose, now }: Circumstances,
): BornOrder {
  return newOrderOutcome({
    run,
    intent,
    id: orderId(run.id, intent.client_order_id),
    eventId: venueEventId(run.id, intent.client_order_id, 'created'),
    ordinal: ledger.next_order,
    corrId: event.corr_id,
    cause: event.id,
    parent: null,
    barIndex: event.payload.bar_index ?? null,
    placedAt: tick?.ts ?? event.ts,
    decidedClose,
    now,
  })
}

/** Without the run's ledger, which has one order more. */
export function refusedOutcome({ order, outcome }: BornOrder, { reason, rule, detail }: Refusal): Outcome {
  const created = outcome.events[0] as NewEvent
  const rejected = {
    ...created,
    id: venueEventId(order.run_id, order.client_order_id, 'rejected'),
    type: 'orders.Rejected',
    causation_id: created.id,
    payload: { order_id: order.id, client_order_id: order.client_order_id, reason, rule, detail },
  } as NewEvent
  const ended = evolveOrder(order, rejected as unknown as OrderEvent) as OrderRow
  return { writes: [{ kind: 'insert_orders', rows: [ended] }], events: [created, rejected] }
}

const ENDED: Refusal = { reason: 'run_ended', rule: null, detail: 'the run ended before the order was placed' }

/** What a run that ends, and is locked, still had to place: ids of its commands, oldest first. */
export async function refuseUnplaced(
  tx: WriteTx,
  run: RunRow,
  commands: readonly string[],
  now: number,
): Promise<Outcome> {
  const outcome: Outcome = { writes: [], events: [] }
  const ledger = commands.length === 0 ? null : await getRunLedger(tx, run.id)
  if (ledger === null) return outcome
  for (const id of commands) {
    const event = (await getEvent(tx, id)) as LogEvent | null
    if (event?.type !== 'live.PlaceOrder') continue
    if ((await orderByClientId(tx, run.id, event.payload.intent.client_order_id)) !== null) continue
    const tick = await tickOf(tx, run as LiveRun, event)
    const intent = event.payload.intent as PlaceIntent
    const born = commandedOrder(run as LiveRun, event, intent, { ledger, tick, decidedClose: null, now })
    const { writes, events } = refusedOutcome(born, ENDED)
    outcome.writes.push(...writes)
    outcome.events.push(...events)
    ledger.next_order += 1
  }
  if (outcome.events.length > 0) outcome.writes.push({ kind: 'save_run_ledgers', rows: [ledger] })
  return outcome
}
