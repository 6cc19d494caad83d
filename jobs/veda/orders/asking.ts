/** What the venue has of one of our orders now. */
import type { Reader } from '../../../db/database.ts'
import { getOrderSend } from '../../../db/walle/queries/live_orders.ts'
import { getOrder } from '../../../db/walle/queries/orders.ts'
import { askFor, type Followed } from '../following.ts'
import type { OrderReport } from '../reports.ts'

/** Null: the venue does not know it. */
export async function askVenue(
  reader: Reader,
  venue: Followed,
  orderId: string,
  now: number,
): Promise<OrderReport | null> {
  const order = await getOrder(reader, orderId)
  const send = order === null ? null : await getOrderSend(reader, orderId)
  if (order === null) return null
  return askFor(venue, { ...order, replaced_ids: send?.replaced_ids ?? [] }, now)
}
