/**
 * A venue whose answers a test writes down. Its book outlives whoever talks to it, and keeps every request it was sent,
 * so that a test counts what the venue received. Without a script it accepts.
 */
import { randomUUID } from 'node:crypto'
import { Decimal, ZERO } from '../../jobs/greta/decimals.ts'
import {
  type CancelAnswer,
  type Execution,
  type OrderToSend,
  type StreamHandlers,
  type SubmitAnswer,
  type TradingMode,
  type Venue,
  type VenueAccount,
  type VenueAsset,
  type VenueBar,
  VenueError,
  type VenueFeatures,
  type VenueOrder,
  type VenuePosition,
  type VenueStatus,
} from '../../jobs/veda/venue.ts'

/** What the venue does with a submit; `…_then_…`: what it did, then what the caller heard. */
export type SubmitScript =
  | 'accept'
  | 'reject'
  | 'duplicate'
  /** Accepted, answered 504. */
  | 'accept_then_unclear'
  /** Never arrived; the caller waited in vain. */
  | 'lose_then_unclear'
  | 'rate_limited'
  | 'unavailable'
  | 'unauthorised'
  | 'refused'
  /** The caller's process ends before it reads the answer: the call fails with an error that is no VenueError. */
  | 'accept_then_crash'

export type CallScript = 'ok' | 'rate_limited' | 'unavailable' | 'unauthorised' | 'unclear'
export type CancelScript = CallScript | 'ended' | 'not_found' | 'accept_silently' | 'cancel_then_unclear'

export interface VenueUpdate {
  order: VenueOrder
  execution: Execution | null
}

interface Entry {
  order: VenueOrder
  /** Lookups that do not find it yet. */
  hidden: number
}

export interface ScriptedVenueOptions {
  exchange?: string
  mode?: TradingMode
  features?: Partial<VenueFeatures>
  assets?: VenueAsset[]
  now?: () => number
  /** False: a client order id that it has had makes another order, as with a venue that knows no such ids. */
  dedupes?: boolean
}

export interface ScriptedVenue extends Venue {
  /** Every submit that was called, in order, also those that never arrived. */
  readonly submits: OrderToSend[]
  /** Every cancel that was called, by exchange order id. */
  readonly cancels: string[]
  /** Every lookup, by client order id or the venue's own. */
  readonly lookups: string[]
  /** Orders in its book, oldest first. */
  readonly book: readonly VenueOrder[]
  /** Every update it would push, in the order in which things happened. */
  readonly updates: readonly VenueUpdate[]
  /** What `account()` gives. */
  readonly money: VenueAccount
  /** How many orders it has taken of a client order id: more than one is a doubled order. */
  taken(clientOrderId: string): number
  /** The next submits, one each. */
  onSubmit(...scripts: SubmitScript[]): void
  onCancel(...scripts: CancelScript[]): void
  onLookup(...scripts: CallScript[]): void
  /** The next accepted order is not found by so many lookups. */
  hideNext(lookups: number): void
  /** Called within a submit, while it waits for the venue's limit of requests. */
  beforeSubmit: (() => Promise<void>) | null
  /** Called within a submit, after the venue has done its part and before the caller hears of it. */
  whileSubmitting: ((order: VenueOrder | null) => Promise<void>) | null
  fill(clientOrderId: string, qty: string, price: string, extra?: Partial<Execution>): VenueUpdate
  /**
   * Somebody changes it there: another order takes its place, with a client id of its own, which is given. What is told of the
   * two is pushed in that order, or the other way round.
   */
  replace(clientOrderId: string, changes?: Partial<VenueOrder>, newFirst?: boolean): string
  /** Its end: cancelled, rejected, expired. */
  end(clientOrderId: string, status: VenueStatus, reason?: string): VenueUpdate
  /** What a stream would tell of it now. */
  snapshot(clientOrderId: string): VenueOrder
  /** Updates are pushed as they happen; false: they are lost. */
  pushing: boolean
  push(update: VenueUpdate): void
  streamState(up: boolean, reason?: string): void
  /** By hand, outside of Weaver. */
  setPosition(symbol: string, qty: string, avgPrice?: string): void
  /** Rests at the venue without Weaver's doing. */
  foreignOrder(order: Partial<OrderToSend> & { symbol: string; qty: string }): VenueOrder
  setBars(symbol: string, bars: VenueBar[]): void
}

const TYPES = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop'] as const
const TIMES = ['day', 'gtc', 'ioc', 'fok', 'opg', 'cls'] as const

export const ALL_FEATURES: VenueFeatures = {
  orderTypes: { equity: TYPES, crypto: TYPES },
  timeInForce: { equity: TIMES, crypto: TIMES },
  timesByType: { equity: {}, crypto: {} },
  fractional: { equity: TIMES, crypto: TIMES },
  wholeOnly: { equity: [], crypto: [] },
  extendedHours: true,
  shorting: { equity: true, crypto: false },
  orderStream: true,
  barStream: false,
  barsSettleMs: 0,
  unsureFeeInKind: { equity: null, crypto: null },
}

export function plainAsset(symbol: string, changes: Partial<VenueAsset> = {}): VenueAsset {
  return {
    symbol,
    asset_class: symbol.includes('/') ? 'crypto' : 'equity',
    tradable: true,
    fractionable: true,
    shortable: !symbol.includes('/'),
    qty_increment: null,
    min_qty: null,
    price_increments: [],
    min_notional: null,
    min_purchase: null,
    ...changes,
  }
}

const OPEN: readonly VenueStatus[] = ['pending', 'accepted', 'partial']

export function createScriptedVenue(options: ScriptedVenueOptions = {}): ScriptedVenue {
  const now = options.now ?? Date.now
  const entries: Entry[] = []
  const updates: VenueUpdate[] = []
  const executions: Execution[] = []
  const positions = new Map<string, VenuePosition>()
  const assets = new Map((options.assets ?? []).map((asset) => [asset.symbol, asset]))
  const bars = new Map<string, VenueBar[]>()
  const scripts: { submit: SubmitScript[]; cancel: CancelScript[]; lookup: CallScript[] } = {
    submit: [],
    cancel: [],
    lookup: [],
  }
  let listeners: StreamHandlers[] = []
  let hideNext = 0
  let nextOrder = 1
  let nextExecution = 1

  const entryOf = (clientOrderId: string): Entry => {
    const entry = entries.findLast(({ order }) => order.client_order_id === clientOrderId)
    if (!entry) throw new Error(`the scripted venue never took ${clientOrderId}`)
    return entry
  }
  const tell = (update: VenueUpdate): VenueUpdate => {
    updates.push(update)
    if (venue.pushing) venue.push(update)
    return update
  }
  const take = (asked: OrderToSend): VenueOrder => {
    const order: VenueOrder = {
      exchange_order_id: `x${nextOrder++}`,
      client_order_id: asked.client_order_id,
      symbol: asked.symbol,
      side: asked.side,
      order_type: asked.order_type,
      qty: asked.qty,
      limit_price: asked.limit_price,
      stop_price: asked.stop_price,
      trail_price: asked.trail_price,
      trail_percent: asked.trail_percent,
      time_in_force: asked.time_in_force,
      status: 'accepted',
      filled_qty: '0',
      filled_avg_price: null,
      fee: null,
      fee_qty: null,
      reject_reason: null,
      replaced_by: null,
      replaces: null,
      submitted_at: now(),
      updated_at: now(),
    }
    entries.push({ order, hidden: hideNext })
    hideNext = 0
    tell({ order: { ...order }, execution: null })
    return order
  }
  const lookUp = async (id: string, isIt: (order: VenueOrder) => boolean): Promise<VenueOrder | null> => {
    venue.lookups.push(id)
    failUnlessOk(scripts.lookup.shift() ?? 'ok')
    const entry = entries.findLast(({ order }) => isIt(order))
    if (!entry) return null
    if (entry.hidden > 0) {
      entry.hidden -= 1
      return null
    }
    return { ...entry.order }
  }
  const knows = (id: string) => entries.some(({ order }) => order.client_order_id === id)

  const venue: ScriptedVenue = {
    exchange: options.exchange ?? 'scripted',
    mode: options.mode ?? 'paper',
    features: { ...ALL_FEATURES, ...options.features },
    feedOf: () => 'scripted',
    submits: [],
    cancels: [],
    lookups: [],
    pushing: true,
    beforeSubmit: null,
    whileSubmitting: null,
    money: {
      account_number: 'S1',
      currency: 'USD',
      cash: '100000',
      equity: '100000',
      buying_power: '100000',
      blocked: null,
    },
    get book() {
      return entries.map(({ order }) => order)
    },
    get updates() {
      return updates
    },
    taken: (id) => entries.filter(({ order }) => order.client_order_id === id).length,
    onSubmit: (...next) => void scripts.submit.push(...next),
    onCancel: (...next) => void scripts.cancel.push(...next),
    onLookup: (...next) => void scripts.lookup.push(...next),
    hideNext: (lookups) => {
      hideNext = lookups
    },
    setPosition(symbol, qty, avgPrice = '100') {
      if (new Decimal(qty).eq(ZERO)) positions.delete(symbol)
      else positions.set(symbol, { symbol, qty, avg_price: avgPrice })
    },
    foreignOrder: (asked) => ({
      ...take({
        client_order_id: randomUUID(),
        side: 'buy',
        order_type: 'limit',
        limit_price: '1',
        stop_price: null,
        trail_price: null,
        trail_percent: null,
        time_in_force: 'gtc',
        extended_hours: false,
        ...asked,
      }),
    }),
    setBars: (symbol, list) => void bars.set(symbol, list),
    snapshot: (id) => ({ ...entryOf(id).order }),
    fill(id, qty, price, extra = {}) {
      const { order } = entryOf(id)
      const total = new Decimal(order.filled_qty).plus(qty)
      const paid = new Decimal(order.filled_avg_price ?? '0')
        .times(order.filled_qty)
        .plus(new Decimal(qty).times(price))
      Object.assign(order, {
        filled_qty: total.toString(),
        filled_avg_price: paid.div(total).toString(),
        status: total.gte(order.qty) ? 'filled' : OPEN.includes(order.status) ? 'partial' : order.status,
        updated_at: now(),
      })
      const execution: Execution = {
        execution_id: `e${nextExecution++}`,
        exchange_order_id: order.exchange_order_id,
        client_order_id: id,
        symbol: order.symbol,
        side: order.side,
        qty,
        price,
        cum_qty: total.toString(),
        fee: null,
        fee_qty: null,
        at: now(),
        ...extra,
      }
      executions.push(execution)
      move(positions, order.symbol, new Decimal(qty).minus(execution.fee_qty ?? '0'), order.side, price)
      return tell({ order: { ...order }, execution })
    },
    replace(id, changes = {}, newFirst = false) {
      const { order } = entryOf(id)
      const next: VenueOrder = {
        ...order,
        ...{ exchange_order_id: `x${nextOrder++}`, client_order_id: randomUUID(), replaces: order.exchange_order_id },
        ...{
          filled_qty: '0',
          filled_avg_price: null,
          status: 'accepted' as const,
          submitted_at: now(),
          updated_at: now(),
        },
        ...changes,
      }
      entries.push({ order: next, hidden: 0 })
      Object.assign(order, { status: 'replaced', replaced_by: next.exchange_order_id, updated_at: now() })
      for (const one of newFirst ? [next, order] : [order, next]) tell({ order: { ...one }, execution: null })
      return next.client_order_id
    },
    end(id, status, reason) {
      const { order } = entryOf(id)
      Object.assign(order, { status, reject_reason: reason ?? null, updated_at: now() })
      return tell({ order: { ...order }, execution: null })
    },
    push({ order, execution }) {
      for (const { onOrder } of listeners) onOrder({ ...order }, execution === null ? null : { ...execution })
    },
    streamState(up, reason = up ? 'subscribed' : 'cut') {
      for (const { onState } of listeners) onState({ up, reason })
    },
    async account() {
      return { ...venue.money }
    },
    async positions() {
      return [...positions.values()].map((position) => ({ ...position }))
    },
    async asset(symbol) {
      return assets.size === 0 ? plainAsset(symbol) : (assets.get(symbol) ?? null)
    },
    async orders(which) {
      const wanted = ({ status, updated_at }: VenueOrder) =>
        'open' in which ? OPEN.includes(status) : updated_at >= which.since
      return entries.filter(({ order }) => wanted(order)).map(({ order }) => ({ ...order }))
    },
    orderByClientId: (id) => lookUp(id, (order) => order.client_order_id === id),
    orderById: (id) => lookUp(id, (order) => order.exchange_order_id === id),
    async executions(since) {
      return executions.filter(({ at }) => at >= since).map((one) => ({ ...one }))
    },
    async submit(asked, mayLeave) {
      await venue.beforeSubmit?.()
      await mayLeave?.()
      venue.submits.push(asked)
      const { order, answer } = receive(scripts.submit.shift() ?? 'accept', asked)
      await venue.whileSubmitting?.(order)
      return answer()
    },
    async cancel({ exchange_order_id: id }) {
      venue.cancels.push(id)
      const script = scripts.cancel.shift() ?? 'ok'
      if (script === 'ended' || script === 'not_found') return script
      if (script !== 'accept_silently' && script !== 'cancel_then_unclear') failUnlessOk(script)
      const entry = entries.find(({ order }) => order.exchange_order_id === id)
      if (!entry) return 'not_found'
      if (!OPEN.includes(entry.order.status)) return 'ended'
      if (script !== 'accept_silently') venue.end(entry.order.client_order_id, 'cancelled')
      if (script === 'cancel_then_unclear') fail('unclear')
      return 'requested' satisfies CancelAnswer
    },
    async cancelAll() {
      const open = entries.filter(({ order }) => OPEN.includes(order.status))
      for (const { order } of open) venue.end(order.client_order_id, 'cancelled')
      return open.length
    },
    async bars({ symbol, start, end }) {
      return (bars.get(symbol) ?? []).filter(({ time }) => time >= start && time <= end)
    },
    time: async () => now(),
    stream(handlers) {
      listeners.push(handlers)
      return {
        watch() {},
        async close() {
          listeners = listeners.filter((one) => one !== handlers)
        },
      }
    },
    async close() {
      listeners = []
    },
  }

  /** The venue's part of a submit, and what its caller will hear of it. */
  function receive(script: SubmitScript, asked: OrderToSend): { order: VenueOrder | null; answer: () => SubmitAnswer } {
    switch (script) {
      case 'accept':
      case 'accept_then_unclear':
      case 'accept_then_crash': {
        const known = options.dedupes !== false && knows(asked.client_order_id)
        const order = known ? null : take(asked)
        return {
          order,
          answer: () => {
            if (script === 'accept_then_unclear') throw new VenueError('unclear', '504 gateway time-out')
            if (script === 'accept_then_crash') throw new Error('the process ends here')
            return order === null ? { kind: 'duplicate' } : { kind: 'accepted', order: { ...order } }
          },
        }
      }
      case 'reject':
        return { order: null, answer: () => ({ kind: 'rejected', reason: 'insufficient buying power' }) }
      case 'duplicate':
        return { order: null, answer: () => ({ kind: 'duplicate' }) }
      case 'lose_then_unclear':
        return { order: null, answer: () => fail('unclear') }
      case 'refused':
        return {
          order: null,
          answer: () => {
            throw new VenueError('refused', 'qty must be positive')
          },
        }
      default:
        return { order: null, answer: () => fail(script) }
    }
  }
  return venue
}

function failUnlessOk(script: CallScript): void {
  if (script !== 'ok') fail(script)
}

function fail(script: Exclude<CallScript, 'ok'>): never {
  if (script === 'rate_limited') throw new VenueError('rate_limited', '429 too many requests', { retryAfterMs: 50 })
  if (script === 'unavailable') throw new VenueError('unavailable', 'connection refused')
  if (script === 'unauthorised') throw new VenueError('unauthorised', '401 unauthorised')
  throw new VenueError('unclear', 'timed out')
}

function move(
  positions: Map<string, VenuePosition>,
  symbol: string,
  qty: Decimal,
  side: 'buy' | 'sell',
  price: string,
): void {
  const after = new Decimal(positions.get(symbol)?.qty ?? '0').plus(side === 'buy' ? qty : qty.neg())
  if (after.eq(ZERO)) positions.delete(symbol)
  else positions.set(symbol, { symbol, qty: after.toString(), avg_price: positions.get(symbol)?.avg_price ?? price })
}
