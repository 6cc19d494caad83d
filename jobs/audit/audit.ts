/**
 * The look-ahead audit: plays a strategy again under conditions that must not matter, and says which decisions changed.
 * How the plays are made is the caller's; in what is asked of them, and in the verdict, this is pure.
 */
import { mulberry32 } from '../../db/walle/generate.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { Checkpoint, RunSpec } from '../backtest/backtest.ts'
import { changeFuture, cutFuture, cutPast } from '../greta/counterfactual.ts'
import { closedAt, ticksOf } from '../greta/ticks.ts'
import { type Comparison, compareDecisions, type DecisionChange, MOST_TOLD } from '../marvin/decision_diff.ts'
import type { AuditPlay, AuditPlayed } from './play.ts'

export interface AuditSubject {
  spec: RunSpec
  /** Per symbol: warm-up, then the range. */
  columns: CandleColumns[]
  warmup: number[]
  windowBars: number
}

/** In which world a play happens. */
export interface AuditWorld {
  columns: CandleColumns[]
  /** What becomes of stored bars that the strategy fetches. */
  fetched: (columns: CandleColumns, timeframe: Timeframe) => CandleColumns
  /** In a process in which nothing ran before. */
  newProcess: boolean
}

export type AuditPlayer = (play: AuditPlay, world: AuditWorld) => Promise<AuditPlayed>

export interface AuditOptions {
  cuts: number
  seed: number
}

export const AUDIT_CHECKS = {
  cut_future: 'history ends at the tick',
  changed_future: 'other bars come after the tick',
  new_instance: 'the strategy is loaded anew for every tick',
  new_process: 'the run goes on in another process',
  longer_window: 'the window is twice as long',
  shorter_history: 'what is fetched goes back half as far',
  other_start: 'ctx.state begins at another tick',
} as const
export type AuditCheck = keyof typeof AUDIT_CHECKS

const MEANS: Readonly<Record<AuditCheck, string>> = {
  cut_future: 'look-ahead: a decision hung on bars that were not there yet',
  changed_future: 'look-ahead: a decision hung on bars that were not there yet',
  new_instance: 'module state: something outside of ctx.state is kept between ticks, and is lost when a run resumes',
  new_process: 'module state: something outside of ctx.state is kept between ticks, and is lost when a run resumes',
  longer_window: 'history: an indicator gives other values when its window holds more bars; count from the end of it',
  shorter_history: 'history: an indicator gives other values when less is stored; fetch as many bars as it needs',
  other_start:
    'ctx.state carries what was seen since the start, so decisions depend on when a run starts; no fault in itself',
}

/** Told, but no finding: a strategy may carry state, that is what it is for. */
const NOTES: readonly AuditCheck[] = ['other_start']

export interface CheckReport extends Comparison {
  check: AuditCheck
  asks: string
  plays: number
  found: boolean
  /** What a change means; null where there is none. */
  means: string | null
}

export interface AuditReport {
  strategy_id: string
  symbols: string[]
  timeframe: Timeframe
  seed: number
  ticks: number
  /** Ticks at which the strategy asked for something. */
  decisions: number
  /** The ticks at which history was cut. */
  cuts: number[]
  checks: CheckReport[]
  verdict: 'clean' | 'found' | 'failed'
  /** Why the strategy could not be played at all. */
  failure: string | null
}

/** Ticks that are played with an instance each: loading a file costs more than a tick does. */
const NEW_INSTANCE_TICKS = 300
/** Ticks that are played on in another process. */
const NEW_PROCESS_TICKS = 2_000
/** Starts of `ctx.state` that are tried. */
const OTHER_STARTS = 3
const WINDOW_FACTOR = 2

export async function auditStrategy(
  strategyId: string,
  subject: AuditSubject,
  options: AuditOptions,
  player: AuditPlayer,
): Promise<AuditReport> {
  const { spec, columns, warmup } = subject
  const frame = TIMEFRAME_MS[spec.timeframe]
  const ticks = ticksOf(columns, warmup, frame)
  const play = bound(subject, ticks, player)
  const scout = await play.base([])
  const cuts = chooseCuts(scout, ticks.length, options)
  const told = {
    ...{ strategy_id: strategyId, symbols: spec.symbols, timeframe: spec.timeframe, seed: options.seed },
    ...{ ticks: ticks.length, decisions: scout.decisions.length, cuts },
  }
  if (scout.failure !== null) return { ...told, checks: [], verdict: 'failed', failure: scout.failure }
  const wide = firstWideTick(subject, ticks)
  const baseline = await play.base([...cuts.map((cut) => cut + 1), ...(wide === null ? [] : [wide])])
  const audit: Audit = { subject, ticks, options, play, baseline, cuts }
  const checks = [
    await checkFutures(audit, 'cut_future'),
    await checkFutures(audit, 'changed_future'),
    await checkNewInstance(audit),
    await checkNewProcess(audit),
    await checkLongerWindow(audit, wide),
    await checkShorterHistory(audit),
    await checkOtherStart(audit),
  ]
  const found = checks.some((check) => check.found)
  return { ...told, checks, verdict: found ? 'found' : 'clean', failure: null }
}

interface Audit {
  subject: AuditSubject
  ticks: Float64Array
  options: AuditOptions
  play: ReturnType<typeof bound>
  baseline: AuditPlayed
  cuts: number[]
}

const AS_STORED = (columns: CandleColumns): CandleColumns => columns

/** The player with what all plays have in common. */
function bound({ spec, columns }: AuditSubject, ticks: Float64Array, player: AuditPlayer) {
  const whole = { spec, from: 0, to: ticks.length, checkpoint: null, stops: [] }
  const plain = { new_state: false, window_factor: 1, fresh: false }
  const world: AuditWorld = { columns, fetched: AS_STORED, newProcess: false }
  return {
    base: (stops: number[]) => player({ ...whole, ...plain, stops }, world),
    other: (play: Partial<AuditPlay>, otherWorld: Partial<AuditWorld> = {}) =>
      player({ ...whole, ...plain, ...play }, { ...world, ...otherWorld }),
  }
}

/** Half of them where the strategy did something: there a peek shows. */
function chooseCuts(scout: AuditPlayed, ticks: number, { cuts, seed }: AuditOptions): number[] {
  const random = mulberry32(seed)
  const last = ticks - 2
  const acted = scout.decisions.filter(({ intents, bar_index }) => intents.length > 0 && bar_index <= last)
  const chosen = new Set<number>()
  const drawn = (count: number, draw: () => number) => {
    for (let tries = 0; chosen.size < count && tries < count * 20; tries++) chosen.add(draw())
  }
  if (last < 0) return []
  if (acted.length > 0)
    drawn(cuts / 2, () => (acted[Math.floor(random() * acted.length)] as { bar_index: number }).bar_index)
  drawn(cuts, () => Math.floor(random() * (last + 1)))
  return [...chosen].sort((one, other) => one - other)
}

/** What is decided up to a tick, and what is carried from it, while the future is another. */
async function checkFutures(audit: Audit, check: 'cut_future' | 'changed_future'): Promise<CheckReport> {
  const { subject, ticks, options, play, baseline, cuts } = audit
  const comparisons: Comparison[] = []
  for (const cut of cuts) {
    const ts = ticks[cut] as number
    const other = (columns: CandleColumns, timeframe: Timeframe) =>
      check === 'cut_future'
        ? cutFuture(columns, TIMEFRAME_MS[timeframe], ts)
        : changeFuture(columns, TIMEFRAME_MS[timeframe], ts, mulberry32(options.seed + cut))
    const columns = subject.columns.map((one) => other(one, subject.spec.timeframe))
    const played = await play.other({ to: cut + 1 }, { columns, fetched: other })
    const comparison = compareDecisions(baseline.decisions, played.decisions, { from: 0, to: cut + 1 })
    const carried = compareState(baseline.checkpoints[cut + 1], played, cut, ts)
    comparisons.push(played.failure === null ? added(comparison, carried) : failed(comparison, played.failure, cut, ts))
  }
  return report(check, comparisons)
}

/** A peek that is only carried would show at a later decision. */
function compareState(
  base: Checkpoint | undefined,
  played: AuditPlayed,
  tick: number,
  ts: number,
): DecisionChange | null {
  const was = JSON.stringify(base?.memory.state ?? null)
  const is = JSON.stringify(played.state)
  return was === is ? null : changeAt(tick, ts, `ctx.state ${was}`, `ctx.state ${is}`)
}

const LONGEST = 400

function changeAt(tick: number, ts: number, was: string, is: string): DecisionChange {
  const short = (text: string) => text.slice(0, LONGEST)
  return { bar_index: tick, ts: new Date(ts).toISOString(), was: short(was), is: short(is), differs: [] }
}

function added(comparison: Comparison, change: DecisionChange | null): Comparison {
  if (change === null || comparison.changed > 0) return comparison
  return { ...comparison, changed: 1, changes: [change] }
}

function failed(comparison: Comparison, failure: string, tick: number, ts: number): Comparison {
  return added(
    { ...comparison, changed: 0, changes: [] },
    changeAt(tick, ts, 'the run went on', `it failed: ${failure}`),
  )
}

async function checkNewInstance({ ticks, play, baseline }: Audit): Promise<CheckReport> {
  const to = Math.min(ticks.length, NEW_INSTANCE_TICKS)
  const played = await play.other({ fresh: true, to })
  return report('new_instance', [held(baseline, played, { from: 0, to }, ticks)])
}

async function checkNewProcess({ ticks, play, baseline, cuts }: Audit): Promise<CheckReport> {
  const comparisons: Comparison[] = []
  for (const cut of cuts) {
    const from = cut + 1
    const to = Math.min(ticks.length, from + NEW_PROCESS_TICKS)
    const played = await play.other({ from, to, checkpoint: baseline.checkpoints[from] ?? null }, { newProcess: true })
    comparisons.push(held(baseline, played, { from, to }, ticks))
  }
  return report('new_process', comparisons)
}

/**
 * The first tick at which every symbol has the bars of a window that is so much longer. Not before a third of the run, so
 * that what starts from the first window, as a recursion carried in ctx.state may, has started.
 */
function firstWideTick({ columns, windowBars, spec }: AuditSubject, ticks: Float64Array): number | null {
  const wanted = windowBars * WINDOW_FACTOR
  const tick = ticks.findIndex(
    (ts, index) =>
      index * 3 >= ticks.length && columns.every((one) => closedAt(one, TIMEFRAME_MS[spec.timeframe], ts) >= wanted),
  )
  return tick < 0 ? null : tick
}

async function checkLongerWindow({ ticks, play, baseline }: Audit, wide: number | null): Promise<CheckReport> {
  if (wide === null) return report('longer_window', [])
  const checkpoint = baseline.checkpoints[wide] ?? null
  const played = await play.other({ from: wide, checkpoint, window_factor: WINDOW_FACTOR })
  return report('longer_window', [held(baseline, played, { from: wide, to: ticks.length }, ticks)])
}

async function checkShorterHistory({ ticks, play, baseline }: Audit): Promise<CheckReport> {
  const start = ticks[0]
  if (!baseline.fetched || start === undefined) return report('shorter_history', [])
  const fetched = (columns: CandleColumns, timeframe: Timeframe) => {
    const frame = TIMEFRAME_MS[timeframe]
    return cutPast(columns, frame, start, Math.floor(closedAt(columns, frame, start) / 2))
  }
  const played = await play.other({}, { fetched })
  return report('shorter_history', [held(baseline, played, { from: 0, to: ticks.length }, ticks)])
}

async function checkOtherStart({ ticks, play, baseline, cuts }: Audit): Promise<CheckReport> {
  const comparisons: Comparison[] = []
  for (const cut of cuts.slice(0, OTHER_STARTS)) {
    const from = cut + 1
    const checkpoint = baseline.checkpoints[from] ?? null
    const played = await play.other({ from, checkpoint, new_state: true })
    comparisons.push(held(baseline, played, { from, to: ticks.length }, ticks))
  }
  return report('other_start', comparisons)
}

function held(
  baseline: AuditPlayed,
  played: AuditPlayed,
  range: { from: number; to: number },
  ticks: Float64Array,
): Comparison {
  const comparison = compareDecisions(baseline.decisions, played.decisions, range)
  const end = range.to - 1
  return played.failure === null ? comparison : failed(comparison, played.failure, end, ticks[end] as number)
}

/** All plays of a check as one; a tick that changed in several of them is told once. */
function report(check: AuditCheck, comparisons: readonly Comparison[]): CheckReport {
  const byTick = new Map<number, DecisionChange>()
  for (const { changes } of comparisons) {
    for (const change of changes) if (!byTick.has(change.bar_index)) byTick.set(change.bar_index, change)
  }
  const changes = [...byTick.values()].sort((one, other) => one.bar_index - other.bar_index)
  const found = changes.length > 0 && !NOTES.includes(check)
  return {
    ...{ check, asks: AUDIT_CHECKS[check], plays: comparisons.length, found },
    means: changes.length > 0 ? MEANS[check] : null,
    ticks: comparisons.reduce((sum, one) => sum + one.ticks, 0),
    changed: changes.length,
    changes: changes.slice(0, MOST_TOLD),
  }
}
