/**
 * `veda.start_run`: a paper or live run is made ready. Its venue is asked for the account and for each symbol; then its
 * ledger is opened, and from there on the clock knows it. Nothing is held while the venue is asked.
 */
import type { TaskPayload } from '../../db/events/tasks.ts'
import { getRunLedger, msSinceChanged } from '../../db/walle/queries/live_runs.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { RunError, RunRow } from '../../db/walle/rows.ts'
import { type RunningJob, settle } from '../backtest/jobs.ts'
import { Decimal } from '../greta/decimals.ts'
import { assetClassOf } from '../veda/checks.ts'
import { type Venue, type VenueAccount, type VenueAsset, VenueError } from '../veda/venue.ts'
import { inTime } from '../veda/venues/in_time.ts'
import { endRun } from './end.ts'
import type { Live } from './live.ts'

export type StartJobs = Pick<Live, 'db' | 'record' | 'venues' | 'now' | 'newId' | 'sleep' | 'log'>

interface StartJob extends RunningJob {
  putBack(delayMs: number): Promise<never>
}

/** A venue that says nothing for so long is asked again later. */
const ANSWER_MS = 15_000
const ASK_AGAIN_MS = 2_000
const BARS_MS = 120_000
/** A run whose venue cannot be reached for so long after its start has failed. */
const GIVE_UP_MS = 120_000

type Checked = { cautions: string[] } | { failure: RunError } | 'later'

export async function startLiveRun(
  jobs: StartJobs,
  payload: TaskPayload<'veda.start_run'>,
  job: StartJob,
): Promise<void> {
  const run = await getRun(jobs.db.reader, payload.run_id)
  const isOpen = run !== null && (await getRunLedger(jobs.db.reader, run.id)) !== null
  const checked = run?.status !== 'running' || isOpen ? null : await check(jobs, run)
  if (checked === 'later') await job.putBack(ASK_AGAIN_MS)
  await settle(jobs, job, payload.run_id, async (locked, tx) => {
    // Twice is once: its ledger was opened before.
    if (checked === null || checked === 'later' || (await getRunLedger(tx, locked.id))) return null
    // It ends by its own job.
    if (locked.stop_requested !== null) return null
    if ('failure' in checked) return endRun(jobs, tx, locked, checked.failure)
    const ledger = {
      run_id: locked.id,
      cash: locked.initial_cash,
      fees: '0',
      turnover: '0',
      next_order: 0,
      next_fill: 0,
      trade_matcher: null,
      risk_watch: null,
      splits: null,
    }
    return {
      writes: [
        { kind: 'save_run_ledgers', rows: [ledger] },
        { kind: 'update_run', id: locked.id, changes: { cautions: [...locked.cautions, ...checked.cautions] } },
      ],
      events: [],
    }
  })
}

/** Asks the venue. `later`: it may answer another time. */
async function check(jobs: StartJobs, run: RunRow): Promise<Checked> {
  const { exchange, mode } = run
  try {
    if (exchange === null || mode === 'backtest') throw new Error(`run ${run.id} has no exchange`)
    const venue = await inTime(jobs.sleep, ANSWER_MS, jobs.venues.get(exchange, mode))
    const account = await inTime(jobs.sleep, ANSWER_MS, venue.account())
    const assets = await inTime(jobs.sleep, ANSWER_MS, Promise.all(run.symbols.map((symbol) => venue.asset(symbol))))
    const problems = [
      ...accountProblems(venue, account),
      ...run.symbols.flatMap((s, i) => assetProblems(venue, s, assets[i])),
    ]
    if (problems.length > 0) return { failure: { message: problems.join('; ') } }
    await mustGiveBars(jobs, venue, run.symbols)
    return { cautions: cautionsOf(run, venue, account) }
  } catch (error) {
    if (!(error instanceof VenueError)) throw error
    const isFinal = error.kind === 'unauthorised' || error.kind === 'refused' || error.kind === 'not_found'
    if (isFinal || (await msSinceChanged(jobs.db.reader, run.id)) > GIVE_UP_MS)
      return { failure: { message: `${exchange} (${mode}): ${error.message}` } }
    jobs.log('warn', { run_id: run.id, err: error }, 'a run waits for its venue to answer')
    return 'later'
  }
}

/** A feed that the plan of the account does not have would be found at each tick, and no run could ever decide. */
async function mustGiveBars(jobs: StartJobs, venue: Venue, symbols: readonly string[]): Promise<void> {
  const end = jobs.now()
  const ofEachClass = new Map(symbols.map((symbol) => [assetClassOf(symbol), symbol]))
  for (const symbol of ofEachClass.values()) {
    const asked = venue.bars({ symbol, timeframe: '1m', start: end - BARS_MS, end, urgent: true })
    await inTime(jobs.sleep, ANSWER_MS, asked).catch((error: unknown) => {
      // Whatever else it is may be over at the first tick.
      if (!(error instanceof VenueError) || error.kind === 'refused') throw error
    })
  }
}

function accountProblems({ exchange, mode }: Venue, { blocked }: VenueAccount): string[] {
  return blocked === null ? [] : [`${exchange} lets nothing be traded in its ${mode} account: ${blocked}`]
}

function assetProblems({ exchange }: Venue, symbol: string, asset: VenueAsset | null | undefined): string[] {
  if (!asset) return [`${exchange} does not know the symbol ${symbol}`]
  return asset.tradable ? [] : [`${symbol} cannot be traded at ${exchange} now`]
}

function cautionsOf(run: RunRow, { exchange, mode }: Venue, { cash, currency }: VenueAccount): string[] {
  if (new Decimal(run.initial_cash).lte(cash)) return []
  return [
    `the run counts on ${run.initial_cash} ${currency}, and the ${mode} account at ${exchange} had ${cash} when it started: the venue may refuse its orders`,
  ]
}
