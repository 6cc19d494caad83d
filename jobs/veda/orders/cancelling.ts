/**
 * The way of the wish to cancel an order to its venue (ADR 15): it is asked for until the venue says that the order has ended,
 * and what took the order's place there is cancelled as well (ADR 26).
 */
import { isOpen } from '../../../db/events/order_state.ts'
import type { TaskPayload } from '../../../db/events/tasks.ts'
import type { OrderSendRow } from '../../../db/walle/live_rows.ts'
import { AT_VENUE, isOther, newestOf, type OrderReport } from '../reports.ts'
import type { Venue, VenueOrder } from '../venue.ts'
import { ended, endOutcome } from './endings.ts'
import { type LockedOrder, reportOutcome } from './reports.ts'
import {
  answerOf,
  ask,
  MOST_WAIT_MS,
  openVenue,
  type Payload,
  retryLater,
  type SendJob,
  type SendJobs,
  type Step,
  untilDone,
  within,
} from './sending.ts'

/** A venue that was asked to cancel is asked what became of it after this long, each time once more: some take days. */
const CANCEL_CHECK_MS = 3_000
/** What is to be cancelled and was not found so often, for so long, has ended. */
const UNKNOWN = { times: 8, afterMs: 120_000 } as const

export function sendCancel(jobs: SendJobs, payload: TaskPayload<'veda.send_cancel'>, job: SendJob): Promise<void> {
  return untilDone(jobs, payload, job, () => cancelStep(jobs, payload, job))
}

/** The venue is asked to cancel, and asked what became of it until the order has ended there. */
async function cancelStep(jobs: SendJobs, payload: Payload, job: SendJob): Promise<Step> {
  const entered = await within<Step | LockedOrder>(jobs, payload, job, async (_tx, locked) => {
    // What is not answered yet is its submit's to end or to cancel. What has ended with us may live at the venue.
    return { step: locked.send.state === 'answered' ? locked : 'done' }
  })
  if (entered === 'done' || 'again' in entered) return entered
  const venue = await openVenue(jobs, payload, job)
  if (venue === 'done' || 'again' in venue) return venue
  try {
    const found = await ask(jobs, payload, venue)
    const { order, send } = entered
    const before = found !== null && isOther(order, found, send.replaced_ids) ? null : found
    // Ended by Weaver, and the venue does not know it.
    if (before === null && !isOpen(order.status)) return 'done'
    const again = Math.min(MOST_WAIT_MS, CANCEL_CHECK_MS * (send.cancel_attempts + 1))
    if (before === null) return await unknown(jobs, payload, job, again)
    const newest = newestOf(before) as VenueOrder
    if (!AT_VENUE.includes(newest.status)) return await takeFoundEnd(jobs, payload, job, venue, before, again)
    // Somebody replaced it, unheard: what is cancelled is on record as ours before it is.
    if (before.successors !== undefined) await takeSuccessor(jobs, payload, job, venue, before)
    await venue.cancel({ exchange_order_id: newest.exchange_order_id })
    await countCancel(jobs, payload, job)
    const after = await ask(jobs, payload, venue)
    if (after === null || AT_VENUE.includes((newestOf(after) as VenueOrder).status)) return { again }
    return await takeFoundEnd(jobs, payload, job, venue, after, again)
  } catch (error) {
    return retryLater(jobs, venue, error)
  }
}

/** The venue had it once. Gone for minutes it is gone: an account that was reset, or is another one. */
function unknown(jobs: SendJobs, payload: Payload, job: SendJob, again: number): Promise<Step> {
  return within<Step>(jobs, payload, job, async (tx, locked) => {
    const { order, send } = locked
    const asked = { ...send, lookups: send.lookups + 1, cancel_attempts: send.cancel_attempts + 1 }
    const since = jobs.now() - Date.parse(send.cancel_requested_at ?? '')
    if (!isOpen(order.status)) return { step: 'done' }
    if (asked.lookups >= UNKNOWN.times && since >= UNKNOWN.afterMs) {
      const body = ended(
        order,
        'orders.Cancelled',
        `the venue does not know it any more: not found ${asked.lookups} times`,
      )
      return { outcome: await endOutcome(jobs, tx, { ...locked, send: asked }, body), step: 'done' }
    }
    return { outcome: { writes: [{ kind: 'save_order_sends', rows: [asked] }], events: [] }, step: { again } }
  })
}

function countCancel(jobs: SendJobs, payload: Payload, job: SendJob): Promise<unknown> {
  return within(jobs, payload, job, async (_tx, { send }) => {
    const counted: OrderSendRow = { ...send, cancel_attempts: send.cancel_attempts + 1 }
    return { outcome: { writes: [{ kind: 'save_order_sends', rows: [counted] }], events: [] }, step: {} }
  })
}

/** What took its place, or what it was filled at, may not be known yet. */
function takeFoundEnd(
  jobs: SendJobs,
  payload: Payload,
  job: SendJob,
  venue: Venue,
  found: OrderReport,
  again: number,
): Promise<Step> {
  return within<Step>(jobs, payload, job, async (tx, locked) => {
    const { outcome, order } = await reportOutcome(jobs, tx, locked, answerOf(venue, found))
    return { outcome, step: isOpen(order.status) ? { again } : 'done' }
  })
}

function takeSuccessor(
  jobs: SendJobs,
  payload: Payload,
  job: SendJob,
  venue: Venue,
  found: OrderReport,
): Promise<unknown> {
  return within(jobs, payload, job, async (tx, locked) => {
    const { outcome } = await reportOutcome(jobs, tx, locked, answerOf(venue, found))
    return { outcome, step: {} }
  })
}
