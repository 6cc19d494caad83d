/**
 * Driver 1, the chain, for backtests: one job a hop, each set off by the event of the hop before.
 * clock.Tick -> greta.match_orders, marvin.on_tick -> greta.fetch_window -> marvin.on_window -> greta.place_order ...
 * Every hop goes through the functions of the chunk driver, so that both leave the same record (I8). Between hops the
 * run lies in its checkpoint. Hops of a run share a queue; one that comes before its turn is put back.
 */

import { claim, isClaimed } from '../../db/events/claims.ts'
import type { TaskName, TaskPayload } from '../../db/events/tasks.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { getCheckpoint } from '../../db/walle/queries/checkpoints.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import type { FetchRequest, Intent } from '../../strategies/api.ts'
import { carryOut, endTicks, tellDecision } from '../greta/placing.ts'
import type { EventPlace } from '../greta/sim_orders.ts'
import { equityOf, grossValue, openOrderViews, positionView, type Simulation } from '../greta/simulation.ts'
import { matchOpenOrders, openTick, takeChanged, tellFetchRequest, tickEvent } from '../greta/tick_steps.ts'
import { tellWindows } from '../greta/window_events.ts'
import { createWindows, type Windows } from '../greta/windows.ts'
import type { HopAnswer, HopView } from '../hosts/hop_view.ts'
import { addLogContext } from '../log.ts'
import type { Asked, StrategyMemory } from '../marvin/contract.ts'
import { type Checkpoint, openAccount, takeStretch } from './backtest.ts'
import { type BacktestJobs, failed, failureOf, type RunningJob, specOf, stretchWrites } from './jobs.ts'
import { type LoadedRun, loadFetched } from './run_data.ts'

const HOP_TASKS = [
  'greta.match_orders',
  'marvin.on_tick',
  'greta.fetch_window',
  'marvin.on_window',
  'greta.place_order',
  'greta.cancel_order',
] as const satisfies TaskName[]
export type HopTask = (typeof HOP_TASKS)[number]

/** Which hop of the tick is next. `place` stands for place_order and cancel_order, one per intent. */
type Stage = 'match' | 'hear' | 'fetch' | 'window' | 'place'

const STAGE_OF: Record<HopTask, Stage> = {
  'greta.match_orders': 'match',
  'marvin.on_tick': 'hear',
  'greta.fetch_window': 'fetch',
  'marvin.on_window': 'window',
  'greta.place_order': 'place',
  'greta.cancel_order': 'place',
}

/** A hop that comes before its turn looks again after this long: the hop before it has failed and is tried again. */
const PUT_BACK_MS = 500

/** A tick under way, beside the run's checkpoint. JSON. */
interface TickUnderWay {
  stage: Stage
  next_event: number
  any_new: boolean
  requests: FetchRequest[]
  asked: Asked
  pending: { intent: Intent; command: EventPlace }[]
  /** The event that the tick's next event is caused by. */
  cause: EventPlace
}

interface ChainCheckpoint extends Omit<Checkpoint, 'memory'> {
  /** Null until the strategy has spoken for the first time. */
  memory: StrategyMemory | null
  tick: TickUnderWay
}

export interface ChainJobs extends BacktestJobs {
  /** Lets the strategy speak in its host. Rejects with a StrategyFailure. */
  hop: (run: RunRow, view: HopView) => Promise<HopAnswer>
}

interface ChainJob extends RunningJob {
  putBack(delayMs: number): Promise<never>
}

/** Handles one hop: plays it on a copy of the run's state, then records what came of it, once. */
export async function runHop(
  jobs: ChainJobs,
  task: HopTask,
  payload: TaskPayload<HopTask>,
  job: ChainJob,
): Promise<void> {
  const run = await getRun(jobs.db.reader, payload.run_id)
  addLogContext({ corr_id: run?.open_corr_id ?? null })
  const played = run?.status === 'running' ? await playHop(jobs, run, task, payload.event_id) : null
  job.signal.throwIfAborted()
  if (played === 'too early') await job.putBack(PUT_BACK_MS)
  await jobs.db.write(async (tx) => {
    const locked = await lockRun(tx, payload.run_id)
    const current = locked?.status === 'running' && played !== null && played !== 'too early'
    if (current && (await claim(tx, task, payload.event_id))) await jobs.record(tx, played(locked))
    await job.finish(tx)
  })
}

type Played = 'too early' | ((run: RunRow) => Outcome) | null

async function playHop(jobs: ChainJobs, run: RunRow, task: HopTask, eventId: string): Promise<Played> {
  if (await isClaimed(jobs.db.reader, task, eventId)) return null
  const stored = await getCheckpoint(jobs.db.reader, run.id)
  const saved = (stored?.state ?? null) as unknown as ChainCheckpoint | null
  if ((saved?.tick.stage ?? 'match') !== STAGE_OF[task]) return 'too early'
  try {
    const hop = await openHop(jobs, run, await jobs.loadRun(run), saved)
    await play(jobs, run, hop)
    return (locked) => hopOutcome(locked, hop)
  } catch (error) {
    const failure = failureOf(error)
    return (locked) => failed(jobs, locked, failure)
  }
}

interface Hop {
  data: LoadedRun
  simulation: Simulation
  windows: Windows
  memory: StrategyMemory | null
  tick: TickUnderWay
  /** The curve's point, once the tick is done. */
  point: { ts: number; equity: number; exposure: number } | null
}

function newTick(index: number): TickUnderWay {
  return {
    stage: 'match',
    next_event: 1,
    any_new: false,
    requests: [],
    asked: { intents: [], skips: [], logs: [] },
    pending: [],
    cause: { tick: index, ordinal: 0 },
  }
}

async function openHop(jobs: ChainJobs, run: RunRow, data: LoadedRun, saved: ChainCheckpoint | null): Promise<Hop> {
  const index = run.next_tick
  const ts = data.ticks[index] as number
  const tick = saved?.tick ?? newTick(index)
  const simulation = openAccount(specOf(run), data, saved?.simulation ?? null, tick.stage === 'match' ? ts - 1 : ts)
  simulation.recording = true
  simulation.tick = index
  simulation.ts = ts
  simulation.nextEvent = tick.next_event
  const fetched = new Map<string, CandleColumns>()
  for (const { symbol, timeframe } of tick.requests) {
    fetched.set(`${symbol} ${timeframe}`, await loadFetched(jobs.db, run, symbol, timeframe))
  }
  const windows = createWindows({
    symbols: run.symbols,
    timeframe: run.timeframe,
    bars: simulation.bars,
    windowBars: run.window_bars,
    now: () => ts,
    load: (symbol, timeframe) => fetched.get(`${symbol} ${timeframe}`) as CandleColumns,
  })
  windows.fetched(tick.requests)
  return { data, simulation, windows, memory: saved?.memory ?? null, tick, point: null }
}

async function play(jobs: ChainJobs, run: RunRow, hop: Hop): Promise<void> {
  switch (hop.tick.stage) {
    case 'match':
      hop.tick.any_new = matchOpenOrders(hop.simulation)
      hop.tick.stage = 'hear'
      return
    case 'hear':
      return hear(jobs, run, hop)
    case 'fetch':
      hop.tick.cause = tellWindows(hop.simulation, requested(run, hop), hop.windows, hop.tick.cause)
      hop.tick.stage = 'window'
      return
    case 'window':
      if (isDue(run, hop)) takeIn(hop, await speak(jobs, run, hop, 'window'))
      decide(hop, isDue(run, hop))
      return
    case 'place': {
      const next = hop.tick.pending.shift()
      if (next) carryOut(hop.simulation, next.intent, next.command)
      if (hop.tick.pending.length === 0) endTick(hop)
    }
  }
}

async function hear(jobs: ChainJobs, run: RunRow, hop: Hop): Promise<void> {
  const answer = await speak(jobs, run, hop, 'tick')
  takeIn(hop, answer)
  hop.tick.requests = answer.requests
  if (isDue(run, hop) || answer.requests.length > 0) {
    hop.tick.cause = tellFetchRequest(hop.simulation, requested(run, hop))
    hop.tick.stage = 'fetch'
  } else {
    decide(hop, false)
  }
}

function isDue(run: RunRow, hop: Hop): boolean {
  return hop.tick.any_new && hop.windows.ready(run.window_bars)
}

function requested(run: RunRow, hop: Hop): FetchRequest[] {
  return hop.windows.requested(hop.tick.requests, isDue(run, hop) ? run.window_bars : 0)
}

function takeIn(hop: Hop, answer: HopAnswer): void {
  hop.memory = answer.memory
  hop.tick.asked.intents.push(...answer.asked.intents)
  hop.tick.asked.skips.push(...answer.asked.skips)
  hop.tick.asked.logs.push(...answer.asked.logs)
}

async function speak(jobs: ChainJobs, run: RunRow, hop: Hop, phase: HopView['phase']): Promise<HopAnswer> {
  const { simulation, windows, tick } = hop
  const own = run.symbols.map((symbol) => ({ symbol, timeframe: run.timeframe }))
  const seen = [...own, ...tick.requests.map(({ symbol, timeframe }) => ({ symbol, timeframe }))]
  return jobs.hop(run, {
    spec: specOf(run),
    phase,
    ts: simulation.ts,
    bar_index: simulation.tick,
    memory: hop.memory,
    cash: simulation.ledger.cash.toString(),
    equity: equityOf(simulation),
    positions: run.symbols.map((_, symbol) => positionView(simulation, symbol)),
    open_orders: openOrderViews(simulation),
    changed: phase === 'tick' ? takeChanged(simulation) : [],
    windows: seen.map(({ symbol, timeframe }) => {
      const { time, open, high, low, close, volume } = windows.get(symbol, timeframe)
      return { symbol, timeframe, columns: { time, open, high, low, close, volume } }
    }),
  })
}

/** The strategy has said all it will say at this tick. */
function decide(hop: Hop, due: boolean): void {
  const { asked, cause } = hop.tick
  if (due || asked.intents.length + asked.skips.length + asked.logs.length > 0) {
    const commands = tellDecision(hop.simulation, asked, cause)
    hop.tick.pending = asked.intents.map((intent, ordinal) => ({ intent, command: commands[ordinal] as EventPlace }))
  }
  hop.tick.stage = 'place'
  if (hop.tick.pending.length === 0) endTick(hop)
}

/** The tick's last words, and the next tick's first event, which sets off its hops. */
function endTick(hop: Hop): void {
  const { simulation, data } = hop
  const next = simulation.tick + 1
  const last = next === data.ticks.length
  if (last) endTicks(simulation, tickEvent(simulation))
  const equity = equityOf(simulation)
  hop.point = { ts: simulation.ts, equity, exposure: simulation.held > 0 ? grossValue(simulation) / equity : 0 }
  if (last) return
  openTick(simulation, next, data.ticks[next] as number)
  hop.tick = newTick(next)
}

function hopOutcome(run: RunRow, hop: Hop): Outcome {
  const { simulation, point } = hop
  const total = hop.data.ticks.length
  const next = point === null ? run.next_tick : run.next_tick + 1
  hop.tick.next_event = simulation.nextEvent
  const memory = hop.memory ?? { state: null, random: 0 }
  const stretch = takeStretch(simulation, memory, next)
  const curve = {
    ts: Float64Array.from(point ? [point.ts] : []),
    equity: Float64Array.from(point ? [point.equity] : []),
    exposure: Float64Array.from(point ? [point.exposure] : []),
  }
  const checkpoint: ChainCheckpoint = {
    simulation: stretch.checkpoint.simulation,
    memory: hop.memory,
    tick: hop.tick,
  }
  return {
    writes: [
      ...stretchWrites(run, { ...stretch, curve }, run.next_tick),
      { kind: 'save_checkpoint', run_id: run.id, next_tick: next, state: checkpoint },
      { kind: 'update_run', id: run.id, changes: { next_tick: next, progress: next / total } },
    ],
    events: stretch.events,
    jobs: next === total ? [{ task: 'greta.finish_run', payload: { run_id: run.id }, queue: `run:${run.id}` }] : [],
  }
}
