/** What a halt sets off: every open order is asked to be cancelled, Weaver's own and whatever else lies in the accounts. */
import type { TaskPayload } from '../db/events/tasks.ts'
import { activeHalt } from '../db/walle/queries/halts.ts'
import { openSentOrders } from '../db/walle/queries/live_runs.ts'
import { lockRun } from '../db/walle/queries/runs.ts'
import type { Job } from './attempt.ts'
import type { Live } from './live.ts'
import { cancelOutcome } from './order_jobs.ts'
import { VenueError } from './veda/venue.ts'

type HaltJob = Pick<Job, 'signal' | 'finish' | 'putBack'>

/** Before a venue that cannot be reached, or has enough of us, is asked again. */
const AGAIN_MS = 2_000

export async function cancelRun(
  { db, record, now }: Pick<Live, 'db' | 'record' | 'now'>,
  { run_id }: TaskPayload<'veda.cancel_run'>,
  job: HaltJob,
): Promise<void> {
  job.signal.throwIfAborted()
  await db.write(async (tx) => {
    const run = await lockRun(tx, run_id)
    if (run && (await activeHalt(tx, null))) {
      await record(tx, await cancelOutcome(tx, await openSentOrders(tx, run_id), 'halt', now()))
    }
    await job.finish(tx)
  })
}

/** Goes on until the venue has taken it, or nothing is halted any more. */
export async function cancelAll(
  { db, venues, log }: Pick<Live, 'db' | 'venues' | 'log'>,
  { exchange, mode }: TaskPayload<'veda.cancel_all'>,
  job: HaltJob,
): Promise<void> {
  job.signal.throwIfAborted()
  if ((await activeHalt(db.reader, null)) === null) return
  try {
    const venue = await venues.get(exchange, mode)
    const cancels = await venue.cancelAll()
    log('warn', { exchange, mode, cancels }, `halted: asked ${exchange} to cancel ${cancels} open orders`)
  } catch (error) {
    if (!(error instanceof VenueError) || error.kind === 'unauthorised' || error.kind === 'refused') throw error
    log('error', { exchange, mode, err: error }, `halted: ${exchange} could not be asked to cancel: ${error.message}`)
    await job.putBack(error.retryAfterMs ?? AGAIN_MS)
  }
}
