/**
 * The result hash: one text for all that a backtest did, the same on every runtime, for every chunk size, after every
 * kill. SHA-256 over one line of JSON a record, each line ended by a line feed; docs/result-hash.md tells how to
 * compute it from SQL. Never in it: ids, wall times, reasons, logs, versions.
 */
import { createHash } from 'node:crypto'
import type { OrderRow } from '../../db/walle/rows.ts'
import type { Intent } from '../../strategies/api.ts'

/** What an intent of kind cancel is described by: the order it is for. Null where there was no such order. */
export type CancelTarget = Pick<
  OrderRow,
  'symbol' | 'side' | 'order_type' | 'qty' | 'price' | 'stop_price' | 'time_in_force' | 'take_profit' | 'stop_loss'
>

export interface ResultHasher {
  /** Records come in this order: all intents by tick, then all orders by ordinal, then all fills. */
  intent(ts: string, ordinal: number, intent: Intent, target: CancelTarget | null): void
  order(status: string, filledQty: string, filledAvgPrice: string | null): void
  fill(barOpenTime: string, orderOrdinal: number, side: string, qty: string, price: string, fee: string): void
  digest(): string
}

/** A cancel of an order that never was. */
const NOTHING_OF_SIX = [null, null, null, null, null, null]
const NOTHING_OF_THREE = [null, null, null]

export function createResultHasher(): ResultHasher {
  const hash = createHash('sha256')
  const line = (record: readonly (string | number | null)[]) => hash.update(`${JSON.stringify(record)}\n`)
  return {
    intent(ts, ordinal, intent, target) {
      const of: CancelTarget | null = intent.kind === 'place' ? { ...intent, price: intent.limit_price } : target
      const what = of ? [of.symbol, of.side, of.order_type, of.qty, of.price, of.stop_price] : NOTHING_OF_SIX
      const how = of ? [of.time_in_force, of.take_profit, of.stop_loss] : NOTHING_OF_THREE
      line([ts, ordinal, intent.kind, ...what, ...how])
    },
    order: (status, filledQty, filledAvgPrice) => line([status, filledQty, filledAvgPrice]),
    fill: (time, ordinal, side, qty, price, fee) => line([time, ordinal, side, qty, price, fee]),
    digest: () => hash.digest('hex'),
  }
}
