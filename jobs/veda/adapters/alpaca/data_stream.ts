/**
 * The streams of market data: one for shares, one for coins, each opened while something of its kind is watched. What they
 * tell is a hint; who needs a bar asks for it when it does not come.
 */
import { z } from 'zod'
import { tradesAroundTheClock } from '../../../../db/walle/calendar/calendar.ts'
import type { StreamHandlers, VenueWorld } from '../../venue.ts'
import { barOf } from './bars.ts'
import type { AlpacaSettings } from './settings.ts'
import { type KeptSocket, keepSocket } from './socket.ts'
import { parseExact, wireBar, wireQuote, wireTrade } from './wire.ts'

export interface DataStreams {
  watch(symbols: readonly string[]): void
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
    watch(symbols) {
      for (const { takes, url, name } of kinds) {
        const wanted = symbols.filter(takes)
        const stream = open.get(name)
        if (stream) stream.watch(wanted)
        else if (wanted.length > 0) open.set(name, openDataStream(options, url, name, wanted))
        if (stream && wanted.length === 0) {
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
  watch(symbols: readonly string[]): void
  close(): Promise<void>
}

/** What is asked for and what is streamed of it. */
interface Wishes {
  wanted: Set<string>
  subscribed: Set<string>
  /** What the plan of the account does not allow for. */
  most: number
}

const allowed = ({ wanted, most }: Wishes) => new Set([...wanted].slice(0, most))

function channelsOf(handlers: StreamHandlers) {
  return (symbols: Iterable<string>) => {
    const list = [...symbols]
    const ticks = { ...(handlers.onQuote ? { quotes: list } : {}), ...(handlers.onTrade ? { trades: list } : {}) }
    return { bars: list, updatedBars: list, ...ticks }
  }
}

function openDataStream(
  { settings, label, world, handlers }: DataStreamOptions,
  url: string,
  name: string,
  first: readonly string[],
): DataStream {
  const wishes: Wishes = { wanted: new Set(first), subscribed: new Set(), most: Number.POSITIVE_INFINITY }
  const fields = { stream: `${label} ${name}` }
  const channels = channelsOf(handlers)
  let isIn = false

  function subscribe(): void {
    if (!isIn) return
    const next = allowed(wishes)
    const gone = [...wishes.subscribed].filter((symbol) => !next.has(symbol))
    if (gone.length > 0) socket.send({ action: 'unsubscribe', ...channels(gone) })
    socket.send({ action: 'subscribe', ...channels(next) })
    wishes.subscribed = next
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
    // Nothing of that request was taken: fewer are asked for, and the rest comes by asking.
    wishes.most = Math.max(1, Math.floor(allowed(wishes).size / 2))
    world.log('warn', { ...fields, symbols: wishes.most }, 'Alpaca streams no more symbols than that on this plan')
    wishes.subscribed = new Set()
    if (wishes.wanted.size > 1) subscribe()
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
    probe: () => ({ action: 'subscribe', ...channels(wishes.subscribed) }),
    ended: () => {
      isIn = false
      wishes.subscribed = new Set()
    },
  })
  return {
    watch(symbols) {
      if (symbols.length === wishes.wanted.size && symbols.every((symbol) => wishes.wanted.has(symbol))) return
      wishes.wanted = new Set(symbols)
      subscribe()
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
