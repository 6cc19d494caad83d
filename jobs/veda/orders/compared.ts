/**
 * Of shares nothing goes out on knowledge that is older than what may have changed its meaning. An exit that the venue ended,
 * a stop that the price has gone through, a take profit that it has reached: each may be a split, after which the same price
 * means another thing. So it leaves when its account was compared after that, and its symbol found in order.
 */
import type { Database, Reader, WriteTx } from '../../../db/database.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { tradesAroundTheClock } from '../../../db/walle/calendar/calendar.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { lockAccount } from '../../../db/walle/queries/accounts.ts'
import { getOrderSend, type Hindrance, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import { wallClock } from '../../glados/clock.ts'
import { splitsOf } from '../../greta/splits.ts'
import type { Live } from '../../live/live.ts'
import { follows, madeWay } from '../exits.ts'
import { splitShown } from '../market/split_shown.ts'
import type { Venue } from '../venue.ts'
import { inTime } from '../venues/in_time.ts'
import type { LockedOrder } from './reports.ts'

/** Data that take longer are not waited for. */
const DATA_MS = 2_000

/** The moment after which its account must have been compared, ISO 8601; null: it need not. */
export async function toCompareAfter(
  reader: Reader,
  { order, send }: Pick<LockedOrder, 'order' | 'send'>,
): Promise<string | null> {
  if (order.parent_order_id === null || tradesAroundTheClock(order.symbol)) return null
  const legs = await symbolOrders(reader, order.run_id, order.symbol)
  const ends = legs
    .filter((leg) => follows(order.client_order_id, leg.order.client_order_id) && !isOpen(leg.order.status))
    .filter((leg) => !madeWay({ cancelReason: leg.send?.cancel_reason ?? null }))
    .flatMap((leg) => leg.order.closed_at ?? [])
  // Refused as passed by the call before this one.
  if (send.at_market && send.last_sent_at !== null) ends.push(send.last_sent_at)
  return ends.length === 0 ? null : new Date(Math.max(...ends.map((end) => Date.parse(end)))).toISOString()
}

export function isComparedAfter({ equal_at }: Pick<Hindrance, 'equal_at'>, moment: string): boolean {
  return equal_at !== null && Date.parse(equal_at) >= Date.parse(moment)
}

/**
 * Some exchanges change a position later than the price. Their data tell of the split already, and it is none that was applied
 * to what the run holds: comparing says nothing then. Data that cannot be had say nothing either.
 */
export async function awaitsSplit(
  { db, now, log }: Pick<Live, 'now' | 'log'> & { db: Database },
  venue: Pick<Venue, 'bars'>,
  order: OrderRow,
): Promise<boolean> {
  const send = await getOrderSend(db.reader, order.id)
  if (send === null || (await toCompareAfter(db.reader, { order, send })) === null) return false
  const { symbol, run_id } = order
  const shown = await inTime(wallClock.sleep, DATA_MS, splitShown(venue, symbol, now())).catch(() => 1)
  const last = splitsOf(await getRunLedger(db.reader, run_id)).findLast((one) => one.symbol === symbol)
  if (shown === 1 || (last !== undefined && last.fresh / last.old === shown)) return false
  log(
    'warn',
    { run_id, order_id: order.id },
    `an exit waits: by its exchange's data ${symbol} was split, and the position was not`,
  )
  return true
}

/** Its keeper is asked to compare the account now, once for that moment. */
export async function askToCompare(
  tx: WriteTx,
  { exchange, mode }: Pick<LockedOrder['send'], 'exchange' | 'mode'>,
  moment: string,
  now: number,
): Promise<Outcome> {
  const account = await lockAccount(tx, { exchange, mode })
  const asked = account?.reconcile_requested_at ?? null
  if (account === null || (asked !== null && Date.parse(asked) >= Date.parse(moment))) return { writes: [], events: [] }
  await tx.execute(`select pg_notify('weaver_account', '')`)
  const reconcile_requested_at = new Date(Math.max(now, Date.parse(moment))).toISOString()
  return { writes: [{ kind: 'save_accounts', rows: [{ ...account, reconcile_requested_at }] }], events: [] }
}
