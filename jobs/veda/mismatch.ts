/** What is told of a difference that nothing explains: its class, what is known of it, and the command that settles it. Pure. */
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { AccountPositionRow } from '../../db/walle/live_rows.ts'
import { beyondNobodys } from '../greta/attribution.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { splitBetween } from '../greta/splits.ts'
import type { ComparedPosition, Traded } from './positions.ts'
import type { Finding, LostFill } from './reconcile.ts'

/** What was heard of a difference since it was first seen. */
export interface Known {
  /** The account's cash before it was seen; null: not known. */
  cash: string | null
  byHand: Traded | null
  lost: readonly LostFill[]
}

/** What was found stays found for as long as the difference is the same, whoever looks, and whatever the cash does meanwhile. */
export function mismatch(compared: ComparedPosition, known: Known, cash: string): Finding {
  const { row, difference, before, byHand, lost } = compared
  const stays = before === difference && byHand === null && lost.length === 0
  const found = { symbol: row.symbol, client_order_id: null }
  if (stays && row.paused_reason !== null && row.paused_class !== null) {
    return { ...found, class: row.paused_class as Finding['class'], detail: row.paused_reason }
  }
  return {
    ...found,
    ...(lostFills(compared, known) ?? handTrade(compared, known) ?? split(row, known, cash) ?? plain(compared)),
  }
}

type Told = Pick<Finding, 'class' | 'detail'>

const commandOf = (what: string, { exchange, mode, symbol }: AccountPositionRow) =>
  `weaver accounts ${what} ${exchange} ${mode} ${symbol}`

function factsOf({ venue_qty, runs_qty, unattributed_qty }: AccountPositionRow): string {
  return `the venue holds ${venue_qty}, the runs ${runs_qty} and unattributed ${unattributed_qty}`
}

function lostFills({ row }: ComparedPosition, { lost }: Known): Told | null {
  if (lost.length === 0) return null
  const cures = lost.map(({ run_id, execution: { side, qty, fee_qty, price } }) => {
    const change = new Decimal(side === 'buy' ? qty : `-${qty}`).minus(fee_qty ?? ZERO)
    return `\`${commandOf('attribute', row)} ${run_id} ${change} --price ${price}\``
  })
  const detail = `${factsOf(row)}: orders that Weaver has placed have filled and are not on record, as after a restore. No new order in ${row.symbol} until their runs have what they bought and sold: ${cures.join(', ')}`
  return { class: 'lost_order', detail }
}

function handTrade(compared: ComparedPosition, { byHand }: Known): Told | null {
  if (byHand === null) return null
  const { row, difference } = compared
  // A part of it may have been held against a run already.
  const still = new Decimal(byHand.qty).abs().gt(new Decimal(difference).abs()) ? difference : byHand.qty
  const traded = new Decimal(still)
  const what = `${traded.lt(ZERO) ? 'sold' : 'bought'} ${traded.abs()} at ${byHand.price}`
  const detail = `${factsOf(row)}: somebody ${what} of what running runs hold. No new order in ${row.symbol} until it is held against them: ${attributing(compared, { ...byHand, qty: still })}`
  return { class: 'traded_by_hand', detail }
}

/** To those that can bear it. */
function attributing({ row, holders, difference }: ComparedPosition, traded: Traded | null): string {
  const change = new Decimal(traded?.qty ?? difference)
  const cures = holders
    .filter(({ qty }) => new Decimal(qty).gt(ZERO) === change.lt(ZERO))
    .map(({ run_id, qty }) => {
      const most = new Decimal(qty).abs().lt(change.abs()) ? new Decimal(qty).neg() : change
      return `\`${commandOf('attribute', row)} ${run_id} ${most}${traded === null ? '' : ` --price ${traded.price}`}\``
    })
  return cures.join(' or ')
}

/** A part of a share that is paid out comes with the shares, or later: the cash grows by it, or not yet. */
function split(row: AccountPositionRow, known: Known, cash: string): Told | null {
  if (tradesAroundTheClock(row.symbol) || known.cash === null) return null
  const expected = new Decimal(row.runs_qty).plus(row.unattributed_qty)
  const found = splitBetween(expected, new Decimal(row.venue_qty))
  const paid = new Decimal(cash).minus(known.cash)
  if (found === null || !(paid.eq(ZERO) || (!found.isWhole && paid.gt(ZERO)))) return null
  const { fresh, old } = found.ratio
  const cure = `${commandOf('split', row)} ${fresh}:${old}`
  const looks = found.isWhole ? 'the cash being unchanged' : 'but for a part of a share, which is paid out'
  const detail = `${factsOf(row)}: that looks like a split of ${fresh} for ${old}, ${looks}. Its runs' open orders are cancelled, and no new one leaves until \`${cure}\` makes of what they hold what it is now; exits come back then, as the split makes them`
  return { class: 'split', detail }
}

function plain(compared: ComparedPosition): Told {
  const { row, difference, holders } = compared
  const change = new Decimal(difference)
  const longs = holders.reduce((sum, { qty }) => (new Decimal(qty).gt(ZERO) ? sum.plus(qty) : sum), ZERO)
  const owed = change.lt(ZERO) && !beyondNobodys(new Decimal(row.unattributed_qty), change, longs).eq(ZERO)
  const cure = owed
    ? `${attributing(compared, null)} holds it against a run`
    : `\`${commandOf('accept', row)}\` says that it is nobody's`
  const detail = `${factsOf(row)}: no order explains ${difference}. No new order in ${row.symbol} until it is explained, or ${cure}`
  return { class: 'position_mismatch', detail }
}
