/**
 * Whether an order leaves now, waits, or ends unsent. What was true when it was placed is looked at again in the transaction
 * that lets it go: while it waited its account may have become unready, and a stop loss may have closed what it was to close.
 */
import type { WriteTx } from '../../../db/database.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { getPosition, hindranceOf, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { Decimal } from '../../greta/decimals.ts'
import { isSplit, splitSince, splitsOf } from '../../greta/splits.ts'
import type { Live } from '../../live/live.ts'
import { isByHand } from '../../marvin/contract.ts'
import { SPLIT } from '../exits.ts'
import { askToCompare, isComparedAfter, toCompareAfter } from './compared.ts'
import { ended, endOutcome, rejectOutcome } from './endings.ts'
import { cancelWanted, exitOutcome } from './exits.ts'
import { haltedBy, isHalted, isTooLate, MAKE_ROOM_MS, waitsFor, waitsForExits } from './hindrances.ts'
import { closableBy, holdingOf } from './holding.ts'
import type { LockedOrder } from './reports.ts'

type LeavingJobs = Pick<Live, 'now' | 'newId' | 'log'>

/** Of a call whose outcome is not known: the venue may show an order later than it took it. */
export const LOOKUPS = 3
export const RESEND_AFTER_MS = 10_000
export const WAIT_MS = 1_000

/** Why an order that was never sent does not leave now; null: it may. */
export async function stoppedFrom(
  jobs: LeavingJobs,
  tx: WriteTx,
  locked: LockedOrder,
): Promise<{ outcome?: Outcome; step: 'done' | { again: number } } | null> {
  const { run, order, send } = locked
  const now = jobs.now()
  if (send.cancel_requested_at !== null) {
    const body = ended(order, 'orders.Cancelled', send.cancel_reason ?? 'cancelled before it was sent')
    return { outcome: await endOutcome(jobs, tx, locked, body), step: 'done' }
  }
  const [hindrance, exits] = await Promise.all([hindranceOf(tx, run, order.symbol), waitsForExits(tx, order, now)])
  const halted = haltedBy(hindrance, order)
  if (halted !== null) return { outcome: await rejectOutcome(jobs, tx, locked, 'halt', halted), step: 'done' }
  if (await isOfBeforeSplit(tx, locked)) {
    const given = { ...locked, send: cancelWanted(send, SPLIT, now) }
    return { outcome: await endOutcome(jobs, tx, given, ended(order, 'orders.Cancelled', SPLIT)), step: 'done' }
  }
  const hindered = waitsFor(hindrance)
  const waited = now - Date.parse(send.wanted_at)
  const tooLate = async () => {
    const why = hindered ?? exits ?? send.last_error ?? 'its worker was away'
    const detail = `it could not be sent for ${Math.round(waited / 1000)} s: ${why}`
    return { outcome: await rejectOutcome(jobs, tx, locked, 'too_late', detail), step: 'done' as const }
  }
  if (isTooLate(order, waited)) return tooLate()
  if (hindered !== null) return { step: { again: WAIT_MS } }
  const moment = await toCompareAfter(tx, locked)
  if (moment !== null && !isComparedAfter(hindrance, moment)) {
    return { outcome: await askToCompare(tx, send, moment, now), step: { again: WAIT_MS } }
  }
  const left = await leftToClose(tx, locked)
  if (left !== null) return { outcome: await closesTooMuch(jobs, tx, locked, left), step: 'done' }
  const room = await makeRoom(jobs, tx, locked)
  // Exits are not given up for what would be too late by the time that they are gone.
  if (room !== null && isTooLate(order, waited + MAKE_ROOM_MS)) return tooLate()
  if (room !== null) return { outcome: room, step: { again: WAIT_MS } }
  return exits === null ? null : { step: { again: WAIT_MS } }
}

/** The venue has not known it for long enough, and nothing speaks against its leaving for the first time either. */
export async function leavesAgain(jobs: LeavingJobs, tx: WriteTx, locked: LockedOrder): Promise<boolean> {
  const { run, order, send } = locked
  const since = jobs.now() - Date.parse(send.last_sent_at as string)
  if (send.lookups < LOOKUPS || since < RESEND_AFTER_MS || (await isUnwanted(jobs, tx, locked))) return false
  return waitsFor(await hindranceOf(tx, run, order.symbol)) === null
}

async function isOfBeforeSplit(tx: WriteTx, { run, order }: LockedOrder): Promise<boolean> {
  return isSplit(splitSince(splitsOf(await getRunLedger(tx, run.id)), order))
}

/** It is not to be sent again, though it may be in. */
export async function isUnwanted(jobs: LeavingJobs, tx: WriteTx, locked: LockedOrder): Promise<boolean> {
  const { run, order, send } = locked
  if (send.cancel_requested_at !== null || isTooLate(order, jobs.now() - Date.parse(send.wanted_at))) return true
  const hindrance = await hindranceOf(tx, run, order.symbol)
  return isHalted(hindrance, order) || (await isOfBeforeSplit(tx, locked)) || (await leftToClose(tx, locked)) !== null
}

/**
 * Null: the order closes no more than is left, or may open a position. One that exits took something from while it waited was
 * to close, also where its run may go short. What is ahead of it: orders that were sent, and older ones.
 */
async function leftToClose(tx: WriteTx, { run, order, send }: LockedOrder): Promise<Decimal | null> {
  if (order.parent_order_id !== null) {
    const held = new Decimal((await getPosition(tx, run.id, order.symbol))?.qty ?? '0')
    return (order.side === 'sell' ? held.gt(0) : held.lt(0)) ? null : new Decimal(0)
  }
  const [position, all] = await Promise.all([
    getPosition(tx, run.id, order.symbol),
    symbolOrders(tx, run.id, order.symbol),
  ])
  const exitsTook = all.some(
    ({ order: { parent_order_id, side, filled_at } }) =>
      parent_order_id !== null &&
      side === order.side &&
      filled_at !== null &&
      Date.parse(filled_at) >= Date.parse(send.wanted_at),
  )
  const others = all.filter(
    (one) => isOpen(one.order.status) && (one.order.ordinal < order.ordinal || one.send?.state !== 'to_send'),
  )
  const holding = holdingOf(run, order, {
    position,
    others: others.flatMap((one) => (one.order.id === order.id ? [] : [one.order])),
  })
  const mayOpen = (order.side === 'buy' || holding.allowShort) && !isByHand(order)
  if (mayOpen && !exitsTook) return null
  const left = closableBy(order.side, holding)
  return left.gte(new Decimal(order.qty).minus(order.filled_qty)) ? null : left
}

/** A quantity is what was decided, or it is nothing: the strategy hears of it, and what is left is protected again. */
function closesTooMuch(jobs: LeavingJobs, tx: WriteTx, locked: LockedOrder, left: Decimal): Promise<Outcome> {
  const { order } = locked
  if (left.eq(0)) {
    return endOutcome(jobs, tx, locked, ended(order, 'orders.Cancelled', 'nothing is left for it to close'))
  }
  const detail = `of the ${order.qty} ${order.symbol} that it was to close ${left} is left`
  const reason = order.side === 'sell' ? 'short_not_allowed' : 'invalid_order'
  return rejectOutcome(jobs, tx, locked, reason, detail)
}

/**
 * A market order that closes needs what the exits hold at the venue. Asked for here and nowhere else, when nothing but they is
 * in its way: for one that cannot leave they would be given up in vain. Null: they have been asked, or there are none.
 */
async function makeRoom(jobs: LeavingJobs, tx: WriteTx, { run, order, send }: LockedOrder): Promise<Outcome | null> {
  if (order.parent_order_id !== null || order.order_type !== 'market') return null
  const [ledger, position] = await Promise.all([getRunLedger(tx, run.id), getPosition(tx, run.id, order.symbol)])
  if (ledger === null) throw new Error(`the run ${run.id} has no ledger: it was never started`)
  const exits = await exitOutcome(jobs, tx, { run, order, send, fills: [], ledger, position })
  if (exits.outcome.writes.length === 0) return null
  return { ...exits.outcome, writes: [...exits.outcome.writes, { kind: 'save_run_ledgers', rows: [exits.ledger] }] }
}
