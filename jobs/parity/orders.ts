/** The orders of a paper or live run as its log tells them, held against what its strategy asked for. Pure. */
import type { LogEvent } from '../../db/events/envelope.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import { type FillEvent, isFillEvent } from '../../db/walle/projections/fills.ts'
import type { OrderEvent } from '../../db/walle/projections/orders.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { Intent, PlaceIntent } from '../../strategies/api.ts'
import { checkRisk, type RiskLimits } from '../glados/risk.ts'
import { countOrder, lossesOf, markEquity, newWatch } from '../greta/risk_watch.ts'
import { newOrder } from '../greta/sim_orders.ts'
import { equityAt, type LiveCheckpoint } from '../live/ticks.ts'
import type { Account } from '../live/view.ts'
import { checkIntent } from '../marvin/intents.ts'
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
  /** What was asked for; null: Weaver made it itself, as an exit or at the run's stop. */
  intent: PlaceIntent | null
  bar_index: number | null
  /** The boundary at which it was decided. */
  decidedAt: number
  /** The boundary at which its strategy asked to cancel it. */
  cancelledAt: number | null
  place: number
  order_id: string | null
  isExit: boolean
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
}

/** What an order meets when it is placed. */
export interface Circumstances {
  account: Account
  newest: LiveCheckpoint['newest']
}

export interface OrderBook {
  decided(intents: readonly Intent[], at: { bar_index: number; ts: number; place: number }): void
  /** Windows were seen: what the limits on losses remember. */
  marked(ts: number, circumstances: Circumstances): void
  /** From here on these hold. */
  limited(limits: RiskLimits): void
  /** Somebody wants the run to stop: from here on Weaver places orders that close. */
  stopping(): void
  apply(event: OrderEvent, place: number, circumstances: Circumstances): void
  stories(): OrderStory[]
}

export function createOrderBook(run: RunRow, report: (found: Found) => void): OrderBook {
  const stories = new Map<string, OrderStory>()
  const byOrder = new Map<string, OrderStory>()
  const watch = newWatch(run.initial_cash)
  let stopping = false
  // Where the log does not tell, as of runs made before it did, they were the run's own.
  let limits = run.own_risk as RiskLimits

  function born(event: Created, place: number, circumstances: Circumstances): void {
    const { client_order_id, order_id, parent_order_id, bar_index, placed_at } = event.payload
    const isExit = parent_order_id !== null
    const known = stories.get(client_order_id)
    const story: OrderStory =
      known ?? newStory(client_order_id, { bar_index, decidedAt: Date.parse(placed_at), place, intent: null })
    stories.set(client_order_id, story)
    if (story.order_id !== null) {
      report({
        ...orderDifference(story, place, 'doubled', 'two orders were made for one intent'),
        ...{ recorded: 'two orders', expected: 'one' },
      })
      return
    }
    byOrder.set(order_id, story)
    Object.assign(story, { order_id, isExit, place })
    if (story.intent !== null) {
      compareFields(story, event.payload, place, report)
      story.refusal = refusalOf({ ...run, limits }, story.intent, watch, Date.parse(event.ts), circumstances)
    } else if (!isExit && !stopping) {
      const cause = 'an order that the strategy never asked for'
      report({ ...orderDifference(story, place, 'unasked', cause), recorded: told(event.payload), expected: null })
    }
    if (!isExit) countOrder(watch, Date.parse(event.ts))
  }

  return {
    decided(intents, { bar_index, ts, place }) {
      for (const intent of intents) {
        const { client_order_id } = intent
        const story = stories.get(client_order_id)
        if (intent.kind === 'cancel') {
          if (story !== undefined) story.cancelledAt ??= ts
        } else if (story === undefined) {
          stories.set(client_order_id, newStory(client_order_id, { bar_index, decidedAt: ts, place, intent }))
        }
      }
    },
    marked: (ts, { account, newest }) =>
      markEquity(watch, ts, equityAt(account.cash, account.positions, newest).equity),
    limited(changed) {
      limits = changed
    },
    stopping() {
      stopping = true
    },
    apply(event, place, circumstances) {
      if (event.type === 'orders.Created') return born(event, place, circumstances)
      const story = byOrder.get(event.payload.order_id)
      if (story !== undefined) goOn(story, event, place)
    },
    stories: () => [...stories.values()],
  }
}

function goOn(story: OrderStory, event: OrderEvent, place: number): void {
  const at = Date.parse(event.ts)
  if (isFillEvent(event)) story.fills.push({ event, place })
  else if (event.type === 'orders.Rejected') {
    const { reason, detail } = event.payload
    story.rejected = event.payload
    story.end ??= { type: event.type, at, place, why: detail === null ? reason : `${reason}: ${detail}` }
  } else if (event.type === 'orders.Cancelled' || event.type === 'orders.Expired') {
    story.end ??= { type: event.type, at, place, why: event.payload.reason ?? 'no reason was given' }
  }
}

function newStory(
  client_order_id: string,
  given: Pick<OrderStory, 'intent' | 'bar_index' | 'decidedAt' | 'place'>,
): OrderStory {
  return {
    ...{ client_order_id, ...given, cancelledAt: null, order_id: null, isExit: false, refusal: null },
    ...{ fills: [], end: null, rejected: null },
  }
}

/** What every mode refuses, with the account as it was when the order was placed. */
function refusalOf(
  { symbols, limits }: Pick<RunRow, 'symbols'> & { limits: RiskLimits },
  intent: PlaceIntent,
  watch: ReturnType<typeof newWatch>,
  now: number,
  { account, newest }: Circumstances,
): Refusal | null {
  if (checkIntent(intent, symbols) !== null) return { reason: 'invalid_order', rule: null }
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
  const intent = story.intent as PlaceIntent
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

export function orderDifference(
  story: OrderStory,
  place: number,
  what: string,
  cause: string,
): Omit<Found, 'recorded' | 'expected'> {
  const ts = new Date(story.decidedAt).toISOString()
  const { bar_index, order_id, intent } = story
  const said = `${cause} (order ${story.client_order_id})`
  return { place, class: 'order', what, bar_index, ts, symbol: intent?.symbol ?? null, order_id, cause: said }
}
