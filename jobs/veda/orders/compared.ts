/**
 * Of shares nothing goes out on knowledge that is older than what may have changed its meaning. An exit that the venue ended,
 * a stop that the price has gone through, a take profit that it has reached: each may be a split, after which the same price
 * means another thing. So it leaves when its account was compared after that, and its symbol found in order.
 */
import type { Database, Reader, WriteTx } from '../../../db/database.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { OUTSIDE, sessionEndingAfter, tradesAroundTheClock } from '../../../db/walle/calendar/calendar.ts'
import { DAY_MS } from '../../../db/walle/calendar/days.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { lockAccount } from '../../../db/walle/queries/accounts.ts'
import { fillsOfOrder, getOrderSend, type Hindrance, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import { wallClock } from '../../glados/clock.ts'
import { splitsOf } from '../../greta/splits.ts'
import type { Live } from '../../live/live.ts'
import { follows, madeWay } from '../exits.ts'
import { type ShownSplit, splitShown } from '../market/split_shown.ts'
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

type DataJobs = Pick<Live, 'now' | 'log'> & { db: Database }

/** Of an exit that is about to leave on what was known when its account was compared. */
export async function leavesBeforeSplit(jobs: DataJobs, venue: Pick<Venue, 'bars'>, order: OrderRow): Promise<boolean> {
  if (order.parent_order_id === null || tradesAroundTheClock(order.symbol)) return false
  const { reader } = jobs.db
  const send = await getOrderSend(reader, order.id)
  if (send === null || (await toCompareAfter(reader, { order, send })) === null) return false
  return awaitsSplit(jobs, venue, order)
}

/**
 * Some exchanges change a position later than the price. Their data tell of the split already, and it is none that was applied
 * to what the run holds: comparing says nothing then. Data that cannot be had say nothing either.
 */
export async function awaitsSplit(
  { db, now, log }: DataJobs,
  venue: Pick<Venue, 'bars'>,
  order: OrderRow,
): Promise<boolean> {
  const { symbol, run_id } = order
  if (tradesAroundTheClock(symbol)) return false
  const shown = await inTime(wallClock.sleep, DATA_MS, splitShown(venue, symbol, now())).catch(() => null)
  const last = splitsOf(await getRunLedger(db.reader, run_id)).findLast((one) => one.symbol === symbol)
  if (shown === null || (last !== undefined && last.fresh / last.old === shown.shares)) return false
  if (await wasEnteredSince(db.reader, order, shown)) return false
  log(
    'warn',
    { run_id, order_id: order.id },
    `an exit waits: by its exchange's data ${symbol} was split, and the position was not`,
  )
  return true
}

/** What the exit closes was traded after the split. What traded before the opening may be either. */
async function wasEnteredSince(reader: Reader, { parent_order_id }: OrderRow, { after }: ShownSplit): Promise<boolean> {
  const [first] = await fillsOfOrder(reader, parent_order_id as string)
  const session = sessionEndingAfter(after + DAY_MS)
  return first !== undefined && session !== OUTSIDE && Date.parse(first.timestamp) >= session.open
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
