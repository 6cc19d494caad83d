/**
 * What a halt sets off. Of the system: every open order is asked to be cancelled, Weaver's own and whatever else lies in
 * the accounts. Of a run: its open orders, but for those that protect what it holds.
 */
import type { NewEvent } from '../../../db/events/envelope.ts'
import { haltEventId } from '../../../db/events/ids.ts'
import { getEvent } from '../../../db/events/read.ts'
import type { TaskPayload } from '../../../db/events/tasks.ts'
import { redact } from '../../../db/secrets.ts'
import type { HaltRow } from '../../../db/walle/live_rows.ts'
import { activeHalt } from '../../../db/walle/queries/halts.ts'
import { openPositions, openSentOrders } from '../../../db/walle/queries/live_runs.ts'
import { lockRun } from '../../../db/walle/queries/runs.ts'
import { type Job, messageOf } from '../../attempt.ts'
import { protectors } from '../../live/end.ts'
import type { Live } from '../../live/live.ts'
import { cancelOutcome } from '../../veda/orders/placing.ts'
import { VenueError } from '../../veda/venue.ts'

type HaltJob = Pick<Job, 'signal' | 'finish' | 'putBack'>

/** Before a venue is asked again: a tenth of how long it has been halted, within these. */
const AGAIN = { leastMs: 2_000, mostMs: 60_000, part: 0.1 }
/** A venue that has taken the cancels confirms them within this, or somebody should look. */
const CONFIRM_MS = 15_000

export async function cancelRun(
  { db, record, now }: Pick<Live, 'db' | 'record' | 'now'>,
  { run_id }: TaskPayload<'veda.cancel_run'>,
  job: HaltJob,
): Promise<void> {
  job.signal.throwIfAborted()
  await db.write(async (tx) => {
    const run = await lockRun(tx, run_id)
    const system = await activeHalt(tx, null)
    if (run && (system ?? (await activeHalt(tx, run_id)))) {
      const open = await openSentOrders(tx, run_id)
      const positions = await openPositions(tx, run_id)
      const wanted = system === null ? protectors(open, positions) : new Set<unknown>()
      const unwanted = open.filter((order) => !wanted.has(order))
      await record(tx, await cancelOutcome(tx, unwanted, 'halt', now()))
    }
    await job.finish(tx)
  })
}

type CancelAll = Pick<Live, 'db' | 'record' | 'venues' | 'now' | 'log'>
type Account = TaskPayload<'veda.cancel_all'>

/** Goes on until nothing is open in the account, or nothing is halted any more. What stands in its way is told once. */
export async function cancelAll(jobs: CancelAll, account: Account, job: HaltJob): Promise<void> {
  job.signal.throwIfAborted()
  const halt = await activeHalt(jobs.db.reader, null)
  if (halt === null) return
  const age = Math.max(0, jobs.now() - Date.parse(halt.halted_at))
  let wait = Math.min(AGAIN.mostMs, Math.max(AGAIN.leastMs, age * AGAIN.part))
  try {
    const open = await askToCancel(jobs, account)
    if (open === 0) return
    if (age >= CONFIRM_MS) {
      await tell(jobs, halt, account, 'open', `${open} orders are still open there: look at its own page`)
    }
  } catch (error) {
    job.signal.throwIfAborted()
    // Whatever it is: it is tried for as long as the halt holds.
    const { kind, retryAfterMs } = error instanceof VenueError ? error : { kind: 'error', retryAfterMs: null }
    wait = Math.max(wait, Math.min(AGAIN.mostMs, retryAfterMs ?? 0))
    await tell(jobs, halt, account, kind, `cancels cannot be sent: ${redact(messageOf(error))}`)
  }
  await job.putBack(wait)
}

/** Gives how many orders are open there after that. */
async function askToCancel({ venues, log }: CancelAll, { exchange, mode }: Account): Promise<number> {
  const venue = await venues.get(exchange, mode)
  const cancels = await venue.cancelAll()
  log('warn', { exchange, mode, cancels }, `halted: asked ${exchange} to cancel ${cancels} open orders`)
  return (await venue.orders({ open: true })).length
}

async function tell(
  { db, record, now, log }: CancelAll,
  halt: HaltRow,
  { exchange, mode }: Account,
  what: string,
  problem: string,
): Promise<void> {
  const part = `halt ${exchange} ${mode}`
  const message = `halted, but ${exchange} ${mode}: ${problem}. It is tried again until the halt ends`
  log('error', { exchange, mode }, message)
  const event: NewEvent = {
    id: haltEventId(halt.id, `${part} ${what}`),
    type: 'system.Error',
    run_id: null,
    corr_id: halt.id,
    causation_id: null,
    ts: new Date(now()).toISOString(),
    producer: 'veda',
    payload: { part, message },
  }
  await db.write(async (tx) => {
    if ((await getEvent(tx, event.id)) === null) await record(tx, { writes: [], events: [event] })
  })
}
