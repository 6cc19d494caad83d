/**
 * A take profit that has a stop loss beside it. A venue keeps what an order would sell for that order alone, so of the two
 * only the stop loss lies there: what protects comes first. Its job watches the closed minutes instead; at the first that
 * closes at or beyond the take profit the stop loss is cancelled, and the take profit sent. One that is then not filled
 * at once makes way for the stop loss again.
 */
import type { Reader, WriteTx } from '../../../db/database.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { tradesAroundTheClock } from '../../../db/walle/calendar/calendar.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { hindranceOf, symbolOrders } from '../../../db/walle/queries/live_orders.ts'
import { getOrder } from '../../../db/walle/queries/orders.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import { TIMEFRAME_MS } from '../../../strategies/api.ts'
import { Decimal } from '../../greta/decimals.ts'
import { MISSED, pairKeyOf, REACHED, roleOf } from '../exits.ts'
import type { Venue, VenueBar } from '../venue.ts'
import { askToCompare, isComparedAfter } from './compared.ts'
import { cancelWanted } from './exits.ts'
import { isFree } from './hindrances.ts'
import { cancelJob } from './job_specs.ts'
import type { LockedOrder } from './reports.ts'

/** Between two looks at the price. */
export const WATCH_MS = 15_000
/** How long a take profit may lie at the venue in the place of its stop loss. */
const PATIENCE_MS = 30_000
const LOOK_AGAIN_MS = 2_000
/** Something is under way that takes no longer. */
const SOON_MS = 1_000
const LOOK_BACK_MS = 300_000
/** All that watch a symbol look at the same minutes: an entry that filled in many parts has as many take profits. */
const SAME_LOOK_MS = 5_000

async function stopLossesOf(tx: Reader, order: OrderRow) {
  if (order.parent_order_id === null || roleOf(order.client_order_id) !== 'tp') return []
  const pair = pairKeyOf(order.client_order_id)
  const orders = await symbolOrders(tx, order.run_id, order.symbol)
  return orders.filter(({ order: { client_order_id: id } }) => roleOf(id) === 'sl' && pairKeyOf(id) === pair)
}

export async function hasStopLoss(tx: Reader, order: OrderRow): Promise<boolean> {
  return (await stopLossesOf(tx, order)).length > 0
}

/** `send`: nothing lies at the venue in its place. `wait`: that is being cancelled. */
export async function turnOf(tx: Reader, order: OrderRow): Promise<'send' | 'wait' | 'watch'> {
  const inPlace = (await stopLossesOf(tx, order)).find((one) => isOpen(one.order.status))
  if (inPlace === undefined) return 'send'
  return inPlace.send?.cancel_requested_at == null ? 'watch' : 'wait'
}

interface Look {
  at: number
  bars: Promise<VenueBar[]>
}

const looks = new WeakMap<Venue, Map<string, Look>>()

/** The newest minutes, oldest first. */
function minutesOf(venue: Venue, symbol: string, now: number): Promise<VenueBar[]> {
  const known = looks.get(venue) ?? new Map<string, Look>()
  looks.set(venue, known)
  const last = known.get(symbol)
  if (last !== undefined && now >= last.at && now - last.at < SAME_LOOK_MS) return last.bars
  const look = { at: now, bars: venue.bars({ symbol, timeframe: '1m', start: now - LOOK_BACK_MS, end: now }) }
  known.set(symbol, look)
  look.bars.catch(() => {
    if (known.get(symbol) === look) known.delete(symbol)
  })
  return look.bars
}

/** By minutes that opened after the entry had filled, and after an earlier take profit of the pair had made way. The end of that; null: not yet. */
export async function reachedAt(reader: Reader, venue: Venue, order: OrderRow, now: number): Promise<number | null> {
  const { id, run_id, symbol, price, parent_order_id } = order
  const entry = parent_order_id === null ? null : await getOrder(reader, parent_order_id)
  const before = (await symbolOrders(reader, run_id, symbol)).filter(
    (one) => one.order.id !== id && pairKeyOf(one.order.client_order_id) === pairKeyOf(order.client_order_id),
  )
  const times = [
    entry?.filled_at,
    ...before.map((one) => (roleOf(one.order.client_order_id) === 'tp' ? one.order.closed_at : null)),
  ]
  const start = Math.max(now - LOOK_BACK_MS, ...times.map((time) => (time == null ? 0 : Date.parse(time))))
  const newest = (await minutesOf(venue, symbol, now)).at(-1)
  if (newest === undefined || newest.time < start || price === null) return null
  const beyond = new Decimal(newest.close).minus(price)
  const isBeyond = order.side === 'sell' ? beyond.gte(0) : beyond.lte(0)
  return isBeyond ? newest.time + TIMEFRAME_MS['1m'] : null
}

/** Its stop loss is not given up for what cannot leave, nor for a price that may be one of other shares. */
export async function swapStep(
  tx: WriteTx,
  locked: LockedOrder,
  reached: number,
  now: number,
): Promise<{ outcome?: Outcome; step: { again: number } }> {
  const { run, order, send } = locked
  const hindrance = await hindranceOf(tx, run, order.symbol)
  if (!isFree(hindrance, order)) return { step: { again: WATCH_MS } }
  const moment = new Date(reached).toISOString()
  if (!tradesAroundTheClock(order.symbol) && !isComparedAfter(hindrance, moment)) {
    return { outcome: await askToCompare(tx, send, moment, now), step: { again: SOON_MS } }
  }
  return { outcome: await swapOutcome(tx, locked, now), step: { again: SOON_MS } }
}

/** The stop loss is to make way. */
async function swapOutcome(tx: WriteTx, { order }: LockedOrder, now: number): Promise<Outcome> {
  const inPlace = (await stopLossesOf(tx, order)).filter((one) => isOpen(one.order.status))
  const going = inPlace.flatMap(({ order: exit, send }) =>
    send !== null && send.cancel_requested_at === null ? [{ exit, send }] : [],
  )
  return {
    writes: [{ kind: 'save_order_sends', rows: going.map(({ send }) => cancelWanted(send, REACHED, now)) }],
    events: [],
    jobs: going.filter(({ send }) => send.state === 'answered').map(({ exit }) => cancelJob(exit)),
  }
}

/** An order that the venue has: only a take profit in the place of its stop loss is looked after any further. */
export async function lookAfter(
  tx: WriteTx,
  { order, send }: LockedOrder,
  now: number,
): Promise<{ outcome?: Outcome; step: 'done' | { again: number } }> {
  const stopLoss = (await stopLossesOf(tx, order)).at(-1)
  if (stopLoss?.send?.cancel_reason !== REACHED || send.cancel_requested_at !== null) return { step: 'done' }
  const sentAt = Date.parse(send.last_sent_at as string)
  if (now - sentAt < PATIENCE_MS) return { step: { again: LOOK_AGAIN_MS } }
  return {
    outcome: {
      writes: [{ kind: 'save_order_sends', rows: [cancelWanted(send, MISSED, now)] }],
      events: [],
      jobs: [cancelJob(order)],
    },
    step: 'done',
  }
}
