/**
 * How early at the earliest, and how late at the latest, the recorded bars fill an order: between the two they do not tell
 * what happened. A bar tells neither the way of the price nor when in it the venue had the order. Pure.
 */
import { isOpen } from '../../db/events/order_state.ts'
import { firstAtOrAfter } from '../../db/walle/candle_columns.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import { type PlaceIntent, TIMEFRAME_MS } from '../../strategies/api.ts'
import { Decimal } from '../greta/decimals.ts'
import type { FillModel } from '../greta/fill_model.ts'
import { isRegularBar } from '../greta/trading_hours.ts'
import type { Breath } from './breath.ts'
import { type ModelEnd, type ModelOrder, playOrder, shifted } from './model.ts'
import type { OrderStory } from './orders.ts'

export interface Bound {
  /** Open time of the bar in which the last of it is filled; null: in none. */
  bar: number | null
  /** It waits for bars that are not there yet. */
  open: boolean
  /** What is filled of it. */
  qty: Decimal
}

export interface Models {
  /** As the fill model of the run has it. */
  nominal: ModelEnd
  easy: Bound
  hard: Bound
}

export interface BoundParts {
  run: RunRow
  bars: (symbol: string) => CandleColumns
  toleranceBps: number
  breathe: Breath
}

/** A market order is filled at once: later than this after it was accepted at the earliest it is late. */
const AT_ONCE_MS = 10_000

export async function modelsOf(story: OrderStory, parts: BoundParts): Promise<Models> {
  const { intent, decidedAt, cancelledAt, createdAt, acceptedAt, end } = story
  const { run, breathe, toleranceBps } = parts
  const frame = TIMEFRAME_MS[run.timeframe]
  const bars = parts.bars(intent.symbol)
  const model = run.fill as unknown as FillModel
  const play = (order: ModelOrder, changes: Partial<FillModel> = {}) =>
    playOrder(order, { timeframe: run.timeframe, bars, model: { ...model, ...changes }, breathe })
  const nominal = await play({ intent, decidedAt, cancelledAt })
  // The bar in which it was placed, and the first of which all came after the venue had it.
  const soonest = story.isOwn ? Math.floor(createdAt / frame) * frame : decidedAt
  const there = Math.max(acceptedAt ?? createdAt, decidedAt)
  const isMarket = intent.order_type === 'market'
  const latest = isMarket ? Math.max(decidedAt, Math.floor((there + AT_ONCE_MS) / frame) * frame) : there
  const seen: Seen = {
    ...{ intent, bars, frame, share: toleranceBps / 10_000, from: firstAtOrAfter(bars.time, soonest) },
    hardFrom: firstAtOrAfter(bars.time, latest),
    isRegular: (index) =>
      intent.extended_hours || isRegularBar(intent.symbol, run.timeframe, bars.time[index] as number),
  }
  if (intent.order_type === 'trailing_stop' || intent.order_type === 'stop_limit') {
    const scan = intent.order_type === 'stop_limit' ? stopLimitBars : trailingBars
    const { easy, hard } = scan(seen)
    // What of a bar's volume the order gets is an assumption.
    const known = model.max_volume_share === null ? hard : null
    return { nominal, easy: boundAt(seen, easy), hard: boundAt(seen, known) }
  }
  const easy = await play(
    { intent: shifted(intent, toleranceBps, 1), decidedAt: soonest, cancelledAt: end?.at ?? null },
    { limit_fill: 'touch', price_increment: null },
  )
  if (isParked(story)) return { nominal, easy: boundOf(easy), hard: boundAt(seen, parkedBar(seen)) }
  const hard = await play(
    {
      intent: shifted(intent, toleranceBps, -1),
      decidedAt: latest,
      cancelledAt: earlier(cancelledAt, end?.at ?? null),
    },
    { limit_fill: 'penetrate', price_increment: null, regular_hours: true },
  )
  return { nominal, easy: boundOf(easy), hard: boundOf(hard) }
}

function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other)
}

const boundOf = ({ status, qty, bar }: ModelEnd): Bound => ({ bar: bar?.time ?? null, open: isOpen(status), qty })

function boundAt({ intent, bars }: Seen, index: number | null): Bound {
  const qty = new Decimal(index === null ? 0 : intent.qty)
  return { bar: index === null ? null : (bars.time[index] as number), open: index === null, qty }
}

/** A take profit that has a stop loss beside it is sent once a minute has closed beyond its price, and not before. */
function isParked({ exit }: OrderStory): boolean {
  return exit?.role === 'tp' && exit.entry.roles.includes('sl')
}

interface Seen {
  intent: PlaceIntent
  bars: CandleColumns
  frame: number
  /** The tolerance, as a part of a price. */
  share: number
  /** Index of the first bar that may fill it, and of the first that it surely meets from its beginning to its end. */
  from: number
  hardFrom: number
  isRegular: (index: number) => boolean
}

interface Mirrored {
  up: (index: number) => number
  down: (index: number) => number
  close: (index: number) => number
  sign: 1 | -1
}

/** As they are, or upside down. */
function mirrored({ low, high, close }: CandleColumns, sign: 1 | -1): Mirrored {
  return {
    sign,
    up: (index) => (sign > 0 ? (high[index] as number) : -(low[index] as number)),
    down: (index) => (sign > 0 ? (low[index] as number) : -(high[index] as number)),
    close: (index) => sign * (close[index] as number),
  }
}

interface Bars {
  easy: number | null
  hard: number | null
}

/** What never touched its stop is no order yet; from the bar after the one that passed it on it is a limit order. */
function stopLimitBars(seen: Seen): Bars {
  const { intent, bars, share, from, hardFrom, isRegular } = seen
  const { up, down, sign } = mirrored(bars, intent.side === 'buy' ? 1 : -1)
  const [stop, limit] = [sign * Number(intent.stop_price), sign * Number(intent.limit_price)]
  const [stopAway, limitAway] = [Math.abs(stop) * share, Math.abs(limit) * share]
  const found: Bars = { easy: null, hard: null }
  let touched = false
  let passed = false
  for (let index = from; index < bars.time.length && (found.easy === null || found.hard === null); index++) {
    touched ||= up(index) >= stop - stopAway
    if (touched && down(index) <= limit + limitAway) found.easy ??= index
    if (index < hardFrom || !isRegular(index)) continue
    if (passed && down(index) < limit - limitAway) found.hard ??= index
    passed ||= up(index) > stop + stopAway
  }
  return found
}

/**
 * The level of one that sells lies nowhere above what the highs make of it, and nowhere below what the closes do: they are
 * prices that were there.
 */
function trailingBars(seen: Seen): Bars {
  const { intent, bars, share, from, hardFrom, isRegular } = seen
  const { up, down, close } = mirrored(bars, intent.side === 'sell' ? 1 : -1)
  const levelOf = (best: number) =>
    best -
    (intent.trail_price !== null ? Number(intent.trail_price) : (Math.abs(best) * Number(intent.trail_percent)) / 100)
  const found: Bars = { easy: null, hard: null }
  let highest = from > 0 ? up(from - 1) : Number.NEGATIVE_INFINITY
  let closed = Number.NEGATIVE_INFINITY
  for (let index = from; index < bars.time.length && (found.easy === null || found.hard === null); index++) {
    highest = Math.max(highest, up(index))
    const soonest = levelOf(highest)
    if (down(index) <= soonest + Math.abs(soonest) * share) found.easy ??= index
    if (index < hardFrom || !isRegular(index)) continue
    const latest = levelOf(closed)
    if (down(index) < latest - Math.abs(latest) * share) found.hard ??= index
    closed = Math.max(closed, close(index))
  }
  return found
}

/** It closed beyond its price, and stayed there for all of the next bar: then it was sent, and the bar after that fills it. */
function parkedBar(seen: Seen): number | null {
  const { intent, bars, share, hardFrom, isRegular } = seen
  const { down, close, sign } = mirrored(bars, intent.side === 'sell' ? 1 : -1)
  const price = sign * Number(intent.limit_price)
  const beyond = price + Math.abs(price) * share
  for (let index = hardFrom; index + 2 < bars.time.length; index++) {
    const stays = [index, index + 1, index + 2].every(isRegular) && close(index) > beyond
    if (stays && down(index + 1) > beyond && down(index + 2) > beyond) return index + 2
  }
  return null
}
