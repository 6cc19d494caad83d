/**
 * Whose what an account holds is: of runs, of nobody, or not explained. Pure. A difference is never made to fit: what no order
 * explains pauses its symbol until it is explained or a person says whose it is. What somebody else sold is taken from what is
 * nobody's first, then from what ended runs have left; what running runs hold is for a person.
 */
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { AccountPositionRow } from '../../db/walle/live_rows.ts'
import { beyondNobodys } from '../greta/attribution.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { feesAmong, type Purchases } from './kept_fees.ts'
import { type Known, mismatch } from './mismatch.ts'
import type { Finding, LostFill } from './reconcile.ts'
import type { Execution, VenuePosition } from './venue.ts'

/** What a run of the account holds of a symbol. */
export interface Holder {
  run_id: string
  symbol: string
  qty: string
  /** The run has ended: nobody decides on what it has left. */
  ended: boolean
}

export interface PositionsInput {
  exchange: AccountPositionRow['exchange']
  mode: AccountPositionRow['mode']
  /** Nothing was ever compared: what the account holds beyond its runs is nobody's. */
  first: boolean
  rows: readonly AccountPositionRow[]
  holders: readonly Holder[]
  venue: readonly VenuePosition[]
  /** Fills of foreign orders that are not counted yet. */
  foreign: readonly Execution[]
  lost: readonly LostFill[]
  /** Symbols that are to be told of, whatever is held of them. */
  also: readonly string[]
}

/** A quantity that leaves a run (or comes to it), and what was paid for it. */
export interface Taken {
  run_id: string
  qty: string
  price: string
}

export interface ComparedPosition {
  row: AccountPositionRow
  /** As they are after what is taken from them. */
  holders: readonly Holder[]
  /** The venue's beyond what is known to be somebody's; '0': all is explained. */
  difference: string
  /** What it was when the venue was compared last; null: it never was. */
  before: string | null
  /** Held against ended runs: `row` is as it is after that. */
  taken: Taken[]
  /** What somebody else traded of it beyond that: part of the difference. */
  byHand: Traded | null
  lost: readonly LostFill[]
}

export interface Traded {
  qty: string
  price: string
}

export function comparePositions(input: PositionsInput): ComparedPosition[] {
  const rows = new Map(input.rows.map((row) => [row.symbol, row]))
  const venue = new Map(input.venue.map(({ symbol, qty }) => [symbol, qty]))
  const symbols = new Set([
    ...[...input.also, ...rows.keys(), ...venue.keys(), ...input.holders.map(({ symbol }) => symbol)],
    ...[...input.foreign, ...input.lost.map(({ execution }) => execution)].map(({ symbol }) => symbol),
  ])
  return [...symbols].sort().map((symbol) => {
    const row = rows.get(symbol) ?? null
    return compareOne(input, symbol, row, new Decimal(venue.get(symbol) ?? ZERO))
  })
}

function compareOne(
  { exchange, mode, first, foreign, holders: all, lost }: PositionsInput,
  symbol: string,
  row: AccountPositionRow | null,
  held: Decimal,
): ComparedPosition {
  const holders = all.filter((one) => one.symbol === symbol && !new Decimal(one.qty).eq(ZERO))
  const ours = sumOf(holders)
  const traded = tradedOf(foreign.filter((one) => one.symbol === symbol))
  const known = new Decimal(row?.unattributed_qty ?? ZERO)
  const unseen = first && row === null
  const change = unseen ? held.minus(ours) : traded.qty
  const opposite = holders.filter(({ qty }) => new Decimal(qty).gt(ZERO) === change.lt(ZERO))
  const against = beyondNobodys(known, change, sumOf(opposite))
  const taken = unseen ? [] : takenFrom(opposite, against, traded.price)
  const rest = against.minus(sumOf(taken))
  const unattributed = known.plus(change).minus(against)
  const runs = ours.plus(sumOf(taken))
  return {
    row: {
      ...{ exchange, mode, symbol, venue_qty: held.toString(), runs_qty: runs.toString() },
      unattributed_qty: unattributed.toString(),
      fee_adjustment: row?.fee_adjustment ?? '0',
      equal_at: row?.equal_at ?? null,
      paused_reason: row?.paused_reason ?? null,
      paused_class: row?.paused_class ?? null,
    },
    ...{ holders: without(holders, taken), taken },
    difference: held.minus(runs).minus(unattributed).toString(),
    before: row && new Decimal(row.venue_qty).minus(row.runs_qty).minus(row.unattributed_qty).toString(),
    byHand: rest.eq(ZERO) || unseen ? null : { qty: rest.toString(), price: traded.price },
    lost: lost.filter(({ execution }) => execution.symbol === symbol),
  }
}

/** In which it begins, or ceases, to look like a split, or which go on: runs' orders in them are looked after. */
export function turnedSymbols(before: readonly AccountPositionRow[], after: readonly AccountPositionRow[]): string[] {
  const was = new Map(before.map((row) => [row.symbol, row]))
  const looksSplit = (row: AccountPositionRow | undefined) => row?.paused_class === 'split'
  const turned = after.filter((row) => {
    const known = was.get(row.symbol)
    const goesOn = known !== undefined && known.paused_reason !== null && row.paused_reason === null
    return looksSplit(known) !== looksSplit(row) || goesOn
  })
  return turned.map(({ symbol }) => symbol).filter((symbol) => !tradesAroundTheClock(symbol))
}

const sumOf = (items: readonly { qty: string }[]) => items.reduce((sum, { qty }) => sum.plus(qty), ZERO)

/** All together, and the average price of the side that prevails. */
function tradedOf(executions: readonly Execution[]): { qty: Decimal; price: string } {
  const signed = executions.map((one) => ({
    ...one,
    received: new Decimal(one.side === 'buy' ? one.qty : `-${one.qty}`).minus(one.fee_qty ?? ZERO),
  }))
  const qty = signed.reduce((sum, { received }) => sum.plus(received), ZERO)
  const same = signed.filter(({ received }) => received.lt(ZERO) === qty.lt(ZERO))
  const all = same.reduce((sum, { qty }) => sum.plus(qty), ZERO)
  const paid = same.reduce((sum, { qty, price }) => sum.plus(new Decimal(qty).times(price)), ZERO)
  return { qty, price: all.eq(ZERO) ? '0' : paid.div(all).toString() }
}

function without(holders: readonly Holder[], taken: readonly Taken[]): Holder[] {
  const left = holders.map((one) => {
    const part = taken.find(({ run_id }) => run_id === one.run_id)?.qty ?? ZERO
    return { ...one, qty: new Decimal(one.qty).plus(part).toString() }
  })
  return left.filter(({ qty }) => qty !== '0')
}

/** Of runs that have ended, in their order. */
function takenFrom(holders: readonly Holder[], against: Decimal, price: string): Taken[] {
  let left = against.abs()
  return holders.flatMap(({ run_id, qty, ended }) => {
    const held = new Decimal(qty).abs()
    const part = left.lt(held) ? left : held
    if (!ended || part.eq(ZERO)) return []
    left = left.minus(part)
    return [{ run_id, qty: (against.lt(ZERO) ? part.neg() : part).toString(), price }]
  })
}

/** A difference that was seen: what it was, and since when it is so, and since when there is one, and what is known of it. */
export type Differences = ReadonlyMap<string, { difference: string; since: number; first: number } & Known>

export interface Settling {
  /** A fill may be on its way to us: so long is waited before a difference is believed. */
  settleMs: number
  /** A difference that keeps changing is believed after this. */
  mostMs: number
}

export interface Circumstances {
  now: number
  /** When the venue was asked. */
  asked: string
  /** The account's, at the comparison before this one and now. */
  cash: { before: string; now: string }
  /** Orders of ours that rest there and are not on record: why nothing leaves, by symbol. */
  resting: ReadonlyMap<string, string>
  /** The most that is kept of a purchase where fills do not tell it exactly; null: they do. */
  feeRate: (symbol: string) => string | null
  /** What each run has bought since the books were right last, the newest first. */
  purchases: ReadonlyMap<string, readonly Purchases[]>
}

export interface PositionsJudged {
  rows: AccountPositionRow[]
  findings: Finding[]
  /** Newly paused: a person is to hear of it. */
  paused: { symbol: string; reason: string }[]
  differences: Differences
  /** Symbols to look at again soon. */
  unsettled: string[]
  /** What was kept of their purchases, beyond what was booked. */
  fees: { run_id: string; symbol: string; qty: string }[]
}

/** `moving`: symbols with orders that may have filled just now. Only for them a difference is given time. */
export function judgePositions(
  compared: readonly ComparedPosition[],
  before: Differences,
  moving: ReadonlySet<string>,
  circumstances: Settling & Circumstances,
): PositionsJudged {
  const { now, asked, cash, settleMs, mostMs, feeRate, purchases, resting } = circumstances
  const judged: PositionsJudged = {
    ...{ rows: [], findings: [], paused: [], differences: new Map(), unsettled: [], fees: [] },
  }
  const differences = new Map<string, { difference: string; since: number; first: number } & Known>()
  for (const one of compared) {
    const { row, difference, taken, holders } = one
    const { symbol } = row
    judged.findings.push(...taken.map((part) => takenFinding(row, part)))
    const explained = { ...row, equal_at: asked, paused_reason: null, paused_class: null }
    if (difference === '0') {
      const why = resting.get(symbol) ?? null
      if (why !== null) pause(judged, row, { class: 'lost_order', detail: why })
      else if (row.paused_reason !== null) judged.findings.push(explainedFinding(row))
      if (why === null) judged.rows.push(explained)
      continue
    }
    const known = before.get(symbol)
    const since = known?.difference === difference ? known.since : now
    const seen = { difference, since, first: known?.first ?? now, ...knownOf(one, known, cash.before) }
    differences.set(symbol, seen)
    const settled = !moving.has(symbol) || now - since >= settleMs || now - seen.first >= mostMs
    if (!settled && row.paused_reason === null) {
      judged.unsettled.push(symbol)
      judged.rows.push(row)
      continue
    }
    const kept = feesAmong({ row, difference, holders }, feeRate(symbol), purchases.get(symbol) ?? [])
    if (kept !== null) {
      differences.delete(symbol)
      judged.findings.push(feeAdjusted(row, difference, kept.fees))
      judged.fees.push(...kept.fees.map((fee) => ({ ...fee, symbol })))
      judged.rows.push({ ...explained, ...kept.row })
      continue
    }
    const finding = mismatch(one, seen, cash.now)
    judged.findings.push(finding)
    pause(judged, row, finding)
  }
  return { ...judged, differences }
}

function pause(
  judged: PositionsJudged,
  row: AccountPositionRow,
  { class: paused_class, detail }: Pick<Finding, 'class' | 'detail'>,
): void {
  if (row.paused_reason === null) judged.paused.push({ symbol: row.symbol, reason: detail })
  judged.rows.push({ ...row, paused_reason: detail, paused_class })
}

/** What was heard of a difference while it lasts. A pause that was found by another keeper has no cash to compare with. */
function knownOf({ row, byHand, lost }: ComparedPosition, known: Known | undefined, cash: string): Known {
  const traded = [known?.byHand ?? null, byHand].filter((one) => one !== null)
  return {
    cash: known === undefined ? (row.paused_reason === null ? cash : null) : known.cash,
    lost: [...(known?.lost ?? []), ...lost],
    byHand: traded.length === 0 ? null : { qty: sumOf(traded).toString(), price: (traded.at(-1) as Traded).price },
  }
}

function explainedFinding({ symbol, venue_qty }: AccountPositionRow): Finding {
  return {
    class: 'position_explained',
    symbol,
    client_order_id: null,
    detail: `the venue's ${venue_qty} is what the runs and what is unattributed make: the symbol goes on`,
  }
}

function takenFinding({ symbol }: AccountPositionRow, { run_id, qty, price }: Taken): Finding {
  const change = new Decimal(qty)
  const traded = `${change.lt(ZERO) ? 'sold' : 'bought'} ${change.abs()} at ${price}`
  return {
    class: 'traded_by_hand',
    symbol,
    client_order_id: null,
    detail: `somebody ${traded} of what the run ${run_id} has left, which has ended: held against its position`,
  }
}

function feeAdjusted(
  { symbol, venue_qty }: AccountPositionRow,
  difference: string,
  fees: readonly { run_id: string; qty: string }[],
): Finding {
  const kept = new Decimal(difference).gt(ZERO) ? 'less' : 'more'
  const whose = fees.map(({ run_id, qty }) => `${qty} a fee of the run ${run_id}`)
  return {
    class: 'fee_adjustment',
    symbol,
    client_order_id: null,
    detail: `of what was bought the venue kept ${new Decimal(difference).abs()} ${kept} as fees than was booked, it holds ${venue_qty}: ${whose.length === 0 ? 'counted as unattributed' : whose.join(', ')}, and the symbol goes on`,
  }
}
