/**
 * What changes a paper or live run's position without an order of it: what somebody else traded and is held against it, what
 * the venue kept of its purchases, a split. Told as `account.PositionAttributed`, and booked from that event alike where it is
 * decided and where rows are made again. Pure.
 */
import type { NewEvent } from '../../db/events/envelope.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import type { RunLedgerRow } from '../../db/walle/live_rows.ts'
import type { Write } from '../../db/walle/outcome.ts'
import type { OrderRow, PositionRow, RunRow } from '../../db/walle/rows.ts'
import type { Json } from '../../strategies/api.ts'
import { type Booked, closeBooks, openBooks } from './books.ts'
import { Decimal, ZERO } from './decimals.ts'
import { applyFeeInKind, applySplit, applyTransfer, type Ledger } from './ledger.ts'
import { type SplitRatio, splitsOf } from './splits.ts'
import type { TradeMatcher } from './trades.ts'

type Payload = PayloadOf<'account.PositionAttributed'>

/** What is to be attributed to a run, in one symbol. */
export type Attribution = Pick<Payload, 'symbol' | 'by' | 'detail'> &
  (
    | { how: 'transfer'; qty: string; price: string }
    /** So much of its purchases was kept. */
    | { how: 'fee'; qty: string }
    | { how: 'split'; ratio: SplitRatio }
  )

/** The fee that the youngest lots bear for what was kept of them is known only by them. */
export function bookTrades(trades: TradeMatcher, payload: Omit<Payload, 'fee'>, barIndex: number): Decimal {
  const { how, symbol, qty, price, ratio, attribution_id, timestamp } = payload
  const size = new Decimal(qty).abs()
  if (how === 'fee') return trades.onKept(symbol, size.toString())
  if (how === 'split') {
    trades.onSplit(symbol, ratio as SplitRatio)
    return ZERO
  }
  const side = new Decimal(qty).gt(ZERO) ? 'buy' : 'sell'
  trades.onFill({
    ...{ symbol, side, qty: size.toString(), price: price as string, fee: '0' },
    ...{ orderId: attribution_id, time: Date.parse(timestamp), barIndex },
  })
  trades.onOrderEnd(attribution_id)
  return ZERO
}

export function bookLedger(ledger: Ledger, index: number, { how, qty, price, fee, ratio }: Payload): void {
  if (how === 'transfer') applyTransfer(ledger, index, new Decimal(qty), new Decimal(price as string))
  else if (how === 'fee') applyFeeInKind(ledger, index, new Decimal(qty).abs(), new Decimal(fee))
  else applySplit(ledger, index, ratio as SplitRatio)
}

export interface Attributed extends Booked {
  writes: Write[]
  event: NewEvent
}

/** Of a run that is locked, with its ledger and what it holds in the symbol. */
export function attributed(
  run: RunRow,
  before: RunLedgerRow,
  held: PositionRow | null,
  attribution: Attribution,
  made: { id: string; attributionId: string; corrId: string; at: number; producer: 'veda' | 'glados' },
): Attributed {
  const { exchange, mode } = run
  if (exchange === null || mode === 'backtest') throw new Error(`the run ${run.id} trades at no exchange`)
  const books = openBooks(before, held)
  const { symbol, how, by, detail } = attribution
  const ts = new Date(made.at).toISOString()
  const ratio = attribution.how === 'split' ? attribution.ratio : null
  const told = {
    ...{ exchange, mode, symbol, how, by, detail, ratio, attribution_id: made.attributionId, timestamp: ts },
    price: attribution.how === 'transfer' ? new Decimal(attribution.price).toString() : null,
    qty: changeOf(attribution, new Decimal(held?.qty ?? ZERO)).toString(),
    ...{ position_qty: '0', avg_price: '0' },
  }
  const fee = bookTrades(books.trades, told, newestTick(run)).toString()
  bookLedger(books.ledger, 0, { ...told, fee })
  const ratioOfPrice = ratio === null ? 1 : ratio.old / ratio.fresh
  const last_price = held?.last_price == null ? Number(told.price ?? 0) : held.last_price * ratioOfPrice
  const booked = closeBooks(books, { ...before, splits: splitsAfter(before, symbol, ratio) }, { symbol, last_price })
  const { qty: position_qty, avg_price } = booked.position
  return {
    ...booked,
    writes: [
      { kind: 'save_positions', rows: [booked.position] },
      { kind: 'insert_trades', rows: booked.trades },
      { kind: 'save_run_ledgers', rows: [booked.ledger] },
    ],
    event: {
      ...{ id: made.id, type: 'account.PositionAttributed', run_id: run.id, corr_id: made.corrId },
      ...{ causation_id: null, ts, producer: made.producer },
      payload: { ...told, fee, position_qty, avg_price },
    },
  }
}

function splitsAfter(before: RunLedgerRow, symbol: string, ratio: SplitRatio | null): Json {
  if (ratio === null) return before.splits
  const { next_order } = before
  return [...splitsOf(before), { symbol, ...ratio, next_order }] as unknown as Json
}

function changeOf(attribution: Attribution, held: Decimal): Decimal {
  if (attribution.how === 'transfer') return new Decimal(attribution.qty)
  if (attribution.how === 'fee') return new Decimal(attribution.qty).neg()
  const { fresh, old } = attribution.ratio
  return held.times(fresh).div(old).minus(held)
}

/** The tick under way, or the last one. */
export function newestTick({ open_corr_id, next_tick }: Pick<RunRow, 'open_corr_id' | 'next_tick'>): number {
  return open_corr_id === null ? Math.max(0, next_tick - 1) : next_tick
}

/** Of the run's own orders in the symbol, oldest first, those that would close more than what is left by it. */
export function closingTooMuch(
  orders: readonly OrderRow[],
  { symbol, qty, position_qty }: Pick<Payload, 'symbol' | 'qty' | 'position_qty'>,
): OrderRow[] {
  const before = new Decimal(position_qty).minus(qty)
  const side = before.gt(ZERO) ? 'sell' : 'buy'
  let left = new Decimal(position_qty).abs()
  if (left.gte(before.abs())) return []
  return orders.filter((one) => {
    if (one.symbol !== symbol || one.side !== side || one.parent_order_id !== null) return false
    const rest = new Decimal(one.qty).minus(one.filled_qty)
    if (rest.gt(left)) return true
    left = left.minus(rest)
    return false
  })
}

/** What of `change` is held against those who hold the opposite, beyond what nobody's quantity can bear. */
export function beyondNobodys(unattributed: Decimal, change: Decimal, held: Decimal): Decimal {
  const after = unattributed.plus(change)
  const sells = change.lt(ZERO)
  if (change.eq(ZERO) || after.eq(ZERO) || after.lt(ZERO) !== sells) return ZERO
  const most = [change.abs(), after.abs(), held.abs()].reduce((least, one) => (one.lt(least) ? one : least))
  return sells ? most.neg() : most
}
