/** The worker's side of the hosts: sends runs to them, answers what they ask, makes of their answers what jobs need. */
import type { Database } from '../../db/database.ts'
import { getSource } from '../../db/walle/queries/sources.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { Timeframe } from '../../strategies/api.ts'
import type { Checkpoint, Stretch } from '../backtest/backtest.ts'
import type { BandJobs } from '../backtest/band_job.ts'
import { specOf } from '../backtest/jobs.ts'
import { type LoadedRun, loadFetched } from '../backtest/run_data.ts'
import type { FillModel } from '../greta/fill_model.ts'
import type { Columns } from '../marvin/frames.ts'
import type { Answer } from '../marvin/host_conversation.ts'
import type { Host, HostPool } from '../marvin/host_pool.ts'
import { materialise } from '../marvin/sources.ts'
import type { HopAnswer, HopView } from './hop_view.ts'
import { unpackRows } from './rows.ts'
import {
  type ChunkAnswer,
  type ChunkRequest,
  columnsNamed,
  type HopRequest,
  type OpenRunRequest,
  type ReplayAnswer,
  type ReplayRequest,
} from './runs.ts'

/** A chunk takes about so long: progress, stop, fairness. */
const CHUNK_MS = 500
/** One transaction takes in at most about so many fills. */
const CHUNK_FILLS = 100_000
/** A replay that takes longer is given up: whoever asked waits for it. */
const REPLAY_MS = 60_000

interface Ahead {
  from: number
  /** What it goes on from, as text. */
  checkpoint: string
  playing: Promise<Stretch>
}

export interface HostRuns {
  /**
   * Plays from tick `from` until the chunk's budget is spent. While the caller stores what came of it the next chunk is
   * played already; it is given when that one is asked for, from the same checkpoint, and dropped otherwise.
   */
  playChunk(run: RunRow, data: LoadedRun, checkpoint: Checkpoint | null, from: number): Promise<Stretch>
  /** A chunk of the run under another fill model, of which nothing is played ahead. */
  playVariant: BandJobs['playVariant']
  /** The run has ended: what was played ahead is not wanted. */
  forget(runId: string): void
  hop(run: RunRow, view: HopView): Promise<HopAnswer>
  /** Plays the run from its start for some of its events. */
  replay(run: RunRow, data: LoadedRun, wanted: Pick<ReplayRequest, 'ticks' | 'corr_id' | 'to'>): Promise<ReplayAnswer>
}

interface HostRunsOptions {
  db: Database
  hosts: HostPool
  dataDir: string
}

export function createHostRuns(options: HostRunsOptions): HostRuns {
  const { hosts } = options
  const ahead = new Map<string, Ahead>()

  const playAhead = (run: RunRow, data: LoadedRun, stretch: Stretch): void => {
    // One for each host at the most: what is played ahead lies in memory until its run's turn comes.
    if (stretch.failure || stretch.next >= data.ticks.length || ahead.size >= hosts.size) return
    const playing = play(run, data, stretch.checkpoint, stretch.next)
    // Whoever asks for it hears of its failure; if nobody does, it never happened.
    playing.catch(() => {})
    ahead.set(run.id, { from: stretch.next, checkpoint: JSON.stringify(stretch.checkpoint), playing })
  }

  const play = async (
    run: RunRow,
    data: LoadedRun,
    checkpoint: Checkpoint | null,
    from: number,
    variant: FillModel | null = null,
  ): Promise<Stretch> => {
    const entry = await entryOf(options, run)
    const request: ChunkRequest = {
      spec: variant === null ? specOf(run) : { ...specOf(run), fill: variant, audit: 'summary' },
      trades_only: variant !== null,
      entry,
      checkpoint,
      from,
      budget_ms: CHUNK_MS,
      budget_fills: CHUNK_FILLS,
    }
    return hosts.withHost((host) => playOn(host, options, run, data, request), { prefer: run.id })
  }

  return {
    async playChunk(run, data, checkpoint, from) {
      const known = ahead.get(run.id)
      ahead.delete(run.id)
      const fits = known?.from === from && known.checkpoint === JSON.stringify(checkpoint)
      const stretch = await (fits ? known.playing : play(run, data, checkpoint, from))
      playAhead(run, data, stretch)
      return stretch
    },
    forget(runId) {
      ahead.delete(runId)
    },
    playVariant: (run, data, fill, checkpoint, from) => play(run, data, checkpoint, from, fill),
    async hop(run, view) {
      const entry = await entryOf(options, run)
      const columns: Columns = Object.assign(
        {},
        ...view.windows.map((window, index) => columnsNamed(String(index), window.columns)),
      )
      const windows = view.windows.map(({ symbol, timeframe }) => ({ symbol, timeframe }))
      const request: HopRequest = { view: { ...view, windows }, entry }
      const answer = await hosts.withHost((host) => host.request('hop', request, { columns }), { prefer: run.id })
      return answer.body as HopAnswer
    },
    async replay(run, data, wanted) {
      const entry = await entryOf(options, run)
      const body: ReplayRequest = {
        ...{ spec: specOf(run), entry, ...wanted },
        ...{ budget_ms: REPLAY_MS, budget_fills: CHUNK_FILLS },
      }
      const answer = await hosts.withHost((host) => ask(host, options, run, data, { kind: 'replay', body }), {
        prefer: run.id,
      })
      return answer.body as ReplayAnswer
    },
  }
}

async function playOn(
  host: Host,
  options: HostRunsOptions,
  run: RunRow,
  data: LoadedRun,
  request: ChunkRequest,
): Promise<Stretch> {
  const answer = await ask(host, options, run, data, { kind: 'chunk', body: request })
  const { ts, equity, exposure } = answer.columns
  if (!ts || !equity || !exposure) throw new Error('A host answered without the curve')
  const { newOrders, fills, decisions, trades, ...rest } = answer.body as ChunkAnswer
  return {
    ...rest,
    newOrders: unpackRows(newOrders),
    fills: unpackRows(fills),
    decisions: unpackRows(decisions),
    trades: unpackRows(trades),
    curve: { ts, equity, exposure },
  }
}

/** Asks a host for something of a run; it is given the run's bars when it does not hold them. */
async function ask(
  host: Host,
  { db }: HostRunsOptions,
  run: RunRow,
  data: LoadedRun,
  { kind, body }: { kind: 'chunk'; body: ChunkRequest } | { kind: 'replay'; body: ReplayRequest },
): Promise<Answer> {
  const onCall = async (kind: string, body: unknown) => {
    if (kind !== 'candles') throw new Error(`A host asked for ${kind}, which nobody answers`)
    const { symbol, timeframe } = body as { symbol: string; timeframe: Timeframe }
    return { body: null, columns: columnsNamed('c', await loadFetched(db, run, symbol, timeframe)) }
  }
  if (!host.warm) await openRun(host, run, data)
  const answer = await host.request(kind, body, { onCall })
  if (!(answer.body as { unknown?: boolean }).unknown) return answer
  await openRun(host, run, data)
  return host.request(kind, body, { onCall })
}

async function openRun(host: Host, run: RunRow, data: LoadedRun): Promise<void> {
  const columns: Columns = Object.assign({}, ...data.columns.map((one, index) => columnsNamed(String(index), one)))
  const request: OpenRunRequest = {
    run_id: run.id,
    symbols: data.columns.length,
    timeframe: run.timeframe,
    warmup: data.warmup,
  }
  await host.request('open_run', request, { columns })
}

/** The strategy as it was stored when the run was made, put on disk. */
async function entryOf({ db, dataDir }: HostRunsOptions, run: RunRow): Promise<string> {
  const source = await getSource(db.reader, run.strategy_hash)
  if (!source) throw new Error(`The source ${run.strategy_hash} of run ${run.id} is not stored`)
  return materialise(source, dataDir)
}
