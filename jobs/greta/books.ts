/** A paper or live run's books as they lie in its rows: opened to be changed in one symbol, and made rows of again. Pure. */
import type { RunLedgerRow } from '../../db/walle/live_rows.ts'
import type { PositionRow, TradeRow } from '../../db/walle/rows.ts'
import type { Json } from '../../strategies/api.ts'
import { Decimal } from './decimals.ts'
import { averagePrice, type Ledger, type Position } from './ledger.ts'
import { createTradeMatcher, type TradeMatcher, type TradeMatcherState } from './trades.ts'

export interface Books {
  /** Its only position is that of the symbol. */
  ledger: Ledger
  trades: TradeMatcher
}

export interface Booked {
  ledger: RunLedgerRow
  position: PositionRow
  /** Trades that are complete. */
  trades: TradeRow[]
}

export function openBooks(before: RunLedgerRow, held: PositionRow | null): Books {
  return {
    trades: createTradeMatcher((before.trade_matcher as TradeMatcherState | null) ?? undefined),
    ledger: {
      cash: new Decimal(before.cash),
      fees: new Decimal(before.fees),
      turnover: new Decimal(before.turnover),
      positions: [
        {
          qty: new Decimal(held?.qty ?? '0'),
          cost: new Decimal(held?.cost ?? '0'),
          realised: new Decimal(held?.realised_pnl ?? '0'),
        },
      ],
    },
  }
}

export function closeBooks(
  { ledger, trades }: Books,
  before: RunLedgerRow,
  { symbol, last_price }: Pick<PositionRow, 'symbol' | 'last_price'>,
): Booked {
  const position = ledger.positions[0] as Position
  const closed = trades.takeClosed(before.run_id)
  return {
    ledger: {
      ...before,
      cash: ledger.cash.toString(),
      fees: ledger.fees.toString(),
      turnover: ledger.turnover.toString(),
      trade_matcher: trades.save() as unknown as Json,
    },
    position: {
      run_id: before.run_id,
      symbol,
      qty: position.qty.toString(),
      avg_price: averagePrice(position).toString(),
      realised_pnl: position.realised.toString(),
      cost: position.cost.toString(),
      last_price,
    },
    trades: closed,
  }
}
