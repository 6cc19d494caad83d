/**
 * Ids that follow from what they name: a backtest that is resumed, chained or traced has the same ones, and what was
 * written before a crash is found again after it.
 */
import { v5 } from 'uuid'

/** Of the event that is the `ordinal`th (from 0) of the run's tick `barIndex`. */
export function tickEventId(runId: string, barIndex: number, ordinal: number): string {
  return v5(`tick:${barIndex}:${ordinal}`, runId)
}

export function orderId(runId: string, clientOrderId: string): string {
  return v5(`order:${clientOrderId}`, runId)
}
