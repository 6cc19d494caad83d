/** The two kinds of streams: order updates of the account, and market data. */
import type { ServerSocket } from './socket.ts'

export interface Keys {
  key: string
  secret: string
}

export interface StreamWorld {
  isKey(given: Keys): boolean
  now(): number
  /** How long a connection that was cut still counts. */
  ghostMs: number
  /** Symbols a connection may ask for. */
  symbolLimit: number
  hasSip(): boolean
}

/** Connections to one endpoint: one at a time, and one that was cut counts for a while. */
export interface Endpoint {
  readonly sockets: Set<ServerSocket>
  isTaken(): boolean
  leaveGhost(): void
}

function createEndpoint(world: StreamWorld): Endpoint {
  const sockets = new Set<ServerSocket>()
  let ghostUntil = 0
  return {
    sockets,
    isTaken: () => sockets.size > 0 || world.now() < ghostUntil,
    leaveGhost() {
      ghostUntil = world.now() + world.ghostMs
    },
  }
}

type Message = Record<string, unknown>

function parse(text: string): Message | null {
  try {
    const message: unknown = JSON.parse(text)
    return typeof message === 'object' && message !== null ? (message as Message) : null
  } catch {
    return null
  }
}

export interface TradeStream extends Endpoint {
  accept(socket: ServerSocket): void
  /** So many times what is asked for is not in the answer, and is not given. */
  withhold(times: number): void
  push(update: Message): void
  /** Connections that listen. */
  readonly listening: number
}

export function createTradeStream(world: StreamWorld, frames: 'text' | 'binary'): TradeStream {
  const endpoint = createEndpoint(world)
  const listeners = new Set<ServerSocket>()
  let withheld = 0
  const send = (socket: ServerSocket, message: Message) => socket.send(JSON.stringify(message), frames)

  function accept(socket: ServerSocket): void {
    endpoint.sockets.add(socket)
    let isAuthorised = false
    socket.onClose = () => {
      endpoint.sockets.delete(socket)
      listeners.delete(socket)
    }
    socket.onMessage = (text) => {
      const message = parse(text)
      const action = message?.action
      if (action === 'authenticate' || action === 'auth') {
        isAuthorised = world.isKey(keysOf(message as Message))
        const status = isAuthorised ? 'authorized' : 'unauthorized'
        send(socket, { stream: 'authorization', data: { status, action } })
      } else if (action === 'listen' && isAuthorised) {
        const asked = ((message?.data as Message | undefined)?.streams ?? []) as string[]
        const streams = asked.filter((name) => name === 'trade_updates' && withheld === 0)
        withheld = Math.max(0, withheld - 1)
        if (streams.length > 0) listeners.add(socket)
        else listeners.delete(socket)
        send(socket, { stream: 'listening', data: { streams } })
      } else {
        send(socket, { stream: 'authorization', data: { status: 'unauthorized', action } })
      }
    }
  }

  return {
    ...endpoint,
    accept,
    withhold(times) {
      withheld = times
    },
    push(update) {
      for (const socket of listeners) send(socket, { stream: 'trade_updates', data: update })
    },
    get listening() {
      return listeners.size
    },
  }
}

function keysOf(message: Message): Keys {
  const data = (message.data ?? {}) as Record<string, string>
  return {
    key: String(data.key_id ?? message.key ?? ''),
    secret: String(data.secret_key ?? message.secret ?? ''),
  }
}

const CHANNELS = ['trades', 'quotes', 'bars', 'updatedBars', 'dailyBars', 'statuses', 'lulds', 'orderbooks'] as const
type Channel = (typeof CHANNELS)[number]
const NOT_OF_CRYPTO: readonly Channel[] = ['statuses', 'lulds']
const CHANNEL_OF: Readonly<Record<string, Channel>> = {
  t: 'trades',
  q: 'quotes',
  b: 'bars',
  u: 'updatedBars',
  d: 'dailyBars',
}

const ERRORS = {
  400: 'invalid syntax',
  401: 'not authenticated',
  402: 'auth failed',
  403: 'already authenticated',
  404: 'auth timeout',
  405: 'symbol limit exceeded',
  406: 'connection limit exceeded',
  407: 'slow client',
  409: 'insufficient subscription',
  410: 'invalid subscribe action for this feed',
  500: 'internal error',
} as const
export type DataErrorCode = keyof typeof ERRORS

export interface DataStream extends Endpoint {
  accept(socket: ServerSocket): void
  /** To whoever subscribed to its kind and symbol, several in one frame. */
  push(messages: Message[]): void
  fail(code: DataErrorCode): void
  subscribed(channel: Channel): string[]
}

const LONGEST_LOGIN_MS = 10_000

export function createDataStream(world: StreamWorld, kind: 'iex' | 'sip' | 'crypto'): DataStream {
  const endpoint = createEndpoint(world)
  const subscriptions = new Map<ServerSocket, Map<Channel, Set<string>>>()
  const send = (socket: ServerSocket, messages: Message[]) => socket.send(JSON.stringify(messages))
  const fail = (socket: ServerSocket, code: DataErrorCode, ends = false) => {
    send(socket, [{ T: 'error', code, msg: ERRORS[code] }])
    if (ends) socket.close()
  }

  function logIn(socket: ServerSocket, message: Message) {
    if (subscriptions.has(socket)) return fail(socket, 403)
    if (!world.isKey(keysOf(message))) return fail(socket, 402, true)
    if (endpoint.isTaken()) return fail(socket, 406, true)
    if (kind === 'sip' && !world.hasSip()) return fail(socket, 409, true)
    endpoint.sockets.add(socket)
    subscriptions.set(socket, new Map())
    send(socket, [{ T: 'success', msg: 'authenticated' }])
  }

  function subscribe(socket: ServerSocket, message: Message) {
    const mine = subscriptions.get(socket)
    if (!mine) return fail(socket, 401)
    const asked = CHANNELS.filter((channel) => Array.isArray(message[channel]))
    if (kind === 'crypto' && asked.some((channel) => NOT_OF_CRYPTO.includes(channel))) return fail(socket, 410)
    const next = new Map(CHANNELS.map((channel) => [channel, new Set(mine.get(channel))]))
    for (const channel of asked) {
      for (const symbol of message[channel] as string[]) {
        if (message.action === 'subscribe') next.get(channel)?.add(symbol)
        else next.get(channel)?.delete(symbol)
      }
    }
    const symbols = new Set([...next.values()].flatMap((set) => [...set]))
    if (symbols.size > world.symbolLimit) return fail(socket, 405)
    subscriptions.set(socket, next)
    send(socket, [{ T: 'subscription', ...Object.fromEntries([...next].map(([name, set]) => [name, [...set]])) }])
  }

  function accept(socket: ServerSocket): void {
    const timer = setTimeout(() => {
      if (!subscriptions.has(socket)) fail(socket, 404, true)
    }, LONGEST_LOGIN_MS)
    socket.onClose = () => {
      clearTimeout(timer)
      endpoint.sockets.delete(socket)
      subscriptions.delete(socket)
    }
    socket.onMessage = (text) => {
      const message = parse(text)
      if (message?.action === 'auth') logIn(socket, message)
      else if (message?.action === 'subscribe' || message?.action === 'unsubscribe') subscribe(socket, message)
      else fail(socket, 400)
    }
    send(socket, [{ T: 'success', msg: 'connected' }])
  }

  return {
    ...endpoint,
    accept,
    push(messages) {
      for (const [socket, mine] of subscriptions) {
        const wanted = messages.filter(({ T, S }) => {
          const symbols = mine.get(CHANNEL_OF[String(T)] as Channel)
          return symbols?.has(String(S)) || symbols?.has('*')
        })
        if (wanted.length > 0) send(socket, wanted)
      }
    },
    fail(code) {
      for (const socket of subscriptions.keys()) fail(socket, code)
    },
    subscribed: (channel) => [...subscriptions.values()].flatMap((mine) => [...(mine.get(channel) ?? [])]),
  }
}
