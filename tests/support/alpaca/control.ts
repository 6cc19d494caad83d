/** The hand behind the emulated venue: makes everything happen that a venue does of itself, and everything that goes wrong. */
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { Decimal } from '../../../jobs/greta/decimals.ts'
import {
  type Book,
  createBook,
  type EmulatedOrder,
  type EmulatedStatus,
  type EmulatedUpdate,
  leaves,
  splitBook,
} from './book.ts'
import { forbidden, Refusal, unauthorised } from './errors.ts'
import { createFaults, type Faults } from './faults.ts'
import { createLife, type Life } from './life.ts'
import { barShape, createMarket, type Market, type RawBar } from './market.ts'
import type { VenueSide } from './routes.ts'
import { orderShape, updateShape, zulu } from './shapes.ts'
import {
  createDataStream,
  createTradeStream,
  type DataErrorCode,
  type DataStream,
  type TradeStream,
} from './streams.ts'

export interface ControlOptions {
  mode: 'paper' | 'live'
  key: string
  secret: string
  now?: () => number
  ghostMs?: number
  sip?: boolean
}

export interface Updates {
  /** The next updates are lost. */
  drop(count: number): void
  /** The next updates are sent twice. */
  duplicate(count: number): void
  /** Updates wait until `release`, which may turn their order round. */
  hold(): void
  release(order?: 'kept' | 'reversed'): void
  /** Sends again what was sent so many updates ago (1: the last one). */
  replay(ago: number): void
}

export interface Streams {
  trade: TradeStream
  /** Ends every connection without a word. `ghost`: the venue takes it to be there for a while. */
  cut(options?: { ghost?: boolean }): void
  /** Somebody else with the same keys takes every connection over, and leaves again. */
  steal(): void
  /** Connections stay and say nothing more. */
  silence(isSilent: boolean): void
  quote(symbol: string, bid: string, ask: string): void
  trades(symbol: string, price: string, size: string): void
  /** A minute bar; `revised`: again, corrected by late trades. Stored as well. */
  bar(symbol: string, bar: RawBar, revised?: boolean): void
  error(code: DataErrorCode): void
}

export interface Foreign {
  symbol: string
  side: 'buy' | 'sell'
  qty: string
  limit_price: string
  order_class?: 'mleg'
}

export interface Control {
  now(): number
  readonly side: VenueSide
  readonly book: Book
  readonly market: Market
  readonly faults: Faults
  readonly updates: Updates
  readonly streams: Streams
  /** The venue's clock goes ahead of this machine's by so much. */
  skew(ms: number): void
  /** Orders at the market's price fill by themselves. */
  autoFill(isOn: boolean): void
  /** The most of one fill; null: all at once. */
  fillInParts(qty: string | null): void
  setPrice(symbol: string, price: string): void
  fill(id: string, qty: string, price: string): void
  cancelAtVenue(id: string): void
  expire(id: string): void
  reject(id: string): void
  /**
   * By another order, as when somebody changes it on the venue's page; gives its client id. Without a quantity it asks for all of
   * the old one's, whatever that has filled. What is told of the two comes in that order, or the other way round.
   */
  replace(
    id: string,
    changes: Partial<Pick<EmulatedOrder, 'limit_price' | 'stop_price' | 'trail_price' | 'time_in_force'>> & {
      qty?: string
    },
    newFirst?: boolean,
  ): string
  /** Somebody asks for that, and the old one fills before it is done: what was to take its place is rejected. */
  replaceInVain(id: string, price: string): void
  setStatus(id: string, status: EmulatedStatus): void
  /** An order of somebody else's. */
  foreignOrder(order: Foreign): string
  setPosition(symbol: string, qty: string, avgPrice?: string): void
  setCash(amount: string): void
  /** So many new shares for old ones: positions, the market's price, and all bars as they are adjusted; what lies open as `orders` says. */
  split(symbol: string, fresh: number, old: number, orders: 'cancel' | 'adjust' | 'leave'): void
  block(what: 'trading_blocked' | 'account_blocked' | 'trade_suspended_by_user', isOn?: boolean): void
  halt(symbol: string, isOn?: boolean): void
  setHours(date: string, open: string | null, close?: string): void
  revokeKeys(): void
  restoreKeys(): void
  /** So many lookups by this client order id do not find it. */
  hide(clientOrderId: string, lookups: number): void
  /** Cancels are taken, and nothing comes of them. */
  keepCancels(isOn: boolean): void
  finishCancel(id: string): void
  state(): Record<string, unknown>
  streamAt(path: string): TradeStream | DataStream | undefined
  checkKeys(headers: IncomingHttpHeaders, isData: boolean): void
  newRequestId(): string
}

const SYMBOL_LIMIT = 30

export function createControl(options: ControlOptions): Control {
  let skewMs = 0
  let isRevoked = false
  const wall = options.now ?? Date.now
  const now = () => wall() + skewMs
  const book = createBook(now)
  const hasSip = () => options.sip === true
  const market = createMarket(now, hasSip)
  const world = {
    isKey: (given: { key: string; secret: string }) =>
      !isRevoked && given.key === options.key && given.secret === options.secret,
    now,
    ghostMs: options.ghostMs ?? 90_000,
    symbolLimit: SYMBOL_LIMIT,
    hasSip,
  }
  const trade = createTradeStream(world, options.mode === 'paper' ? 'binary' : 'text')
  const data = {
    '/v2/iex': createDataStream(world, 'iex'),
    '/v2/sip': createDataStream(world, 'sip'),
    '/v1beta3/crypto/us': createDataStream(world, 'crypto'),
  }
  const { updates, push } = createUpdates(trade)
  book.onUpdate = push
  const life = createLife(book, market, now)
  const side: VenueSide = {
    book,
    market,
    accountNumber: `EMULATOR-${options.mode.toUpperCase()}-1`,
    blocked: {},
    hidden: new Map(),
    look: life.look,
    afterPlacing: life.begin,
    cancel: life.cancel,
  }
  const all: (TradeStream | DataStream)[] = [trade, ...Object.values(data)]
  return {
    now,
    side,
    book,
    market,
    faults: createFaults(),
    updates,
    streams: createStreams(trade, Object.values(data), all, market, now),
    ...venueHands(side, life, now),
    skew(ms) {
      skewMs = ms
    },
    revokeKeys() {
      isRevoked = true
      for (const stream of all) for (const socket of stream.sockets) socket.close(1008)
    },
    restoreKeys() {
      isRevoked = false
    },
    state: () => ({
      account_number: side.accountNumber,
      orders: book.orders.map((order) => orderShape(order)),
      positions: Object.fromEntries([...book.positions].map(([symbol, { qty }]) => [symbol, qty.toString()])),
      listening: trade.listening,
    }),
    streamAt: (path) => (path === '/stream' ? trade : data[path as keyof typeof data]),
    checkKeys(headers, isData) {
      const given = {
        key: String(headers['apca-api-key-id'] ?? ''),
        secret: String(headers['apca-api-secret-key'] ?? ''),
      }
      if (world.isKey(given)) return
      if (isData) throw new Refusal(401, null, 'unauthorized')
      throw isRevoked || given.key === '' ? unauthorised() : forbidden()
    },
    newRequestId: () => randomUUID().replaceAll('-', ''),
  }
}

function createUpdates(trade: TradeStream): { updates: Updates; push: (update: EmulatedUpdate) => void } {
  let dropped = 0
  let doubled = 0
  let held: Record<string, unknown>[] | null = null
  const sent: Record<string, unknown>[] = []
  const send = (message: Record<string, unknown>) => {
    sent.push(message)
    trade.push(message)
  }
  return {
    updates: {
      drop: (count) => {
        dropped = count
      },
      duplicate: (count) => {
        doubled = count
      },
      hold: () => {
        held ??= []
      },
      release(order = 'kept') {
        const waiting = held ?? []
        held = null
        if (order === 'reversed') waiting.reverse()
        for (const message of waiting) send(message)
      },
      replay(ago) {
        const message = sent.at(-ago)
        if (message) trade.push(message)
      },
    },
    push(update) {
      const message = updateShape(update)
      if (dropped > 0) {
        dropped -= 1
      } else if (held !== null) {
        held.push(message)
      } else {
        send(message)
        if (doubled > 0) {
          doubled -= 1
          trade.push(message)
        }
      }
    },
  }
}

function createStreams(
  trade: TradeStream,
  data: DataStream[],
  all: (TradeStream | DataStream)[],
  market: Market,
  now: () => number,
): Streams {
  let isSilent = false
  const push = (message: Record<string, unknown>) => {
    if (!isSilent) for (const stream of data) stream.push([message])
  }
  return {
    trade,
    cut({ ghost = false } = {}) {
      for (const stream of all) {
        if (ghost && stream.sockets.size > 0) stream.leaveGhost()
        for (const socket of stream.sockets) socket.cut()
      }
    },
    steal() {
      for (const stream of all) for (const socket of stream.sockets) socket.close(1008)
    },
    silence(next) {
      isSilent = next
      for (const stream of all) for (const socket of stream.sockets) socket.mute(next)
    },
    quote: (symbol, bid, ask) =>
      push({ T: 'q', S: symbol, bp: Number(bid), bs: 1, ap: Number(ask), as: 1, t: zulu(now()) }),
    trades: (symbol, price, size) =>
      push({
        T: 't',
        S: symbol,
        p: Number(price),
        s: Number(size),
        i: 9_007_199_254_740_993n.toString(),
        t: zulu(now()),
      }),
    bar(symbol, bar, revised = false) {
      market.putBar(symbol, '1Min', bar)
      push({ T: revised ? 'u' : 'b', S: symbol, ...barShape(bar) })
    },
    error: (code) => {
      for (const stream of data) stream.fail(code)
    },
  }
}

type VenueHands = Omit<
  Control,
  | 'now'
  | 'side'
  | 'book'
  | 'market'
  | 'faults'
  | 'updates'
  | 'streams'
  | 'skew'
  | 'revokeKeys'
  | 'restoreKeys'
  | 'state'
  | 'streamAt'
  | 'checkKeys'
  | 'newRequestId'
>

function venueHands(side: VenueSide, life: Life, now: () => number): VenueHands {
  const { book, market } = side
  const successor = (old: EmulatedOrder, changes: Partial<EmulatedOrder>) =>
    book.place({
      ...{ ...old, ...changes, client_order_id: randomUUID() },
      ...{ status: 'pending_new', replaces: old.id, replaced_by: null },
    })
  return {
    autoFill(isOn) {
      life.autoFill = isOn
      life.look()
    },
    fillInParts: (qty) => {
      life.part = qty
    },
    setPrice(symbol, price) {
      book.prices.set(symbol, price)
      life.look()
    },
    fill(id, qty, price) {
      const order = book.order(id)
      if (order.time_in_force === 'fok' && new Decimal(qty).lt(leaves(order)))
        throw new Error('fok: all of it or nothing')
      book.fill(order, new Decimal(qty), price)
    },
    cancelAtVenue: (id) => book.end(book.order(id), 'canceled'),
    expire: (id) => book.end(book.order(id), 'expired'),
    reject: (id) => book.end(book.order(id), 'rejected'),
    replace(id, { qty, ...changes }, newFirst = false) {
      const old = book.order(id)
      const order = successor(old, { ...changes, qty: new Decimal(qty ?? old.qty) })
      if (newFirst) book.tell(order, 'new', 'new')
      old.replaced_by = order.id
      book.end(old, 'replaced')
      if (!newFirst) book.tell(order, 'new', 'new')
      return order.client_order_id
    },
    replaceInVain(id, price) {
      const old = book.order(id)
      const order = successor(old, {})
      book.tell(old, 'pending_replace', 'pending_replace')
      book.fill(old, leaves(old), price)
      book.end(order, 'rejected')
    },
    setStatus: (id, status) => book.tell(book.order(id), status, status),
    foreignOrder({ symbol, side: way, qty, limit_price, order_class }) {
      const asset = book.asset(symbol)
      if (!asset) throw new Error(`no asset ${symbol}`)
      const order = book.place({
        client_order_id: randomUUID(),
        symbol: asset.symbol,
        asset,
        side: way,
        type: 'limit',
        qty: new Decimal(qty),
        limit_price,
        stop_price: null,
        trail_price: null,
        trail_percent: null,
        time_in_force: 'gtc',
        extended_hours: false,
        ...(order_class && { order_class }),
        status: 'new',
        replaced_by: null,
        replaces: null,
      })
      book.tell(order, 'new')
      return order.client_order_id
    },
    setPosition: (symbol, qty, avgPrice = '100') => book.setPosition(symbol, qty, avgPrice),
    setCash: (amount) => {
      book.cash = new Decimal(amount)
    },
    split(symbol, fresh, old, orders) {
      market.splits.push({ symbol, at: now(), factor: fresh / old })
      splitBook(book, symbol, { fresh, old }, orders)
    },
    block: (what, isOn = true) => {
      side.blocked[what] = isOn
    },
    halt(symbol, isOn = true) {
      if (isOn) market.halted.add(symbol)
      else market.halted.delete(symbol)
      life.look()
    },
    setHours: (date, open, close) =>
      market.setHours(date, open === null ? null : { open: Date.parse(open), close: Date.parse(close ?? open) }),
    hide: (clientOrderId, lookups) => void side.hidden.set(clientOrderId, lookups),
    keepCancels: (isOn) => {
      life.keepsCancels = isOn
    },
    finishCancel: (id) => book.end(book.order(id), 'canceled'),
  }
}
