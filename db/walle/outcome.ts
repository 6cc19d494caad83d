/**
 * What a handler or a command wants recorded. It decides; WallE records all of it, with the events and the jobs that
 * they set off, in one transaction (invariants I1 and I2).
 */
import type { Timeframe } from '../../strategies/api.ts'
import type { NewEvent } from '../events/envelope.ts'
import type { NewJob } from '../events/tasks.ts'
import type { Adjustment } from './import/adjustment.ts'
import type {
  AccountPositionRow,
  AccountRow,
  ClockTickRow,
  HaltRow,
  OrderSendRow,
  RunLedgerRow,
  VenueClockRow,
  VenueUpdateRow,
} from './live_rows.ts'
import type { BarCoverageRow, CandleFetchRow, MarketMarkRow, WindowWaitRow } from './market_rows.ts'
import type { HeartbeatRow, NotificationRow } from './notice_rows.ts'
import type { HopRow } from './parity_rows.ts'
import type { ParityChanges } from './record/parity.ts'
import type {
  BandRow,
  CandleText,
  DecisionRow,
  EquityBlock,
  FillRow,
  NewRun,
  OrderRow,
  PositionRow,
  Revision,
  RunChanges,
  RunDatasetRow,
  SkipRow,
  StrategySourceRow,
  TradeRow,
} from './rows.ts'

export type Write =
  | LiveWrite
  | { kind: 'create_run'; run: NewRun }
  | { kind: 'update_run'; id: string; changes: RunChanges }
  | { kind: 'delete_run'; id: string }
  | { kind: 'store_source'; source: StrategySourceRow }
  | { kind: 'save_checkpoint'; run_id: string; next_tick: number; state: unknown }
  | { kind: 'drop_checkpoint'; run_id: string }
  /** New orders in bulk (COPY). */
  | { kind: 'insert_orders'; rows: OrderRow[] }
  /** Orders that exist already; matched by id. */
  | { kind: 'update_orders'; rows: OrderRow[] }
  | { kind: 'insert_fills'; rows: FillRow[] }
  | { kind: 'insert_trades'; rows: TradeRow[] }
  | { kind: 'insert_decisions'; rows: DecisionRow[] }
  /** New ranges, and those that have grown. */
  | { kind: 'save_skips'; rows: SkipRow[] }
  | { kind: 'save_positions'; rows: PositionRow[] }
  | { kind: 'append_equity'; block: EquityBlock }
  /** One more point of a curve that grows tick by tick. */
  | { kind: 'add_equity'; run_id: string; tick: number; point: { ts: number; equity: number; exposure: number } }
  /** Of a run whose rows were made again in this transaction (jobs/history/rebuild.ts), those that differ are replaced. */
  | { kind: 'swap_rebuilt'; run_id: string }
  | {
      kind: 'save_result'
      run_id: string
      stats: Record<string, unknown>
      result_hash: string
      final_equity: string
    }
  /** Enters the run into the ledger of trials, or renews the entry of the same variant over the same ticks. */
  | { kind: 'record_trial'; run_id: string; first_tick_at: string; last_tick_at: string; sharpe: number | null }
  | ({ kind: 'save_band' } & Pick<BandRow, 'run_id' | 'status' | 'progress' | 'result' | 'error'>)
  | StoreCandles
  /** A set of bars that a run could see, once. */
  | { kind: 'save_run_dataset'; row: RunDatasetRow }
  /** Marks the runs that saw bars of the revised range. */
  | { kind: 'invalidate_runs'; revision: Revision }

/** Of paper and live runs. Each inserts, or overwrites the row of the same key. */
export type LiveWrite =
  | { kind: 'save_accounts'; rows: AccountRow[] }
  | { kind: 'save_venue_clocks'; rows: VenueClockRow[] }
  | { kind: 'save_account_positions'; rows: AccountPositionRow[] }
  | { kind: 'save_run_ledgers'; rows: RunLedgerRow[] }
  | { kind: 'save_order_sends'; rows: OrderSendRow[] }
  | { kind: 'save_clock_ticks'; rows: ClockTickRow[] }
  | { kind: 'save_halts'; rows: HaltRow[] }
  | { kind: 'save_bar_coverage'; rows: BarCoverageRow[] }
  | { kind: 'save_window_waits'; rows: WindowWaitRow[] }
  | { kind: 'save_candle_fetches'; rows: CandleFetchRow[] }
  /** Those whose id is not there yet. */
  | { kind: 'add_notifications'; rows: NotificationRow[] }
  | { kind: 'save_notifications'; rows: NotificationRow[] }
  | { kind: 'save_heartbeat'; row: HeartbeatRow }
  /** A mark that is older than the stored one leaves that as it is. */
  | { kind: 'save_market_marks'; rows: MarketMarkRow[] }
  /** As received; only ever added to. */
  | { kind: 'insert_venue_updates'; rows: VenueUpdateRow[] }
  /** Of the run's newest replay; the first makes it. */
  | { kind: 'update_parity'; run_id: string; changes: ParityChanges }
  /** In the order in which the strategy was spoken to; only ever added to. */
  | { kind: 'insert_hops'; rows: HopRow[] }
  /** The runs' ticks under way, of many runs at once. */
  | { kind: 'open_ticks'; rows: { run_id: string; bar_index: number; corr_id: string }[] }

export interface StoreCandles {
  kind: 'store_candles'
  symbol: string
  timeframe: Timeframe
  candles: CandleText[]
  /** Of all the candles; what is not said is unknown. */
  adjustment?: Adjustment | undefined
  feed?: string | undefined
}

export interface Outcome {
  writes: Write[]
  /** Appended to the log, with the jobs of their subscribers. */
  events: NewEvent[]
  /** Appended to the log for the record: a chunk already did what these tell of, so they set off no jobs. */
  history?: NewEvent[]
  /** Jobs that no event sets off: the next chunk of a backtest. */
  jobs?: NewJob[]
}
