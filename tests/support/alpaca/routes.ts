/** The venue's REST endpoints: what they do and answer. Throws a Refusal where the venue would. */
import { Decimal } from '../../../jobs/greta/decimals.ts'
import { type Book, type EmulatedOrder, isOpen } from './book.ts'
import { badField, badParameter, notAllowed, notFound, Refusal } from './errors.ts'
import type { Market } from './market.ts'
import { judge } from './rules.ts'
import { accountShape, activityShape, orderShape, positionShape, SUBMITTED_FRACTION } from './shapes.ts'

export interface VenueSide {
  book: Book
  market: Market
  accountNumber: string
  blocked: Partial<Record<'trading_blocked' | 'account_blocked' | 'trade_suspended_by_user', boolean>>
  /** Lookups by client id that do not find an order yet, by client order id. */
  hidden: Map<string, number>
  /** Brings what time does to orders up to now. */
  look(): void
  /** What happens to an order after its acceptance was answered. */
  afterPlacing(order: EmulatedOrder): void
  cancel(order: EmulatedOrder): void
}

export interface Asked {
  method: string
  path: string
  query: URLSearchParams
  body: unknown
}

export interface Answer {
  status: number
  body: unknown
}

const ok = (body: unknown): Answer => ({ status: 200, body })
const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/

type Handler = (side: VenueSide, asked: Asked, part: string) => Answer

const ROUTES: readonly [method: string, path: RegExp, handler: Handler][] = [
  ['POST', /^\/v2\/orders$/, (side, { body }) => placeOrder(side, body)],
  ['GET', /^\/v2\/orders$/, (side, { query }) => ok(listOrders(side.book, query))],
  ['DELETE', /^\/v2\/orders$/, (side) => cancelAll(side)],
  ['GET', /^\/v2\/orders:by_client_order_id$/, (side, { query }) => byClientId(side, query)],
  ['GET', /^\/v2\/orders\/([^/]+)$/, (side, _asked, id) => ok(orderShape(orderOf(side.book, id)))],
  ['DELETE', /^\/v2\/orders\/([^/]+)$/, (side, _asked, id) => cancelOne(side, id)],
  ['GET', /^\/v2\/positions$/, ({ book }) => ok([...book.positions.values()].map((each) => positionShape(book, each)))],
  ['GET', /^\/v2\/positions\/([^/]+)$/, ({ book }, _asked, symbol) => ok(onePosition(book, symbol))],
  ['GET', /^\/v2\/account$/, (side) => ok(accountShape(side.book, side.accountNumber, side.blocked))],
  ['GET', /^\/v2\/account\/activities(?:\/FILL)?$/, ({ book }, { query }) => ok(activities(book, query))],
  ['GET', /^\/v2\/assets$/, ({ book }, { query }) => ok(assets(book, query))],
  ['GET', /^\/v2\/assets\/(.+)$/, ({ book }, _asked, name) => ok(oneAsset(book, name))],
  ['GET', /^\/v2\/clock$/, ({ market }) => ok(market.clock())],
  ['GET', /^\/v2\/calendar$/, ({ market }, { query }) => ok(calendar(market, query))],
  ['GET', /^\/v2\/stocks\/bars$/, ({ market }, { query }) => ok(market.bars(query, 'stocks'))],
  ['GET', /^\/v2\/stocks\/([^/]+)\/bars$/, ({ market }, { query }, symbol) => ok(market.bars(query, 'stocks', symbol))],
  ['GET', /^\/v1beta3\/crypto\/us\/bars$/, ({ market }, { query }) => ok(market.bars(query, 'crypto'))],
]

export function answer(side: VenueSide, asked: Asked): Answer {
  side.look()
  for (const [method, path, handler] of ROUTES) {
    const match = method === asked.method ? path.exec(asked.path) : null
    if (match) return handler(side, asked, decodeURIComponent(match[1] ?? ''))
  }
  throw new Refusal(404, null, 'endpoint not found')
}

function placeOrder(side: VenueSide, body: unknown): Answer {
  const ask = judge(side.book, side.market, body)
  if (side.blocked.trade_suspended_by_user) throw notAllowed('new orders are rejected by user request')
  // That they are refused is documented, the words are not.
  if (side.blocked.account_blocked || side.blocked.trading_blocked) throw notAllowed('account is not allowed to trade')
  const order = side.book.place({ ...ask, status: 'pending_new', replaced_by: null, replaces: null })
  const answered = ok(orderShape(order))
  side.afterPlacing(order)
  return answered
}

function orderOf(book: Book, id: string): EmulatedOrder {
  if (!UUID.test(id)) throw badField('order_id is missing')
  const order = book.orders.find((each) => each.id === id)
  if (!order) throw notFound(`order not found for ${id}`)
  return order
}

function byClientId({ book, hidden }: VenueSide, query: URLSearchParams): Answer {
  const id = query.get('client_order_id')
  if (id === null) throw badField('client_order_id is required')
  const left = hidden.get(id) ?? 0
  if (left > 0) {
    hidden.set(id, left - 1)
    throw notFound(`order not found for ${id}`)
  }
  const order = book.orders.find(({ client_order_id }) => client_order_id === id)
  if (!order) throw notFound(`order not found for ${id}`)
  return ok(orderShape(order))
}

const MOST_ORDERS = 500

function listOrders(book: Book, query: URLSearchParams): unknown[] {
  const status = query.get('status') ?? 'open'
  const limit = Number(query.get('limit') ?? 50)
  if (!(limit >= 1 && limit <= MOST_ORDERS)) throw badParameter('limit must be between 1 and 500')
  if (!['open', 'closed', 'all'].includes(status)) throw badParameter('invalid status')
  const bound = (name: string, otherwise: number) => {
    const text = query.get(name)
    const time = text === null ? otherwise : Date.parse(text)
    if (Number.isNaN(time)) throw badParameter(`invalid ${name}`)
    return time
  }
  const after = bound('after', Number.NEGATIVE_INFINITY)
  const until = bound('until', Number.POSITIVE_INFINITY)
  const found = book.orders
    .filter((order) => status === 'all' || isOpen(order) === (status === 'open'))
    .filter(
      ({ submitted_at }) => submitted_at + SUBMITTED_FRACTION > after && submitted_at + SUBMITTED_FRACTION < until,
    )
    .sort((one, other) => one.submitted_at - other.submitted_at)
  if (query.get('direction') !== 'asc') found.reverse()
  return found.slice(0, limit).map((order) => orderShape(order))
}

function cancelOne(side: VenueSide, id: string): Answer {
  const order = orderOf(side.book, id)
  if (!isOpen(order)) throw badParameter(`order is already in "${order.status}" state`)
  if (order.status === 'pending_replace') throw beingReplaced()
  side.cancel(order)
  return { status: 204, body: null }
}

/** That it is refused is documented, the words are not. */
const beingReplaced = () => badParameter("order can't be cancelled, a replacement is pending")

function cancelAll(side: VenueSide): Answer {
  const open = side.book.orders.filter(isOpen)
  const body = open.map((order) => {
    if (order.status === 'held')
      return { id: order.id, status: 500, body: { code: 50010000, message: 'internal error' } }
    if (order.status === 'pending_replace') return { id: order.id, status: 422, body: beingReplaced().body }
    side.cancel(order)
    return { id: order.id, status: 200, body: orderShape(order) }
  })
  return { status: 207, body }
}

function onePosition(book: Book, name: string): unknown {
  const position = [...book.positions.values()].find(
    ({ asset }) => asset.symbol.replace('/', '') === name || asset.id.replace('b0b6dd9d', '276e2673') === name,
  )
  if (!position) throw notFound('position does not exist')
  return positionShape(book, position)
}

const MOST_ACTIVITIES = 100

function activities(book: Book, query: URLSearchParams): unknown[] {
  const size = Number(query.get('page_size') ?? MOST_ACTIVITIES)
  if (!(size >= 1 && size <= MOST_ACTIVITIES)) throw badParameter('page_size must be between 1 and 100')
  const after = query.get('after')
  const list = book.fills.filter(({ at }) => after === null || at + SUBMITTED_FRACTION > Date.parse(after))
  if (query.get('direction') !== 'asc') list.reverse()
  const token = query.get('page_token')
  const from = token === null ? 0 : 1 + list.findIndex(({ activity_id }) => activity_id === token)
  return list.slice(from, from + size).map(activityShape)
}

function assets(book: Book, query: URLSearchParams): unknown[] {
  const [status, kind] = [query.get('status'), query.get('asset_class') ?? 'us_equity']
  return book.assets.filter((asset) => asset.class === kind && (status === null || asset.status === status))
}

function oneAsset(book: Book, name: string): unknown {
  const asset = book.asset(name)
  if (!asset) throw notFound(`asset not found for ${name}`)
  return asset
}

function calendar(market: Market, query: URLSearchParams): unknown {
  const [start, end] = [query.get('start'), query.get('end')]
  if (start === null || end === null) throw badParameter('start and end are required')
  return market.calendar(start, end)
}

/** Whether an order at the market's price would trade now. */
export function meets(order: EmulatedOrder, price: string): boolean {
  if (order.type === 'market') return true
  if (order.type !== 'limit' || order.limit_price === null) return false
  const limit = new Decimal(order.limit_price)
  return order.side === 'buy' ? limit.gte(price) : limit.lte(price)
}
