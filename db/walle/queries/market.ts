/** What is known of venues' bars, and how long ticks waited for them. */
import type { Json, Timeframe } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { selectList } from '../columns.ts'
import type { DatasetKind } from '../import/adjustment.ts'
import type { TradingMode } from '../live_rows.ts'
import {
  BAR_COVERAGE,
  type BarCoverageRow,
  CANDLE_FETCHES,
  type CandleFetchRow,
  MARKET_MARKS,
  type MarketMarkRow,
  WINDOW_WAITS,
  type WindowWaitRow,
} from '../market_rows.ts'
import type { RunRow } from '../rows.ts'

/** There are no such candles yet, or those that there are are of the same kind. In a writer's transaction this holds until its end. */
export async function mayAddCandles(
  reader: Reader,
  symbol: string,
  timeframe: Timeframe,
  { adjustment, feed }: DatasetKind,
): Promise<boolean> {
  const [row] = await reader.query<{ may: boolean }>(
    `select case when d.symbol is null
         then not exists (select from weaver.candle_blocks where symbol = $1 and timeframe = $2)
         else d.adjustment = $3 and d.feed = $4 end as may
     from (select) one left join weaver.datasets d on d.symbol = $1 and d.timeframe = $2`,
    [symbol, timeframe, adjustment, feed],
  )
  return row?.may ?? false
}

export interface TradedSymbol {
  symbol: string
  /** A run has some of it. */
  held: boolean
}

/** Of the runs that an account carries now. */
export function tradedSymbols(reader: Reader, exchange: string, mode: TradingMode): Promise<TradedSymbol[]> {
  return reader.query<TradedSymbol>(
    `select s.symbol, coalesce(bool_or(p.qty <> 0), false) as held
     from weaver.runs r cross join unnest(r.symbols) as s (symbol)
       left join weaver.positions p on p.run_id = r.id and p.symbol = s.symbol
     where r.status = 'running' and r.exchange = $1 and r.mode = $2 group by s.symbol order by s.symbol`,
    [exchange, mode],
  )
}

export function listMarketMarks(reader: Reader, exchange: string, mode: TradingMode): Promise<MarketMarkRow[]> {
  return reader.query<MarketMarkRow>(
    `select ${selectList(MARKET_MARKS)} from weaver.market_marks where exchange = $1 and mode = $2`,
    [exchange, mode],
  )
}

export interface RunAtRisk extends Pick<RunRow, 'id' | 'risk' | 'initial_cash'> {
  cash: string
  risk_watch: Json
  /** The newest boundary that the run is done with: positions are marked with its closes. Null: none yet. */
  marked_at: string | null
  positions: PositionAtRisk[]
  /** That were applied to what it holds. */
  splits: Json
}

export interface PositionAtRisk {
  symbol: string
  qty: string
  price: string
  /** What its bars have shown of splits; null: nothing. */
  scale: number | null
  /** It looks like a split of which nobody has said anything yet. */
  is_unsure: boolean
  /** When its account was asked last for what it holds of it, and that was as expected. */
  equal_at: string | null
}

/** In one statement, and so as of one moment: running runs with a limit on losses that hold any of the symbols. */
export function runsAtRisk(
  reader: Reader,
  { exchange, mode }: { exchange: string; mode: TradingMode },
  symbols: readonly string[],
): Promise<RunAtRisk[]> {
  return reader.query<RunAtRisk>(
    `select r.id, r.risk, r.initial_cash, l.cash, l.risk_watch, l.splits,
       (select t.ts from weaver.clock_ticks t where t.run_id = r.id and t.done_at is not null
        order by t.ts desc limit 1) as marked_at, held.positions
     from weaver.runs r join weaver.run_ledgers l on l.run_id = r.id
       cross join lateral (
         select jsonb_agg(jsonb_build_object('symbol', p.symbol, 'qty', p.qty::text,
             'price', coalesce(p.last_price::text, p.avg_price::text), 
             'scale', case when p.symbol not like '%/%' then c.state #> array['newest', p.symbol, 'scale'] end,
             'is_unsure', coalesce(a.paused_class = 'split', false), 'equal_at', a.equal_at)) as positions,
           bool_or(p.symbol = any ($3::text[])) as concerned
         from weaver.positions p left join weaver.run_checkpoints c on c.run_id = r.id
           left join weaver.account_positions a on a.exchange = r.exchange and a.mode = r.mode and a.symbol = p.symbol
         where p.run_id = r.id and p.qty <> 0
       ) held
     where r.status = 'running' and r.exchange = $1 and r.mode = $2 and r.halted is null and held.concerned
       and (r.risk ->> 'max_daily_loss' is not null or r.risk ->> 'max_drawdown' is not null)
     order by r.id`,
    [exchange, mode, symbols],
  )
}

export interface MarketHealth {
  exchange: string
  mode: TradingMode
  /** Since the newest price of a symbol that a running run holds, where it is oldest; null: none is held. */
  oldestSeconds: number | null
  dropped: number
}

export function marketHealth(reader: Reader): Promise<MarketHealth[]> {
  return reader.query<MarketHealth>(
    `select m.exchange, m.mode, sum(m.dropped)::bigint as dropped,
       max(extract(epoch from clock_timestamp() - m.marked_at)) filter (where exists (
         select from weaver.positions p join weaver.runs r on r.id = p.run_id
         where p.symbol = m.symbol and p.qty <> 0 and r.status = 'running' and r.exchange = m.exchange and r.mode = m.mode
       ))::float8 as "oldestSeconds"
     from weaver.market_marks m group by m.exchange, m.mode order by m.exchange, m.mode`,
  )
}

export interface RecentWindows {
  /** Ticks that got their windows. */
  count: number
  /** From the boundary until they were there, in seconds: median, 95th percentile, longest. */
  inHand: number[]
  /** Of the ticks, those that went on without a bar. */
  without: number
  /** Bars that came after their tick had gone on. */
  late: number
}

/** Over the last minutes, by exchange. */
export function recentWindows(reader: Reader, minutes: number): Promise<(RecentWindows & { exchange: string })[]> {
  return reader.query(
    `select r.exchange, count(*)::integer as count,
       percentile_cont(array[0.5, 0.95, 1]) within group (order by w.in_hand_ms / 1000) as "inHand",
       (count(*) filter (where w.missing <> '[]'))::integer as without, coalesce(sum(w.late), 0)::integer as late
     from weaver.window_waits w join weaver.runs r on r.id = w.run_id
     where w.created_at > now() - make_interval(mins => $1::integer) group by r.exchange order by r.exchange`,
    [minutes],
  )
}

export async function getBarCoverage(
  reader: Reader,
  symbol: string,
  timeframe: Timeframe,
): Promise<BarCoverageRow | null> {
  const [row] = await reader.query<BarCoverageRow>(
    `select ${selectList(BAR_COVERAGE)} from weaver.bar_coverage where symbol = $1 and timeframe = $2`,
    [symbol, timeframe],
  )
  return row ?? null
}

/** Of the run's tick before, the newest that had windows. */
export async function lastWindowWait(reader: Reader, runId: string): Promise<WindowWaitRow | null> {
  const [row] = await reader.query<WindowWaitRow>(
    `select ${selectList(WINDOW_WAITS)} from weaver.window_waits where run_id = $1 order by bar_index desc limit 1`,
    [runId],
  )
  return row ?? null
}

export async function countLateBars(reader: Reader, runId: string): Promise<number> {
  const [row] = await reader.query<{ late: number }>(
    'select coalesce(sum(late), 0)::integer as late from weaver.window_waits where run_id = $1 and late > 0',
    [runId],
  )
  return row?.late ?? 0
}

export interface CandleFetchView extends CandleFetchRow {
  created_at: string
  updated_at: string
}

const FETCH_LIST = `${selectList(CANDLE_FETCHES)}, created_at, updated_at`

export async function getCandleFetch(reader: Reader, id: string): Promise<CandleFetchView | null> {
  const [row] = await reader.query<CandleFetchView>(`select ${FETCH_LIST} from weaver.candle_fetches where id = $1`, [
    id,
  ])
  return row ?? null
}

export async function lockCandleFetch(tx: Reader, id: string): Promise<CandleFetchRow | null> {
  const [row] = await tx.query<CandleFetchRow>(
    `select ${selectList(CANDLE_FETCHES)} from weaver.candle_fetches where id = $1 for update`,
    [id],
  )
  return row ?? null
}

/** The newest first. */
export function listCandleFetches(reader: Reader, limit: number): Promise<CandleFetchView[]> {
  return reader.query<CandleFetchView>(
    `select ${FETCH_LIST} from weaver.candle_fetches order by created_at desc, id limit $1`,
    [limit],
  )
}

/** The one under way for the same candles, if there is one. */
export async function runningCandleFetch(
  reader: Reader,
  { exchange, symbol, timeframe }: Pick<CandleFetchRow, 'exchange' | 'symbol' | 'timeframe'>,
): Promise<CandleFetchView | null> {
  const [row] = await reader.query<CandleFetchView>(
    `select ${FETCH_LIST} from weaver.candle_fetches
     where exchange = $1 and symbol = $2 and timeframe = $3 and status = 'running' order by created_at limit 1`,
    [exchange, symbol, timeframe],
  )
  return row ?? null
}
