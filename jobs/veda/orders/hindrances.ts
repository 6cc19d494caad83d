/** What stands in the way of an order that is to leave. */
import type { WriteTx } from '../../../db/database.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { type Hindrance, hindranceOf, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import type { Live } from '../../live/live.ts'
import { isByHand } from '../../marvin/contract.ts'
import { type Venue, VenueError } from '../venue.ts'

/** An order that could not leave for so long is not what was decided any more. Exits that protect are. */
export const SEND_WITHIN_MS = 300_000
/** So long an order waits for exits to make room; then the venue decides. */
export const MAKE_ROOM_MS = 30_000

export function isTooLate({ parent_order_id }: Pick<OrderRow, 'parent_order_id'>, waitedMs: number): boolean {
  return parent_order_id === null && waitedMs > SEND_WITHIN_MS
}

type Asked = Pick<OrderRow, 'parent_order_id' | 'client_order_id'>

/**
 * A halt of the system keeps everything. That of a run lets its exits go their way, and what a person closes: all they do is make
 * what it holds smaller.
 */
export function haltedBy({ system_halt, run_halt }: Hindrance, order: Asked | null): string | null {
  if (system_halt) return 'the system is halted'
  const eases = order !== null && (order.parent_order_id !== null || isByHand(order))
  return run_halt && !eases ? 'the run is halted' : null
}

export function isHalted(hindrance: Hindrance, order: Asked | null): boolean {
  return haltedBy(hindrance, order) !== null
}

export function isFree(hindrance: Hindrance, order: Asked | null): boolean {
  return !isHalted(hindrance, order) && waitsFor(hindrance) === null
}

export function waitsFor({ account_ready, account_reason, paused_reason }: Hindrance): string | null {
  if (!account_ready) return `the account is not ready: ${account_reason ?? 'nobody keeps it'}`
  return paused_reason === null ? null : `the symbol is paused: ${paused_reason}`
}

/**
 * Asked with nothing left to do but the request itself: since the order was put on record as leaving, the database or the
 * venue's limit may have held it up for minutes. What this throws says that nothing was sent.
 */
export async function mayLeave(
  { db, isHalted: isHaltedByFile, now }: Pick<Live, 'db' | 'isHalted' | 'now'>,
  { exchange, mode }: Pick<Venue, 'exchange' | 'mode'>,
  order: OrderRow,
  wantedAt: string,
): Promise<void> {
  const hindrance = await hindranceOf(db.reader, { id: order.run_id, exchange, mode }, order.symbol)
  const halted = isHalted(hindrance, order) || (await isHaltedByFile()) ? 'it was halted' : null
  const late = isTooLate(order, now() - Date.parse(wantedAt)) ? 'it is too late for it' : null
  const why = halted ?? waitsFor(hindrance) ?? late
  if (why !== null) throw new VenueError('unavailable', `kept back before it left: ${why}`)
}

/** A venue does not sell the same share for two: exits that were asked to make room are gone first. */
export async function waitsForExits(tx: WriteTx, order: OrderRow, now: number): Promise<string | null> {
  if (order.parent_order_id !== null || order.order_type !== 'market') return null
  const others = await symbolOrders(tx, order.run_id, order.symbol)
  const going = others.some(
    ({ order: exit, send }) =>
      exit.parent_order_id !== null &&
      exit.side === order.side &&
      isOpen(exit.status) &&
      send?.cancel_requested_at != null &&
      // Such as a take profit that watches the price: it holds nothing at the venue, and never leaves any more.
      send.state !== 'to_send' &&
      now - Date.parse(send.cancel_requested_at) < MAKE_ROOM_MS,
  )
  return going ? 'exits that hold what it sells are being cancelled' : null
}
