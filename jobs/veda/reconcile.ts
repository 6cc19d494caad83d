/**
 * What our record says of an account's orders against what its venue says: which reports are to be applied, what is to be
 * asked for, and what a person has to hear of. Pure. Whose position is whose is told in positions.ts.
 */
import { isOpen } from '../../db/events/order_state.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import type { OrderSendRow } from '../../db/walle/live_rows.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { runOfClientOrder } from '../marvin/contract.ts'
import { LOST_AFTER_MS } from './following.ts'
import { AT_VENUE, isOther, isResizedThere, type OrderReport, takesPlaceOf } from './reports.ts'
import type { Execution, VenueOrder } from './venue.ts'

export type Finding = PayloadOf<'account.Reconciled'>['findings'][number]

/** One of our orders, as far as it is compared. */
export type OurOrder = Pick<
  OrderRow,
  'client_order_id' | 'exchange_order_id' | 'symbol' | 'side' | 'status' | 'qty' | 'filled_qty'
> &
  Pick<OrderSendRow, 'replaced_ids' | 'filled_before'> & {
    /** How its way to the venue stands; null: not known. */
    send_state: OrderSendRow['state'] | null
  }

export interface OrdersCompared {
  /** In the order in which they are to be applied: fills before the order's state. */
  reports: (OrderReport & { client_order_id: string })[]
  findings: Finding[]
  /** Fills of orders that are not ours. */
  foreign: Execution[]
  /** Fills of orders that a run of ours has placed and that are not on record. */
  lost: LostFill[]
  /** Ours are ended, the venue's can still fill. */
  alive: Finding[]
}

export interface LostFill {
  run_id: string
  execution: Execution
}

/** Open with us, and what the venue has of them now is not among these: to be asked for one by one. */
export function unnamedIn(ours: readonly OurOrder[], orders: readonly VenueOrder[]): OurOrder[] {
  const ids = new Set(orders.map(({ exchange_order_id }) => exchange_order_id))
  const names = new Set(orders.map(({ client_order_id }) => client_order_id))
  return ours.filter((our) => {
    if (!isOpen(our.status) || !wasSent(our)) return false
    return our.replaced_ids.length > 0 ? !ids.has(our.exchange_order_id as string) : !names.has(our.client_order_id)
  })
}

/** Ours that were replaced at the venue: what took their place is not among these, and is to be asked for. */
export function replacedIn(ours: readonly OurOrder[], orders: readonly VenueOrder[]): VenueOrder[] {
  const { chainOf } = placesOf(ours, orders)
  return ours.flatMap((our) => {
    const last = chainOf(our).at(-1)?.order
    return last?.status === 'replaced' && isOpen(our.status) ? [last] : []
  })
}

/** One of the venue's orders, of those that took each other's place. */
interface Place {
  id: string
  /** Null: the venue has not named it. */
  order: VenueOrder | null
}

interface Places {
  /** Of ours: what the venue has of it by our record, and what took the place of that, unheard. */
  chainOf(our: OurOrder): readonly Place[]
  /** By the venue's ids, also of those that are on record as replaced. */
  ourOf(exchangeOrderId: string): OurOrder | undefined
  /** What the order took the place of unheard; null: another took its place. */
  before(our: OurOrder, order: VenueOrder): readonly VenueOrder[] | null
  /** It is to take the place of one that is open with us, and has not done so yet, or never will: that may have filled first. */
  isAwaited(order: VenueOrder): boolean
}

function placesOf(ours: readonly OurOrder[], orders: readonly VenueOrder[]): Places {
  const byId = new Map(orders.map((order) => [order.exchange_order_id, order]))
  const byClientId = new Map(orders.map((order) => [order.client_order_id, order]))
  const chains = new Map<string, Place[]>()
  const owners = new Map<string, OurOrder>()
  for (const our of ours) {
    const chain = chainFrom(our, orders, byId, byClientId)
    chains.set(our.client_order_id, chain)
    for (const id of our.replaced_ids) owners.set(id, our)
    for (const { id } of chain) owners.set(id, our)
  }
  const chainOf = (our: OurOrder) => chains.get(our.client_order_id) ?? []
  return {
    chainOf,
    ourOf: (id) => owners.get(id),
    before(our, { exchange_order_id }) {
      if (our.replaced_ids.includes(exchange_order_id)) return null
      const chain = chainOf(our)
      const at = chain.findIndex(({ id }) => id === exchange_order_id)
      if (at < 0) return []
      return at < chain.length - 1 ? null : chain.slice(0, -1).flatMap(({ order }) => order ?? [])
    },
    isAwaited({ replaces }) {
      const our = replaces === null ? undefined : owners.get(replaces)
      return our !== undefined && isOpen(our.status)
    },
  }
}

function chainFrom(
  our: OurOrder,
  orders: readonly VenueOrder[],
  byId: ReadonlyMap<string, VenueOrder>,
  byClientId: ReadonlyMap<string, VenueOrder>,
): Place[] {
  // By our client id the venue knows what it was first.
  const named = our.replaced_ids.length === 0 ? byClientId.get(our.client_order_id) : undefined
  const first = our.exchange_order_id === null ? named : (byId.get(our.exchange_order_id) ?? null)
  const id = our.exchange_order_id ?? first?.exchange_order_id
  if (id === undefined) return []
  const chain: Place[] = [{ id, order: first ?? null }]
  for (let last = first; last?.status === 'replaced' && isOpen(our.status) && chain.length <= orders.length; ) {
    const before = last
    last = orders.find((order) => takesPlaceOf(order, before))
    if (last != null) chain.push({ id: last.exchange_order_id, order: last })
  }
  return chain
}

/** `runs`: of this database, those that orders at the venue name as theirs. `now`: when the venue was asked. */
export function compareOrders(
  ours: readonly OurOrder[],
  orders: readonly VenueOrder[],
  executions: readonly Execution[],
  now: number,
  runs: ReadonlySet<string> = new Set(),
): OrdersCompared {
  const loserOf = (clientId: string | null): string | null => {
    const runId = clientId === null ? null : runOfClientOrder(clientId)
    return runId !== null && runs.has(runId) ? runId : null
  }
  const byClientId = new Map(ours.map((order) => [order.client_order_id, order]))
  const byId = new Map(orders.map((order) => [order.exchange_order_id, order]))
  const places = placesOf(ours, orders)
  const compared: OrdersCompared = { reports: [], findings: [], foreign: [], lost: [], alive: [] }
  const follow = follower(places, compared.reports)

  for (const execution of [...executions].sort(byTime)) {
    const order = byId.get(execution.exchange_order_id)
    const clientId = execution.client_order_id ?? order?.client_order_id ?? null
    const our = places.ourOf(execution.exchange_order_id) ?? byClientId.get(clientId ?? '')
    if (our !== undefined) {
      follow(our, execution.exchange_order_id)
      compared.reports.push({ client_order_id: our.client_order_id, order: null, execution })
      continue
    }
    // The next look finds that it is ours.
    if (order !== undefined && places.isAwaited(order)) continue
    const run_id = loserOf(clientId)
    if (run_id === null) compared.foreign.push(execution)
    else compared.lost.push({ run_id, execution })
  }
  for (const order of [...orders].sort((a, b) => a.updated_at - b.updated_at)) {
    const our = places.ourOf(order.exchange_order_id) ?? byClientId.get(order.client_order_id)
    if (our === undefined) {
      const run_id = loserOf(order.client_order_id)
      if (run_id !== null) compared.findings.push(...lostOrder(order, run_id))
      else if (AT_VENUE.includes(order.status) && !places.isAwaited(order)) {
        compared.findings.push(foreignOrder(order))
      }
      continue
    }
    const before = places.before(our, order)
    // What another took the place of is told with that one, or on record.
    if (before === null) continue
    if (before.length === 0 && isOther(our, { order, execution: null }, our.replaced_ids)) {
      if (AT_VENUE.includes(order.status)) compared.findings.push(foreignOrder(order))
      continue
    }
    compareNewest(compared, our, { order, before, now, follow: () => follow(our, order.exchange_order_id) })
  }
  return compared
}

interface Newest {
  order: VenueOrder
  /** What it took the place of unheard, oldest first. */
  before: readonly VenueOrder[]
  now: number
  follow: () => void
}

/** Of ours against what the venue has of it now. */
function compareNewest(compared: OrdersCompared, our: OurOrder, { order, before, now, follow }: Newest): void {
  const filled = before.reduce((sum, one) => sum.plus(one.filled_qty), new Decimal(our.filled_before))
  const withBefore = (qty: string) => filled.plus(qty).toString()
  const whole = { ...order, qty: withBefore(order.qty), filled_qty: withBefore(order.filled_qty) }
  const [first] = before
  if (first === undefined && saysNothingNew(our, whole)) return
  follow()
  const finding = first === undefined ? findingOf(our, whole) : replacedFinding(our, first)
  // What took its place is not known yet.
  const isGap = order.status === 'replaced' && isOpen(our.status)
  const isLost = isGap && now - order.updated_at >= LOST_AFTER_MS
  if (!isGap || isLost || new Decimal(whole.filled_qty).gt(our.filled_qty)) {
    compared.reports.push({
      ...{ client_order_id: our.client_order_id, order, execution: null },
      ...(isLost ? { lost: true as const } : {}),
    })
  } else if (first === undefined) return
  if (finding !== null) compared[finding.alive ? 'alive' : 'findings'].push(finding.finding)
}

/**
 * Tells that ours goes on as that order, before what it filled is told: so each fill keeps its own price and time.
 */
function follower({ chainOf }: Places, reports: OrdersCompared['reports']) {
  const reached = new Map<string, number>()
  return (our: OurOrder, exchangeOrderId: string): void => {
    const { client_order_id } = our
    const chain = chainOf(our)
    const to = chain.findIndex(({ id }) => id === exchangeOrderId)
    for (let at = reached.get(client_order_id) ?? 0; at < to; at++) {
      const [order, next] = [chain[at]?.order ?? null, chain[at + 1]?.order]
      if (next == null) return
      reports.push({ client_order_id, order, execution: null, successors: [asItWasTaken(next)] })
      reached.set(client_order_id, at + 1)
    }
  }
}

/** What it filled and what became of it is told with its own fills. */
function asItWasTaken(order: VenueOrder): VenueOrder {
  return { ...order, status: 'accepted', filled_qty: '0', filled_avg_price: null, fee: null, fee_qty: null }
}

function byTime(a: Execution, b: Execution): number {
  if (a.exchange_order_id === b.exchange_order_id && a.cum_qty !== null && b.cum_qty !== null) {
    return new Decimal(a.cum_qty).cmp(b.cum_qty)
  }
  return a.at - b.at
}

/** An order that was never sent is nothing that a venue could know. */
function wasSent({ send_state, status, exchange_order_id }: OurOrder): boolean {
  if (exchange_order_id !== null || status === 'accepted' || status === 'partial') return true
  return send_state === 'sent' || send_state === 'unclear'
}

/** The venue answered for it once. */
function wasAcknowledged({ exchange_order_id, status }: OurOrder): boolean {
  return exchange_order_id !== null || status === 'accepted' || status === 'partial'
}

export function saysNothingNew(our: OurOrder, order: VenueOrder): boolean {
  if (new Decimal(order.filled_qty).gt(our.filled_qty) || isResizedThere(our, order)) return false
  const open = AT_VENUE.includes(order.status)
  return isOpen(our.status) ? open && our.exchange_order_id !== null : !open
}

function findingOf(our: OurOrder, order: VenueOrder): { alive: boolean; finding: Finding } | null {
  const ids = { symbol: our.symbol, client_order_id: our.client_order_id }
  if (!isOpen(our.status) && AT_VENUE.includes(order.status)) {
    const detail = `we hold it as ${our.status}, the venue as ${order.status}: it is cancelled there, order ${order.exchange_order_id}`
    return { alive: true, finding: { class: 'order_state', ...ids, detail } }
  }
  if (isResizedThere(our, order)) {
    const detail = `we hold it for ${our.qty}, the venue for ${order.qty}, as after a split: it is cancelled there, order ${order.exchange_order_id}`
    return { alive: true, finding: { class: 'order_state', ...ids, detail } }
  }
  if (new Decimal(order.filled_qty).gt(our.filled_qty)) {
    const detail = `the venue filled ${order.filled_qty} of ${our.qty}, we knew of ${our.filled_qty}; it is ${order.status} there`
    return { alive: false, finding: { class: 'missed_fill', ...ids, detail } }
  }
  if (isOpen(our.status) && !AT_VENUE.includes(order.status)) {
    const detail = `it was ${our.status} with us and is ${order.status} at the venue${reasonOf(order)}`
    return { alive: false, finding: { class: 'order_state', ...ids, detail } }
  }
  if (our.exchange_order_id !== null) return null
  const detail = `the venue has it as ${order.exchange_order_id}, we had no answer`
  return { alive: false, finding: { class: 'order_found', ...ids, detail } }
}

function reasonOf({ reject_reason, replaced_by }: VenueOrder): string {
  if (replaced_by !== null) return `, by its order ${replaced_by}`
  return reject_reason === null ? '' : `: ${reject_reason}`
}

function replacedFinding(our: OurOrder, order: VenueOrder): { alive: boolean; finding: Finding } {
  const { symbol, client_order_id } = our
  const detail = `it was ${our.status} with us and is replaced at the venue${reasonOf(order)}: it is followed`
  return { alive: false, finding: { class: 'order_state', symbol, client_order_id, detail } }
}

function foreignOrder(order: VenueOrder): Finding {
  const { symbol, client_order_id, side, qty, exchange_order_id } = order
  return {
    class: 'foreign_order',
    symbol,
    client_order_id,
    detail: `${side} ${qty} rests at the venue as ${exchange_order_id} and is not Weaver's: what it fills counts as unattributed`,
  }
}

/** Those whose turn it is to be looked up: who was asked for least often, at most so many at once. */
export function turnOf(unnamed: readonly string[], before: Missing, most: number): { asked: string[]; rest: string[] } {
  const times = (id: string) => before.get(id)?.times ?? 0
  const waiting = [...unnamed].sort((a, b) => times(a) - times(b))
  return { asked: waiting.slice(0, most), rest: waiting.slice(most) }
}

/** As after a restore from a backup. What it filled is told with the position. */
function lostOrder(order: VenueOrder, runId: string): Finding[] {
  const { symbol, client_order_id, side, qty, filled_qty, exchange_order_id, status } = order
  const open = AT_VENUE.includes(status)
  if (!open && new Decimal(filled_qty).eq(ZERO)) return []
  const what = `the run ${runId} has placed it, and it is not on record, as after a restore: ${side} ${qty}, ${filled_qty} filled, ${status} at the venue as ${exchange_order_id}`
  const detail = open ? `${what}. No new order in ${symbol} until it is cancelled there` : what
  return [{ class: 'lost_order', symbol, client_order_id, detail }]
}

/** Symbols in which orders rest at the venue that a run of ours has placed and that are not on record; why, in words. */
export function restingLost(orders: readonly VenueOrder[], { findings }: OrdersCompared): Map<string, string> {
  const open = new Set(orders.filter(({ status }) => AT_VENUE.includes(status)).map((one) => one.client_order_id))
  return new Map(
    findings.flatMap(({ class: kind, symbol, client_order_id, detail }) =>
      kind === 'lost_order' && symbol !== null && open.has(client_order_id as string) ? [[symbol, detail]] : [],
    ),
  )
}

/** How often, and since when, the venue has said that it does not know an order. */
export type Missing = ReadonlyMap<string, { times: number; since: number }>

export const MISSING = { times: 3, overMs: 30_000 } as const

/**
 * Orders that the venue was asked for and does not know. Nothing is done to them: one that was never acknowledged is
 * looked up and sent again by its own job, and one that was is for a person. `notAsked`: those whose turn it was not.
 */
export function judgeMissing(
  ours: readonly OurOrder[],
  { notFound, notAsked }: { notFound: readonly string[]; notAsked: readonly string[] },
  before: Missing,
  now: number,
): { missing: Missing; findings: Finding[] } {
  const missing = new Map([...before].filter(([id]) => notAsked.includes(id)))
  for (const id of notFound) {
    const { times, since } = before.get(id) ?? { times: 0, since: now }
    missing.set(id, { times: times + 1, since })
  }
  const findings = ours.flatMap((our): Finding[] => {
    const { times, since } = missing.get(our.client_order_id) ?? { times: 0, since: now }
    if (times < MISSING.times || now - since < MISSING.overMs) return []
    const seconds = Math.round((now - since) / 1000)
    const what = wasAcknowledged(our)
      ? 'it had acknowledged the order: look at the venue; it stays open with us'
      : 'it never acknowledged it: its job asks on, and sends it again'
    const detail = `the venue does not know it, asked ${times} times over ${seconds} s; ${what}`
    return [{ class: 'order_missing', symbol: our.symbol, client_order_id: our.client_order_id, detail }]
  })
  return { missing, findings }
}

/** As many findings as an event holds; the number of the others. */
export function fitFindings(findings: readonly Finding[]): { findings: Finding[]; left_out: number } {
  const fitting = findings.slice(0, MOST_FINDINGS)
  return { findings: fitting, left_out: findings.length - fitting.length }
}

const MOST_FINDINGS = 200
