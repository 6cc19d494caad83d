/**
 * The streams of market data: one for shares, one for coins, each opened while something of its kind is watched. What they
 * tell is a hint; who needs a bar asks for it when it does not come.
 */
import { z } from 'zod'
import { tradesAroundTheClock } from '../../../../db/walle/calendar/calendar.ts'
import type { StreamHandlers, VenueStream, VenueWorld } from '../../venue.ts'
import { barOf } from './bars.ts'
import type { AlpacaSettings } from './settings.ts'
import { type KeptSocket, keepSocket } from './socket.ts'
import { parseExact, wireBar, wireQuote, wireTrade } from './wire.ts'

/** By channel, the symbols that are asked for. */
interface Wanted {
  bars: readonly string[]
  quotes: readonly string[]
  trades: readonly string[]
}

export interface DataStreams {
  watch: VenueStream['watch']
  close(): Promise<void>
}

export interface DataStreamOptions {
  settings: AlpacaSettings
  world: VenueWorld
  handlers: StreamHandlers
}

/** One of those who share a stream: an account of this process. */
interface Member {
  settings: AlpacaSettings
  handlers: StreamHandlers
  wanted: Wanted
}

/**
 * Of one process, by address: paper and live accounts have their data from the same place, which on most plans gives it over
 * one connection at a time. Who came second would be refused for ever.
 */
const shared = new WeakMap<VenueWorld, Map<string, DataStream>>()

export function createDataStreams({ settings, world, handlers }: DataStreamOptions): DataStreams {
  const kinds = [
    { takes: tradesAroundTheClock, path: '/v1beta3/crypto/us' },
    { takes: (symbol: string) => !tradesAroundTheClock(symbol), path: `/v2/${settings.feed}` },
  ].map(({ takes, path }) => {
    const member: Member = { settings, handlers, wanted: { bars: [], quotes: [], trades: [] } }
    return { takes, url: `${settings.dataStreamUrl}${path}`, member }
  })
  const streams = shared.get(world) ?? new Map<string, DataStream>()
  shared.set(world, streams)
  const closing: Promise<void>[] = []

  function want(url: string, member: Member, wanted: Wanted): void {
    const stream = streams.get(url)
    const isOfUse = wanted.bars.length > 0
    member.wanted = wanted
    if (stream === undefined && isOfUse) streams.set(url, openDataStream(world, url, member))
    if (stream === undefined || stream.keep(member, isOfUse)) return
    streams.delete(url)
    closing.push(stream.close())
  }

  return {
    watch(symbols, { quotes, trades } = { quotes: [], trades: [] }) {
      for (const { takes, url, member } of kinds) {
        want(url, member, { bars: symbols.filter(takes), quotes: quotes.filter(takes), trades: trades.filter(takes) })
      }
    },
    async close() {
      for (const { url, member } of kinds) want(url, member, { bars: [], quotes: [], trades: [] })
      await Promise.all(closing)
    },
  }
}

const frames = z.array(z.looseObject({ T: z.string() }))
type Frame = z.infer<typeof frames>[number]
const SYMBOL_LIMIT = 405
/** Of these keys: others may be given what they are not. */
const REFUSED_KEYS = [402, 409]

interface DataStream {
  /** What the member wants has changed; `isOfUse` false: it wants nothing any more. False: nobody does. */
  keep(member: Member, isOfUse: boolean): boolean
  close(): Promise<void>
}

type Channels = Readonly<Record<'bars' | 'updatedBars' | 'quotes' | 'trades', readonly string[]>>
const CHANNELS = ['bars', 'updatedBars', 'quotes', 'trades'] as const
const NOTHING: Channels = { bars: [], updatedBars: [], quotes: [], trades: [] }

/** What is asked for, and what the plan of the account allows for: bars go before quotes and trades. */
interface Wishes {
  wanted: Wanted
  most: number
  withTicks: boolean
}

function channelsOf({ wanted: { bars, quotes, trades }, most, withTicks }: Wishes): Channels {
  const list = bars.slice(0, most)
  return { bars: list, updatedBars: list, quotes: withTicks ? quotes : [], trades: withTicks ? trades : [] }
}

const isNothing = (channels: Channels) => CHANNELS.every((name) => channels[name].length === 0)

/** Of `channels`, what is not in `others`. */
function without(channels: Channels, others: Channels): Channels {
  const left = (name: (typeof CHANNELS)[number]) => channels[name].filter((symbol) => !others[name].includes(symbol))
  return { bars: left('bars'), updatedBars: left('updatedBars'), quotes: left('quotes'), trades: left('trades') }
}

const areSame = (one: Channels, other: Channels) => isNothing(without(one, other)) && isNothing(without(other, one))

/** Of the channels that are of use; bars always are. */
function request(action: 'subscribe' | 'unsubscribe', { bars, updatedBars, quotes, trades }: Channels): object {
  const ticks = { ...(quotes.length > 0 ? { quotes } : {}), ...(trades.length > 0 ? { trades } : {}) }
  return { action, bars, updatedBars, ...ticks }
}

/** First quotes and trades are done without, then fewer symbols are asked for, and the rest comes by asking. False: there is no less. */
function askForLess(wishes: Wishes, { bars, quotes, trades }: Channels): boolean {
  const hadTicks = quotes.length + trades.length > 0
  if (hadTicks) wishes.withTicks = false
  else wishes.most = Math.max(1, Math.floor(bars.length / 2))
  return hadTicks || bars.length > 1
}

function wantedBy(members: ReadonlySet<Member>): Wanted {
  const all = (name: keyof Wanted) => [...new Set([...members].flatMap(({ wanted }) => wanted[name]))]
  return { bars: all('bars'), quotes: all('quotes'), trades: all('trades') }
}

function openDataStream(world: VenueWorld, url: string, first: Member): DataStream {
  const members = new Set([first])
  const wishes: Wishes = { wanted: wantedBy(members), most: Number.POSITIVE_INFINITY, withTicks: true }
  const fields = { stream: `alpaca ${new URL(url).pathname}` }
  let subscribed = NOTHING
  /** What was there before it was asked for more. */
  let held = NOTHING
  let isIn = false
  let turn = 0

  function subscribe(): void {
    if (!isIn) return
    const next = channelsOf(wishes)
    const gone = without(subscribed, next)
    if (!isNothing(gone)) socket.send(request('unsubscribe', gone))
    held = without(subscribed, gone)
    socket.send(request('subscribe', next))
    subscribed = next
  }

  const hear = (frame: Frame) =>
    frame.T === 'error' ? failed(frame) : frame.T === 'success' ? greeted(frame) : told(frame)

  function greeted({ msg }: Frame): null {
    if (msg === 'connected') {
      const { key, secret } = ([...members][turn % members.size] as Member).settings
      socket.send({ action: 'auth', key, secret })
    }
    if (msg === 'authenticated') {
      isIn = true
      subscribe()
    }
    return null
  }

  function failed({ code, msg }: Frame): string | null {
    if (REFUSED_KEYS.includes(Number(code))) turn += 1
    if (Number(code) !== SYMBOL_LIMIT) return `${String(code)} ${String(msg)}`
    // Nothing of that request was taken.
    const isLess = askForLess(wishes, subscribed)
    const allowed = { symbols: channelsOf(wishes).bars.length, quotes: wishes.withTicks }
    world.log('warn', { ...fields, ...allowed }, 'Alpaca streams no more symbols than that on this plan')
    subscribed = held
    if (isLess) subscribe()
    return null
  }

  function told(frame: Frame): null {
    if (frame.T === 'subscription') socket.settled()
    else {
      for (const member of members) {
        try {
          tellMarket(frame, member)
        } catch (error) {
          world.log('warn', { err: error, ...fields }, 'market data that is not understood')
        }
      }
    }
    return null
  }

  const socket: KeptSocket = keepSocket(url, fields.stream, world, {
    opened: () => {},
    heard: (text) => firstReason(frames.parse(parseExact(text)), hear),
    probe: () => request('subscribe', subscribed),
    ended: () => {
      isIn = false
      subscribed = NOTHING
    },
  })
  return {
    keep(member, isOfUse) {
      if (isOfUse) members.add(member)
      else members.delete(member)
      const wanted = wantedBy(members)
      // Of fewer symbols all may be given.
      if (JSON.stringify(wanted) !== JSON.stringify(wishes.wanted)) {
        Object.assign(wishes, { wanted, most: Number.POSITIVE_INFINITY, withTicks: true })
      }
      if (members.size > 0 && !areSame(channelsOf(wishes), subscribed)) subscribe()
      return members.size > 0
    },
    close: () => socket.close(),
  }
}

function firstReason(heard: readonly Frame[], hear: (frame: Frame) => string | null): string | null {
  for (const frame of heard) {
    const reason = hear(frame)
    if (reason !== null) return reason
  }
  return null
}

/** Each hears of what it asked for. */
function tellMarket(frame: Frame, { wanted, handlers }: Member): void {
  const symbol = String(frame.S)
  if ((frame.T === 'b' || frame.T === 'u') && wanted.bars.includes(symbol)) {
    const bar = barOf(wireBar.parse(frame), symbol, '1m')
    if (bar !== null) handlers.onBar({ ...bar, symbol, timeframe: '1m', revised: frame.T === 'u' })
  } else if (frame.T === 'q' && wanted.quotes.includes(symbol)) {
    const { t: at, bp: bid, ap: ask } = wireQuote.parse(frame)
    handlers.onQuote?.({ symbol, at, bid, ask })
  } else if (frame.T === 't' && wanted.trades.includes(symbol)) {
    const { t: at, p: price, s: size } = wireTrade.parse(frame)
    handlers.onTrade?.({ symbol, at, price, size })
  }
}
