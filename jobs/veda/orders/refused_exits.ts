/**
 * An exit that its venue refuses. What stands against it passes, mostly: the entry is not settled, an open order of the other
 * side would trade with it. So it is tried again, less and less often, for as long as it has something to close.
 */
import type { WriteTx } from '../../../db/database.ts'
import type { OrderSendRow } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { exitAlarm } from './exits.ts'
import type { LockedOrder } from './reports.ts'
import { hasStopLoss } from './take_profit.ts'

/** Then somebody is told; a take profit is given up, so that its stop loss comes back. */
export const TOLD_AFTER = 3
const AGAIN_MS = 5_000
const MOST_AGAIN_MS = 60_000

/** How long a refused order is still left alone. */
export function pauseLeft({ refusals, last_sent_at }: OrderSendRow, now: number): number {
  if (refusals === 0 || last_sent_at === null) return 0
  const pause = Math.min(MOST_AGAIN_MS, AGAIN_MS * 2 ** Math.max(0, refusals - TOLD_AFTER + 1))
  return Math.max(0, Date.parse(last_sent_at) + pause - now)
}

export interface ExitRefusal {
  reason: string
  /** The price has gone through its stop. */
  passed: boolean
}

/** Null: it is not tried again. */
export async function refusedExit(
  tx: WriteTx,
  { order, send: before }: LockedOrder,
  { reason, passed }: ExitRefusal,
  now: number,
): Promise<{ outcome: Outcome; step: { again: number } } | null> {
  if (order.parent_order_id === null) return null
  const send: OrderSendRow = { ...before, state: 'to_send', last_error: reason }
  if (passed && order.order_type === 'stop' && !send.at_market) {
    const outcome: Outcome = {
      writes: [{ kind: 'save_order_sends', rows: [{ ...send, at_market: true }] }],
      events: [],
    }
    return { outcome, step: { again: 0 } }
  }
  send.refusals += 1
  if (send.refusals >= TOLD_AFTER && (await hasStopLoss(tx, order))) return null
  const why = `${reason}. It is tried again for as long as there is something to close`
  const alarm = { fact: 'alarm:refused', cause: order.last_event_id, ts: new Date(now).toISOString(), why } as const
  return {
    outcome: {
      writes: [{ kind: 'save_order_sends', rows: [send] }],
      events: send.refusals === TOLD_AFTER ? [exitAlarm(order, alarm)] : [],
    },
    step: { again: pauseLeft(send, now) },
  }
}
