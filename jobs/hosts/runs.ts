/** What a host does for runs: it keeps a backtest's bars, plays chunks of it, and lets a strategy speak in a hop. */
import type { CandleColumns } from '../../db/walle/rows.ts'
import { type StrategyDefinition, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import {
  type Checkpoint,
  openBacktest,
  playTicks,
  type RunData,
  type RunSpec,
  type Stretch,
} from '../backtest/backtest.ts'
import { ticksOf } from '../greta/ticks.ts'
import { createInstance } from '../marvin/context.ts'
import type { Columns } from '../marvin/frames.ts'
import type { HostHandler, HostIo } from '../marvin/host_io.ts'
import { loadStrategy } from '../marvin/host_load.ts'
import { playHop } from './hop_play.ts'
import type { HopView } from './hop_view.ts'
import { type PackedRows, packRows } from './rows.ts'

export interface OpenRunRequest {
  run_id: string
  symbols: number
  timeframe: Timeframe
  /** Per symbol. */
  warmup: number[]
}

export interface ChunkRequest {
  spec: RunSpec
  /** Absolute path of the strategy's file. */
  entry: string
  checkpoint: Checkpoint | null
  from: number
  /** The chunk ends after this time, or after so many fills. */
  budget_ms: number
  budget_fills: number
  /** Of the rows only the trades are wanted: nothing of this chunk is stored. */
  trades_only: boolean
}

/** A stretch as it travels, beside the columns of its curve. */
export type ChunkAnswer = Omit<Stretch, 'curve' | PackedName> & Record<PackedName, PackedRows>
type PackedName = 'newOrders' | 'fills' | 'decisions' | 'trades'

export interface ReplayRequest extends Omit<ChunkRequest, 'checkpoint' | 'from' | 'trades_only'> {
  /** Ticks of which every event is wanted, ascending. */
  ticks: number[]
  /** Of the others only what befalls the orders of this tick. */
  corr_id: string
  /** Exclusive. */
  to: number
}

export interface ReplayAnswer {
  events: Stretch['events']
  /** Its time was spent before it came to the end. */
  late: boolean
}

export interface HopRequest {
  view: Omit<HopView, 'windows'> & { windows: { symbol: string; timeframe: Timeframe }[] }
  entry: string
}

/** A host keeps the bars of this many runs. */
const KEPT_RUNS = 2
/** And the evaluated strategies of this many runs that are played in hops. */
const KEPT_STRATEGIES = 512
const BEAT_MS = 100

const COLUMNS = ['time', 'open', 'high', 'low', 'close', 'volume'] as const
interface KeptRun {
  data: RunData
  /** Evaluated for this run alone; once, because the engine learns to run it fast. */
  strategy: Promise<StrategyDefinition> | null
}

const kept = new Map<string, KeptRun>()
const strategies = new Map<string, Promise<StrategyDefinition>>()
const now = performance.now.bind(performance)

/** The names under which a symbol's columns travel. */
export function columnsNamed(prefix: string, columns: CandleColumns): Columns {
  return Object.fromEntries(COLUMNS.map((name) => [`${prefix}.${name}`, columns[name]]))
}

export function columnsOf(prefix: string, columns: Columns): CandleColumns {
  const column = (name: (typeof COLUMNS)[number]) => columns[`${prefix}.${name}`] ?? new Float64Array(0)
  return {
    time: column('time'),
    open: column('open'),
    high: column('high'),
    low: column('low'),
    close: column('close'),
    volume: column('volume'),
  }
}

const openRun: HostHandler = (body, columns) => {
  const { run_id, symbols, timeframe, warmup } = body as OpenRunRequest
  const all = Array.from({ length: symbols }, (_, symbol) => columnsOf(String(symbol), columns))
  kept.delete(run_id)
  const data = { columns: all, ticks: ticksOf(all, warmup, TIMEFRAME_MS[timeframe]) }
  kept.set(run_id, { data, strategy: null })
  const [oldest] = kept.keys()
  if (kept.size > KEPT_RUNS && oldest !== undefined) kept.delete(oldest)
  return { body: null }
}

/** Answers `{ unknown: true }` where this host does not hold the run's bars. */
const chunk: HostHandler = async (body, _columns, io) => {
  const request = body as ChunkRequest
  const run = kept.get(request.spec.run_id)
  if (!run) return { body: { unknown: true } }
  const { data } = run
  run.strategy ??= loadStrategy(request.entry, { fresh: true })
  const strategy = await run.strategy
  const backtest = openBacktest({
    spec: request.spec,
    data,
    createInstance: (options) => createInstance(strategy, options),
    load: (symbol, timeframe) => columnsOf('c', io.callParent('candles', { symbol, timeframe }).columns),
    checkpoint: request.checkpoint,
    next: request.from,
  })
  const pause = pacer(request, io, () => backtest.simulation.produced.fills.length)
  const { curve, newOrders, fills, decisions, trades, ...rest } = playTicks(
    backtest,
    request.from,
    data.ticks.length,
    pause,
  )
  const answer: ChunkAnswer = {
    ...rest,
    newOrders: packRows(request.trades_only ? [] : newOrders),
    fills: packRows(request.trades_only ? [] : fills),
    decisions: packRows(request.trades_only ? [] : decisions),
    trades: packRows(trades),
  }
  return { body: answer, columns: { ...curve } }
}

/**
 * Plays a run from its start once more, for the sake of some of its events; the rest is thrown away. Answers
 * `{ unknown: true }` like a chunk.
 */
const replay: HostHandler = async (body, _columns, io) => {
  const request = body as ReplayRequest
  const run = kept.get(request.spec.run_id)
  if (!run) return { body: { unknown: true } }
  const strategy = await loadStrategy(request.entry, { fresh: true })
  const backtest = openBacktest({
    spec: request.spec,
    data: run.data,
    createInstance: (options) => createInstance(strategy, options),
    load: (symbol, timeframe) => columnsOf('c', io.callParent('candles', { symbol, timeframe }).columns),
    checkpoint: null,
    next: 0,
  })
  const { simulation } = backtest
  simulation.watched = request.corr_id
  const ended = now() + request.budget_ms
  const events: Stretch['events'] = []
  let next = 0
  let thrown = false
  while (next < request.to && !thrown && now() < ended) {
    const audit = request.ticks.includes(next) ? 'full' : 'summary'
    const to = audit === 'full' ? next + 1 : (request.ticks.find((tick) => tick > next) ?? request.to)
    const pause = pacer(request, io, () => simulation.produced.fills.length)
    const stretch = playTicks({ ...backtest, spec: { ...request.spec, audit } }, next, to, pause)
    events.push(...stretch.events)
    next = stretch.next
    thrown = stretch.failure !== null
  }
  return { body: { events, late: next < request.to && !thrown } satisfies ReplayAnswer }
}

/** Ends a chunk when its budget is spent; until then it says now and then that the strategy gets on. */
function pacer(
  request: Pick<ChunkRequest, 'budget_ms' | 'budget_fills'>,
  io: HostIo,
  fills: () => number,
): (tick: number) => boolean {
  const started = now()
  let beat = started
  return (tick) => {
    const time = now()
    if (time - beat > BEAT_MS) {
      io.heartbeat({ bar_index: tick })
      beat = time
    }
    return time - started > request.budget_ms || fills() > request.budget_fills
  }
}

/**
 * A run's strategy for its hops, evaluated for this run alone; once, because what was evaluated is never freed, and a run
 * has hops for weeks. What it keeps in its module is no state: another host may play the next hop.
 */
function strategyOf(runId: string, entry: string): Promise<StrategyDefinition> {
  const known = strategies.get(runId) ?? loadStrategy(entry, { fresh: true })
  strategies.delete(runId)
  strategies.set(runId, known)
  known.catch(() => strategies.delete(runId))
  const [oldest] = strategies.keys()
  if (strategies.size > KEPT_STRATEGIES && oldest !== undefined) strategies.delete(oldest)
  return known
}

/** One hop of the chain: everything the strategy may see comes with the request. */
const hop: HostHandler = async (body, columns) => {
  const { view, entry } = body as HopRequest
  const windows = view.windows.map((window, index) => ({ ...window, columns: columnsOf(String(index), columns) }))
  return { body: playHop(await strategyOf(view.spec.run_id, entry), { ...view, windows }) }
}

export const runHandlers: Readonly<Record<string, HostHandler>> = { open_run: openRun, chunk, replay, hop }
