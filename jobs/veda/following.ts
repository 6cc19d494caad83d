/**
 * Asks a venue for one of our orders as it is now. Where somebody replaced it there, the venue knows it by the id that
 * Weaver gave as what it was: what took its place is asked for by the venue's own ids, one after the other (ADR 26).
 */
import { type OrderReport, takesPlaceOf } from './reports.ts'
import { type Venue, VenueError, type VenueOrder } from './venue.ts'

/** What took the place of what, followed at once; of more the next question tells. */
const MOST_FOLLOWED = 20
/** A venue that has not known for so long what took an order's place will not know it any more. */
export const LOST_AFTER_MS = 300_000

/** What of a venue is asked here. */
export type Followed = Pick<Venue, 'orderByClientId' | 'orderById'>

/** One of our orders, by the names that the venue has for it. */
export interface NamedOrder {
  client_order_id: string
  exchange_order_id: string | null
  /** Of the orders that others took the place of. */
  replaced_ids: readonly string[]
}

/** Null: the venue does not know it. */
export async function askFor(venue: Followed, named: NamedOrder, now: number): Promise<OrderReport | null> {
  const { client_order_id, exchange_order_id, replaced_ids } = named
  const order =
    exchange_order_id !== null && replaced_ids.length > 0
      ? await orNull(venue.orderById(exchange_order_id))
      : await orNull(venue.orderByClientId(client_order_id))
  if (order === null) return null
  if (order.status !== 'replaced') return { order, execution: null }
  return { order, execution: null, ...(await successorsOf(venue, order, now)) }
}

/** `known`: what the venue has told of already. */
export async function successorsOf(
  venue: Pick<Venue, 'orderById'>,
  order: VenueOrder,
  now: number,
  known: readonly VenueOrder[] = [],
): Promise<{ successors: VenueOrder[]; lost?: true }> {
  const successors: VenueOrder[] = []
  for (let last = order; last.status === 'replaced' && successors.length < MOST_FOLLOWED; ) {
    const before = last
    const told = known.find((one) => takesPlaceOf(one, before))
    const asked =
      told === undefined && last.replaced_by !== null ? await orNull(venue.orderById(last.replaced_by)) : null
    const next = told ?? asked
    if (next === null || !takesPlaceOf(next, before)) {
      const isLost = now - before.updated_at >= LOST_AFTER_MS
      return { successors, ...(isLost ? { lost: true as const } : {}) }
    }
    successors.push(next)
    last = next
  }
  return { successors }
}

async function orNull(asked: Promise<VenueOrder | null>): Promise<VenueOrder | null> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof VenueError && error.kind === 'not_found') return null
    throw error
  }
}
