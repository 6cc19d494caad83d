/** The job of a replay: a paper or live run is played again from its log, and what differs is stored. */
import type { Database, WriteTx } from '../../db/database.ts'
import type { TaskPayload } from '../../db/events/tasks.ts'
import { redact } from '../../db/secrets.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { getParity } from '../../db/walle/queries/parity.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { type Job, messageOf } from '../attempt.ts'
import { DomainError } from '../glados/errors.ts'
import { createHostRuns } from '../hosts/client.ts'
import type { Venues } from '../live/live.ts'
import type { HostPool } from '../marvin/host_pool.ts'
import { type FeeBounds, VenueError } from '../veda/venue.ts'
import { createBreath } from './breath.ts'
import { replayRun } from './replay.ts'

export interface ParityJobs {
  db: Database
  record: (tx: WriteTx, outcome: Outcome) => Promise<void>
  venues: Pick<Venues, 'get'>
  /** A pool of one host in which nothing has run. */
  newHosts: () => HostPool
  dataDir: string
  now: () => number
  monotonic: () => number
  /** Others have their turn. */
  pause: () => Promise<void>
}

const PROGRESS_EVERY_MS = 1_000

export async function replayJob(
  jobs: ParityJobs,
  { run_id }: TaskPayload<'greta.replay_run'>,
  job: Pick<Job, 'signal' | 'finish'>,
): Promise<void> {
  const { db, record, now } = jobs
  const run = await getRun(db.reader, run_id)
  const report = run && (await getParity(db.reader, run_id))
  const changes = run && report?.state === 'pending' ? await replayed(jobs, run, report.tolerance_bps, job) : null
  job.signal.throwIfAborted()
  await db.write(async (tx) => {
    // The run may have been deleted meanwhile, and its report with it.
    if (changes !== null && (await lockRun(tx, run_id))) {
      const replayed_at = new Date(now()).toISOString()
      await record(tx, {
        writes: [{ kind: 'update_parity', run_id, changes: { ...changes, replayed_at } }],
        events: [],
      })
    }
    await job.finish(tx)
  })
}

async function replayed(jobs: ParityJobs, run: RunRow, toleranceBps: number, { signal }: Pick<Job, 'signal'>) {
  const hosts = jobs.newHosts()
  try {
    const { hop } = createHostRuns({ db: jobs.db, hosts, dataDir: jobs.dataDir })
    const { fees, feedOf } = await askVenue(jobs, run)
    const parts = {
      ...{ db: jobs.db, ask: hop, feedOf, toleranceBps, onProgress: progressOf(jobs, run.id, signal) },
      fees: (symbol: string) => fees.get(symbol) ?? null,
      breathe: createBreath(jobs),
    }
    const result = await replayRun(parts, run.id)
    return { state: 'completed', progress: 1, result, error: null } as const
  } catch (error) {
    // What cannot be replayed cannot be replayed another time either; whatever else happens is tried again.
    if (!(error instanceof DomainError) && !isMisfit(error)) throw error
    return { state: 'error', result: null, error: redact(messageOf(error)) } as const
  } finally {
    await hosts.close()
  }
}

/** Of an event that another version of Weaver wrote. */
const isMisfit = (error: unknown) => error instanceof Error && error.name === 'MisfitEvent'

function progressOf({ db, record, now }: ParityJobs, run_id: string, signal: AbortSignal) {
  let told = now()
  return async (progress: number) => {
    signal.throwIfAborted()
    if (now() - told < PROGRESS_EVERY_MS) return
    told = now()
    await db.write((tx) =>
      record(tx, { writes: [{ kind: 'update_parity', run_id, changes: { progress } }], events: [] }),
    )
  }
}

interface VenueWords {
  /** By symbol. */
  fees: Map<string, FeeBounds>
  /** Of a symbol's bars; null: it could not be asked. */
  feedOf: ((symbol: string) => string) | null
}

/** A venue that does not answer says nothing of its fees. */
async function askVenue({ venues }: ParityJobs, { exchange, mode, symbols }: RunRow): Promise<VenueWords> {
  const words: VenueWords = { fees: new Map(), feedOf: null }
  if (exchange === null || mode === 'backtest') return words
  try {
    const venue = await venues.get(exchange, mode)
    words.feedOf = venue.feedOf
    for (const symbol of symbols) {
      const said = await venue.fees?.(symbol)
      if (said !== undefined) words.fees.set(symbol, said)
    }
  } catch (error) {
    if (!(error instanceof VenueError)) throw error
  }
  return words
}
