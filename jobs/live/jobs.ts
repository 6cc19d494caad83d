/**
 * The strategy's side of a paper or live run: it hears of the tick with its windows, and of its orders, and asks for orders.
 * One job a hop, each played on a snapshot of the run and then recorded in one transaction, once (I3): who plays it again
 * makes the same events, by id. Hops of a run share a queue; one that comes before its turn is put back.
 */
import { hash } from 'node:crypto'
import type { Database, Reader, WriteTx } from '../../db/database.ts'
import { claim, isClaimed } from '../../db/events/claims.ts'
import type { LogEvent } from '../../db/events/envelope.ts'
import { getEvent } from '../../db/events/read.ts'
import { lastOfRun } from '../../db/events/run_log.ts'
import type { TaskName, TaskPayload } from '../../db/events/tasks.ts'
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import type { HopRow } from '../../db/walle/parity_rows.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { CandleColumns, RunError, RunRow } from '../../db/walle/rows.ts'
import type { RunningJob } from '../backtest/jobs.ts'
import { sharesPerHeld, splitOfPrice } from '../greta/splits.ts'
import type { HopAnswer, HopView } from '../hosts/hop_view.ts'
import { addLogContext } from '../log.ts'
import type { StrategyMemory } from '../marvin/contract.ts'
import { StrategyFailure } from '../marvin/failure.ts'
import { unmarkedBars } from './account.ts'
import { BEFORE_WINDOWS, furtherFetch, furtherPart, noteRejection, tickDecision } from './decisions.ts'
import type { Live } from './live.ts'
import { tradedAfterEnd } from './result.ts'
import { endTick, getLiveCheckpoint, type LiveCheckpoint, type LiveTick, markLedger, type NewestBar } from './ticks.ts'
import {
  type Account,
  emptyWindows,
  heardOrder,
  isWindowEvent,
  type ReadWindows,
  readAccount,
  readWindows,
  viewOf,
  type WindowEvent,
} from './view.ts'

const LIVE_HOPS = ['marvin.on_live_window', 'marvin.on_order'] as const satisfies TaskName[]
export type LiveHopTask = (typeof LIVE_HOPS)[number]

/** A hop that comes before its turn looks again after this long: the hop before it has failed and is tried again. */
const PUT_BACK_MS = 200

export interface LiveHopJobs extends Pick<Live, 'record' | 'hop' | 'now'> {
  db: Database
  /** The end of the run, which is locked, for what its strategy did. */
  endRun: (tx: WriteTx, run: RunRow, failure: RunError) => Promise<Outcome>
}

interface LiveHopJob extends RunningJob {
  putBack(delayMs: number): Promise<never>
}

type Played = 'too early' | ((tx: WriteTx, run: RunRow) => Promise<Outcome>) | null

/** Handles one hop: plays it on what the run is now, then records what came of it. */
export async function runLiveHop(
  jobs: LiveHopJobs,
  task: LiveHopTask,
  payload: TaskPayload<LiveHopTask>,
  job: LiveHopJob,
): Promise<void> {
  const hop = await openHop(jobs, task, payload)
  addLogContext({ corr_id: hop?.event.corr_id ?? null })
  const played = hop && (await playHop(jobs, hop))
  job.signal.throwIfAborted()
  if (played === 'too early') return job.putBack(PUT_BACK_MS)
  // Nothing of it has left yet: what goes out later flushes this before it.
  await jobs.db.write(
    async (tx) => {
      const run = await lockRun(tx, payload.run_id)
      const current = run?.status === 'running' && played !== null
      const ended = run !== null && run.status !== 'running'
      if ((current || ended) && (await claim(tx, task, payload.event_id))) {
        // Nobody is spoken to any more.
        const outcome = current ? await played(tx, run) : await tradedAfterEnd(tx, run as RunRow, payload.event_id)
        const hops = { kind: 'insert_hops', rows: current ? (hop?.spoken ?? []) : [] } as const
        await jobs.record(tx, { ...outcome, writes: [...outcome.writes, hops] })
      }
      await job.finish(tx)
    },
    { flush: false },
  )
}

interface Hop {
  run: RunRow
  event: LogEvent
  checkpoint: LiveCheckpoint
  /** The run's own. */
  windows: ReadWindows
  /** What it fetched at its tick; null before that came. */
  fetched: ReadWindows | null
  /** What it sees. Null: the strategy has no method for what happened. */
  seen: { account: Account; changed: HopView['changed']; last: number } | null
  /** For whoever plays the run again. */
  spoken: HopRow[]
}

/** Everything in one snapshot: a fill that is booked meanwhile is seen whole, or not at all. Null: nothing to be done. */
function openHop(
  { db }: LiveHopJobs,
  task: LiveHopTask,
  { run_id, event_id }: TaskPayload<LiveHopTask>,
): Promise<Hop | null> {
  return db.read(async (reader) => {
    const [run, claimed, found, checkpoint] = await Promise.all([
      getRun(reader, run_id),
      isClaimed(reader, task, event_id),
      getEvent(reader, event_id),
      getLiveCheckpoint(reader, run_id),
    ])
    if (run?.status !== 'running' || claimed) return null
    if (found === null) throw new Error(`The event ${event_id} that set off ${task} is not in the log`)
    const event = found as LogEvent
    const hop = { run, event, checkpoint, spoken: [] }
    // The rest is not read for what nobody hears: most strategies have nothing but onWindow.
    if (!isWindowEvent(event) && !checkpoint.hears.orders) {
      return { ...hop, windows: emptyWindows(run), fetched: null, seen: null }
    }
    const [account, changed, windows, last] = await Promise.all([
      readAccount(reader, run),
      heardOrder(reader, event),
      windowsOf(reader, run, event, checkpoint),
      lastOfRun(reader, run_id),
    ])
    return { ...hop, ...windows, seen: { account, changed, last } }
  })
}

/** Those that the event tells of, and those that were seen last: there are no newer ones before the next are fetched. */
async function windowsOf(
  reader: Reader,
  run: RunRow,
  event: LogEvent,
  checkpoint: LiveCheckpoint,
): Promise<Pick<Hop, 'windows' | 'fetched'>> {
  const told = isWindowEvent(event) ? await readWindows(reader, event) : null
  if (told !== null && !isFetched(event as WindowEvent, checkpoint)) return { windows: told, fetched: null }
  const last = checkpoint.windows === null ? null : ((await getEvent(reader, checkpoint.windows)) as LogEvent | null)
  const own =
    last !== null && isWindowEvent(last) ? await readWindows(reader, last, { again: true }) : emptyWindows(run)
  return { windows: own, fetched: told }
}

/** Of two answers of one tick the first is the run's own windows. */
function isFetched({ payload }: WindowEvent, { tick }: LiveCheckpoint): boolean {
  return tick?.bar_index === payload.bar_index && tick.stage === 'window'
}

async function playHop(jobs: LiveHopJobs, hop: Hop): Promise<Played> {
  const { event } = hop
  try {
    if (!isWindowEvent(event)) return await hearOrder(jobs, hop)
    return hop.fetched === null ? await hearTick(jobs, hop, event) : await hearFetched(jobs, hop, event)
  } catch (error) {
    if (!(error instanceof StrategyFailure)) throw error
    const failure = { ...placeOf(hop.checkpoint.tick), ...error.failure }
    return (tx, run) => jobs.endRun(tx, run, failure)
  }
}

function placeOf(tick: LiveTick | null): { bar_index: number; ts: string } | null {
  return tick && { bar_index: tick.bar_index, ts: new Date(tick.ts).toISOString() }
}

/** Null where it has nothing to say to this. */
async function speak(jobs: LiveHopJobs, hop: Hop, phase: HopView['phase'], tick: LiveTick): Promise<HopAnswer | null> {
  const { run, checkpoint, windows, fetched, seen } = hop
  if (seen === null) return null
  const { account, changed } = seen
  // Of two of one series the later one counts.
  const shown = [...windows.shown, ...(fetched?.shown ?? [])]
  const view = viewOf(run, checkpoint, account, { phase, tick, changed, windows: shown })
  const answer = await jobs.hop(run, view)
  checkpoint.memory = answer.memory
  checkpoint.hears = answer.hears
  note(hop, phase, tick, memoryHash(answer.memory))
  return answer
}

function note(
  { run, event, seen, spoken }: Hop,
  phase: HopRow['phase'],
  { bar_index }: LiveTick,
  memory_hash: string | null,
) {
  spoken.push({ run_id: run.id, event_id: event.id, bar_index, phase, seen: seen?.last ?? 0, memory_hash })
}

export function memoryHash(memory: StrategyMemory): string {
  return hash('sha256', JSON.stringify(memory))
}

/**
 * The strategy hears of the tick, which its windows bring, and decides where there is something new to decide on: at once,
 * or when what it asked for in onTick has come. What it could not decide on anyway is not fetched.
 */
async function hearTick(jobs: LiveHopJobs, hop: Hop, event: WindowEvent): Promise<Played> {
  const { run, checkpoint, windows } = hop
  const { bar_index } = event.payload
  const before = checkpoint.tick
  if (before !== null && before.bar_index >= bar_index) return null
  if (before !== null && before.stage !== 'done') return 'too early'
  const tick: LiveTick = {
    ...{ bar_index, ts: Date.parse(event.ts), corr_id: event.corr_id, stage: 'place' },
    ...{ next_event: BEFORE_WINDOWS + windows.events, asked: nothing(), told: 0, parts: 0 },
    // What was asked for since the tick before, and is not carried out yet, goes first still.
    pending: before?.pending ?? [],
  }
  checkpoint.tick = tick
  checkpoint.windows = event.id
  noteTold(checkpoint, event, windows)
  const { account } = hop.seen as NonNullable<Hop['seen']>
  const due = takeIn({ ...hop, account })
  if (!due && !checkpoint.hears.ticks) {
    note(hop, 'window', tick, null)
    return decided(jobs, hop, event, due)
  }
  const answer = await speak(jobs, hop, due ? 'tick_window' : 'tick', tick)
  if (answer !== null) tick.asked = answer.asked
  if (!due || answer === null || answer.requests.length === 0) return decided(jobs, hop, event, due)
  tick.stage = 'window'
  const events = furtherFetch(run, tick, event.id, answer.requests)
  return async (_tx, locked) => ({ writes: saved(locked, hop), events })
}

const nothing = (): LiveTick['asked'] => ({ intents: [], skips: [], logs: [] })

/** What the strategy asked for in onTick has come. */
async function hearFetched(jobs: LiveHopJobs, hop: Hop, event: WindowEvent): Promise<Played> {
  const tick = hop.checkpoint.tick as LiveTick
  tick.stage = 'place'
  tick.next_event += (hop.fetched as ReadWindows).events
  noteTold(hop.checkpoint, event, hop.fetched as ReadWindows)
  const answer = await speak(jobs, hop, 'window', tick)
  if (answer !== null) {
    tick.asked.intents.push(...answer.asked.intents)
    tick.asked.skips.push(...answer.asked.skips)
    tick.asked.logs.push(...answer.asked.logs)
  }
  return decided(jobs, hop, event, true)
}

/** The strategy has said all it will say at this tick. */
function decided(jobs: LiveHopJobs, hop: Hop, event: WindowEvent, due: boolean): Played {
  const { run, checkpoint, windows } = hop
  const tick = checkpoint.tick as LiveTick
  const told = tickDecision(run, checkpoint, { due, cause: event.id })
  tick.asked = nothing()
  // With the decision, whose place in the log tells which fills came before.
  const bars = told.events.length > 0 ? unmarkedBars(run, windows.shown, checkpoint.marked) : []
  return async (tx, locked) => {
    const [marked, rest] = await Promise.all([
      markLedger(tx, locked, checkpoint, bars, jobs.now()),
      tick.pending.length === 0 ? endTick(tx, locked, checkpoint, jobs.now()) : saved(locked, hop),
    ])
    return {
      ...marked,
      writes: [...told.writes, ...marked.writes, ...rest],
      events: [...told.events, ...marked.events],
    }
  }
}

function saved(run: RunRow, { checkpoint }: Hop): Outcome['writes'] {
  return [{ kind: 'save_checkpoint', run_id: run.id, next_tick: run.next_tick, state: checkpoint }]
}

/** Where to find what it was told last of each series. */
function noteTold({ told }: LiveCheckpoint, { id }: WindowEvent, { shown }: ReadWindows): void {
  for (const { symbol, timeframe, columns } of shown) {
    const name = `${symbol} ${timeframe}`
    const newest = columns.time.at(-1)
    if (newest !== undefined && !(newest < (told[name]?.newest ?? newest))) told[name] = { newest, event: id }
  }
}

interface TakenIn extends Pick<Hop, 'run' | 'checkpoint' | 'windows'> {
  account: Pick<Account, 'positions' | 'splits'>
}

/**
 * After a split all bars are of the new shares: the one that was seen last has another price than it had then. Where that cannot
 * be seen, or nothing is held, bars are taken to be of the shares that are held.
 */
function scaleOf(
  symbol: string,
  known: NewestBar | undefined,
  { time, close }: CandleColumns,
  { positions, splits }: TakenIn['account'],
): number {
  if (tradesAroundTheClock(symbol)) return 1
  const isHeld = positions.some((one) => one.symbol === symbol && one.qty !== '0')
  const before = known === undefined || !isHeld ? undefined : close[time.lastIndexOf(known.time)]
  if (known === undefined || before === undefined) return 1 / sharesPerHeld(splits, symbol)
  return (known.scale ?? 1) * splitOfPrice(known.close, before)
}

/**
 * Notes the newest bars, never back in time. True when at least one symbol got a new one and all have as many as the
 * strategy wants.
 */
export function takeIn({ run, checkpoint, windows, account }: TakenIn): boolean {
  let anyNew = false
  let ready = true
  for (const symbol of run.symbols) {
    const own = windows.shown.findLast((one) => one.symbol === symbol && one.timeframe === run.timeframe)
    const { time, close } = own?.columns ?? { time: [], close: [] }
    const [newest, known] = [time.at(-1), checkpoint.newest[symbol]?.time]
    if (time.length < run.window_bars) ready = false
    if (newest === undefined || (known !== undefined && newest < known)) continue
    if (newest !== known) anyNew = true
    const bar = { time: newest, close: close.at(-1) as number }
    const scale = own === undefined ? 1 : scaleOf(symbol, checkpoint.newest[symbol], own.columns, account)
    checkpoint.newest[symbol] = scale === 1 ? bar : { ...bar, scale }
  }
  return anyNew && ready
}

/** The strategy hears that an order of its changed. What it asks for is a further part of the newest tick's decision. */
async function hearOrder(jobs: LiveHopJobs, hop: Hop): Promise<Played> {
  const { run, event, checkpoint } = hop
  const { tick } = checkpoint
  // Before its first tick a run has asked for nothing.
  if (tick === null) return async () => ({ writes: [], events: [] })
  const rejected = event.type === 'orders.Rejected' ? noteRejection(run, checkpoint, event.payload) : []
  const answer = await speak(jobs, hop, 'order', tick)
  if (answer === null) {
    const kept = (locked: RunRow) => (rejected.length === 0 ? [] : [...rejected, ...saved(locked, hop)])
    return async (_tx, locked) => ({ writes: kept(locked), events: [] })
  }
  const told = furtherPart(run, checkpoint, answer.asked, event.id)
  return async (_tx, locked) => ({
    writes: [...rejected, ...told.writes, ...saved(locked, hop)],
    events: told.events,
  })
}
