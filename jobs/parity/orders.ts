/** The orders of a paper or live run as its log tells them, held against what its strategy asked for. Pure. */
import type { LogEvent } from '../../db/events/envelope.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import { type FillEvent, isFillEvent } from '../../db/walle/projections/fills.ts'
import type { OrderEvent } from '../../db/walle/projections/orders.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { Intent, PlaceIntent } from '../../strategies/api.ts'
import { checkRisk, type RiskLimits } from '../glados/risk.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { countOrder, forgetLosses, lossesOf, markEquity, newWatch, type RiskWatch } from '../greta/risk_watch.ts'
import { newOrder } from '../greta/sim_orders.ts'
import { equityAt, type LiveCheckpoint } from '../live/ticks.ts'
import type { Account } from '../live/view.ts'
import { isByHand } from '../marvin/contract.ts'
import { checkIntent } from '../marvin/intents.ts'
import { fittedTo } from '../veda/checks.ts'
import { type ExitRole, pairKeyOf, roleOf, rolesOf } from '../veda/exits.ts'
import type { Found } from './parity.ts'

type Created = Extract<LogEvent, { type: 'orders.Created' }>
type Rejected = PayloadOf<'orders.Rejected'>

export interface Refusal {
  reason: string
  rule: string | null
}

/** What the run's log says of one order. */
export interface OrderStory {
  client_order_id: string
  /** What was asked for. */
  intent: PlaceIntent
  /** Weaver made it itself, as an exit or at the run's stop, or for a person who closed the position. */
  isOwn: boolean
  bar_index: number | null
  /** The boundary at which it was decided; of Weaver's own the moment. */
  decidedAt: number
  /** The boundary at which its strategy asked to cancel it. */
  cancelledAt: number | null
  place: number
  order_id: string | null
  createdAt: number
  /** Since when the venue had it, as far as is known; null: it never had. */
  acceptedAt: number | null
  /** Null: it is attached to no entry. */
  exit: { entry: OrderStory; role: ExitRole; pair: string } | null
  /** Of the exits that each of its fills is to bring along. */
  roles: ExitRole[]
  /** By how much its fills made the position larger, each. */
  grown: Decimal[]
  /** By the rules that hold for every mode: why it is refused. */
  refusal: Refusal | null
  fills: { event: FillEvent; place: number }[]
  end: {
    type: 'orders.Cancelled' | 'orders.Expired' | 'orders.Rejected'
    at: number
    place: number
    why: string
  } | null
  rejected: Rejected | null
  /** Somebody changed it at the venue, the last time to these terms. */
  replaced: { place: number; terms: string } | null
}

/** What an order meets when it is placed. */
export interface Circumstances {
  account: Account
  newest: LiveCheckpoint['newest']
}

export interface OrderBook {
  decided(intents: readonly Intent[], at: { bar_index: number; ts: number; place: number }): void
  /** Windows were seen: what the limits on losses remember. */
  marked(ts: number, circumstances: () => Circumstances): void
  /** A person let the halted run go on: what was lost before is forgotten. */
  resumed(): void
  /** From here on these hold. */
  limited(limits: RiskLimits): void
  /** Somebody wants the run to stop: from here on Weaver places orders that close. */
  stopping(): void
  apply(event: OrderEvent, place: number, circumstances: () => Circumstances): void
  stories(): OrderStory[]
}

interface Book {
  run: RunRow
  report: (found: Found) => void
  stories: Map<string, OrderStory>
  byOrder: Map<string, OrderStory>
  limits: RiskLimits
  watch: RiskWatch
  /** The newest order, until it is known whether it was refused as it was made. */
  uncounted: { id: string; ts: number } | null
  stopping: boolean
}

export function createOrderBook(run: RunRow, report: (found: Found) => void): OrderBook {
  const book: Book = {
    ...{ run, report, stories: new Map(), byOrder: new Map() },
    // Where the log does not tell, as of runs made before it did, they were the run's own.
    limits: run.own_risk as RiskLimits,
    ...{ watch: newWatch(run.initial_cash), uncounted: null, stopping: false },
  }
  const watchesEquity = () =>
    [book.limits, run.risk as RiskLimits].some((one) => one.max_daily_loss != null || one.max_drawdown != null)
  return {
    decided: (intents, at) => decided(book, intents, at),
    marked(ts, circumstances) {
      if (!watchesEquity()) return
      const { account, newest } = circumstances()
      markEquity(book.watch, ts, equityAt(account, newest).equity)
    },
    resumed() {
      book.watch = forgetLosses(book.watch)
    },
    limited(limits) {
      book.limits = limits
    },
    stopping() {
      book.stopping = true
    },
    apply(event, place, circumstances) {
      count(book, event)
      if (event.type === 'orders.Created') return born(book, event, place, circumstances)
      const story = book.byOrder.get(event.payload.order_id)
      if (story !== undefined) goOn(story, event, place, circumstances)
    },
    stories: () => [...book.stories.values()],
  }
}

function decided(
  { stories }: Book,
  intents: readonly Intent[],
  { bar_index, ts, place }: { bar_index: number; ts: number; place: number },
): void {
  for (const intent of intents) {
    const { client_order_id } = intent
    const story = stories.get(client_order_id)
    if (intent.kind === 'cancel') {
      if (story !== undefined) story.cancelledAt ??= ts
    } else if (story === undefined) {
      stories.set(client_order_id, newStory(intent, { isOwn: false, bar_index, decidedAt: ts, place }))
    }
  }
}

/** The order before this event was let through, if the event does not say that it was refused as it was made. */
function count(book: Book, { type, causation_id }: OrderEvent): void {
  const { uncounted, watch } = book
  book.uncounted = null
  if (uncounted === null || (type === 'orders.Rejected' && causation_id === uncounted.id)) return
  countOrder(watch, uncounted.ts)
}

function born(book: Book, event: Created, place: number, circumstances: () => Circumstances): void {
  const { report, stories, byOrder } = book
  const { client_order_id, order_id, parent_order_id, bar_index } = event.payload
  const createdAt = Date.parse(event.ts)
  const story =
    stories.get(client_order_id) ??
    newStory(intentOf(event.payload), { isOwn: true, bar_index, decidedAt: createdAt, place })
  stories.set(client_order_id, story)
  if (story.order_id !== null) {
    report({
      ...orderDifference(story, place, 'doubled', 'two orders were made for one intent'),
      ...{ recorded: 'two orders', expected: 'one' },
    })
    return
  }
  byOrder.set(order_id, story)
  const exit = parent_order_id === null ? null : exitOf(client_order_id, byOrder.get(parent_order_id))
  const roles = parent_order_id === null ? rolesOf(event.payload) : []
  Object.assign(story, { order_id, place, createdAt, exit, roles })
  if (!story.isOwn) {
    const met = circumstances()
    story.intent = asPlaced(story.intent, event.payload.qty, met.account)
    compareFields(story, event.payload, place, report)
    story.refusal = refusalOf(book, story.intent, createdAt, met)
  } else if (isByHand(event.payload)) {
    const cause = 'a person closed the position: no decision of its strategy'
    report({ ...orderDifference(story, place, 'by_hand', cause), recorded: told(event.payload), expected: null })
  } else if (parent_order_id === null && !book.stopping) {
    const cause = 'an order that the strategy never asked for'
    report({ ...orderDifference(story, place, 'unasked', cause), recorded: told(event.payload), expected: null })
  }
  if (parent_order_id === null) book.uncounted = { id: event.id, ts: createdAt }
}

function exitOf(clientOrderId: string, entry: OrderStory | undefined): OrderStory['exit'] {
  const [role, pair] = [roleOf(clientOrderId), pairKeyOf(clientOrderId)]
  return entry === undefined || role === null || pair === null ? null : { entry, role, pair }
}

function goOn(story: OrderStory, event: OrderEvent, place: number, circumstances: () => Circumstances): void {
  const at = Date.parse(event.ts)
  if (event.type === 'orders.Accepted') story.acceptedAt ??= at
  else if (event.type === 'orders.Replaced') story.replaced = { place, terms: termsOf(event.payload) }
  else if (isFillEvent(event)) {
    story.fills.push({ event, place })
    if (story.roles.length > 0) story.grown.push(growthOf(event, circumstances().account))
  } else if (event.type === 'orders.Rejected') {
    const { reason, detail } = event.payload
    story.rejected = event.payload
    story.end ??= { type: event.type, at, place, why: detail === null ? reason : `${reason}: ${detail}` }
  } else if (event.type === 'orders.Cancelled' || event.type === 'orders.Expired') {
    story.end ??= { type: event.type, at, place, why: event.payload.reason ?? 'no reason was given' }
  }
}

/** By how much the position grew in the entry's direction. `account`: before the fill. */
function growthOf({ payload: { symbol, side, qty, fee_qty } }: FillEvent, { positions }: Account): Decimal {
  const held = new Decimal(positions.find((one) => one.symbol === symbol)?.qty ?? '0').times(side === 'buy' ? 1 : -1)
  const after = held.plus(qty).minus(fee_qty)
  const grown = after.minus(held.gt(ZERO) ? held : ZERO)
  return grown.gt(ZERO) ? grown : ZERO
}

/** Of an order that no strategy asked for: as it was made. */
function intentOf(made: Created['payload']): PlaceIntent {
  return {
    kind: 'place',
    client_order_id: made.client_order_id,
    symbol: made.symbol,
    side: made.side,
    order_type: made.order_type as PlaceIntent['order_type'],
    qty: made.qty,
    limit_price: made.price,
    stop_price: made.stop_price,
    trail_price: made.trail_price,
    trail_percent: made.trail_percent,
    time_in_force: made.time_in_force as PlaceIntent['time_in_force'],
    extended_hours: made.extended_hours,
    take_profit: made.take_profit,
    stop_loss: made.stop_loss,
    reason: made.reason,
  }
}

function newStory(
  intent: PlaceIntent,
  given: Pick<OrderStory, 'isOwn' | 'bar_index' | 'decidedAt' | 'place'>,
): OrderStory {
  return {
    ...{ client_order_id: intent.client_order_id, intent, ...given, cancelledAt: null, order_id: null },
    ...{ createdAt: given.decidedAt, acceptedAt: null, exit: null, roles: [], grown: [], refusal: null },
    ...{ fills: [], end: null, rejected: null, replaced: null },
  }
}

/** What every mode refuses, with the account as it was when the order was placed. */
function refusalOf(
  { run, limits, watch }: Pick<Book, 'run' | 'limits' | 'watch'>,
  intent: PlaceIntent,
  now: number,
  { account, newest }: Circumstances,
): Refusal | null {
  if (checkIntent(intent, run.symbols) !== null) return { reason: 'invalid_order', rule: null }
  const risk = checkRisk(intent, limits, {
    symbol: intent.symbol,
    lastClose: newest[intent.symbol]?.close ?? Number.NaN,
    held: account.positions.find(({ symbol }) => symbol === intent.symbol)?.qty ?? '0',
    open: account.orders,
    ...lossesOf(watch, now),
  })
  return risk === null ? null : { reason: 'risk', rule: risk.rule }
}

const FIELDS = [
  ...['symbol', 'side', 'order_type', 'qty', 'price', 'stop_price', 'trail_price', 'trail_percent', 'take_profit'],
  ...['stop_loss', 'time_in_force', 'extended_hours'],
] as const

function compareFields(
  story: OrderStory,
  made: Created['payload'],
  place: number,
  report: (found: Found) => void,
): void {
  const { intent } = story
  const asked = newOrder(intent, {
    ...{ id: made.order_id, corrId: '', ordinal: made.ordinal, symbol: 0, role: 'own', parent: null },
    ...{ tick: 0, ts: 0, waitBars: 0 },
  })
  const wanted: Record<string, unknown> = {
    ...asked,
    symbol: intent.symbol,
    order_type: asked.type,
    price: asked.limit_price,
  }
  const has: Record<string, unknown> = made
  const differ = FIELDS.filter((name) => wanted[name] !== has[name])
  if (differ.length === 0) return
  const words = (from: Record<string, unknown>) => differ.map((name) => `${name} ${from[name]}`).join(', ')
  const cause = 'the order is not what the strategy asked for'
  report({ ...orderDifference(story, place, 'fields', cause), recorded: words(has), expected: words(wanted) })
}

function told({ side, qty, symbol, order_type }: Created['payload']): string {
  return `${side} ${qty} ${symbol} ${order_type}`
}

type Terms = Pick<
  Created['payload'],
  'qty' | 'price' | 'stop_price' | 'trail_price' | 'trail_percent' | 'time_in_force'
>

export function termsOf({ qty, price, stop_price, trail_price, trail_percent, time_in_force }: Terms): string {
  const named = { price, stop_price, trail_price, trail_percent }
  const prices = Object.entries(named).flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`]))
  return [`qty ${qty}`, ...prices, time_in_force].join(', ')
}

export function orderDifference(
  story: OrderStory,
  place: number,
  what: string,
  cause: string,
): Omit<Found, 'recorded' | 'expected'> {
  const ts = new Date(story.decidedAt).toISOString()
  const { bar_index, order_id, intent } = story
  const said = `${cause} (order ${story.client_order_id})`
  return { place, class: 'order', what, bar_index, ts, symbol: intent.symbol, order_id, cause: said }
}

/** What was placed of it, where the venue's step explains the difference; the step itself is not in the log. */
function asPlaced(intent: PlaceIntent, qty: string, { positions }: Account): PlaceIntent {
  const places = qty.split('.')[1]?.length ?? 0
  const step = places === 0 ? '1' : `0.${'1'.padStart(places, '0')}`
  const held = positions.find(({ symbol }) => symbol === intent.symbol)?.qty ?? '0'
  if (checkIntent(intent, [intent.symbol]) !== null || intent.qty === qty) return intent
  const fitted = fittedTo(step, intent, held)
  return fitted.qty === qty ? fitted : intent
}
