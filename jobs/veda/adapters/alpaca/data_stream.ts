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
  label: string
  world: VenueWorld
  handlers: StreamHandlers
}

export function createDataStreams(options: DataStreamOptions): DataStreams {
  const { settings } = options
  const kinds = [
    { takes: tradesAroundTheClock, url: `${settings.dataStreamUrl}/v1beta3/crypto/us`, name: 'crypto' },
    {
      takes: (symbol: string) => !tradesAroundTheClock(symbol),
      url: `${settings.dataStreamUrl}/v2/${settings.feed}`,
      name: settings.feed,
    },
  ]
  const open = new Map<string, DataStream>()
  const closing: Promise<void>[] = []
  return {
    watch(symbols, { quotes, trades } = { quotes: [], trades: [] }) {
      for (const { takes, url, name } of kinds) {
        const wanted = { bars: symbols.filter(takes), quotes: quotes.filter(takes), trades: trades.filter(takes) }
        const stream = open.get(name)
        if (stream) stream.watch(wanted)
        else if (wanted.bars.length > 0) open.set(name, openDataStream(options, url, name, wanted))
        if (stream && wanted.bars.length === 0) {
          open.delete(name)
          closing.push(stream.close())
        }
      }
    },
    async close() {
      await Promise.all([...closing, ...[...open.values()].map((stream) => stream.close())])
      open.clear()
    },
  }
}

const frames = z.array(z.looseObject({ T: z.string() }))
type Frame = z.infer<typeof frames>[number]
const SYMBOL_LIMIT = 405

interface DataStream {
  watch(wanted: Wanted): void
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

function openDataStream(
  { settings, label, world, handlers }: DataStreamOptions,
  url: string,
  name: string,
  first: Wanted,
): DataStream {
  const wishes: Wishes = { wanted: first, most: Number.POSITIVE_INFINITY, withTicks: true }
  const fields = { stream: `${label} ${name}` }
  let subscribed = NOTHING
  let isIn = false

  function subscribe(): void {
    if (!isIn) return
    const next = channelsOf(wishes)
    const gone = without(subscribed, next)
    if (!isNothing(gone)) socket.send(request('unsubscribe', gone))
    socket.send(request('subscribe', next))
    subscribed = next
  }

  const hear = (frame: Frame) =>
    frame.T === 'error' ? failed(frame) : frame.T === 'success' ? greeted(frame) : told(frame)

  function greeted({ msg }: Frame): null {
    if (msg === 'connected') socket.send({ action: 'auth', key: settings.key, secret: settings.secret })
    if (msg === 'authenticated') {
      isIn = true
      subscribe()
    }
    return null
  }

  function failed({ code, msg }: Frame): string | null {
    if (Number(code) !== SYMBOL_LIMIT) return `${String(code)} ${String(msg)}`
    // Nothing of that request was taken.
    const isLess = askForLess(wishes, subscribed)
    const allowed = { symbols: channelsOf(wishes).bars.length, quotes: wishes.withTicks }
    world.log('warn', { ...fields, ...allowed }, 'Alpaca streams no more symbols than that on this plan')
    subscribed = NOTHING
    if (isLess) subscribe()
    return null
  }

  function told(frame: Frame): null {
    try {
      if (frame.T === 'subscription') socket.settled()
      else tellMarket(frame, handlers)
    } catch (error) {
      world.log('warn', { err: error, ...fields }, 'market data that is not understood')
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
    watch(wanted) {
      wishes.wanted = wanted
      if (!areSame(channelsOf(wishes), subscribed)) subscribe()
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

function tellMarket(frame: Frame, handlers: StreamHandlers): void {
  if (frame.T === 'b' || frame.T === 'u') {
    const symbol = String(frame.S)
    const bar = barOf(wireBar.parse(frame), symbol, '1m')
    if (bar !== null) handlers.onBar({ ...bar, symbol, timeframe: '1m', revised: frame.T === 'u' })
  } else if (frame.T === 'q') {
    const { S: symbol, t: at, bp: bid, ap: ask } = wireQuote.parse(frame)
    handlers.onQuote?.({ symbol, at, bid, ask })
  } else if (frame.T === 't') {
    const { S: symbol, t: at, p: price, s: size } = wireTrade.parse(frame)
    handlers.onTrade?.({ symbol, at, price, size })
  }
}
