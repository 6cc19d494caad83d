/**
 * What our record says of an account against what its venue says: which reports are to be applied, what is to be asked
 * for, whose position is whose, and what a person has to hear of. Pure. A difference is never made to fit: what no order
 * explains pauses its symbol.
 */
import { isOpen } from '../../db/events/order_state.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import type { AccountPositionRow } from '../../db/walle/live_rows.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { isOther, type OrderReport } from './reports.ts'
import type { Execution, VenueOrder, VenuePosition, VenueStatus } from './venue.ts'

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
  /** Ours are ended, the venue's can still fill. */
  alive: Finding[]
}

const VENUE_OPEN: readonly VenueStatus[] = ['pending', 'accepted', 'partial']

export function compareOrders(
  ours: readonly OurOrder[],
  orders: readonly VenueOrder[],
  executions: readonly Execution[],
): OrdersCompared {
  const byClientId = new Map(ours.map((order) => [order.client_order_id, order]))
  const byExchangeId = new Map<string, string>()
  for (const { exchange_order_id: id, client_order_id } of ours) if (id !== null) byExchangeId.set(id, client_order_id)
  for (const { exchange_order_id: id, client_order_id } of orders) byExchangeId.set(id, client_order_id)
  const compared: OrdersCompared = { reports: [], unnamed: [], findings: [], foreign: [], alive: [] }

  for (const execution of [...executions].sort(byTime)) {
    const clientId = execution.client_order_id ?? byExchangeId.get(execution.exchange_order_id)
    if (clientId !== undefined && byClientId.has(clientId)) {
      compared.reports.push({ client_order_id: clientId, order: null, execution })
    } else compared.foreign.push(execution)
  }
  const named = new Set<string>()
  for (const order of [...orders].sort((a, b) => a.updated_at - b.updated_at)) {
    named.add(order.client_order_id)
    const our = byClientId.get(order.client_order_id)
    if (our === undefined || isOther(our, { order, execution: null })) {
      if (VENUE_OPEN.includes(order.status)) compared.findings.push(foreignOrder(order))
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
  if (new Decimal(order.filled_qty).gt(our.filled_qty)) return false
  const open = VENUE_OPEN.includes(order.status)
  return isOpen(our.status) ? open && our.exchange_order_id !== null : !open
}

function findingOf(our: OurOrder, order: VenueOrder): { alive: boolean; finding: Finding } | null {
  const ids = { symbol: our.symbol, client_order_id: our.client_order_id }
  if (!isOpen(our.status) && VENUE_OPEN.includes(order.status)) {
    const detail = `we hold it as ${our.status}, the venue as ${order.status}: it is cancelled there, order ${order.exchange_order_id}`
    return { alive: true, finding: { class: 'order_state', ...ids, detail } }
  }
  if (new Decimal(order.filled_qty).gt(our.filled_qty)) {
    const detail = `the venue filled ${order.filled_qty} of ${our.qty}, we knew of ${our.filled_qty}; it is ${order.status} there`
    return { alive: false, finding: { class: 'missed_fill', ...ids, detail } }
  }
  if (isOpen(our.status) && !VENUE_OPEN.includes(order.status)) {
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

export interface PositionsInput {
  exchange: AccountPositionRow['exchange']
  mode: AccountPositionRow['mode']
  /** Nothing was ever compared: what the account holds beyond its runs is nobody's. */
  first: boolean
  rows: readonly AccountPositionRow[]
  runs: readonly { symbol: string; qty: string }[]
  venue: readonly VenuePosition[]
  /** Fills of foreign orders that are not counted yet. */
  foreign: readonly Execution[]
}

export interface ComparedPosition {
  row: AccountPositionRow
  /** The venue's beyond what is known to be somebody's; '0': all is explained. */
  difference: string
}

export function comparePositions(input: PositionsInput): ComparedPosition[] {
  const { exchange, mode, first } = input
  const rows = new Map(input.rows.map((row) => [row.symbol, row]))
  const runs = new Map(input.runs.map(({ symbol, qty }) => [symbol, qty]))
  const venue = new Map(input.venue.map(({ symbol, qty }) => [symbol, qty]))
  const foreign = new Map<string, Decimal>()
  for (const { symbol, side, qty, fee_qty } of input.foreign) {
    const received = new Decimal(side === 'buy' ? qty : `-${qty}`).minus(fee_qty ?? ZERO)
    foreign.set(symbol, (foreign.get(symbol) ?? ZERO).plus(received))
  }
  const symbols = new Set([...rows.keys(), ...runs.keys(), ...venue.keys(), ...foreign.keys()])
  return [...symbols].sort().map((symbol) => {
    const row = rows.get(symbol)
    const held = new Decimal(venue.get(symbol) ?? ZERO)
    const ours = new Decimal(runs.get(symbol) ?? ZERO)
    const known = new Decimal(row?.unattributed_qty ?? ZERO).plus(foreign.get(symbol) ?? ZERO)
    const unattributed = first && row === undefined ? held.minus(ours) : known
    return {
      row: {
        exchange,
        mode,
        symbol,
        venue_qty: held.toString(),
        runs_qty: ours.toString(),
        unattributed_qty: unattributed.toString(),
        fee_adjustment: row?.fee_adjustment ?? '0',
        paused_reason: row?.paused_reason ?? null,
      },
      difference: held.minus(ours).minus(unattributed).toString(),
    }
  })
}

/** A difference that was seen: what it was, and since when it is so, and since when there is one. */
export type Differences = ReadonlyMap<string, { difference: string; since: number; first: number }>

export interface Settling {
  /** A fill may be on its way to us: so long is waited before a difference is believed. */
  settleMs: number
  /** A difference that keeps changing is believed after this. */
  mostMs: number
}

interface Circumstances {
  now: number
  cashUnchanged: boolean
  /** The most that is kept of a purchase where fills do not tell it exactly; null: they do. */
  feeRate: (symbol: string) => string | null
  purchases: ReadonlyMap<string, Purchases>
}

export interface PositionsJudged {
  rows: AccountPositionRow[]
  findings: Finding[]
  /** Newly paused: a person is to hear of it. */
  paused: { symbol: string; reason: string }[]
  differences: Differences
  /** Symbols to look at again soon. */
  unsettled: string[]
}

/** What the account's runs bought of a symbol, and what their fills say was kept of that as fees. */
export interface Purchases {
  qty: string
  kept: string
  fills: number
}

/** What rounding can make of a fill's fee, be it of many executions. */
const ROUNDING_A_FILL = new Decimal('0.0000001')

/** Between none and the highest, whatever was booked: so far the fees that were kept of purchases can be from those on record. */
function isFee(adjustment: Decimal, rate: string | null, bought: Purchases | undefined): boolean {
  if (rate === null || bought === undefined) return false
  const slack = ROUNDING_A_FILL.times(bought.fills)
  const most = new Decimal(bought.qty).times(rate).minus(bought.kept)
  return adjustment.lte(slack.plus(bought.kept)) && adjustment.gte(atLeastZero(most).plus(slack).neg())
}

const atLeastZero = (value: Decimal) => (value.gt(ZERO) ? value : ZERO)

/** `moving`: symbols with orders that may have filled just now. Only for them a difference is given time. */
export function judgePositions(
  compared: readonly ComparedPosition[],
  before: Differences,
  moving: ReadonlySet<string>,
  { now, cashUnchanged, settleMs, mostMs, feeRate, purchases }: Settling & Circumstances,
): PositionsJudged {
  const judged: PositionsJudged = { rows: [], findings: [], paused: [], differences: new Map(), unsettled: [] }
  const differences = new Map<string, { difference: string; since: number; first: number }>()
  for (const { row, difference } of compared) {
    const { symbol } = row
    if (difference === '0') {
      if (row.paused_reason !== null) judged.findings.push(explained(row))
      judged.rows.push({ ...row, paused_reason: null })
      continue
    }
    const known = before.get(symbol)
    const since = known?.difference === difference ? known.since : now
    const seen = { difference, since, first: known?.first ?? now }
    differences.set(symbol, seen)
    const settled = !moving.has(symbol) || now - since >= settleMs || now - seen.first >= mostMs
    if (!settled && row.paused_reason === null) {
      judged.unsettled.push(symbol)
      judged.rows.push(row)
      continue
    }
    const adjustment = new Decimal(row.fee_adjustment).plus(difference)
    if (isFee(adjustment, feeRate(symbol), purchases.get(symbol))) {
      differences.delete(symbol)
      judged.findings.push(feeAdjusted(row, difference))
      const unattributed_qty = new Decimal(row.unattributed_qty).plus(difference).toString()
      judged.rows.push({ ...row, unattributed_qty, fee_adjustment: adjustment.toString(), paused_reason: null })
      continue
    }
    const finding = mismatch(row, difference, cashUnchanged)
    judged.findings.push(finding)
    if (row.paused_reason === null) judged.paused.push({ symbol, reason: finding.detail })
    judged.rows.push({ ...row, paused_reason: finding.detail })
  }
  return { ...judged, differences }
}

function explained({ symbol, venue_qty }: AccountPositionRow): Finding {
  return {
    class: 'position_explained',
    symbol,
    client_order_id: null,
    detail: `the venue's ${venue_qty} is what the runs and what is unattributed make: the symbol goes on`,
  }
}

function feeAdjusted({ symbol, venue_qty }: AccountPositionRow, difference: string): Finding {
  const kept = new Decimal(difference).gt(ZERO) ? 'less' : 'more'
  return {
    class: 'fee_adjustment',
    symbol,
    client_order_id: null,
    detail: `of what was bought the venue kept ${new Decimal(difference).abs()} ${kept} as fees than was booked, it holds ${venue_qty}: counted as unattributed, and the symbol goes on`,
  }
}

function mismatch(row: AccountPositionRow, difference: string, cashUnchanged: boolean): Finding {
  const { exchange, mode, symbol, venue_qty, runs_qty, unattributed_qty } = row
  const expected = new Decimal(runs_qty).plus(unattributed_qty)
  const facts = `the venue holds ${venue_qty}, the runs ${runs_qty} and unattributed ${unattributed_qty}`
  const cure = `weaver accounts accept ${exchange} ${mode} ${symbol}`
  const ratio = cashUnchanged ? splitRatio(expected, new Decimal(venue_qty)) : null
  if (ratio !== null) {
    const detail = `${facts}: that looks like a split of ${ratio}, the cash being unchanged. No new order in ${symbol}: stop its runs, start them anew with what they hold, then \`${cure}\``
    return { class: 'split', symbol, client_order_id: null, detail }
  }
  const detail = `${facts}: no order explains ${difference}. No new order in ${symbol} until it is explained, or \`${cure}\` says that it is nobody's`
  return { class: 'position_mismatch', symbol, client_order_id: null, detail }
}

/** New shares for old ones, as splits are made. */
const RATIOS: readonly (readonly [number, number])[] = [
  ...[2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100].flatMap((n): [number, number][] => [
    [n, 1],
    [1, n],
  ]),
  [3, 2],
  [4, 3],
  [5, 4],
  [5, 2],
  [2, 3],
]

function splitRatio(before: Decimal, after: Decimal): string | null {
  if (before.eq(ZERO) || after.eq(ZERO)) return null
  const found = RATIOS.find(([fresh, old]) => before.times(fresh).eq(after.times(old)))
  return found === undefined ? null : `${found[0]} for ${found[1]}`
}

/** As many findings as an event holds; the number of the others. */
export function fitFindings(findings: readonly Finding[]): { findings: Finding[]; left_out: number } {
  const fitting = findings.slice(0, MOST_FINDINGS)
  return { findings: fitting, left_out: findings.length - fitting.length }
}

const MOST_FINDINGS = 200
