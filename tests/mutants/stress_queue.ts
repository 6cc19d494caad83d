/**
 * Workers that die, workers that are thought dead and are not, and attempts that were given up but go on: as
 * graphile-worker fetches jobs and Weaver's functions end them, without either's process.
 */
import { openDatabase, openOwnerPool } from '../../db/client.ts'
import type { Database, Session } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import { failJob, finishJob, type Lease, registerPool, takeOverDeadPools } from '../../db/events/leases.ts'
import { mulberry32 } from '../../db/walle/generate.ts'
import { insertRun } from '../support/log.ts'
import { pause } from '../support/until.ts'

const JOBS = 60
const WORKERS = 4
const LONGEST_WORK_MS = 12
const MANY_CRASHES = 10_000

const FETCH = `with next as (
    select j.id, j.job_queue_id from graphile_worker._private_jobs j
    where j.is_available and j.run_at <= now() and j.job_queue_id in (
      select q.id from graphile_worker._private_job_queues q where q.is_available for update skip locked)
    order by j.priority, j.run_at limit 1 for update skip locked
  ), queue as (
    update graphile_worker._private_job_queues q set locked_by = $1, locked_at = now() from next
    where q.id = next.job_queue_id
  )
  update graphile_worker._private_jobs j set attempts = j.attempts + 1, locked_by = $1, locked_at = now() from next
  where j.id = next.id returning j.id::text, j.attempts::integer`

interface Stress {
  db: Database
  fetch(worker: string): Promise<Lease | null>
  random: () => number
  /** How often each job was done. */
  done: Map<string, number>
  /** Which living worker is at which job. */
  holders: Map<string, string>
  wrong: string[]
  isOver: () => boolean
}

/** Throws when a job was done not once, by one who did not hold it, or by two living workers at a time. */
export async function stressQueue(url: string, seed: number): Promise<void> {
  const db = await openDatabase({ url, applicationName: 'weaver stress', maxConnections: WORKERS + 4 })
  const owner = openOwnerPool(url, { applicationName: 'weaver stress owner', maxConnections: WORKERS })
  try {
    const runs = await Promise.all(Array.from({ length: WORKERS * 2 }, () => insertRun(db)))
    const jobs = Array.from({ length: JOBS }, (_, n) => {
      const run_id = runs[n % runs.length] as string
      return { task: 'greta.run_chunk', payload: { run_id, next_tick: n }, queue: `run:${run_id}` } as const
    })
    await db.write((tx) => append(tx, [], { jobs }))
    const stress: Stress = {
      db,
      async fetch(worker) {
        const { rows } = await owner.query<{ id: string; attempts: number }>(FETCH, [worker])
        const [row] = rows
        return row === undefined ? null : { id: row.id, lockedBy: worker, attempts: row.attempts }
      },
      random: mulberry32(seed),
      done: new Map(),
      holders: new Map(),
      wrong: [],
      isOver: () => stress.done.size === JOBS || stress.wrong.length > 0,
    }
    await play(stress)
    const twice = [...stress.done].filter(([, times]) => times !== 1).map(([id]) => `job ${id} was done twice`)
    if (stress.wrong.length + twice.length > 0) throw new Error([...stress.wrong, ...twice].join('\n'))
  } finally {
    await owner.end()
    await db.close()
  }
}

async function play(stress: Stress): Promise<void> {
  const looking = async () => {
    while (!stress.isOver()) {
      await takeOverDeadPools(stress.db, MANY_CRASHES)
      await pause(5)
    }
  }
  await Promise.all([looking(), ...Array.from({ length: WORKERS }, (_, n) => work(stress, n))])
}

/** One worker after the other in one place: each lives until it dies. */
async function work(stress: Stress, place: number): Promise<void> {
  const zombies: Promise<void>[] = []
  for (let life = 0; !stress.isOver(); life++) {
    const worker = `pool-${place}-${life}`
    const session = await stress.db.session()
    await registerPool(stress.db, session, { id: worker, name: 'stress', pid: 1, host: 'here' })
    zombies.push(...(await live(stress, worker, session)))
  }
  await Promise.all(zombies)
}

async function live(stress: Stress, worker: string, session: Session): Promise<Promise<void>[]> {
  const { random, holders, wrong } = stress
  const zombies: Promise<void>[] = []
  const late = (lease: Lease) => {
    zombies.push(pause(random() * LONGEST_WORK_MS * 4).then(() => finish(stress, lease)))
  }
  while (!stress.isOver()) {
    const lease = await stress.fetch(worker)
    if (lease === null) {
      await pause(5)
      continue
    }
    const holder = holders.get(lease.id)
    if (holder !== undefined) wrong.push(`${worker} was given job ${lease.id} at which ${holder} is`)
    holders.set(lease.id, worker)
    await pause(random() * LONGEST_WORK_MS)
    const dice = random()
    if (dice > 0.4) await finish(stress, lease)
    if (holders.get(lease.id) === worker) holders.delete(lease.id)
    if (dice < 0.2) {
      late(lease)
      await session.close()
      return zombies
    }
    if (dice <= 0.4) {
      // Given up, as for having taken too long, and the next to be fetched; but what was started goes on.
      await stress.db.write((tx) => failJob(tx, lease, { outcome: 'timed_out', error: 'late', delayMs: -60_000 }))
      late(lease)
    }
  }
  await session.close()
  return zombies
}

async function finish({ db, done, wrong }: Stress, lease: Lease): Promise<void> {
  const finished = await db.write(async (tx) => {
    const [holder] = await tx.query<{ locked_by: string | null; attempts: number }>(
      'select locked_by, attempts from weaver.job_overview where id = $1 and locked_by is not null',
      [lease.id],
    )
    const mine = holder?.locked_by === lease.lockedBy && holder.attempts === lease.attempts
    const ended = await finishJob(tx, lease)
    if (ended && !mine) wrong.push(`${lease.lockedBy} ended job ${lease.id}, which it did not hold`)
    return ended
  })
  if (finished) done.set(lease.id, (done.get(lease.id) ?? 0) + 1)
}
