/** Bars, sessions and the clock of the emulated venue. */
import { sessionsBetween } from '../../../db/walle/calendar/calendar.ts'
import { DAY_MS, dayOf } from '../../../db/walle/calendar/days.ts'
import { badData, Refusal } from './errors.ts'

export interface RawBar {
  /** Start, epoch milliseconds, as the venue stamps it. */
  t: number
  o: number
  h: number
  l: number
  c: number
  v: number
  n: number
}

export interface Hours {
  open: number
  close: number
}

export interface Market {
  readonly halted: Set<string>
  /** So many new shares for one, since then. */
  readonly splits: { symbol: string; at: number; factor: number }[]
  setBars(symbol: string, timeframe: string, bars: RawBar[]): void
  /** A bar for every step of time up to now, the forming one too; those that were set win. */
  serve(symbol: string, timeframe: string, step: number, make: (t: number) => RawBar | null): void
  /** Minutes, each so long after its end, and longer bars made of the minutes that are out. */
  serveLate(symbol: string, lateMs: number, make: (t: number) => RawBar): void
  /** Adds, or replaces the bar of that time. */
  putBar(symbol: string, timeframe: string, bar: RawBar): void
  /** What the endpoint answers. */
  bars(query: URLSearchParams, kind: 'stocks' | 'crypto', only?: string): Record<string, unknown>
  /** Other hours than the exchange's own on that date; null: closed. */
  setHours(date: string, hours: Hours | null): void
  calendar(start: string, end: string): Record<string, unknown>[]
  clock(): Record<string, unknown>
  isOpen(): boolean
  /** The session, or the hours before and after it. */
  isExtended(): boolean
  /** Whose opening, or close, is the next one after that moment; null: none is known. */
  sessionOf(at: number, by: keyof Hours): Hours | null
  /** When an order for extended hours that was sent then ends. */
  extendedEnd(at: number): number
  /** Orders for the opening, or closing, auction are taken now. */
  takesAuction(time: 'opg' | 'cls'): boolean
}

const TIMEFRAME = /^([1-9]|[1-5]\d)(Min|T)$|^([1-9]|1\d|2[0-3])(Hour|H)$|^1(Day|D)$|^1(Week|W)$/
const PAIR = /^[A-Z]+x?\/[A-Z]+$/
const MOST_BARS = 10_000
const SIP_DELAY_MS = 15 * 60_000
const MINUTE_MS = 60_000
const LONGER_MINUTES = [5, 15, 30]
/** From four in the morning, to eight in the evening or, on half days, five in the afternoon. */
const BEFORE_MS = 330 * MINUTE_MS
const AFTER_MS = 240 * MINUTE_MS
/** From seven in the evening. */
const AUCTIONS_AFTER_OPEN_MS = 570 * MINUTE_MS
const UNTIL = { opg: { by: 'open', ms: 2 * MINUTE_MS }, cls: { by: 'close', ms: 10 * MINUTE_MS } } as const

export function createMarket(now: () => number, hasSip: () => boolean): Market {
  const stored = new Map<string, RawBar[]>()
  const hours = new Map<string, Hours | null>()
  const sources = new Map<string, { step: number; make: (t: number) => RawBar | null }>()
  const keyOf = (symbol: string, timeframe: string) => `${symbol} ${timeframe}`
  const sort = (bars: RawBar[]) => bars.sort((one, other) => one.t - other.t)

  function sessions(from: number, to: number): (Hours & { date: string })[] {
    const regular = sessionsBetween(from, to)
    const days = new Map<string, Hours>()
    if (regular !== 'outside') {
      for (const { open, close, date } of regular) days.set(date, { open, close })
    }
    for (const [date, other] of hours) {
      if (other === null) days.delete(date)
      else if (other.open >= from && other.open <= to) days.set(date, other)
    }
    return [...days].map(([date, each]) => ({ date, ...each })).sort((one, other) => one.open - other.open)
  }

  function between(symbol: string, timeframe: string, start: number, end: number): RawBar[] {
    const set = (stored.get(keyOf(symbol, timeframe)) ?? []).filter(({ t }) => t >= start && t <= end)
    const source = sources.get(keyOf(symbol, timeframe))
    if (source === undefined) return set
    const made = new Map<number, RawBar>()
    const last = Math.min(end, now())
    for (let t = Math.ceil(start / source.step) * source.step; t <= last; t += source.step) {
      const bar = source.make(t)
      if (bar !== null) made.set(t, bar)
    }
    for (const bar of set) made.set(bar.t, bar)
    return sort([...made.values()])
  }

  /** For the splits since then. What was set is what was traded. */
  function adjusted(symbol: string, bar: RawBar): RawBar {
    const factor = market.splits
      .filter((split) => split.symbol === symbol && split.at > bar.t)
      .reduce((product, split) => product * split.factor, 1)
    return { ...bar, o: bar.o / factor, h: bar.h / factor, l: bar.l / factor, c: bar.c / factor, v: bar.v * factor }
  }

  const near = (at: number) => sessions(at - 2 * DAY_MS, at + 8 * DAY_MS)
  const market: Market = {
    halted: new Set(),
    splits: [],
    serve: (symbol, timeframe, step, make) => void sources.set(keyOf(symbol, timeframe), { step, make }),
    serveLate(symbol, lateMs, make) {
      const isOut = (t: number) => t + MINUTE_MS + lateMs <= now()
      for (const minutes of [1, ...LONGER_MINUTES]) {
        market.serve(symbol, `${minutes}Min`, minutes * MINUTE_MS, (t) => {
          const times = Array.from({ length: minutes }, (_, n) => t + n * MINUTE_MS)
          return joined(times.filter(isOut).map(make))
        })
      }
    },
    setBars: (symbol, timeframe, bars) => void stored.set(keyOf(symbol, timeframe), sort([...bars])),
    putBar(symbol, timeframe, bar) {
      const others = (stored.get(keyOf(symbol, timeframe)) ?? []).filter(({ t }) => t !== bar.t)
      market.setBars(symbol, timeframe, [...others, bar])
    },
    bars(query, kind, only) {
      const request = readRequest(query, kind, only, now(), hasSip())
      const all = request.symbols.flatMap((symbol) =>
        between(symbol, request.timeframe, request.start, request.end).map((bar) => ({
          symbol,
          bar: request.isAdjusted ? adjusted(symbol, bar) : bar,
        })),
      )
      const from =
        request.after === null ? 0 : 1 + all.findIndex(({ symbol, bar }) => `${symbol}|${bar.t}` === request.after)
      const page = all.slice(from, from + request.limit)
      const last = page.at(-1)
      const isMore = from + page.length < all.length
      const next_page_token = isMore && last ? tokenOf(last.symbol, last.bar.t) : null
      const written = (symbol: string) => page.filter((each) => each.symbol === symbol).map(({ bar }) => barShape(bar))
      if (only !== undefined) {
        const list = written(only)
        return { bars: list.length === 0 ? null : list, symbol: only, next_page_token }
      }
      const named = [...new Set(page.map(({ symbol }) => symbol))]
      return { bars: Object.fromEntries(named.map((symbol) => [symbol, written(symbol)])), next_page_token }
    },
    setHours: (date, other) => void hours.set(date, other),
    calendar: (start, end) =>
      sessions(Date.parse(start), Date.parse(end) + DAY_MS).map(({ date, open, close }) => ({
        date,
        open: newYorkTime(open),
        close: newYorkTime(close),
        session_open: '0400',
        session_close: '2000',
        settlement_date: date,
      })),
    clock() {
      const at = now()
      const around = near(at)
      return {
        timestamp: new Date(at - 5 * 3_600_000).toISOString().replace('Z', '456789-05:00'),
        is_open: around.some(({ open, close }) => open <= at && at < close),
        next_open: new Date(around.find(({ open }) => open > at)?.open ?? at).toISOString(),
        next_close: new Date(around.find(({ close }) => close > at)?.close ?? at).toISOString(),
      }
    },
    isOpen: () => market.clock().is_open === true,
    isExtended: () => near(now()).some(({ open, close }) => open - BEFORE_MS <= now() && now() < close + AFTER_MS),
    sessionOf: (at, by) => near(at).find((hours) => hours[by] > at) ?? null,
    extendedEnd: (at) =>
      near(at)
        .map(({ close }) => close + AFTER_MS)
        .find((end) => end > at) ?? Number.POSITIVE_INFINITY,
    takesAuction(time) {
      const { by, ms } = UNTIL[time]
      return !near(now()).some((hours) => now() >= hours[by] - ms && now() < hours.open + AUCTIONS_AFTER_OPEN_MS)
    },
  }
  return market
}

function joined(minutes: readonly RawBar[]): RawBar | null {
  const [first, last] = [minutes[0], minutes.at(-1)]
  if (first === undefined || last === undefined) return null
  const sum = (name: 'v' | 'n') => minutes.reduce((total, bar) => total + bar[name], 0)
  const [h, l] = [Math.max(...minutes.map((bar) => bar.h)), Math.min(...minutes.map((bar) => bar.l))]
  return { t: first.t, o: first.o, h, l, c: last.c, v: sum('v'), n: sum('n') }
}

function readRequest(
  query: URLSearchParams,
  kind: 'stocks' | 'crypto',
  only: string | undefined,
  now: number,
  sip: boolean,
) {
  const timeframe = query.get('timeframe') ?? ''
  if (!TIMEFRAME.test(timeframe)) throw badData(`invalid timeframe: ${timeframe}`)
  const limit = Number(query.get('limit') ?? 1000)
  if (!(limit >= 1 && limit <= MOST_BARS)) throw badData('limit must be between 1 and 10000')
  const symbols = only === undefined ? (query.get('symbols') ?? '').split(',').sort() : [only]
  if (symbols.includes('')) throw badData('symbols is required')
  for (const symbol of symbols) {
    if (kind === 'crypto' && !PAIR.test(symbol))
      throw badData(`invalid symbol: ${symbol} does not match ${PAIR.source}`)
    if (kind === 'stocks' && symbol.includes('/')) throw badData(`invalid symbol: ${symbol}`)
  }
  const start = timeOf(query, 'start', dayOf(now))
  const end = timeOf(query, 'end', now)
  const feed = query.get('feed') ?? (sip ? 'sip' : 'iex')
  if (kind === 'stocks' && feed === 'sip' && !sip && end > now - SIP_DELAY_MS) {
    throw new Refusal(403, 42210000, 'subscription does not permit querying recent SIP data')
  }
  const token = query.get('page_token')
  const isAdjusted = ['split', 'all'].includes(query.get('adjustment') ?? 'raw')
  return { timeframe, limit, symbols, start, end, isAdjusted, after: token === null ? null : readToken(token) }
}

function timeOf(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name)
  if (text === null) return otherwise
  const time = Date.parse(text)
  if (Number.isNaN(time) || !/^\d{4}-\d\d-\d\d/.test(text)) {
    throw badData(`Invalid format for parameter ${name}: error parsing '${text}' as RFC3339 or 2006-01-02 time`)
  }
  return time
}

const tokenOf = (symbol: string, t: number) =>
  Buffer.from(`${symbol}|M|${new Date(t).toISOString()}`).toString('base64')

function readToken(token: string): string {
  const [symbol, , time] = Buffer.from(token, 'base64').toString().split('|')
  if (symbol === undefined || time === undefined) throw badData('invalid page_token')
  return `${symbol}|${Date.parse(time)}`
}

export function barShape({ t, ...rest }: RawBar): Record<string, unknown> {
  return { ...rest, t: new Date(t).toISOString().replace('.000Z', 'Z'), vw: (rest.h + rest.l) / 2 }
}

const newYork = new Intl.DateTimeFormat('en-GB', { timeZone: 'America/New_York', hour: '2-digit', minute: '2-digit' })
const newYorkTime = (at: number): string => newYork.format(at)
