/**
 * A tick of a paper or live run, from its clock.Tick until all that it asked for is carried out. Between hops it lies in
 * the run's checkpoint, which changes only under the run's lock.
 */
import type { Reader } from '../../db/database.ts'
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { Outcome, Write } from '../../db/walle/outcome.ts'
import { getCheckpoint } from '../../db/walle/queries/checkpoints.ts'
import { symbolsPausedAsSplit } from '../../db/walle/queries/live_orders.ts'
import { getClockTick, getRunLedger } from '../../db/walle/queries/live_runs.ts'
import { listPositions } from '../../db/walle/queries/results.ts'
import type { PositionRow, RunRow } from '../../db/walle/rows.ts'
import type { Json } from '../../strategies/api.ts'
import { haltRunOutcome } from '../glados/halt_commands.ts'
import { checkHalt, type RiskLimits } from '../glados/risk.ts'
import { lossesOf, markEquity, newWatch, type RiskWatch } from '../greta/risk_watch.ts'
import type { SkipState } from '../greta/skips.ts'
import { type AppliedSplit, sharesPerHeld, splitsOf } from '../greta/splits.ts'
import { createTradeMatcher, type TradeMatcherState } from '../greta/trades.ts'
import type { HopAnswer } from '../hosts/hop_view.ts'
import type { Asked, StrategyMemory } from '../marvin/contract.ts'
import { type Marked, markTrades } from './account.ts'
import { curvePoint, liveStats } from './result.ts'

const HOUR_MS = 3_600_000
/** For so many ticks more an hour more lies between two times that statistics are made, up to a day. */
const TICKS_OF_AN_HOUR = 40_000
const MOST_HOURS = 24

export interface LiveTick {
  bar_index: number
  /** The boundary, epoch milliseconds. */
  ts: number
  corr_id: string
  /** `window`: what it fetched in onTick is waited for. `place`: what it asked for is being carried out. */
  stage: 'window' | 'place' | 'done'
  /** The ordinal of the tick's next event. */
  next_event: number
  /** In onTick; its decision is made after onWindow. */
  asked: Asked
  /** Orders and cancels told so far, over all parts of its decision. */
  told: number
  /** Parts of its decision beyond its own. */
  parts: number
  /** Commands that are not carried out yet, oldest first: ids of their events. */
  pending: string[]
}

export interface NewestBar {
  /** When it opened. */
  time: number
  close: number
  /** So many shares as bars tell of now are one as they told of before: the splits that they have shown. Absent: none. */
  scale?: number
}

/** JSON. */
export interface LiveCheckpoint {
  /** Null until the strategy has spoken for the first time. */
  memory: StrategyMemory | null
  hears: HopAnswer['hears']
  skips: SkipState
  /** By symbol, of the newest bar seen. */
  newest: Record<string, NewestBar>
  marked: Marked
  /** Hours since 1970 of the tick at which statistics were made last. */
  stats_hour: number | null
  /** The event that told of the run's own windows seen last. */
  windows: string | null
  /** By series (`symbol timeframe`), of the newest bar it was told of: open time, and the event. */
  told: Record<string, { newest: number; event: string }>
  /** The newest tick that the strategy heard of, also when it is done; null before the first. */
  tick: LiveTick | null
}

export function newLiveCheckpoint(): LiveCheckpoint {
  return {
    memory: null,
    hears: { ticks: true, orders: true },
    skips: { ranges: [], next: 0 },
    newest: {},
    marked: {},
    stats_hour: null,
    windows: null,
    told: {},
    tick: null,
  }
}

export async function getLiveCheckpoint(reader: Reader, runId: string): Promise<LiveCheckpoint> {
  const stored = await getCheckpoint(reader, runId)
  // What is kept of a run may be older than this.
  return { ...newLiveCheckpoint(), ...(stored?.state as unknown as LiveCheckpoint | undefined) }
}

/** What one share that is held is worth at the newest close, be it that bars tell of other shares already. */
function heldClose(
  symbol: string,
  newest: LiveCheckpoint['newest'],
  splits: readonly AppliedSplit[],
): number | undefined {
  const bar = newest[symbol]
  return bar && bar.close * sharesPerHeld(splits, symbol, bar.scale)
}

export interface Worth {
  cash: string
  positions: readonly Pick<PositionRow, 'symbol' | 'qty' | 'avg_price'>[]
  /** That were applied to what is held. */
  splits: readonly AppliedSplit[]
}

/** Cash and positions at the newest closes seen, in float64; what was never seen is worth what it cost. */
export function equityAt(
  { cash, positions, splits }: Worth,
  newest: LiveCheckpoint['newest'],
): { equity: number; gross: number } {
  let equity = Number(cash)
  let gross = 0
  for (const { symbol, qty, avg_price } of positions) {
    const value = Number(qty) * (heldClose(symbol, newest, splits) ?? Number(avg_price))
    equity += value
    gross += Math.abs(value)
  }
  return { equity, gross }
}

/**
 * Statistics of a run that goes on are made anew at its first tick of every hour, and at its end. They take all of its curve, for which
 * others wait: the longer that is the rarer they are made, so that a run of years costs no more than one of weeks.
 */
export function statsAreDue(hour: number, last: number | null, ticks: number): boolean {
  const hours = Math.min(MOST_HOURS, 1 + Math.floor(ticks / TICKS_OF_AN_HOUR))
  return last === null || Math.abs(hour - last) >= hours
}

/** Under the run's lock: everything that the newest tick's end leaves. Marks it `done`. */
export async function endTick(tx: Reader, run: RunRow, checkpoint: LiveCheckpoint, now: number): Promise<Write[]> {
  const { tick } = checkpoint
  if (tick === null) throw new Error(`The run ${run.id} has no tick to end`)
  tick.stage = 'done'
  const [ledger, positions, clockTick] = await Promise.all([
    getRunLedger(tx, run.id),
    listPositions(tx, run.id),
    getClockTick(tx, run.id, tick.bar_index),
  ])
  const splits = splitsOf(ledger)
  const newest = await sureCloses(tx, run, { newest: checkpoint.newest, positions, splits })
  const worth = equityAt({ cash: ledger?.cash ?? run.initial_cash, positions, splits }, newest)
  // The clock has gone past ticks that were missed meanwhile.
  const next_tick = Math.max(run.next_tick, tick.bar_index + 1)
  const marked = positions.map((row) => ({
    ...row,
    last_price: heldClose(row.symbol, newest, splits) ?? row.last_price,
  }))
  const point = curvePoint(tick.ts, worth)
  const hour = Math.floor(tick.ts / HOUR_MS)
  const due = statsAreDue(hour, checkpoint.stats_hour, tick.bar_index)
  const stats = due ? { stats: await liveStats(tx, run, point) } : {}
  if (due) checkpoint.stats_hour = hour
  return [
    { kind: 'save_positions', rows: marked },
    { kind: 'add_equity', run_id: run.id, tick: tick.bar_index, point },
    { kind: 'save_clock_ticks', rows: clockTick ? [{ ...clockTick, done_at: new Date(now).toISOString() }] : [] },
    { kind: 'save_checkpoint', run_id: run.id, next_tick, state: checkpoint },
    { kind: 'update_run', id: run.id, changes: { next_tick, open_corr_id: null, ...stats } },
  ]
}

/**
 * Where a symbol looks like a split, what is held of it and its price may be of different shares: it is worth what it was, unless
 * its bars have shown what became of one.
 */
async function sureCloses(
  tx: Reader,
  run: RunRow,
  { newest, positions, splits }: Pick<Worth, 'splits'> & Pick<LiveCheckpoint, 'newest'> & { positions: PositionRow[] },
): Promise<LiveCheckpoint['newest']> {
  const shares = positions.filter(({ symbol, qty }) => qty !== '0' && !tradesAroundTheClock(symbol))
  if (shares.length === 0) return newest
  const unsure = await symbolsPausedAsSplit(tx, run)
  const sure = { ...newest }
  for (const { symbol, last_price } of shares) {
    const bar = newest[symbol]
    if (bar === undefined || last_price === null || !unsure.includes(symbol)) continue
    if (sharesPerHeld(splits, symbol, bar.scale) === 1) sure[symbol] = { ...bar, close: last_price }
  }
  return sure
}

/** New bars were seen: what the limits on losses remember of equity, and what open trades have lived through. */
export async function markLedger(
  tx: Reader,
  run: RunRow,
  { tick, newest }: LiveCheckpoint,
  bars: Parameters<typeof markTrades>[1],
  now: number,
): Promise<Outcome> {
  const [ledger, positions] = await Promise.all([getRunLedger(tx, run.id), listPositions(tx, run.id)])
  if (ledger === null || tick === null) return { writes: [], events: [] }
  const limits = run.risk as RiskLimits
  let halted: Outcome = { writes: [], events: [] }
  const changed = { ...ledger }
  if (limits.max_daily_loss != null || limits.max_drawdown != null) {
    const watch = (ledger.risk_watch as RiskWatch | null) ?? newWatch(run.initial_cash)
    const splits = splitsOf(ledger)
    const closes = await sureCloses(tx, run, { newest, positions, splits })
    markEquity(watch, tick.ts, equityAt({ cash: ledger.cash, positions, splits }, closes).equity)
    changed.risk_watch = watch as unknown as Json
    const breach = checkHalt(limits, lossesOf(watch, tick.ts))
    if (breach !== null) halted = haltRunOutcome(run, tick.bar_index, breach, now)
  }
  if (bars.length > 0 && positions.some(({ qty }) => qty !== '0')) {
    const trades = createTradeMatcher(ledger.trade_matcher as unknown as TradeMatcherState)
    markTrades(trades, bars)
    changed.trade_matcher = trades.save() as unknown as Json
  }
  return { ...halted, writes: [{ kind: 'save_run_ledgers', rows: [changed] }, ...halted.writes] }
}

/** Whether a command is the run's oldest that is not carried out: of two, a cancel may mean the order before it. */
export async function isOldestCommand(reader: Reader, runId: string, commandId: string): Promise<boolean> {
  const { tick } = await getLiveCheckpoint(reader, runId)
  return !tick?.pending.includes(commandId) || tick.pending[0] === commandId
}

/**
 * Under the run's lock, in the transaction that carries a command out: what that changes of the tick. The last command
 * of a tick ends it.
 */
export async function commandDone(tx: Reader, run: RunRow, commandId: string, now: number): Promise<Write[]> {
  const checkpoint = await getLiveCheckpoint(tx, run.id)
  const { tick } = checkpoint
  if (!tick?.pending.includes(commandId)) return []
  tick.pending = tick.pending.filter((id) => id !== commandId)
  if (tick.stage === 'place' && tick.pending.length === 0) return endTick(tx, run, checkpoint, now)
  return [{ kind: 'save_checkpoint', run_id: run.id, next_tick: run.next_tick, state: checkpoint }]
}
