/** Bars from Alpaca: every page, on Weaver's grid, closed ones only. */
import type { marketData } from '@alpacahq/alpaca-trade-api/rest'
import { tradesAroundTheClock } from '../../../../db/walle/calendar/calendar.ts'
import { DAY_MS } from '../../../../db/walle/calendar/days.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../../../strategies/api.ts'
import { Decimal } from '../../../greta/decimals.ts'
import { type BarRequest, type VenueBar, VenueError, type VenueWorld } from '../../venue.ts'
import { venueError } from './errors.ts'
import type { Rest } from './rest.ts'
import type { StockFeed } from './settings.ts'
import { type WireBar, wireBars } from './wire.ts'

const MOST_PER_PAGE = 10_000
/** About twenty years of minutes: beyond that something turns in circles. */
const MOST_PAGES = 1_000
/** In words. */
const MOST_NAMED = 5

/** Four-hour bars of Alpaca's begin by New York's clock, which is off Weaver's grid half of the year. */
const ASKED: Readonly<Record<Timeframe, { as: string; timeframe: Timeframe }>> = {
  '1m': { as: '1Min', timeframe: '1m' },
  '5m': { as: '5Min', timeframe: '5m' },
  '15m': { as: '15Min', timeframe: '15m' },
  '30m': { as: '30Min', timeframe: '30m' },
  '1h': { as: '1Hour', timeframe: '1h' },
  '4h': { as: '1Hour', timeframe: '1h' },
  '1d': { as: '1Day', timeframe: '1d' },
}

export type Bars = (request: BarRequest) => Promise<VenueBar[]>

export function createBars(rest: Rest, feed: StockFeed, world: VenueWorld): Bars {
  const ask = createRounds((range, symbols) => pages(rest, feed, world, range, symbols))
  return async ({ symbol, timeframe, start, end, adjustment = 'split', urgent = false }) => {
    if (start > end) return []
    const asked = ASKED[timeframe]
    const isDay = timeframe === '1d'
    const from = isDay ? start : Math.floor(start / TIMEFRAME_MS[timeframe]) * TIMEFRAME_MS[timeframe]
    // A session's bar begins at New York's midnight, some hours into its date.
    const to = isDay ? end + DAY_MS / 2 : end + (TIMEFRAME_MS[timeframe] - TIMEFRAME_MS[asked.timeframe])
    const crypto = tradesAroundTheClock(symbol)
    const { wires, at } = await ask({ crypto, timeframe: asked.as, start: from, end: to, adjustment, urgent }, symbol)
    const bars = wires.flatMap((wire) => barOf(wire, symbol, asked.timeframe) ?? [])
    const made = asked.timeframe === timeframe ? bars : joined(bars, TIMEFRAME_MS[timeframe])
    return made.filter(({ time }) => time >= start && time <= end && time + TIMEFRAME_MS[timeframe] <= at)
  }
}

/** All but the symbol. */
interface Range {
  crypto: boolean
  /** In Alpaca's words. */
  timeframe: string
  start: number
  end: number
  adjustment: 'raw' | 'split' | 'all'
  urgent: boolean
}

/** `at`: the venue's clock when it answered; a bar that had not ended by then was still forming. */
interface Answer {
  bars: Map<string, WireBar[]>
  at: number
}

/** A run's symbols tick together: what is asked for in one breath, of the same range, is one request. */
function createRounds(send: (range: Range, symbols: readonly string[]) => Promise<Answer>) {
  const rounds = new Map<string, { symbols: Set<string>; answer: Promise<Answer> }>()

  async function next(range: Range, symbols: ReadonlySet<string>, key: string): Promise<Answer> {
    await Promise.resolve()
    rounds.delete(key)
    return send(range, [...symbols])
  }

  return async (range: Range, symbol: string): Promise<{ wires: WireBar[]; at: number }> => {
    const key = JSON.stringify(range)
    const symbols = new Set<string>()
    const round = rounds.get(key) ?? { symbols, answer: next(range, symbols, key) }
    rounds.set(key, round)
    round.symbols.add(symbol)
    const answer = await round.answer.catch((error: unknown) => {
      // One that Alpaca does not know fails all that are asked for beside it.
      const isOfOne = error instanceof VenueError && /invalid symbol/i.test(error.message)
      if (!isOfOne || round.symbols.size === 1) throw error
      return send(range, [symbol])
    })
    return { wires: answer.bars.get(symbol) ?? [], at: answer.at }
  }
}

async function pages(
  rest: Rest,
  feed: StockFeed,
  world: VenueWorld,
  { crypto, timeframe, start, end, adjustment, urgent }: Range,
  symbols: readonly string[],
): Promise<Answer> {
  const what = `bars of ${symbols.length > MOST_NAMED ? `${symbols.length} symbols` : symbols.join(', ')}`
  const bars = new Map<string, WireBar[]>(symbols.map((symbol) => [symbol, []]))
  const range = { symbols: symbols.join(), timeframe, start: new Date(start), end: new Date(end), limit: MOST_PER_PAGE }
  let at = Number.POSITIVE_INFINITY
  let token: string | null = null
  for (let page = 0; page < MOST_PAGES; page++) {
    const next: { pageToken?: string } = token === null ? {} : { pageToken: token }
    const answer = await rest.attempt({
      what,
      bucket: 'data',
      urgent,
      send: () =>
        crypto
          ? rest.crypto.cryptoBarsRaw({ loc: 'us', ...range, ...next })
          : rest.stocks.stockBarsRaw({
              ...range,
              ...next,
              feed: feed as marketData.StockHistoricalFeed,
              adjustment,
            }),
      shape: wireBars,
    })
    if ('failure' in answer) throw venueError(answer.failure, what)
    at = Math.min(at, clockOf(answer.response, world))
    for (const symbol of symbols) bars.get(symbol)?.push(...(answer.value.bars?.[symbol] ?? []))
    // A page may be short or empty and not the last: only the token tells.
    const after: string | null = answer.value.next_page_token
    if (after === null || after === '') return { bars, at }
    if (after === token) break
    token = after
  }
  throw new VenueError('unavailable', `Alpaca, ${what}: its pages do not come to an end`)
}

function clockOf(response: Response, world: VenueWorld): number {
  const at = Date.parse(response.headers.get('date') ?? '')
  return Number.isNaN(at) ? world.now() : at
}

const newYork = new Intl.DateTimeFormat('en-CA', { timeZone: 'America/New_York', dateStyle: 'short' })

/** Null: a bar that is on no grid of Weaver's. */
export function barOf({ t, o, h, l, c, v, n }: WireBar, symbol: string, timeframe: Timeframe): VenueBar | null {
  const isSession = timeframe === '1d' && !tradesAroundTheClock(symbol)
  const time = isSession ? Date.parse(newYork.format(t)) : t
  if (time % TIMEFRAME_MS[timeframe] !== 0) return null
  return { time, open: o, high: h, low: l, close: c, volume: v, trade_count: n }
}

/** Longer bars of shorter ones. */
function joined(bars: readonly VenueBar[], length: number): VenueBar[] {
  const made: VenueBar[] = []
  for (const bar of bars) {
    const time = Math.floor(bar.time / length) * length
    const last = made.at(-1)
    if (last?.time === time) Object.assign(last, extended(last, bar))
    else made.push({ ...bar, time })
  }
  return made
}

function extended(bar: VenueBar, next: VenueBar): Partial<VenueBar> {
  const trades = bar.trade_count === null || next.trade_count === null
  return {
    high: new Decimal(next.high).gt(bar.high) ? next.high : bar.high,
    low: new Decimal(next.low).lt(bar.low) ? next.low : bar.low,
    close: next.close,
    volume: new Decimal(bar.volume).plus(next.volume).toString(),
    trade_count: trades ? null : new Decimal(bar.trade_count as string).plus(next.trade_count as string).toString(),
  }
}
