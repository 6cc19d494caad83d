/** Lists of Alpaca's that come in pages. */
import { VenueError, type VenueOrder } from '../../venue.ts'
import { orderOf } from './mapping.ts'
import type { Rest } from './rest.ts'
import { type WireActivity, wireActivities, wireOrders } from './wire.ts'

const ORDERS_PER_PAGE = 500
const ACTIVITIES_PER_PAGE = 100
const MOST_PAGES = 1_000

/** Open ones, or all that were submitted since. */
export async function allOrders(
  rest: Rest,
  which: { open: true } | { since: number },
  pairs: readonly string[],
): Promise<VenueOrder[]> {
  const status = 'open' in which ? 'open' : 'all'
  const found = new Map<string, VenueOrder>()
  let after = 'open' in which ? null : which.since
  for (let page = 0; page < MOST_PAGES; page++) {
    const bound = after === null ? {} : { after: new Date(after).toISOString() }
    const send = () =>
      rest.orders.getAllOrdersRaw({ status, limit: ORDERS_PER_PAGE, direction: 'asc', nested: false, ...bound })
    const wires = await rest.ask({ what: 'orders', send, shape: wireOrders })
    const before = found.size
    for (const wire of wires) found.set(wire.id, orderOf(wire, pairs))
    if (wires.length < ORDERS_PER_PAGE) return [...found.values()]
    // There is no token: the next page begins where this one ends, with a millisecond of it again, for `after` excludes.
    const last = found.get(wires.at(-1)?.id ?? '')?.submitted_at ?? null
    if (last === null || found.size === before) break
    after = last - 1
  }
  throw new VenueError('unavailable', 'Alpaca, orders: its pages do not come to an end')
}

/** Fills since, oldest first. */
export async function allActivities(rest: Rest, since: number): Promise<WireActivity[]> {
  const found = new Map<string, WireActivity>()
  let token: string | null = null
  for (let page = 0; page < MOST_PAGES; page++) {
    const next: { pageToken?: string } = token === null ? {} : { pageToken: token }
    const send = () =>
      rest.activities.getAccountActivitiesByActivityTypeRaw({
        activityType: 'FILL',
        after: new Date(Math.max(0, since - 1)),
        direction: 'asc',
        pageSize: ACTIVITIES_PER_PAGE,
        ...next,
      })
    const activities = await rest.ask({ what: 'executions', send, shape: wireActivities })
    const before = found.size
    for (const activity of activities) found.set(activity.id, activity)
    if (activities.length < ACTIVITIES_PER_PAGE) {
      return [...found.values()].filter(({ transaction_time }) => transaction_time >= since)
    }
    if (found.size === before) break
    token = activities.at(-1)?.id ?? null
  }
  throw new VenueError('unavailable', 'Alpaca, executions: its pages do not come to an end')
}
