/**
 * An account is not Weaver's alone: it may hold orders of several legs, options, or kinds that are new to everybody. What
 * nobody here understands and is surely not ours is left out and said once; what may be ours fails the whole, for it is
 * not known what became of it.
 */
import { isOurs } from '../../../marvin/contract.ts'
import { VenueError, type VenueWorld } from '../../venue.ts'
import {
  orderNames,
  positionKind,
  type Row,
  type WireActivity,
  type WireOrder,
  type WirePosition,
  type WireUpdate,
} from './wire.ts'

export interface Others {
  /** Null: it is somebody else's. Throws where it may be ours. */
  order(row: Row<WireOrder>): WireOrder | null
  update(row: Row<WireUpdate>): WireUpdate | null
  /** An order's own quantity tells of a fill too, so that none of ours is lost. */
  activity(row: Row<WireActivity>): WireActivity | null
  position(row: Row<WirePosition>): WirePosition | null
}

/** What was said is forgotten then: it is said again. */
const MOST_TOLD = 1_000
/** Of the classes that Weaver trades, nothing may be missing. */
const TRADED = ['us_equity', 'crypto']

export function createOthers(world: VenueWorld, label: string): Others {
  const told = new Set<string>()

  function leftOut(what: string, unread: string): null {
    if (told.has(what)) return null
    if (told.size >= MOST_TOLD) told.clear()
    told.add(what)
    world.log('warn', { account: label, unread }, `${what} is not understood, and nothing of Weaver's: it is left out`)
    return null
  }

  function orderLeftOut(raw: unknown, unread: string): null {
    const { data } = orderNames.safeParse(raw)
    if (data === undefined || isOurs(data.client_order_id)) throw notUnderstood('orders', unread)
    return leftOut(`the order ${data.id} (${data.client_order_id})`, unread)
  }

  return {
    order: (row) => ('value' in row ? row.value : orderLeftOut(row.raw, row.unread)),
    update: (row) =>
      'value' in row ? row.value : orderLeftOut((row.raw as { order?: unknown } | null)?.order, row.unread),
    activity: (row) => ('value' in row ? row.value : leftOut(`the fill ${JSON.stringify(row.raw)}`, row.unread)),
    position(row) {
      if ('value' in row) return row.value
      const { data } = positionKind.safeParse(row.raw)
      if (data === undefined || TRADED.includes(data.asset_class)) throw notUnderstood('positions', row.unread)
      return leftOut(`the position in ${data.symbol} (${data.asset_class})`, row.unread)
    },
  }
}

/** Fails like an answer that did not come. */
function notUnderstood(what: string, unread: string): VenueError {
  return new VenueError('unavailable', `Alpaca, ${what}: an answer that is not understood: ${unread}`)
}
