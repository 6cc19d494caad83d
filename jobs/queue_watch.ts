/**
 * What a worker process does beside its jobs, a few times a second: shows that it lives, takes over from workers that do
 * not, takes jobs away that run for too long, and notices which of its own were taken away.
 */
import type { Session } from '../db/database.ts'
import {
  type Lease,
  lostLeases,
  overdueJobs,
  premakePartitions,
  removeIdleQueues,
  takeFailedJobs,
  takeOverDeadPools,
  tidyJobs,
} from '../db/events/leases.ts'
import { createPauses } from '../db/events/pauses.ts'
import { TASK_NAMES, timeoutMs } from '../db/events/tasks.ts'
import { type AttemptOptions, LostLease, messageOf, settleFailure, tellOfDead } from './attempt.ts'

const LIVENESS_MS = 250
const BURY_AT_MOST = 20
const PARTITION_DAYS = 7
/** In rounds of LIVENESS_MS. */
const EVERY = { overdue: 4, bury: 8, removeQueues: 240, premake: 14_400 }

/** Jobs under way in this process, each with what tells its handler that it was taken away. */
export interface ActiveJobs {
  begin(lease: Lease): AbortSignal
  end(lease: Lease): void
  held(): Lease[]
  abort(lease: Lease): void
}

export function createActiveJobs(): ActiveJobs {
  const active = new Map<string, { lease: Lease; controller: AbortController }>()
  const keyOf = ({ id, attempts }: Lease) => `${id} ${attempts}`
  return {
    begin(lease) {
      const controller = new AbortController()
      active.set(keyOf(lease), { lease, controller })
      return controller.signal
    },
    end: (lease) => void active.delete(keyOf(lease)),
    held: () => [...active.values()].map(({ lease }) => lease),
    abort: (lease) => active.get(keyOf(lease))?.controller.abort(),
  }
}

export interface WatchOptions extends AttemptOptions {
  /** Added to the time that a job may take in which a strategy speaks. */
  strategyTimeoutMs: number
}

/** Before the first job is fetched. */
export async function prepareQueue(options: WatchOptions): Promise<void> {
  await premakePartitions(options.db, PARTITION_DAYS)
  await tidyJobs(options.db, PARTITION_DAYS)
  await takeOver(options)
}

export async function watchQueue(
  options: WatchOptions,
  session: Session,
  active: ActiveJobs,
  stop: Promise<void>,
  fail: (cause: unknown) => void,
): Promise<void> {
  const { log, sleep } = options
  const pauses = createPauses(sleep)
  let stopped = false
  stop.then(() => {
    stopped = true
    pauses.wake()
  })
  for (let round = 1; ; round++) {
    if (!stopped) await pauses.pause(LIVENESS_MS)
    if (stopped) return
    try {
      for (const lease of await lostLeases(session, active.held())) active.abort(lease)
    } catch (error) {
      fail(error)
      return
    }
    await lookAfter(options, round).catch((error) => log('error', `looking after the queue: ${messageOf(error)}`))
  }
}

async function lookAfter(options: WatchOptions, round: number): Promise<void> {
  const { db } = options
  await takeOver(options)
  if (round % EVERY.overdue === 0) await takeOverdue(options)
  if (round % EVERY.bury === 0) await buryFailed(options)
  if (round % EVERY.removeQueues === 0) await removeIdleQueues(db)
  if (round % EVERY.premake === 0) {
    await premakePartitions(db, PARTITION_DAYS)
    await tidyJobs(db, PARTITION_DAYS)
  }
}

async function takeOver({ db, log }: WatchOptions): Promise<void> {
  const freed = await takeOverDeadPools(db)
  if (freed > 0) log('warning', `${freed} jobs of workers that are gone are free again`)
}

/** Any worker's, also one's that is stuck. */
async function takeOverdue(options: WatchOptions): Promise<void> {
  const limits = TASK_NAMES.map((task) => ({ task, ms: timeoutMs(task, options.strategyTimeoutMs) }))
  for (const { lease, maxAttempts, task, payload, limitMs } of await overdueJobs(options.db, limits)) {
    const error = `took longer than the ${limitMs / 1000} seconds that ${task} may take`
    try {
      await settleFailure(options, lease, maxAttempts, 'timed_out', { ...lease, task, payload, error })
      options.log('warning', `job ${lease.id} ${error}: it is taken from its worker`)
    } catch (lost) {
      // It ended just now.
      if (!(lost instanceof LostLease)) throw lost
    }
  }
}

/** Jobs that ran out of attempts without their worker's being able to record it. */
async function buryFailed(options: WatchOptions): Promise<void> {
  await options.db.write(async (tx) => {
    for (const job of await takeFailedJobs(tx, BURY_AT_MOST)) await tellOfDead(options, tx, job)
  })
}
