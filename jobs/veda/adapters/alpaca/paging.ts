/** Lists of Alpaca's that come in pages. What of them nobody understands is left out, or fails the whole (others.ts). */
import { VenueError, type VenueOrder } from '../../venue.ts'
import { orderOf } from './mapping.ts'
import type { Others } from './others.ts'
import type { Rest } from './rest.ts'
import { type WireActivity, wireActivities, wireId, wireOrders, wireSubmitted } from './wire.ts'

const ORDERS_PER_PAGE = 500
const ACTIVITIES_PER_PAGE = 100
const MOST_PAGES = 1_000

/** What lists are read with. */
export interface Reading {
  rest: Rest
  others: Others
  pairs: readonly string[]
}

/** Open ones, or all that were submitted since. */
export async function allOrders(
  { rest, others, pairs }: Reading,
  which: { open: true } | { since: number },
): Promise<VenueOrder[]> {
  const status = 'open' in which ? 'open' : 'all'
  const found = new Map<string, VenueOrder>()
  let after = 'open' in which ? null : which.since
  for (let page = 0; page < MOST_PAGES; page++) {
    const bound = after === null ? {} : { after: new Date(after).toISOString() }
    const send = () =>
      rest.orders.getAllOrdersRaw({ status, limit: ORDERS_PER_PAGE, direction: 'asc', nested: false, ...bound })
    const rows = await rest.ask({ what: 'orders', send, shape: wireOrders })
    for (const row of rows) {
      const wire = others.order(row)
      if (wire !== null) found.set(wire.id, orderOf(wire, pairs))
    }
    if (rows.length < ORDERS_PER_PAGE) return [...found.values()]
    // There is no token: the next page begins where this one ends, with a millisecond of it again, for `after` excludes.
    const last = wireSubmitted.safeParse(rows.at(-1)?.raw).data?.submitted_at ?? null
    if (last === null || (after !== null && last - 1 <= after)) break
    after = last - 1
  }
  throw new VenueError('unavailable', 'Alpaca, orders: its pages do not come to an end')
}

/** Fills since, oldest first. */
export async function allActivities({ rest, others }: Reading, since: number): Promise<WireActivity[]> {
  const found = new Map<string, WireActivity>()
  const tokens = new Set<string>()
  for (let page = 0; page < MOST_PAGES; page++) {
    const token = [...tokens].at(-1)
    const next = token === undefined ? {} : { pageToken: token }
    const send = () =>
      rest.activities.getAccountActivitiesByActivityTypeRaw({
        activityType: 'FILL',
        after: new Date(Math.max(0, since - 1)),
        direction: 'asc',
        pageSize: ACTIVITIES_PER_PAGE,
        ...next,
      })
    const rows = await rest.ask({ what: 'executions', send, shape: wireActivities })
    for (const row of rows) {
      const activity = others.activity(row)
      if (activity !== null) found.set(activity.id, activity)
    }
    if (rows.length < ACTIVITIES_PER_PAGE) {
      return [...found.values()].filter(({ transaction_time }) => transaction_time >= since)
    }
    const last = wireId.safeParse(rows.at(-1)?.raw).data?.id
    if (last === undefined || tokens.has(last)) break
    tokens.add(last)
  }
  throw new VenueError('unavailable', 'Alpaca, executions: its pages do not come to an end')
}
