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

export async function fetchBars(
  rest: Rest,
  feed: StockFeed,
  world: VenueWorld,
  request: BarRequest,
): Promise<VenueBar[]> {
  const { symbol, timeframe, start, end } = request
  if (start > end) return []
  const asked = ASKED[timeframe]
  const isDay = timeframe === '1d'
  const from = isDay ? start : Math.floor(start / TIMEFRAME_MS[timeframe]) * TIMEFRAME_MS[timeframe]
  // A session's bar begins at New York's midnight, some hours into its date.
  const to = isDay ? end + DAY_MS / 2 : end + (TIMEFRAME_MS[timeframe] - TIMEFRAME_MS[asked.timeframe])
  const { wires, at } = await pages(rest, feed, world, { ...request, start: from, end: to }, asked.as)
  const bars = wires.flatMap((wire) => barOf(wire, symbol, asked.timeframe) ?? [])
  const made = asked.timeframe === timeframe ? bars : joined(bars, TIMEFRAME_MS[timeframe])
  return made.filter(({ time }) => time >= start && time <= end && time + TIMEFRAME_MS[timeframe] <= at)
}

/** `at`: the venue's clock when it answered; a bar that had not ended by then was still forming. */
async function pages(
  rest: Rest,
  feed: StockFeed,
  world: VenueWorld,
  { symbol, start, end, adjustment }: BarRequest,
  timeframe: string,
): Promise<{ wires: WireBar[]; at: number }> {
  const crypto = tradesAroundTheClock(symbol)
  const wires: WireBar[] = []
  const range = { symbols: symbol, timeframe, start: new Date(start), end: new Date(end), limit: MOST_PER_PAGE }
  let at = Number.POSITIVE_INFINITY
  let token: string | null = null
  for (let page = 0; page < MOST_PAGES; page++) {
    const next: { pageToken?: string } = token === null ? {} : { pageToken: token }
    const answer = await rest.attempt({
      what: `bars of ${symbol}`,
      bucket: 'data',
      send: () =>
        crypto
          ? rest.crypto.cryptoBarsRaw({ loc: 'us', ...range, ...next })
          : rest.stocks.stockBarsRaw({
              ...range,
              ...next,
              feed: feed as marketData.StockHistoricalFeed,
              adjustment: adjustment ?? 'split',
            }),
      shape: wireBars,
    })
    if ('failure' in answer) throw venueError(answer.failure, `bars of ${symbol}`)
    at = Math.min(at, clockOf(answer.response, world))
    wires.push(...(answer.value.bars?.[symbol] ?? []))
    // A page may be short or empty and not the last: only the token tells.
    const after: string | null = answer.value.next_page_token
    if (after === null || after === '') return { wires, at }
    if (after === token) break
    token = after
  }
  throw new VenueError('unavailable', `Alpaca, bars of ${symbol}: its pages do not come to an end`)
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
