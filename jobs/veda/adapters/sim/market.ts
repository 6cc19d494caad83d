/**
 * The simulator's market: a price for every symbol and second that follows from the seed, so that any process sees the same
 * one at any time, with nobody there to make it. Waves of many lengths, straight between their knots, are added up. Only
 * + - * / and rounding: every runtime makes the same bits. Prices are counted in cents.
 */
import {
  barsOfSession,
  OUTSIDE,
  sessionAt,
  sessionsBetween,
  tradesAroundTheClock,
} from '../../../../db/walle/calendar/calendar.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../../../strategies/api.ts'
import type { BarRequest, VenueBar } from '../../venue.ts'

export const CENTS = 100
const SECOND_MS = 1000
const MINUTE_S = 60
/** Seconds from knot to knot: those within a minute, and those of whole minutes. */
const FAST = [5, 15, 30]
const SLOW_OCTAVES = 17
/** Of the wave of one minute, as a part of the price; longer waves are higher by the root of their length. */
const MINUTE_WAVE = 0.0005
/** The price stays within half and one and a half of where it starts from. */
const FARTHEST = 0.5
const CACHED_MINUTES = 50_000
/** Bars of a request come from so many minutes at the most: four years. */
export const MOST_MINUTES = 2_200_000

export interface MarketFaults {
  /** Shares of the bars that are missing, come late, or are corrected after they were first told. */
  bar_missing: number
  bar_late: number
  bar_late_ms: number
  bar_revised: number
}

export const REVISED_AFTER_MS = 30_000

export interface Minute {
  open: number
  high: number
  low: number
  close: number
  /** In ten-thousandths. */
  volume: number
  trades: number
}

export interface Quote {
  bid: number
  ask: number
}

export interface Market {
  /** Cents, at a second since 1970. */
  mid(second: number): number
  quote(second: number): Quote
  /** The quote at a price: what a minute's extremes are tested by. */
  quoteAt(mid: number): Quote
  /** The money that trades at a second for one who takes it, in cents. */
  depth(second: number): number
  /** Of a minute since 1970. */
  minute(minute: number): Minute
  isOpen(second: number): boolean
  bars(request: Omit<BarRequest, 'symbol'>, now: number, faults: MarketFaults): VenueBar[]
  /** A bar as first told, or null: it is missing, not closed, or not there yet. */
  bar(timeframe: Timeframe, time: number, now: number, faults: MarketFaults): (VenueBar & { revised: boolean }) | null
}

/** A well mixed number in [0, 2^32): murmur3's finaliser over the parts. */
export function mix(seed: number, ...parts: readonly number[]): number {
  let mixed = seed | 0
  for (const part of parts) {
    mixed = Math.imul(mixed ^ (part | 0), 0x9e3779b1)
    mixed ^= mixed >>> 16
    mixed = Math.imul(mixed, 0x85ebca6b)
    mixed ^= mixed >>> 13
    mixed = Math.imul(mixed, 0xc2b2ae35)
    mixed ^= mixed >>> 16
  }
  return mixed >>> 0
}

/** In [0, 1). */
export const share = (seed: number, ...parts: readonly number[]): number => mix(seed, ...parts) / 4294967296

export function textSeed(seed: number, text: string): number {
  return mix(seed, ...[...text].map((letter) => letter.charCodeAt(0)))
}

/** Waves of the salt's stream; salts of other streams lie apart. */
const SALT = { wave: 1, depth: 2, volume: 3, trades: 4, missing: 5, late: 6, revised: 7, base: 8 } as const

export interface MarketSettings {
  seed: number
  spread_bps: number
  /** Money that can be taken at a second, on average. */
  depth: number
}

export function createMarket(settings: MarketSettings, symbol: string): Market {
  const seed = textSeed(settings.seed, symbol)
  const start = 20 + Math.floor(share(seed, SALT.base) * 480)
  const mid = pricesOf(seed, start * CENTS)
  const minutes = new Map<number, Minute>()

  function minute(index: number): Minute {
    const known = minutes.get(index)
    if (known !== undefined) return known
    if (minutes.size >= CACHED_MINUTES) minutes.clear()
    const made = minuteOf(seed, mid, index)
    minutes.set(index, made)
    return made
  }

  function quoteAt(price: number): Quote {
    const half = Math.max(1, Math.round((price * settings.spread_bps) / 20_000))
    return { bid: price - half, ask: price + half }
  }

  const bars = barsFrom(symbol, seed, minute)
  return {
    mid,
    quote: (second) => quoteAt(mid(second)),
    quoteAt,
    depth: (second) => Math.floor(settings.depth * CENTS * (0.1 + 1.8 * share(seed, SALT.depth, second))),
    minute,
    isOpen: (second) => tradesAroundTheClock(symbol) || isSession(sessionAt(second * SECOND_MS)),
    ...bars,
  }
}

function isSession(found: ReturnType<typeof sessionAt>): boolean {
  return found !== null && found !== OUTSIDE
}

/** The price in cents at a second. */
function pricesOf(seed: number, base: number): (second: number) => number {
  const knot = (length: number, index: number) => 2 * share(seed, SALT.wave, length, index) - 1
  const wave = (length: number, second: number) => {
    const index = Math.floor(second / length)
    const part = (second - index * length) / length
    return knot(length, index) * (1 - part) + knot(length, index + 1) * part
  }
  const slow = Array.from({ length: SLOW_OCTAVES }, (_, octave) => MINUTE_S * 2 ** octave)
  const heights = slow.map(
    (_, octave) => MINUTE_WAVE * 2 ** Math.floor(octave / 2) * (octave % 2 === 0 ? 1 : Math.SQRT2),
  )
  const whole = heights.reduce((sum, height) => sum + height, 0)
  const fit = whole > FARTHEST ? FARTHEST / whole : 1
  // Their knots all lie on minutes: within one they are straight, and two of their values are enough.
  const atMinute = (minute: number) =>
    slow.reduce((sum, length, octave) => sum + (heights[octave] as number) * fit * wave(length, minute * MINUTE_S), 0)
  let cached = { minute: Number.NaN, from: 0, to: 0 }
  return (second) => {
    const minute = Math.floor(second / MINUTE_S)
    if (cached.minute !== minute) {
      const from = cached.minute === minute - 1 ? cached.to : atMinute(minute)
      cached = { minute, from, to: atMinute(minute + 1) }
    }
    const part = (second - minute * MINUTE_S) / MINUTE_S
    let sum = cached.from * (1 - part) + cached.to * part
    for (const length of FAST) sum += MINUTE_WAVE * 0.4 * (length / MINUTE_S + 0.5) * wave(length, second)
    return Math.max(1, Math.round(base * (1 + sum)))
  }
}

/** Between knots the price is straight, so that its extremes lie at knots. */
function minuteOf(seed: number, mid: (second: number) => number, index: number): Minute {
  const first = index * MINUTE_S
  const open = mid(first)
  const close = mid(first + MINUTE_S - 1)
  let high = Math.max(open, close)
  let low = Math.min(open, close)
  for (let second = first + 5; second < first + MINUTE_S; second += 5) {
    const price = mid(second)
    if (price > high) high = price
    if (price < low) low = price
  }
  const volume = 500_000 + Math.floor(1_000_000 * share(seed, SALT.volume, index))
  return { open, high, low, close, volume, trades: 10 + (mix(seed, SALT.trades, index) % 50) }
}

/** Both given in minutes since 1970; the second is not part of it. */
interface Span {
  from: number
  to: number
}

function minutesOf(symbol: string, timeframe: Timeframe, time: number): Span {
  const from = time / 60_000
  const to = from + TIMEFRAME_MS[timeframe] / 60_000
  if (tradesAroundTheClock(symbol)) return { from, to }
  const sessions = sessionsBetween(time, time + TIMEFRAME_MS[timeframe])
  const session = sessions === OUTSIDE ? undefined : sessions[0]
  if (session === undefined) return { from, to: from }
  return { from: Math.max(from, session.open / 60_000), to: Math.min(to, session.close / 60_000) }
}

function openTimes(symbol: string, { timeframe, start, end }: Omit<BarRequest, 'symbol'>): number[] {
  const step = TIMEFRAME_MS[timeframe]
  if (!tradesAroundTheClock(symbol)) {
    const sessions = sessionsBetween(start - step, end + step)
    if (sessions === OUTSIDE) return []
    return sessions.flatMap((session) => barsOfSession(session, timeframe)).filter((at) => at >= start && at <= end)
  }
  const times: number[] = []
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) times.push(time)
  return times
}

const text = (count: number, scale: number): string => {
  const digits = String(count).padStart(String(scale).length, '0')
  const whole = digits.slice(0, digits.length - String(scale).length + 1)
  const rest = digits.slice(whole.length).replace(/0+$/, '')
  return rest === '' ? whole : `${whole}.${rest}`
}

/** Cents as a decimal. */
export const priceText = (cents: number): string => text(cents, CENTS)

function barsFrom(symbol: string, seed: number, minute: (index: number) => Minute): Pick<Market, 'bars' | 'bar'> {
  function sum({ from, to }: Span, missing: number): Minute | null {
    let made: Minute | null = null
    for (let index = from; index < to; index++) {
      if (missing > 0 && share(seed, SALT.missing, index) < missing) continue
      const next = minute(index)
      if (made === null) {
        made = { ...next }
        continue
      }
      made.high = Math.max(made.high, next.high)
      made.low = Math.min(made.low, next.low)
      made.close = next.close
      made.volume += next.volume
      made.trades += next.trades
    }
    return made
  }

  const bar: Market['bar'] = (timeframe, time, now, faults) => {
    const closed = time + TIMEFRAME_MS[timeframe]
    if (closed > now) return null
    const key = closed / 60_000
    const late = faults.bar_late > 0 && share(seed, SALT.late, key) < faults.bar_late
    if (late && closed + faults.bar_late_ms > now) return null
    const made = sum(minutesOf(symbol, timeframe, time), faults.bar_missing)
    if (made === null) return null
    const corrected = faults.bar_revised > 0 && share(seed, SALT.revised, key) < faults.bar_revised
    const final = !corrected || now >= closed + REVISED_AFTER_MS
    const high = final ? made.high : Math.max(made.open, made.close)
    const low = final ? made.low : Math.min(made.open, made.close)
    return {
      time,
      open: priceText(made.open),
      high: priceText(high),
      low: priceText(low),
      close: priceText(made.close),
      volume: text(final ? made.volume : Math.floor(made.volume / 2), 10_000),
      trade_count: String(made.trades),
      revised: corrected && final,
    }
  }

  return {
    bar,
    bars(request, now, faults) {
      const bars: VenueBar[] = []
      for (const time of openTimes(symbol, { ...request, end: Math.min(request.end, now) })) {
        const found = bar(request.timeframe, time, now, faults)
        if (found === null) continue
        const { revised: _, ...told } = found
        bars.push(told)
      }
      return bars
    },
  }
}
