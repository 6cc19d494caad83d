/**
 * The way of an order to its venue (ADR 15). What is about to be done is committed before it
 * is done: a process may die between any two lines, another may be doing the same at the same time, and any answer may be
 * lost. Whoever does not know what became of a call asks the venue, by the one id that the order has for ever. A call of
 * a venue is never within a transaction.
 */
import type { Database, WriteTx } from '../../../db/database.ts'
import { venueEventId } from '../../../db/events/ids.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import type { TaskPayload } from '../../../db/events/tasks.ts'
import { redact } from '../../../db/secrets.ts'
import type { OrderSendRow } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { getOrderSend, hasOtherSubmit, hindranceOf } from '../../../db/walle/queries/live_orders.ts'
import type { OrderRow } from '../../../db/walle/rows.ts'
import { type Job, LostLease, messageOf } from '../../attempt.ts'
import { wallClock } from '../../glados/clock.ts'
import { isProtector } from '../../live/end.ts'
import type { Live } from '../../live/live.ts'
import { refuseAccount } from '../accounts/refusal.ts'
import { orderToSend } from '../checks.ts'
import type { OrderBody, OrderReport } from '../reports.ts'
import { type SubmitAnswer, type Venue, type VenueAsset, VenueError } from '../venue.ts'
import { inTime } from '../venues/in_time.ts'
import { askVenue } from './asking.ts'
import { awaitsSplit, leavesBeforeSplit } from './compared.ts'
import { changeOf, ended, endOutcome, rejectOutcome } from './endings.ts'
import { cancelWanted } from './exits.ts'
import { isFree, mayLeave } from './hindrances.ts'
import { cancelJob } from './job_specs.ts'
import { isUnwanted, LOOKUPS, leavesAgain, stoppedFrom, WAIT_MS } from './leaving.ts'
import { pauseLeft, refusedExit } from './refused_exits.ts'
import { type Heard, type LockedOrder, lockOrder, otherWords, reportOutcome } from './reports.ts'
import { lookAfter, reachedAt, swapStep, turnOf, WATCH_MS } from './take_profit.ts'

export type SendJobs = Pick<Live, 'record' | 'venues' | 'now' | 'newId' | 'log' | 'isHalted'> & { db: Database }
export type SendJob = Pick<Job, 'signal' | 'finish' | 'putBack'>

/** An order that is not wanted any more and was never found at the venue for so long is taken for never having arrived. */
export const GIVE_UP_AFTER_MS = 60_000
const LOOKUP_EVERY_MS = 3_400
const TROUBLE_MS = 5_000
export const MOST_WAIT_MS = 60_000
/** A price that a take profit waits for is asked for again later. */
const PRICE_MS = 2_000

/** The job is done, or comes again after `again` ms. */
export type Step = 'done' | { again: number }

export function submitOrder(jobs: SendJobs, payload: TaskPayload<'veda.submit_order'>, job: SendJob): Promise<void> {
  return untilDone(jobs, payload, job, () => submitStep(jobs, payload, job))
}

/** Whatever goes wrong, the job stays: an order whose job is lost would never be heard of again. */
export async function untilDone(
  jobs: SendJobs,
  payload: object,
  job: SendJob,
  step: () => Promise<Step>,
): Promise<void> {
  let result: Step
  try {
    result = await step()
  } catch (error) {
    if (error instanceof LostLease || job.signal.aborted) throw error
    jobs.log('error', { ...payload, err: error }, 'an order on its way to its venue: it is tried again')
    result = { again: TROUBLE_MS }
  }
  if (result !== 'done') await job.putBack(result.again)
}

/** Records within the order's lock, and says how it goes on. `done` finishes the job in the same transaction. */
export async function within<T extends Step | object>(
  jobs: SendJobs,
  payload: { run_id: string; order_id: string },
  job: SendJob,
  decide: (tx: WriteTx, locked: LockedOrder) => Promise<{ outcome?: Outcome; step: T }>,
): Promise<T | 'done'> {
  job.signal.throwIfAborted()
  return jobs.db.write(async (tx) => {
    const locked = await lockOrder(tx, payload)
    const { outcome, step } = locked ? await decide(tx, locked) : { step: 'done' as const }
    if (outcome) await jobs.record(tx, outcome)
    if (step === 'done') await job.finish(tx)
    return step
  })
}

export type Payload = TaskPayload<'veda.submit_order'>
type Entered = Step | { call: 'submit' | 'lookup' | 'watch'; order: OrderRow }
/** Which call it is, and whether one before it may have brought the order in. */
interface Sent {
  attempt: number
  resend: boolean
  wanted_at: string
  atMarket: boolean
}

async function submitStep(jobs: SendJobs, payload: Payload, job: SendJob): Promise<Step> {
  const entered = await enter(jobs, payload, job)
  if (entered === 'done' || 'again' in entered) return entered
  const venue = await openVenue(jobs, payload, job)
  if (venue === 'done' || 'again' in venue) return venue
  if (entered.call !== 'submit') {
    return entered.call === 'lookup'
      ? lookUp(jobs, payload, job, venue)
      : watch(jobs, payload, job, venue, entered.order)
  }
  if (await leavesBeforeSplit(jobs, venue, entered.order)) return { again: WATCH_MS }
  const asset = await venue.asset(entered.order.symbol).catch(() => null)
  // A halt that was pressed while the database was away is on its way into it.
  if (await jobs.isHalted()) return { again: WAIT_MS }
  const marked = await within<Step | { sent: Sent }>(jobs, payload, job, (tx, locked) =>
    markSent(jobs, tx, locked, asset),
  )
  if (marked === 'done' || 'again' in marked) return marked
  let answer: SubmitAnswer | VenueError
  try {
    const order = orderToSend(entered.order, venue.features, asset, marked.sent.atMarket)
    answer = await venue.submit(order, () => mayLeave(jobs, venue, entered.order, marked.sent.wanted_at))
  } catch (error) {
    // Whatever it is: the call was begun, so nothing is known of what it did.
    answer = error instanceof VenueError ? error : new VenueError('unclear', messageOf(error), { cause: error })
  }
  return takeAnswer(jobs, payload, job, { venue, answer, ...marked.sent })
}

/** What is to be done with the order now. */
function enter(jobs: SendJobs, payload: Payload, job: SendJob): Promise<Entered> {
  return within<Entered>(jobs, payload, job, async (tx, locked) => {
    const { order, send } = locked
    if (!isOpen(order.status)) return { step: 'done' }
    if (send.state === 'answered') {
      // Heard of before its answer was, when somebody wanted it gone already: the venue has not been asked for that.
      if (send.cancel_requested_at !== null) {
        return { outcome: { writes: [], events: [], jobs: [cancelJob(order)] }, step: 'done' }
      }
      return lookAfter(tx, locked, jobs.now())
    }
    if (send.state !== 'to_send') {
      return { step: { call: (await leavesAgain(jobs, tx, locked)) ? 'submit' : 'lookup', order } }
    }
    const turn = send.cancel_requested_at === null ? await turnOf(tx, order) : 'send'
    if (turn === 'watch') {
      // Its stop loss is not given up for what could not leave.
      const free = isFree(await hindranceOf(tx, locked.run, order.symbol), order)
      return { step: free ? { call: 'watch', order } : { again: WATCH_MS } }
    }
    const stopped = await stoppedFrom(jobs, tx, locked)
    if (stopped !== null) return stopped
    if (turn === 'wait') return { step: { again: WAIT_MS } }
    const pause = pauseLeft(send, jobs.now())
    if (pause === 0) return { step: { call: 'submit', order } }
    return { step: (await hasOtherSubmit(tx, order.id)) ? 'done' : { again: pause } }
  })
}

/** Transaction 1: from here on the order may be at the venue. */
async function markSent(
  jobs: SendJobs,
  tx: WriteTx,
  locked: LockedOrder,
  asset: VenueAsset | null,
): Promise<{ outcome?: Outcome; step: Step | { sent: Sent } }> {
  const { order, send } = locked
  const now = jobs.now()
  if (!isOpen(order.status) || send.state === 'answered') return { step: 'done' }
  // Somebody else was quicker: what they sent is to be looked up.
  if (send.state !== 'to_send' && !(await leavesAgain(jobs, tx, locked))) return { step: { again: WAIT_MS } }
  const stopped = send.state === 'to_send' ? await stoppedFrom(jobs, tx, locked) : null
  if (stopped !== null) return stopped
  const sent: OrderSendRow = {
    ...send,
    state: 'sent',
    attempts: send.attempts + 1,
    lookups: 0,
    last_sent_at: new Date(now).toISOString(),
    qty_increment: asset === null ? send.qty_increment : asset.qty_increment,
  }
  const payload = { order_id: order.id, client_order_id: order.client_order_id }
  const id = venueEventId(order.run_id, order.client_order_id, 'submitted')
  const bodies: OrderBody[] = order.status === 'pending' ? [{ id, type: 'orders.Submitted', payload }] : []
  const { outcome } = await changeOf(jobs, tx, { ...locked, send: sent }, bodies)
  outcome.writes.unshift({ kind: 'save_order_sends', rows: [sent] })
  // By what is on record now: another may have sent it since this job looked.
  const { attempts: attempt, wanted_at, at_market: atMarket } = sent
  return { outcome, step: { sent: { attempt, wanted_at, atMarket, resend: send.state !== 'to_send' } } }
}

interface Answered extends Sent {
  venue: Venue
  answer: SubmitAnswer | VenueError
}

/**
 * Who slept through the end of its lease hears late: another has sent the order again meanwhile, and what the venue says of
 * the earlier call says nothing of the later one.
 */
function isLatest({ state, attempts }: OrderSendRow, { attempt }: Pick<Sent, 'attempt'>): boolean {
  return state !== 'answered' && attempts === attempt
}

/** Transaction 2: what the call did. */
async function takeAnswer(jobs: SendJobs, payload: Payload, job: SendJob, answered: Answered): Promise<Step> {
  const { venue, answer } = answered
  if (answer instanceof VenueError) return takeError(jobs, payload, job, answered, answer)
  if (answer.kind === 'accepted') {
    return takeFound(jobs, payload, job, venue, { order: answer.order, execution: null }, { made: true })
  }
  if (answer.kind === 'duplicate') {
    await note(jobs, payload, job, answered, 'unclear', 'the venue has had this client order id')
    return lookUp(jobs, payload, job, venue)
  }
  return refusedBy(jobs, payload, job, answered, answer.reason)
}

async function takeError(
  jobs: SendJobs,
  payload: Payload,
  job: SendJob,
  answered: Answered,
  error: VenueError,
): Promise<Step> {
  const { venue, resend } = answered
  const message = redact(error.message)
  switch (error.kind) {
    case 'unclear':
      await note(jobs, payload, job, answered, 'unclear', message)
      return { again: WAIT_MS }
    case 'rate_limited':
    case 'unavailable': {
      // This call did nothing, but one before it may have.
      await note(jobs, payload, job, answered, resend ? 'unclear' : 'to_send', message)
      return { again: Math.min(MOST_WAIT_MS, error.retryAfterMs ?? WAIT_MS) }
    }
    case 'unauthorised': {
      await refuseAccount(jobs, { exchange: venue.exchange, mode: venue.mode }, message)
      if (!resend) return reject(jobs, payload, job, answered, 'unauthorised', message)
      await note(jobs, payload, job, answered, 'unclear', message)
      return { again: TROUBLE_MS }
    }
    default:
      return refusedBy(jobs, payload, job, answered, message)
  }
}

/** A refusal of what was sent again may be that of a second order beside the first: first the venue is asked. */
async function refusedBy(
  jobs: SendJobs,
  payload: Payload,
  job: SendJob,
  answered: Answered,
  reason: string,
): Promise<Step> {
  const { venue, resend } = answered
  if (resend) {
    await note(jobs, payload, job, answered, 'unclear', `refused: ${reason}`)
    let found: OrderReport | null
    try {
      found = await ask(jobs, payload, venue)
    } catch (error) {
      return retryLater(jobs, venue, error)
    }
    if (found !== null) return takeFound(jobs, payload, job, venue, found)
  }
  return within<Step>(jobs, payload, job, async (tx, locked) => {
    const { order, send } = locked
    if (!isOpen(order.status) || send.state === 'answered') return { step: 'done' }
    if (!isLatest(send, answered)) return { step: { again: WAIT_MS } }
    const passed = 'passed' in answered.answer
    const kept = await refusedExit(tx, locked, { reason: redact(reason), passed }, jobs.now())
    return kept ?? { outcome: await rejectOutcome(jobs, tx, locked, 'venue', redact(reason)), step: 'done' }
  })
}

/** An exit waits for what its position needs, whoever has to see to it. */
function reject(
  jobs: SendJobs,
  payload: Payload,
  job: SendJob,
  sent: Pick<Sent, 'attempt'>,
  reason: string,
  detail: string,
): Promise<Step> {
  return within<Step>(jobs, payload, job, async (tx, locked) => {
    if (!isOpen(locked.order.status) || locked.send.state === 'answered') return { step: 'done' }
    if (!isLatest(locked.send, sent)) return { step: { again: WAIT_MS } }
    if (locked.order.parent_order_id !== null) {
      const kept: OrderSendRow = { ...locked.send, state: 'to_send', last_error: detail }
      return {
        outcome: { writes: [{ kind: 'save_order_sends', rows: [kept] }], events: [] },
        step: { again: TROUBLE_MS },
      }
    }
    return { outcome: await rejectOutcome(jobs, tx, locked, reason, detail), step: 'done' }
  })
}

/** Asks the venue what became of an order that may be in. */
async function lookUp(jobs: SendJobs, payload: Payload, job: SendJob, venue: Venue): Promise<Step> {
  let found: OrderReport | null
  try {
    found = await ask(jobs, payload, venue)
  } catch (error) {
    return retryLater(jobs, venue, error)
  }
  if (found !== null) return takeFound(jobs, payload, job, venue, found)
  return within<Step>(jobs, payload, job, async (tx, locked) => {
    const { order, send } = locked
    if (!isOpen(order.status) || send.state === 'answered') return { step: 'done' }
    const now = jobs.now()
    const asked: OrderSendRow = { ...send, lookups: send.lookups + 1 }
    const since = now - Date.parse(send.last_sent_at as string)
    if (asked.lookups >= LOOKUPS && since >= GIVE_UP_AFTER_MS && (await isUnwanted(jobs, tx, locked))) {
      const reason = `it never reached the venue: not found ${asked.lookups} times`
      const given = { ...locked, send: asked }
      // An exit that nobody wanted gone: its position is without it.
      if (order.parent_order_id !== null && send.cancel_requested_at === null) {
        return { outcome: await rejectOutcome(jobs, tx, given, 'halt', reason), step: 'done' }
      }
      const body = ended(order, 'orders.Cancelled', reason)
      return { outcome: await endOutcome(jobs, tx, given, body), step: 'done' }
    }
    const step = { again: (await leavesAgain(jobs, tx, { ...locked, send: asked })) ? WAIT_MS : LOOKUP_EVERY_MS }
    return { outcome: { writes: [{ kind: 'save_order_sends', rows: [asked] }], events: [] }, step }
  })
}

export function ask(jobs: SendJobs, { order_id }: Payload, venue: Venue): Promise<OrderReport | null> {
  return askVenue(jobs.db.reader, venue, order_id, jobs.now())
}

export async function retryLater(jobs: SendJobs, venue: Venue, error: unknown): Promise<Step> {
  if (!(error instanceof VenueError)) throw error
  if (error.kind === 'unauthorised') {
    await refuseAccount(jobs, { exchange: venue.exchange, mode: venue.mode }, redact(error.message))
    return { again: TROUBLE_MS }
  }
  return { again: Math.min(MOST_WAIT_MS, error.retryAfterMs ?? WAIT_MS) }
}

/** The venue has it. Whoever wanted it cancelled meanwhile, or halted, gets that now. */
function takeFound(
  jobs: SendJobs,
  payload: Payload,
  job: SendJob,
  venue: Venue,
  found: OrderReport,
  how: Pick<Heard, 'made'> = {},
): Promise<Step> {
  return within<Step>(jobs, payload, job, async (tx, locked) => {
    const heard = { ...answerOf(venue, found), ...how }
    const { outcome, order, send, other } = await reportOutcome(jobs, tx, locked, heard)
    if (!isOpen(order.status)) return { outcome, step: 'done' }
    // By that id it can never get in.
    if (other) {
      const ended = await rejectOutcome(jobs, tx, locked, 'venue', otherWords(order, heard))
      const writes = [...outcome.writes, ...ended.writes]
      return { outcome: { ...ended, writes, events: [...outcome.events, ...ended.events] }, step: 'done' }
    }
    const hindrance = await hindranceOf(tx, locked.run, order.symbol)
    const halted = hindrance.system_halt || (hindrance.run_halt && !(await isProtector(tx, order)))
    if (send.cancel_requested_at === null && !halted) {
      const { step } = await lookAfter(tx, { ...locked, order, send }, 0)
      return { outcome, step }
    }
    const wanted = send.cancel_requested_at === null ? cancelWanted(send, 'halt', jobs.now()) : send
    return {
      outcome: {
        ...outcome,
        writes: [...outcome.writes, { kind: 'save_order_sends', rows: [wanted] }],
        jobs: [...(outcome.jobs ?? []), cancelJob(order)],
      },
      step: 'done',
    }
  })
}

/** A take profit that is not at the venue: has the price reached it? */
async function watch(jobs: SendJobs, payload: Payload, job: SendJob, venue: Venue, order: OrderRow): Promise<Step> {
  let reached: number | null
  try {
    // Whoever waits here waits in the place of an order.
    reached = await inTime(wallClock.sleep, PRICE_MS, reachedAt(jobs.db.reader, venue, order, jobs.now()))
  } catch (error) {
    if (!(error instanceof VenueError)) throw error
    return { again: WATCH_MS }
  }
  if (reached === null || (await awaitsSplit(jobs, venue, order))) return { again: WATCH_MS }
  const at = reached
  return within<Step>(jobs, payload, job, (tx, locked) => swapStep(tx, locked, at, jobs.now()))
}

/** Keeps what is known of the call, unless more is known by now. */
function note(
  jobs: SendJobs,
  payload: Payload,
  job: SendJob,
  sent: Sent,
  state: OrderSendRow['state'],
  error: string,
): Promise<unknown> {
  return within(jobs, payload, job, async (_tx, { send }) => {
    if (!isLatest(send, sent)) return { step: {} }
    const noted: OrderSendRow = { ...send, state, last_error: error }
    return { outcome: { writes: [{ kind: 'save_order_sends', rows: [noted] }], events: [] }, step: {} }
  })
}

/** Opened before anything is marked as sent. */
export async function openVenue(jobs: SendJobs, payload: Payload, job: SendJob): Promise<Venue | Step> {
  const row = await getOrderSend(jobs.db.reader, payload.order_id)
  if (row === null) return 'done'
  try {
    return await jobs.venues.get(row.exchange, row.mode)
  } catch (error) {
    if (!(error instanceof VenueError) || error.kind !== 'unauthorised') throw error
    await refuseAccount(jobs, row, redact(error.message))
    if (row.state === 'to_send') {
      return reject(jobs, payload, job, { attempt: row.attempts }, 'unauthorised', redact(error.message))
    }
    return { again: TROUBLE_MS }
  }
}

export function answerOf({ exchange, mode }: Venue, report: OrderReport): Heard {
  return { exchange, mode, source: 'answer', ...report }
}
