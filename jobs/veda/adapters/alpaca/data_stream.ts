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
    if (stream === undefined && isOfUse) streams.set(url, new DataStream(world, url, member))
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

class DataStream {
  private readonly world: VenueWorld
  private readonly members: Set<Member>
  private readonly wishes: Wishes
  private readonly fields: { stream: string }
  private readonly socket: KeptSocket
  private subscribed = NOTHING
  /** What was there before more was asked for. */
  private held = NOTHING
  private isIn = false
  /** Whose keys are tried. */
  private turn = 0

  constructor(world: VenueWorld, url: string, first: Member) {
    this.world = world
    this.members = new Set([first])
    this.wishes = { wanted: wantedBy(this.members), most: Number.POSITIVE_INFINITY, withTicks: true }
    this.fields = { stream: `alpaca ${new URL(url).pathname}` }
    this.socket = keepSocket(url, this.fields.stream, world, {
      opened: () => {},
      heard: (text) => firstReason(frames.parse(parseExact(text)), (frame) => this.hear(frame)),
      probe: () => request('subscribe', this.subscribed),
      ended: () => {
        this.isIn = false
        this.subscribed = NOTHING
      },
    })
  }

  /** What the member wants has changed; `isOfUse` false: it wants nothing any more. False: nobody does. */
  keep(member: Member, isOfUse: boolean): boolean {
    if (isOfUse) this.members.add(member)
    else this.members.delete(member)
    const wanted = wantedBy(this.members)
    // Of fewer symbols all may be given.
    if (JSON.stringify(wanted) !== JSON.stringify(this.wishes.wanted)) {
      Object.assign(this.wishes, { wanted, most: Number.POSITIVE_INFINITY, withTicks: true })
    }
    const isWanted = this.members.size > 0
    if (isWanted && !areSame(channelsOf(this.wishes), this.subscribed)) this.subscribe()
    return isWanted
  }

  close(): Promise<void> {
    return this.socket.close()
  }

  private subscribe(): void {
    if (!this.isIn) return
    const next = channelsOf(this.wishes)
    const gone = without(this.subscribed, next)
    if (!isNothing(gone)) this.socket.send(request('unsubscribe', gone))
    this.held = without(this.subscribed, gone)
    this.socket.send(request('subscribe', next))
    this.subscribed = next
  }

  private hear(frame: Frame): string | null {
    if (frame.T === 'error') return this.failed(frame)
    if (frame.T === 'success') this.greeted(frame)
    else if (frame.T === 'subscription') this.socket.settled()
    else for (const member of this.members) this.tell(frame, member)
    return null
  }

  private greeted({ msg }: Frame): void {
    if (msg === 'connected') {
      const { key, secret } = ([...this.members][this.turn % this.members.size] as Member).settings
      this.socket.send({ action: 'auth', key, secret })
    }
    if (msg === 'authenticated') {
      this.isIn = true
      this.subscribe()
    }
  }

  private failed({ code, msg }: Frame): string | null {
    if (REFUSED_KEYS.includes(Number(code))) this.turn += 1
    if (Number(code) !== SYMBOL_LIMIT) return `${String(code)} ${String(msg)}`
    // Nothing of that request was taken.
    const isLess = askForLess(this.wishes, this.subscribed)
    const allowed = { symbols: channelsOf(this.wishes).bars.length, quotes: this.wishes.withTicks }
    this.world.log('warn', { ...this.fields, ...allowed }, 'Alpaca streams no more symbols than that on this plan')
    this.subscribed = this.held
    if (isLess) this.subscribe()
    return null
  }

  private tell(frame: Frame, member: Member): void {
    try {
      tellMarket(frame, member)
    } catch (error) {
      this.world.log('warn', { err: error, ...this.fields }, 'market data that is not understood')
    }
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
