/**
 * Exits attached to an entry, for every venue alike: each fill of the entry brings a pair (stop loss, take profit) of
 * orders to life for the quantity that it brought. What one of a pair fills, the other need not close, and together they
 * never close more than the run holds. A venue's order cannot be made smaller without another order taking its place, so
 * one that is too large is cancelled, and a smaller one is placed once the venue has confirmed that. Nor does a venue keep
 * the same share for two orders: of a pair only the stop loss lies there, until the price has reached the take profit. Pure.
 */
import { isOpen } from '../../db/events/order_state.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { isSplit, type SplitRatio, splitQty } from '../greta/splits.ts'
import { closableQty } from './checks.ts'

export type ExitRole = 'sl' | 'tp'

/** Why Weaver cancels an exit. All but the last are followed by another, where something is left to close. */
export const RESIZED = 'larger than what is left to close'
/** Of a stop loss: its take profit's turn has come. It comes back when that does not fill. */
export const REACHED = 'the take profit was reached'
/** Of a take profit that was sent, and was not filled at once. */
export const MISSED = 'the price went away again'
/** It comes back when a person has said what the split was, as that makes it. */
export const SPLIT = 'its price and quantity are of before a split'
export const SPENT = 'nothing is left for it to close'

export interface Leg {
  order: OrderRow
  /** Null: Weaver did not ask to cancel it, and may place another. */
  cancelReason: string | null
  /** What its shares are now. */
  ratio: SplitRatio
}

/** An entry's fill that is not protected yet. */
export interface Birth {
  entry: OrderRow
  /** The fill's ordinal, which names the pair. */
  pair: number
  /** What it brought into the position. */
  qty: string
}

export interface NewLeg {
  entry_id: string
  role: ExitRole
  client_order_id: string
  qty: string
  /** The one whose place it takes; null: it is the first of its pair. */
  after: OrderRow | null
}

export interface ExitPlan {
  cancel: { leg: Leg; reason: string }[]
  place: NewLeg[]
  /** Ended, and not to be followed by another. */
  retire: Leg[]
}

/** An exit that the venue, or somebody there, ended comes back so often: who ends it again means it. */
const COMES_BACK = 1

const LEG = /^(?<entry>.+)-(?<role>sl|tp)(?<pair>\d+)(?:r(?<round>\d+))?$/

/** An exit that has taken the place of the other one, or of one that had. */
export function follows(clientOrderId: string, other: string): boolean {
  const [leg, before] = [LEG.exec(clientOrderId)?.groups, LEG.exec(other)?.groups]
  if (leg === undefined || before === undefined) return false
  const same = leg.entry === before.entry && leg.role === before.role && leg.pair === before.pair
  return same && Number(leg.round ?? 0) > Number(before.round ?? 0)
}

export function legId(entry: string, role: ExitRole, pair: number, round: number): string {
  return `${entry}-${role}${pair}${round === 0 ? '' : `r${round}`}`
}

type Attached = Pick<OrderRow, 'stop_loss' | 'take_profit' | 'trail_price' | 'trail_percent'> & { order_type: string }

export function rolesOf({ stop_loss, take_profit, order_type, trail_price, trail_percent }: Attached): ExitRole[] {
  const trails = order_type !== 'trailing_stop' && (trail_price !== null || trail_percent !== null)
  return [...(stop_loss !== null || trails ? ['sl' as const] : []), ...(take_profit !== null ? ['tp' as const] : [])]
}

interface Named extends Leg {
  entry: string
  role: ExitRole
  pair: number
  round: number
}

function named(leg: Leg): Named | null {
  const groups = LEG.exec(leg.order.client_order_id)?.groups
  if (groups === undefined) return null
  const { entry, role, pair, round } = groups as { entry: string; role: ExitRole; pair: string; round?: string }
  return { ...leg, entry, role, pair: Number(pair), round: Number(round ?? 0) }
}

export interface Circumstances {
  /** Of a quantity. */
  increment: string | null
  /** There seems to have been a split, of which nobody has said anything yet: what is held is not known. */
  isUnsure: boolean
}

/**
 * `legs`: every exit of the run in the symbol, oldest first. `claimed`: what orders on their way to close the position will
 * take of it; the exits' shares go to them, since a venue does not sell the same share for two.
 */
export function planExits(
  position: string,
  claimed: string,
  legs: readonly Leg[],
  births: readonly Birth[],
  { increment, isUnsure }: Circumstances,
): ExitPlan {
  const plan: ExitPlan = { cancel: [], place: [], retire: [] }
  const held = new Decimal(position)
  let closable = held.abs()
  let unclaimed = closable.minus(claimed)
  const closes = (side: OrderRow['side']) => (side === 'sell' ? held.gt(ZERO) : held.lt(ZERO))
  for (const pair of pairsOf(legs)) {
    // The first leg's, unless somebody made that one smaller at the venue.
    const entered = pair.legs.map(({ order, ratio }) => splitQty(order.qty, ratio)).reduce((a, b) => (a.gt(b) ? a : b))
    const filled = pair.legs.reduce((sum, { order, ratio }) => sum.plus(splitQty(order.filled_qty, ratio)), ZERO)
    const wanted = closes((pair.legs[0] as Named).order.side) ? smaller(entered.minus(filled), closable) : ZERO
    closable = closable.minus(wanted)
    const rest = smaller(wanted, atLeastZero(unclaimed))
    unclaimed = unclaimed.minus(rest)
    for (const role of ['sl', 'tp'] as const) {
      const legsOfRole = pair.legs.filter((leg) => leg.role === role)
      const latest = legsOfRole.at(-1)
      const taking = role === 'sl' && pair.legs.some((leg) => leg.role === 'tp' && isOpen(leg.order.status))
      const comesBack = legsOfRole.filter(endedElsewhere).length <= COMES_BACK
      if (latest) planLeg(plan, latest, { wanted, rest: closableQty(rest, increment), taking, comesBack, isUnsure })
    }
  }
  for (const { entry, pair, qty } of births) {
    const size = closableQty(new Decimal(qty), increment)
    if (size.lte(ZERO)) continue
    for (const role of rolesOf(entry)) {
      const client_order_id = legId(entry.client_order_id, role, pair, 0)
      plan.place.push({ entry_id: entry.id, role, client_order_id, qty: size.toString(), after: null })
    }
  }
  return plan
}

interface Share {
  /** What the pair is there to close, and what of it no other order will. */
  wanted: Decimal
  rest: Decimal
  /** Of a stop loss: its take profit is still open. */
  taking: boolean
  /** Where it was ended without Weaver's wish. */
  comesBack: boolean
  isUnsure: boolean
}

/** It lay at the venue and is gone, and nobody here asked for that: cancelled there, or rejected after all. */
export function endedElsewhere({ order, cancelReason }: Omit<Leg, 'ratio'>): boolean {
  if (cancelReason !== null) return false
  return order.status === 'cancelled' || (order.status === 'rejected' && order.exchange_order_id !== null)
}

function planLeg(plan: ExitPlan, leg: Named, { wanted, rest, taking, comesBack, isUnsure }: Share): void {
  const { order, cancelReason } = leg
  if (isOpen(order.status)) {
    const left = new Decimal(order.qty).minus(order.filled_qty)
    if (wanted.lte(ZERO)) {
      if (cancelReason === null || RETURNS.includes(cancelReason)) plan.cancel.push({ leg, reason: SPENT })
    } else if (isSplit(leg.ratio) && cancelReason === null) {
      plan.cancel.push({ leg, reason: SPLIT })
    } else if (left.gt(rest) && cancelReason === null) {
      plan.cancel.push({ leg, reason: RESIZED })
    }
    return
  }
  const returns = cancelReason !== null && RETURNS.includes(cancelReason) && !(cancelReason === REACHED && taking)
  const isFollowed =
    order.status === 'expired'
      ? cancelReason !== SPENT
      : (order.status === 'cancelled' && returns) || (endedElsewhere(leg) && comesBack)
  if (!isFollowed) return
  if (wanted.lte(ZERO)) {
    plan.retire.push(leg)
  } else if (rest.gt(ZERO) && !isUnsure) {
    plan.place.push({
      entry_id: order.parent_order_id as string,
      role: leg.role,
      client_order_id: legId(leg.entry, leg.role, leg.pair, leg.round + 1),
      qty: rest.toString(),
      after: order,
    })
  }
}

const RETURNS: readonly string[] = [RESIZED, REACHED, MISSED, SPLIT]

/** It made way for another of the run's orders, at prices that were known to be right. */
export function madeWay({ cancelReason }: Pick<Leg, 'cancelReason'>): boolean {
  return cancelReason !== null && cancelReason !== SPLIT && RETURNS.includes(cancelReason)
}

/** Of the same pair, by its client id; null where it is no exit. */
export function pairKeyOf(clientOrderId: string): string | null {
  const groups = LEG.exec(clientOrderId)?.groups
  return groups === undefined ? null : `${groups.entry} ${groups.pair}`
}

export function roleOf(clientOrderId: string): ExitRole | null {
  return (LEG.exec(clientOrderId)?.groups?.role as ExitRole | undefined) ?? null
}

interface Pair {
  key: string
  legs: Named[]
}

/** Oldest first, each with its legs, oldest first. */
function pairsOf(legs: readonly Leg[]): Pair[] {
  const pairs = new Map<string, Pair>()
  for (const leg of legs) {
    const one = named(leg)
    if (one === null) continue
    const key = `${one.entry} ${one.pair}`
    const pair = pairs.get(key) ?? { key, legs: [] }
    pair.legs.push(one)
    pairs.set(key, pair)
  }
  return [...pairs.values()]
}

function smaller(a: Decimal, b: Decimal): Decimal {
  return a.lt(b) ? a : b
}

function atLeastZero(value: Decimal): Decimal {
  return value.gt(ZERO) ? value : ZERO
}
