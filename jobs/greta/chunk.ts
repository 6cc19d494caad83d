/**
 * Driver 2, the chunk: thousands of ticks in one tight loop over typed arrays. A tick that decides nothing allocates
 * nothing. The order of a tick's steps is spec section 4; the chain driver (hops.ts) goes through the same functions.
 */

import type { RunError } from '../../db/walle/rows.ts'
import type { Asked, StrategyInstance } from '../marvin/contract.ts'
import { iso } from './iso.ts'
import { carryOut, endTicks, noteSkips, tellDecision } from './placing.ts'
import type { EventPlace } from './sim_orders.ts'
import { equityOf, grossValue, type Simulation } from './simulation.ts'
import { hearTick, matchOpenOrders, openTick, tellFetch, tickEvent } from './tick_steps.ts'
import type { Windows } from './windows.ts'

export interface ChunkInput {
  simulation: Simulation
  strategy: StrategyInstance
  windows: Windows
  ticks: Float64Array
  from: number
  /** Exclusive. */
  to: number
  audit: 'summary' | 'acted' | 'full'
  /** Asked after every `CHECK_TICKS` ticks; true ends the chunk early. */
  pause: (tick: number) => boolean
}

export interface ChunkResult {
  /** The next tick to play. */
  next: number
  ts: Float64Array
  equity: Float64Array
  exposure: Float64Array
  /** The strategy threw at tick `next`; the ticks before it stand. */
  failure: RunError | null
}

/** Between two looks at the clock: at 30 s a call, a strategy that turns slow is found after at most this many calls. */
export const CHECK_TICKS = 64

export function runChunk(input: ChunkInput): ChunkResult {
  const { simulation, ticks, from, to, audit } = input
  const ts = new Float64Array(to - from)
  const equity = new Float64Array(to - from)
  const exposure = new Float64Array(to - from)
  simulation.recording = audit !== 'summary'
  const last = ticks.length - 1
  let tick = from
  let failure: RunError | null = null
  while (tick < to) {
    const firstEvent = simulation.produced.events.length
    const boundary = ticks[tick] as number
    let acted: boolean
    try {
      acted = playTick(input, tick, boundary)
    } catch (error) {
      failure = strategyError(error, tick, boundary)
      break
    }
    const point = tick - from
    if (tick === last) acted = endRun(simulation) || acted
    ts[point] = boundary
    const marked = equityOf(simulation)
    equity[point] = marked
    if (simulation.held > 0) exposure[point] = grossValue(simulation) / marked
    if (audit === 'acted' && !acted) simulation.produced.events.length = firstEvent
    tick += 1
    if ((tick - from) % CHECK_TICKS === 0 && input.pause(tick)) break
  }
  const points = tick - from
  return {
    next: tick,
    ts: ts.slice(0, points),
    equity: equity.slice(0, points),
    exposure: exposure.slice(0, points),
    failure,
  }
}

/** True when closing the positions at the end was something to tell of. */
function endRun(simulation: Simulation): boolean {
  const before = simulation.nextEvent
  endTicks(simulation, tickEvent(simulation))
  return simulation.nextEvent > before
}

/** Characters of what a strategy threw that are kept. */
const LONGEST_MESSAGE = 2_000
const LONGEST_STACK = 8_000

function strategyError(error: unknown, tick: number, ts: number): RunError {
  const known = error instanceof Error ? error : new Error(String(error))
  return {
    message: `${known.name}: ${known.message}`.slice(0, LONGEST_MESSAGE),
    bar_index: tick,
    ts: iso(ts),
    stack: String(known.stack ?? '').slice(0, LONGEST_STACK),
  }
}

/** One tick, all six steps. True when an order changed or was asked for. */
function playTick(input: ChunkInput, tick: number, ts: number): boolean {
  const { simulation, strategy, windows } = input
  openTick(simulation, tick, ts)
  const anyNew = matchOpenOrders(simulation)
  const matched = simulation.nextEvent > 1
  windows.tick()
  const requests = hearTick(simulation, strategy)
  const due = anyNew && windows.ready(strategy.windowBars)
  if (!due && requests.length === 0 && !strategy.asked) return matched
  let cause = tickEvent(simulation)
  if (due || requests.length > 0) {
    windows.fetched(requests)
    cause = tellFetch(simulation, windows.requested(requests, due ? strategy.windowBars : 0), windows)
  }
  if (due) strategy.onWindow()
  if (!strategy.asked) {
    if (due) tellNothing(simulation, cause)
    return matched
  }
  const asked = strategy.take()
  if (asked.intents.length + asked.logs.length === 0) {
    tellNothing(simulation, cause, asked)
    return matched
  }
  const commands = tellDecision(simulation, asked, cause)
  for (const [ordinal, intent] of asked.intents.entries()) {
    carryOut(simulation, intent, commands[ordinal] as EventPlace)
  }
  return matched || asked.intents.length > 0
}

/** The decision to do nothing is an event too: it is counted even where it is not built. */
function tellNothing(simulation: Simulation, cause: EventPlace, asked = NOTHING_ASKED): void {
  if (simulation.recording) {
    tellDecision(simulation, asked, cause)
    return
  }
  noteSkips(simulation, asked)
  simulation.nextEvent += 1
}

const NOTHING_ASKED: Asked = { intents: [], skips: [], logs: [] }
