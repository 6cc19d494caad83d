/**
 * What our record says of an account's orders against what its venue says: which reports are to be applied, what is to be
 * asked for, and what a person has to hear of. Pure. Whose position is whose is told in positions.ts.
 */
import { isOpen } from '../../db/events/order_state.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { runOfClientOrder } from '../marvin/contract.ts'
import { AT_VENUE, isOther, isResizedThere, type OrderReport } from './reports.ts'
import type { Execution, VenueOrder } from './venue.ts'

export type Finding = PayloadOf<'account.Reconciled'>['findings'][number]

/** One of our orders, as far as it is compared. */
export type OurOrder = Pick<
  OrderRow,
  'client_order_id' | 'exchange_order_id' | 'symbol' | 'side' | 'status' | 'qty' | 'filled_qty'
> & {
  /** How its way to the venue stands; null: not known. */
  send_state: 'to_send' | 'sent' | 'unclear' | 'answered' | null
}

export interface OrdersCompared {
  /** In the order in which they are to be applied: fills before the order's state. */
  reports: (OrderReport & { client_order_id: string })[]
  /** Open with us and not named by the venue: to be asked for one by one. */
  unnamed: string[]
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

/** `runs`: of this database, those that orders at the venue name as theirs. */
export function compareOrders(
  ours: readonly OurOrder[],
  orders: readonly VenueOrder[],
  executions: readonly Execution[],
  runs: ReadonlySet<string> = new Set(),
): OrdersCompared {
  const loserOf = (clientId: string | undefined): string | null => {
    const runId = clientId === undefined ? null : runOfClientOrder(clientId)
    return runId !== null && runs.has(runId) ? runId : null
  }
  const byClientId = new Map(ours.map((order) => [order.client_order_id, order]))
  const byExchangeId = new Map<string, string>()
  for (const { exchange_order_id: id, client_order_id } of ours) if (id !== null) byExchangeId.set(id, client_order_id)
  for (const { exchange_order_id: id, client_order_id } of orders) byExchangeId.set(id, client_order_id)
  const compared: OrdersCompared = { reports: [], unnamed: [], findings: [], foreign: [], lost: [], alive: [] }

  for (const execution of [...executions].sort(byTime)) {
    const clientId = execution.client_order_id ?? byExchangeId.get(execution.exchange_order_id)
    if (clientId !== undefined && byClientId.has(clientId)) {
      compared.reports.push({ client_order_id: clientId, order: null, execution })
      continue
    }
    const run_id = loserOf(clientId)
    if (run_id === null) compared.foreign.push(execution)
    else compared.lost.push({ run_id, execution })
  }
  const named = new Set<string>()
  for (const order of [...orders].sort((a, b) => a.updated_at - b.updated_at)) {
    named.add(order.client_order_id)
    const our = byClientId.get(order.client_order_id)
    if (our === undefined) {
      const run_id = loserOf(order.client_order_id)
      if (run_id !== null) compared.findings.push(...lostOrder(order, run_id))
      else if (AT_VENUE.includes(order.status)) compared.findings.push(foreignOrder(order))
    } else if (isOther(our, { order, execution: null })) {
      if (AT_VENUE.includes(order.status)) compared.findings.push(foreignOrder(order))
    } else if (!saysNothingNew(our, order)) {
      compared.reports.push({ client_order_id: our.client_order_id, order, execution: null })
      const found = findingOf(our, order)
      if (found !== null) compared[found.alive ? 'alive' : 'findings'].push(found.finding)
    }
  }
  compared.unnamed = ours
    .filter((our) => isOpen(our.status) && wasSent(our) && !named.has(our.client_order_id))
    .map((our) => our.client_order_id)
  return compared
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
