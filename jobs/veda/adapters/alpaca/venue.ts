/** Alpaca as a venue. Nothing here is tried again, and nothing is remembered that matters. */
import type { trading } from '@alpacahq/alpaca-trade-api/rest'
import { tradesAroundTheClock } from '../../../../db/walle/calendar/calendar.ts'
import { plain } from '../../../greta/decimals.ts'
import type {
  CancelAnswer,
  Execution,
  OrderToSend,
  SubmitAnswer,
  TradingMode,
  Venue,
  VenueFeatures,
  VenueOrder,
  VenueWorld,
} from '../../venue.ts'
import { createAssets } from './assets.ts'
import { createBars } from './bars.ts'
import { createDataStreams } from './data_stream.ts'
import { type Failure, venueError } from './errors.ts'
import { accountOf, activityExecution, MOST_FEE_IN_KIND, orderOf, positionOf, TAKER_BPS } from './mapping.ts'
import { createOthers } from './others.ts'
import { allActivities, allOrders, type Reading } from './paging.ts'
import { createRest, type Rest } from './rest.ts'
import type { AlpacaSettings } from './settings.ts'
import { openTradeStream } from './trade_stream.ts'
import { anyOrder, wireAccount, wireCancelled, wireClock, wireOrder, wirePositions } from './wire.ts'

export const FEATURES: VenueFeatures = {
  orderTypes: {
    equity: ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop'],
    crypto: ['market', 'limit', 'stop_limit'],
  },
  timeInForce: { equity: ['day', 'gtc', 'ioc', 'fok', 'opg', 'cls'], crypto: ['gtc', 'ioc'] },
  timesByType: {
    equity: { stop: ['day', 'gtc'], trailing_stop: ['day', 'gtc'] },
    crypto: { stop_limit: ['gtc'] },
  },
  fractional: { equity: ['day'], crypto: ['gtc', 'ioc'] },
  wholeOnly: { equity: ['trailing_stop'], crypto: [] },
  extendedHours: true,
  shorting: { equity: true, crypto: false },
  orderStream: true,
  barStream: true,
  // Its minutes come about a second after they end, and are in its longer bars no sooner.
  barsSettleMs: 2_000,
  unsureFeeInKind: { equity: null, crypto: MOST_FEE_IN_KIND },
}

export function openAlpaca(settings: AlpacaSettings, mode: TradingMode, world: VenueWorld): Venue {
  const rest = createRest(settings, mode, world)
  const label = `alpaca ${mode}`
  const others = createOthers(world, label)
  const assets = createAssets(rest, world)
  const reading = async (): Promise<Reading> => ({ rest, others, pairs: await assets.pairs() })
  const open: { close(): Promise<void> }[] = []
  return {
    exchange: 'alpaca',
    mode,
    features: FEATURES,
    // Coins have one, whichever that of shares is.
    feedOf: (symbol) => (tradesAroundTheClock(symbol) ? 'crypto_us' : settings.feed),
    async account() {
      return accountOf(
        await rest.ask({ what: 'account', send: () => rest.accounts.getAccountRaw(), shape: wireAccount }),
      )
    },
    async positions() {
      const send = () => rest.positions.getAllOpenPositionsRaw()
      const rows = await rest.ask({ what: 'positions', send, shape: wirePositions })
      const wires = rows.flatMap((row) => others.position(row) ?? [])
      const pairs = wires.some(({ asset_class }) => asset_class === 'crypto') ? await assets.pairs() : []
      return wires.map((wire) => positionOf(wire, pairs))
    },
    asset: assets.find,
    async orders(which) {
      const read = await reading()
      return 'open' in which ? allOrders(read, which) : changedOrders(read, which.since)
    },
    orderByClientId: (clientOrderId) =>
      oneOrder(rest, assets.pairsNow, clientOrderId, () => rest.orders.getOrderByClientOrderIdRaw({ clientOrderId })),
    orderById: async (orderId) =>
      UUID.test(orderId)
        ? oneOrder(rest, assets.pairsNow, orderId, () => rest.orders.getOrderByOrderIDRaw({ orderId }))
        : null,
    executions: async (since) => executionsSince(await reading(), since),
    submit: (order, mayLeave) => submit(rest, order, assets.pairsNow(), mayLeave),
    cancel: ({ exchange_order_id }) => cancel(rest, exchange_order_id),
    cancelAll: () => cancelAll(rest),
    bars: createBars(rest, settings.feed, world),
    // By what was traded in thirty days; what is charged on sales of shares is taken from the account at the end of the day.
    fees: async (symbol) => ({ least_bps: 0, most_bps: tradesAroundTheClock(symbol) ? Number(TAKER_BPS) : 0 }),
    async time() {
      const send = () => rest.clock.legacyClockRaw()
      return (await rest.ask({ what: 'clock', send, shape: wireClock })).timestamp
    },
    stream(handlers) {
      const orders = openTradeStream({ settings, label, world, handlers, pairs: assets.pairsNow, others })
      const data = createDataStreams({ settings, world, handlers })
      const stream = {
        watch: data.watch,
        async close() {
          await Promise.all([orders.close(), data.close()])
        },
      }
      open.push(stream)
      return stream
    },
    async close() {
      await Promise.all(open.splice(0).map((stream) => stream.close()))
    },
  }
}

async function oneOrder(
  rest: Rest,
  pairsNow: () => readonly string[],
  id: string,
  send: () => Promise<{ raw: Response }>,
): Promise<VenueOrder | null> {
  const what = `order ${id}`
  const answer = await rest.attempt({ what, urgent: true, send, shape: wireOrder })
  return 'failure' in answer ? nullIfNotFound(answer.failure, what) : orderOf(answer.value, pairsNow())
}

function nullIfNotFound(failure: Failure, what: string): null {
  if (failure.kind === 'not_found') return null
  throw venueError(failure, what)
}

/**
 * Orders since, and older ones that had a fill since. Alpaca lists by the time of submission alone: an old order that ended
 * without a fill is not among them. Who holds it for open finds it missing in the list of open orders, and looks it up.
 */
async function changedOrders(reading: Reading, since: number): Promise<VenueOrder[]> {
  const orders = await allOrders(reading, { since })
  const activities = await allActivities(reading, since)
  return [...orders, ...(await ordersNamed(reading, orders, activities))]
}

async function ordersNamed(
  { rest, others, pairs }: Reading,
  known: readonly VenueOrder[],
  activities: readonly { order_id: string }[],
): Promise<VenueOrder[]> {
  const ids = new Set(known.map(({ exchange_order_id }) => exchange_order_id))
  const missing = [...new Set(activities.map(({ order_id }) => order_id))].filter((id) => !ids.has(id))
  const found: VenueOrder[] = []
  for (const orderId of missing) {
    const what = `order ${orderId}`
    const send = () => rest.orders.getOrderByOrderIDRaw({ orderId })
    const answer = await rest.attempt({ what, send, shape: anyOrder })
    const wire = 'failure' in answer ? nullIfNotFound(answer.failure, what) : others.order(answer.value)
    if (wire !== null) found.push(orderOf(wire, pairs))
  }
  return found
}

/** With the orders that they belong to: activities name neither the client's id nor the type, which the fee goes by. */
async function executionsSince(reading: Reading, since: number): Promise<Execution[]> {
  const activities = await allActivities(reading, since)
  if (activities.length === 0) return []
  const orders = await allOrders(reading, { since })
  const all = [...orders, ...(await ordersNamed(reading, orders, activities))]
  const byId = new Map(all.map((order) => [order.exchange_order_id, order]))
  return activities.map((one) => activityExecution(one, byId.get(one.order_id) ?? null, reading.pairs))
}

function bodyOf(order: OrderToSend): trading.PostOrderRequest {
  const text = (name: string, value: string | null) => (value === null ? {} : { [name]: plain(value) })
  return {
    symbol: order.symbol,
    qty: plain(order.qty),
    side: order.side,
    type: order.order_type,
    timeInForce: order.time_in_force,
    clientOrderId: order.client_order_id,
    ...text('limitPrice', order.limit_price),
    ...text('stopPrice', order.stop_price),
    ...text('trailPrice', order.trail_price),
    ...text('trailPercent', order.trail_percent),
    ...(order.extended_hours ? { extendedHours: true } : {}),
  }
}

async function submit(
  rest: Rest,
  order: OrderToSend,
  pairs: readonly string[],
  mayLeave?: () => Promise<void>,
): Promise<SubmitAnswer> {
  const what = `submit ${order.client_order_id}`
  const send = () => rest.orders.postOrderRaw({ postOrderRequest: bodyOf(order) })
  const answer = await rest.attempt({ what, urgent: true, changes: true, mayLeave, send, shape: wireOrder })
  if (!('failure' in answer)) return { kind: 'accepted', order: orderOf(answer.value, pairs) }
  const { failure } = answer
  // Of this id the first one is in, whatever became of its answer.
  const spoken = failure.status !== null && failure.isSpoken && failure.status < 500
  if (spoken && /unique/i.test(failure.message)) return { kind: 'duplicate' }
  if (failure.kind === 'refused' || failure.kind === 'not_found') {
    const passed = /stop price must be (less|greater) than current price/i.test(failure.message)
    return { kind: 'rejected', reason: failure.message, ...(passed ? { passed } : {}) }
  }
  throw venueError(failure, what)
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

async function cancel(rest: Rest, orderId: string): Promise<CancelAnswer> {
  // Without an id the same path would cancel every order of the account.
  if (!UUID.test(orderId)) return 'not_found'
  const what = `cancel ${orderId}`
  const send = () => rest.orders.deleteOrderByOrderIDRaw({ orderId })
  const answer = await rest.attempt({ what, urgent: true, changes: true, send })
  if (!('failure' in answer)) return 'requested'
  const { failure } = answer
  if (failure.kind === 'not_found') return 'not_found'
  if (failure.status === 422) return endedOr(failure, what)
  throw venueError(failure, what)
}

/** `order is already in "filled" state` ends it; what is refused for another reason, a replacement under way, is open still. */
function endedOr(failure: Failure, what: string): CancelAnswer {
  const answer = endedBy(failure.message)
  if (answer !== null) return answer
  throw venueError({ ...failure, kind: 'unavailable' }, what)
}

function endedBy(message: string): 'requested' | 'ended' | null {
  const state = /already in "?(\w+)"? state/i.exec(message)?.[1]
  if (state === 'pending_cancel') return 'requested'
  return state !== undefined && /filled|cancell?ed|expired|rejected|replaced/.test(state) ? 'ended' : null
}

/** Nothing holds the kill switch back, not even the limit of requests, which Postgres keeps. */
async function cancelAll(rest: Rest): Promise<number> {
  const what = 'cancel all'
  const send = () => rest.orders.deleteAllOrdersRaw()
  const cancelled = await rest.ask({ what, urgent: true, changes: true, always: true, send, shape: wireCancelled })
  const failed = cancelled.filter(({ status, body }) => {
    const isOver = status === 404 || (status === 422 && endedBy(body?.message ?? '') !== null)
    return status >= 300 && !isOver
  })
  if (failed.length > 0) {
    const ids = failed.map(({ id }) => id).join(', ')
    const message = `${failed.length} of ${cancelled.length} orders were not cancelled: ${ids}`
    throw venueError({ kind: 'unclear', status: 207, message, retryAfterMs: null, isSpoken: true, cause: null }, what)
  }
  return cancelled.filter(({ status }) => status < 300).length
}
