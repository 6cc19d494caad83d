/**
 * How windows are told of, by their size: in one event, in several, or by reference to the stored candles. The size goes
 * by the bars that were asked for, so that both drivers and every audit level count the same events.
 */
import type { PayloadOf } from '../../db/events/registry.ts'
import type { CandleWindow, FetchRequest } from '../../strategies/api.ts'
import { iso } from './iso.ts'
import type { EventPlace } from './sim_orders.ts'
import { type Simulation, tell } from './simulation.ts'
import type { Windows } from './windows.ts'

/** A bar is at most 134 bytes of JSON; what is said of its window besides takes no more than two bars' room. */
const BARS_OF_A_HEADING = 2
/** Of one event: 100 KB a payload is the limit. */
export const BARS_OF_AN_EVENT = 700
/** Of all parts together: 2 MB. */
export const BARS_IN_PARTS = 14_000

type WindowEventType = 'data.WindowReady' | 'data.WindowChunk' | 'data.WindowComplete'
export type WindowEventBody = { [T in WindowEventType]: { type: T; payload: PayloadOf<T> } }[WindowEventType]

/** Gives the place of the event that says that all is there. */
export function tellWindows(
  simulation: Simulation,
  requests: readonly FetchRequest[],
  windows: Windows,
  cause: EventPlace,
): EventPlace {
  const { tick: bar_index, ts } = simulation
  let place = cause
  for (const build of windowEvents(requests, windows, { bar_index, ts, stored: true })) {
    place = tell(simulation, cause, null, () => ({ ...build(), producer: 'greta' }))
  }
  return place
}

/** The events that tell of windows, the last one that all is there. What is not `stored` cannot be referred to. */
export function windowEvents(
  requests: readonly FetchRequest[],
  windows: Pick<Windows, 'get'>,
  { bar_index, ts, stored }: { bar_index: number; ts: number; stored: boolean },
): (() => WindowEventBody)[] {
  let bars = 0
  for (const request of requests) bars += request.bars + BARS_OF_A_HEADING
  if (bars > BARS_OF_AN_EVENT && (bars <= BARS_IN_PARTS || !stored)) return inParts(requests, windows, bar_index, ts)
  const describe = bars <= BARS_OF_AN_EVENT ? inline : byReference
  return [
    () => ({
      type: 'data.WindowReady',
      payload: { bar_index, windows: requests.map((request) => describe(windowOf(windows, request, ts))) },
    }),
  ]
}

function inParts(
  requests: readonly FetchRequest[],
  windows: Pick<Windows, 'get'>,
  bar_index: number,
  ts: number,
): (() => WindowEventBody)[] {
  const parts = partsOf(requests.map(({ symbol, timeframe }) => windows.get(symbol, timeframe).length))
  const chunks = parts.map(
    (slices, part) => (): WindowEventBody => ({
      type: 'data.WindowChunk',
      payload: {
        bar_index,
        part,
        windows: slices.map(({ window, from, to }) => {
          const { symbol, timeframe } = requests[window] as FetchRequest
          return { symbol, timeframe, offset: from, columns: columnsOf(windows.get(symbol, timeframe), from, to) }
        }),
      },
    }),
  )
  const complete = (): WindowEventBody => ({
    type: 'data.WindowComplete',
    payload: {
      bar_index,
      parts: parts.length,
      windows: requests.map((request) => windowOf(windows, request, ts).heading),
    },
  })
  return [...chunks, complete]
}

interface Slice {
  /** Which of the windows. */
  window: number
  from: number
  /** Exclusive. */
  to: number
}

/** Which bars go into which part: in order, each part filled up. */
export function partsOf(lengths: readonly number[]): Slice[][] {
  const parts: Slice[][] = []
  let room = 0
  for (const [window, length] of lengths.entries()) {
    for (let from = 0; from < length; ) {
      if (room <= BARS_OF_A_HEADING) {
        parts.push([])
        room = BARS_OF_AN_EVENT
      }
      const to = Math.min(length, from + room - BARS_OF_A_HEADING)
      parts.at(-1)?.push({ window, from, to })
      room -= to - from + BARS_OF_A_HEADING
      from = to
    }
  }
  return parts
}

/** An empty window is named by the tick. */
function windowOf(windows: Pick<Windows, 'get'>, { symbol, timeframe }: FetchRequest, ts: number) {
  const window = windows.get(symbol, timeframe)
  const timeAt = (index: number) => iso(window.time[index] ?? ts)
  const heading = { symbol, timeframe, bars: window.length, from: timeAt(0), to: timeAt(window.length - 1) }
  return { window, heading }
}

function inline({ window, heading }: ReturnType<typeof windowOf>) {
  return { ...heading, columns: columnsOf(window, 0, window.length), data_ref: null }
}

function byReference({ heading }: ReturnType<typeof windowOf>) {
  const { symbol, timeframe, from, to } = heading
  return { ...heading, columns: null, data_ref: { symbol, timeframe, from, to } }
}

function columnsOf(window: CandleWindow, from: number, to: number) {
  return {
    time: [...window.time.subarray(from, to)],
    open: [...window.open.subarray(from, to)],
    high: [...window.high.subarray(from, to)],
    low: [...window.low.subarray(from, to)],
    close: [...window.close.subarray(from, to)],
    volume: [...window.volume.subarray(from, to)],
  }
}
