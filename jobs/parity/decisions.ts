/**
 * The strategy of a paper or live run hears everything once more, as it was recorded and in that order, in a host of its own
 * and with nothing in its memory but what it says itself: what it asks for is held against what it asked for then.
 */
import type { LogEvent } from '../../db/events/envelope.ts'
import type { HopRow } from '../../db/walle/parity_rows.ts'
import { isOrderEvent } from '../../db/walle/projections/orders.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { FetchRequest, Intent } from '../../strategies/api.ts'
import type { HopAnswer, HopView } from '../hosts/hop_view.ts'
import { memoryHash, takeIn } from '../live/jobs.ts'
import { type LiveCheckpoint, type LiveTick, newLiveCheckpoint } from '../live/ticks.ts'
import { emptyWindows, heardView, isWindowEvent, type ReadWindows, viewOf } from '../live/view.ts'
import { compareDecisions } from '../marvin/decision_diff.ts'
import { StrategyFailure } from '../marvin/failure.ts'
import type { ReplayAccount } from './account.ts'
import type { Found } from './parity.ts'

type Decided = Extract<LogEvent, { type: 'strategy.DecisionMade' }>
type Requested = Extract<LogEvent, { type: 'strategy.FetchWindow' }>

export interface DecisionParts {
  run: RunRow
  account: ReplayAccount
  ask: (run: RunRow, view: HopView) => Promise<HopAnswer>
  report: (found: Found) => void
}

/** A hop, with the event that it heard and, where that brought windows, those. */
export interface Heard {
  row: HopRow
  event: LogEvent
  windows: ReadWindows | null
}

export interface DecisionReplay {
  /** What the run knew of the market then. */
  readonly newest: LiveCheckpoint['newest']
  /** How often the strategy was asked. */
  readonly asked: number
  hear(heard: Heard): Promise<void>
  /** What the run decided; `intents` also where the event was too small for them. */
  decided(event: Decided, intents: readonly Intent[], place: number): void
  fetched(event: Requested, place: number): void
  /** What the replay asks for, and the run never did. */
  end(): void
}

/** What the strategy asks for at a hop, until the run's own answer to it is met in the log. */
interface Expected {
  tick: Pick<LiveTick, 'bar_index' | 'ts'>
  seen: number
  intents: Intent[]
  requests: FetchRequest[] | null
}

interface State extends DecisionParts {
  checkpoint: LiveCheckpoint
  expected: Map<string, Expected>
  /** Events that were heard. */
  heard: Set<string>
  /** The run's own windows, as they were seen last. */
  own: ReadWindows
  /** Asked for in onTick; decided after onWindow. */
  carried: Intent[]
  /** Its memory was what the run's was. */
  remembers: boolean
  failed: boolean
  asked: number
}

export function createDecisionReplay(parts: DecisionParts): DecisionReplay {
  const state: State = {
    ...{ ...parts, checkpoint: newLiveCheckpoint(), expected: new Map(), heard: new Set() },
    ...{ own: emptyWindows(parts.run), carried: [], remembers: true, failed: false, asked: 0 },
  }
  return {
    get newest() {
      return state.checkpoint.newest
    },
    get asked() {
      return state.asked
    },
    hear: (heard) => hear(state, heard),
    decided: (event, intents, place) => decided(state, event, intents, place),
    fetched: (event, place) => fetched(state, event, place),
    end: () => end(state),
  }
}

/** Moves on to the event's windows. Null: it brought none; else whether there is something new to decide on. */
function takeWindows(state: State, { row, event, windows }: Heard): boolean | null {
  const { run, account, checkpoint } = state
  if (windows === null || (row.phase === 'window' && row.memory_hash !== null)) return null
  state.own = windows
  state.carried = []
  checkpoint.tick = tickOf(row.bar_index, Date.parse(event.ts))
  return takeIn({ run, checkpoint, windows, account: account.now() })
}

async function answerOf(state: State, { row, event, windows }: Heard, tick: LiveTick): Promise<HopAnswer | null> {
  const { run, account, checkpoint, ask, report } = state
  const shown = row.phase === 'window' && windows !== null ? [...state.own.shown, ...windows.shown] : state.own.shown
  const order = isOrderEvent(event) ? account.order(event.payload.order_id) : null
  const changed = order !== null && isOrderEvent(event) ? [heardView(order, event)] : []
  try {
    state.asked += 1
    return await ask(run, viewOf(run, checkpoint, account.now(), { phase: row.phase, tick, changed, windows: shown }))
  } catch (error) {
    if (!(error instanceof StrategyFailure)) throw error
    state.failed = true
    const cause = `played again, the strategy fails, and nothing after that was compared: ${error.message}`
    report({ ...difference(tick, row.seen, 'failure', cause), recorded: 'no failure', expected: error.message })
    return null
  }
}

function compareMemory(state: State, row: HopRow, tick: LiveTick): void {
  const { checkpoint, report } = state
  if (checkpoint.memory === null) return
  const hash = memoryHash(checkpoint.memory)
  const agrees = hash === row.memory_hash
  if (!agrees && state.remembers) {
    const cause = 'from here on the strategy carries something else in its state than it did then'
    report({ ...difference(tick, row.seen, 'memory', cause), recorded: row.memory_hash, expected: hash })
  }
  state.remembers = agrees
}

async function hear(state: State, one: Heard): Promise<void> {
  const { checkpoint, expected, heard, report } = state
  const { row, event } = one
  heard.add(event.id)
  const due = takeWindows(state, one)
  if (due !== null && due !== (row.phase === 'tick_window')) {
    const cause = 'whether the windows held something new to decide on'
    const words = (is: boolean) => (is ? 'the strategy is asked' : 'the strategy is not asked')
    const tick = checkpoint.tick as LiveTick
    report({ ...difference(tick, row.seen, 'asked', cause), recorded: words(!due), expected: words(due) })
  }
  if (row.memory_hash === null || state.failed) return
  const tick = checkpoint.tick ?? tickOf(row.bar_index, Date.parse(event.ts))
  const answer = await answerOf(state, one, tick)
  if (answer === null) return
  checkpoint.memory = answer.memory
  compareMemory(state, row, tick)
  const waits = row.phase === 'tick_window' && answer.requests.length > 0
  const intents = [...(isWindowEvent(event) ? state.carried : []), ...answer.asked.intents]
  state.carried = waits ? intents : []
  expected.set(event.id, {
    tick,
    seen: row.seen,
    intents: waits ? [] : intents,
    requests: waits ? answer.requests : null,
  })
}

function decided(state: State, event: Decided, intents: readonly Intent[], place: number): void {
  const { expected, heard, report } = state
  const { bar_index } = event.payload
  const cause = event.causation_id ?? ''
  const found = expected.get(cause)
  expected.delete(cause)
  if (state.failed && found === undefined) return
  const tick = { bar_index, ts: Date.parse(event.ts) }
  if (found === undefined && !heard.has(cause) && intents.length > 0) {
    report({
      ...difference(tick, place, 'extra', 'nothing was heard that it decided on'),
      recorded: `${intents.length} intents`,
      expected: 'nothing',
    })
    return
  }
  compare(state, tick, place, intents, found?.intents ?? [])
}

function fetched({ expected, failed, report }: State, event: Requested, place: number): void {
  const found = expected.get(event.causation_id ?? '')
  if (found === undefined || failed) return
  expected.delete(event.causation_id ?? '')
  const [recorded, again] = [toldRequests(event.payload.requests), toldRequests(found.requests ?? [])]
  if (recorded === again) return
  const cause = 'the strategy asks for other windows'
  report({ ...difference(found.tick, place, 'fetch', cause), recorded, expected: again })
}

function end(state: State): void {
  const { expected, report } = state
  for (const { tick, seen, intents, requests } of expected.values()) {
    compare(state, tick, seen, [], intents)
    if (requests === null) continue
    const cause = 'the strategy asks for windows, and then it did not'
    report({ ...difference(tick, seen, 'fetch', cause), recorded: 'nothing', expected: toldRequests(requests) })
  }
  expected.clear()
}

function compare(
  { report }: State,
  tick: Expected['tick'],
  place: number,
  recorded: readonly Intent[],
  again: Intent[],
): void {
  const decision = (intents: readonly Intent[]) => [{ ...tick, intents: intents.map(inOrder), skips: [], logs: [] }]
  const { bar_index } = tick
  const [change] = compareDecisions(decision(recorded), decision(again), {
    from: bar_index,
    to: bar_index + 1,
  }).changes
  if (change === undefined) return
  const cause = `on the same inputs the strategy asks for something else: ${change.differs.join('; ')}`
  report({ ...difference(tick, place, 'intents', cause), recorded: change.was, expected: change.is })
}

/** The log keeps what an intent says, not in which order. */
function inOrder(intent: Intent): Intent {
  return Object.fromEntries(
    Object.entries(intent).sort(([one], [other]) => (one < other ? -1 : 1)),
  ) as unknown as Intent
}

function toldRequests(requests: readonly FetchRequest[]): string {
  return requests.map(({ symbol, timeframe, bars }) => `${bars} bars of ${symbol} ${timeframe}`).join(', ')
}

function tickOf(bar_index: number, ts: number): LiveTick {
  return {
    ...{ bar_index, ts, corr_id: '', stage: 'done', next_event: 0 },
    ...{ asked: { intents: [], skips: [], logs: [] }, told: 0, parts: 0, pending: [] },
  }
}

function difference(
  { bar_index, ts }: Pick<LiveTick, 'bar_index' | 'ts'>,
  place: number,
  what: string,
  cause: string,
): Omit<Found, 'recorded' | 'expected'> {
  const at = new Date(ts).toISOString()
  return { place, class: 'decision', what, bar_index, ts: at, symbol: null, order_id: null, cause }
}
