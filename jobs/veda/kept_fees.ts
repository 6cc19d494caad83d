/** Whether a difference is what a venue kept of purchases as its fee, less or more than was booked, and whose it is. Pure. */
import type { AccountPositionRow } from '../../db/walle/live_rows.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'

/** What a run bought of a symbol since the books were right last, and what its fills say was kept of that as fees. */
export interface Purchases {
  run_id: string
  qty: string
  kept: string
  fills: number
  /** Its books may be changed now. */
  changeable: boolean
}

export interface KeptFees {
  row: Pick<AccountPositionRow, 'runs_qty' | 'unattributed_qty' | 'fee_adjustment'>
  fees: { run_id: string; qty: string }[]
}

/** What rounding can make of a fill's fee, be it of many executions. */
const ROUNDING_A_FILL = new Decimal('0.0000001')

/**
 * Between none and the highest, whatever was booked: so far the fees of these purchases can be from those on record. What was
 * kept beyond what was booked is a fee of the run that bought; what was kept less is nobody's. Null: it is no fee.
 */
export function feesAmong(
  { row, difference, holders }: { row: AccountPositionRow; difference: string; holders: readonly Held[] },
  rate: string | null,
  bought: readonly Purchases[],
): KeptFees | null {
  if (rate === null || bought.length === 0) return null
  const change = new Decimal(difference)
  if (change.gt(ZERO)) {
    const most = bought.reduce((sum, one) => sum.plus(one.kept).plus(slackOf(one)), ZERO)
    return change.gt(most) ? null : adjusted(row, change, [])
  }
  let left = change.abs()
  const fees = bought.flatMap((one) => {
    const room = roomOf(one, rate)
    const part = left.lt(room) ? left : room
    const held = holders.find(({ run_id }) => run_id === one.run_id)?.qty ?? ZERO
    // Of a run that has sold it all nothing can be kept.
    if (part.eq(ZERO) || part.gte(held) || !one.changeable) return []
    left = left.minus(part)
    return [{ run_id: one.run_id, qty: part.toString() }]
  })
  const most = bought.reduce((sum, one) => sum.plus(roomOf(one, rate)), ZERO)
  if (change.abs().gt(most) || left.gt(atLeastZero(new Decimal(row.unattributed_qty)))) return null
  return adjusted(row, left.neg(), fees)
}

interface Held {
  run_id: string
  qty: string
}

function roomOf(one: Purchases, rate: string): Decimal {
  return atLeastZero(new Decimal(one.qty).times(rate).minus(one.kept)).plus(slackOf(one))
}

const slackOf = ({ fills }: Purchases) => ROUNDING_A_FILL.times(fills)
const atLeastZero = (value: Decimal) => (value.gt(ZERO) ? value : ZERO)

function adjusted(row: AccountPositionRow, nobodys: Decimal, fees: KeptFees['fees']): KeptFees {
  const ofRuns = fees.reduce((sum, { qty }) => sum.plus(qty), ZERO)
  return {
    row: {
      runs_qty: new Decimal(row.runs_qty).minus(ofRuns).toString(),
      unattributed_qty: nobodys.plus(row.unattributed_qty).toString(),
      fee_adjustment: nobodys.plus(row.fee_adjustment).toString(),
    },
    fees,
  }
}
