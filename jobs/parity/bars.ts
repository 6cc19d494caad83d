/**
 * The bars that a paper or live run was shown, tick by tick as they lie in its log: what later bars say of earlier ones,
 * and what the stored candles say of all of them now. Pure.
 */
import { firstAtOrAfter } from '../../db/walle/candle_columns.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { HopView } from '../hosts/hop_view.ts'
import type { Breath } from './breath.ts'
import type { Found } from './parity.ts'

const FIELDS = ['open', 'high', 'low', 'close', 'volume'] as const

interface Bar {
  /** In the order of FIELDS; as it was told last. */
  values: number[]
  /** As it was told before, where that was otherwise. */
  before: number[][]
  /** Where it was told first. */
  at: Shown
}

/** Windows that were shown. */
export interface Shown {
  place: number
  bar_index: number
  /** The boundary. */
  ts: number
}

export interface Series {
  symbol: string
  timeframe: Timeframe
}

interface Known extends Series {
  bars: Map<number, Bar>
  /** The window before. */
  before: { ts: number; first: number } | null
  /** Ends of what windows told of without a hole between them: of what lies outside the run was never to know. */
  covered: { from: number; to: number }[]
}

export interface RecordedBars {
  /** Gives what is wrong with them by the windows before. */
  take(windows: HopView['windows'], at: Shown): Found[]
  series(): Series[]
  /** Ascending, as they were told last. */
  columns(series: Series): CandleColumns
  /** Gives what the stored candles of the series say otherwise. */
  compare(series: Series, stored: CandleColumns, breathe: Breath): Promise<Found[]>
}

export function createRecordedBars(): RecordedBars {
  const all = new Map<string, Known>()
  const keyOf = ({ symbol, timeframe }: Series) => `${symbol} ${timeframe}`

  function known({ symbol, timeframe }: Series): Known {
    const found = all.get(keyOf({ symbol, timeframe })) ?? {
      symbol,
      timeframe,
      bars: new Map(),
      before: null,
      covered: [],
    }
    all.set(keyOf(found), found)
    return found
  }

  return {
    take: (windows, at) => windows.flatMap((window) => takeWindow(known(window), window.columns, at)),
    series: () => [...all.values()].map(({ symbol, timeframe }) => ({ symbol, timeframe })),
    columns: (series) => columnsOf(known(series)),
    compare: (series, stored, breathe) => compareStored(known(series), stored, breathe),
  }
}

function takeWindow(series: Known, columns: CandleColumns, at: Shown): Found[] {
  const { bars, before } = series
  const found: Found[] = []
  for (let index = 0; index < columns.time.length; index++) {
    const time = columns.time[index] as number
    const values = FIELDS.map((name) => columns[name][index] as number)
    const bar = bars.get(time)
    if (bar === undefined) {
      bars.set(time, { values, before: [], at })
      if (before !== null && isLate(series, time, before)) found.push(late(series, time, at, before.ts))
    } else if (!isSame(bar.values, values)) {
      const cause = 'the venue corrected the bar after the strategy had seen it'
      found.push({
        ...difference(series, time, at, 'revised', cause),
        recorded: told(bar.values),
        expected: told(values),
      })
      bar.before.push(bar.values)
      bar.values = values
    }
  }
  const [first, last] = [columns.time[0], columns.time.at(-1)]
  if (first !== undefined && last !== undefined) {
    series.before = { ts: at.ts, first }
    cover(series, first, last)
  }
  return found
}

function cover({ covered }: Known, from: number, to: number): void {
  const newest = covered.at(-1)
  if (newest === undefined || from > newest.to || to < newest.from) covered.push({ from, to })
  else Object.assign(newest, { from: Math.min(newest.from, from), to: Math.max(newest.to, to) })
}

/** It had closed when the window before was shown, and belongs into that. */
function isLate({ timeframe }: Known, time: number, before: { ts: number; first: number }): boolean {
  return time > before.first && time + TIMEFRAME_MS[timeframe] <= before.ts
}

function late(series: Known, time: number, at: Shown, missedAt: number): Found {
  const cause = `the bar was not there at the tick ${iso(missedAt)}, before which it had closed`
  return {
    ...difference(series, time, at, 'late', cause),
    recorded: `known at ${iso(at.ts)}`,
    expected: `known at ${iso(missedAt)}`,
  }
}

const isSame = (one: readonly number[], other: readonly number[]) => one.every((value, i) => value === other[i])

async function compareStored(series: Known, stored: CandleColumns, breathe: Breath): Promise<Found[]> {
  const { bars, covered } = series
  const found: Found[] = []
  const seen = new Set<number>()
  const times = Float64Array.from(bars.keys()).sort()
  for (let index = 0; index < stored.time.length; index++) {
    const time = stored.time[index] as number
    const breath = breathe()
    if (breath !== null) await breath
    if (!covered.some(({ from, to }) => from <= time && time <= to)) continue
    seen.add(time)
    const values = FIELDS.map((name) => stored[name][index] as number)
    const bar = bars.get(time)
    // A correction that is not stored yet has been told.
    if (bar !== undefined && [bar.values, ...bar.before].some((one) => isSame(one, values))) continue
    const at = bar?.at ?? placeAfter(series, times, time)
    found.push(
      bar === undefined
        ? {
            ...difference(series, time, at, 'missing', 'the run never saw a bar that the stored candles have'),
            ...{ recorded: null, expected: told(values) },
          }
        : {
            ...difference(series, time, at, 'revised', 'the stored candle was changed after the run had seen it'),
            ...{ recorded: told(bar.values), expected: told(values) },
          },
    )
  }
  const newest = stored.time.at(-1) ?? Number.NEGATIVE_INFINITY
  const oldest = stored.time[0] ?? Number.POSITIVE_INFINITY
  for (const time of times) {
    // What is stored last may not be what was heard last.
    if (seen.has(time) || time > newest || time < oldest) continue
    const { values, at } = bars.get(time) as Bar
    const cause = 'the run saw a bar that is not among the stored candles any more'
    found.push({ ...difference(series, time, at, 'removed', cause), recorded: told(values), expected: null })
  }
  return found
}

/** Where a bar would have been shown first. */
function placeAfter({ bars }: Known, times: Float64Array, time: number): Shown {
  const next = times[firstAtOrAfter(times, time + 1)]
  return (next === undefined ? undefined : bars.get(next)?.at) ?? { place: 0, bar_index: 0, ts: time }
}

function columnsOf({ bars }: Known): CandleColumns {
  const time = Float64Array.from(bars.keys()).sort()
  const columns = { time } as CandleColumns
  for (const [field, name] of FIELDS.entries()) {
    const column = new Float64Array(time.length)
    for (let index = 0; index < time.length; index++) {
      column[index] = bars.get(time[index] as number)?.values[field] as number
    }
    columns[name] = column
  }
  return columns
}

const iso = (ms: number) => new Date(ms).toISOString()

const told = (values: readonly number[]) => FIELDS.map((name, index) => `${name} ${values[index]}`).join(', ')

function difference(
  { symbol, timeframe }: Series,
  time: number,
  { place, bar_index }: Shown,
  what: string,
  cause: string,
): Omit<Found, 'recorded' | 'expected'> {
  const said = `${cause} (${symbol} ${timeframe} ${iso(time)})`
  return { place, class: 'data', what, bar_index, ts: iso(time), symbol, order_id: null, cause: said }
}
