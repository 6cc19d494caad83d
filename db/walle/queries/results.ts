/** What a run left behind: fills, trades, decisions, equity, statistics, positions. */
import type { Json } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { copyFloats } from '../candle_columns.ts'
import {
  type Columns,
  DECISIONS,
  FILLS,
  literal,
  ORDERS,
  POSITIONS,
  quoted,
  selectList,
  type Table,
  TIMELINE,
  TRADES,
} from '../columns.ts'
import type { DecisionRow, FillRow, PositionRow, RunRow, SkipRow, TimelineRow, TradeRow } from '../rows.ts'
import { copyBinary } from './blocks.ts'
import { listPage, type Page, type Paging } from './page.ts'

/** All of a run's rows in their order. */
function rowsOfRun<Row extends object>(reader: Reader, table: Table<Row>, runId: string): Promise<Row[]> {
  return reader.query<Row>(`select ${selectList(table)} from ${table.name} where run_id = $1 order by ordinal`, [runId])
}

export function listFills(reader: Reader, runId: string): Promise<FillRow[]> {
  return rowsOfRun(reader, FILLS, runId)
}

export function listTrades(reader: Reader, runId: string): Promise<TradeRow[]> {
  return rowsOfRun(reader, TRADES, runId)
}

/** What a run's trades look like together: a value a trade, oldest first, null where unknown. */
export interface TradeShape {
  returns: (number | null)[]
  mae: (number | null)[]
  mfe: (number | null)[]
}

export async function readTradeShape(reader: Reader, runId: string): Promise<TradeShape> {
  const [shape] = await reader.query<TradeShape>(
    `select coalesce(array_agg(return order by ordinal), '{}') as returns,
       coalesce(array_agg(mae order by ordinal), '{}') as mae, coalesce(array_agg(mfe order by ordinal), '{}') as mfe
     from weaver.trades where run_id = $1`,
    [runId],
  )
  return shape ?? { returns: [], mae: [], mfe: [] }
}

/** The first and the last trades; all of them in `first` where they are fewer than twice as many. */
export async function edgeTrades(
  reader: Reader,
  runId: string,
  most: number,
): Promise<{ first: TradeRow[]; last: TradeRow[] }> {
  const edge = (order: 'asc' | 'desc') =>
    reader.query<TradeRow>(
      `select ${selectList(TRADES)} from ${TRADES.name} where run_id = $1 order by ordinal ${order} limit $2`,
      [runId, most * 2],
    )
  const first = await edge('asc')
  if (first.length < most * 2) return { first, last: [] }
  return { first: first.slice(0, most), last: (await edge('desc')).slice(0, most).reverse() }
}

/** A page of a run's rows in their order. */
function pageOfRun<Row extends object>(reader: Reader, table: Table<Row>, runId: string, { page, page_size }: Paging) {
  return listPage<Row>(reader, { table, filters: [['run_id = ?', runId]], orderBy: 'ordinal', page, page_size })
}

export function pageFills(reader: Reader, runId: string, paging: Paging): Promise<Page<FillRow>> {
  return pageOfRun(reader, FILLS, runId, paging)
}

export function pageTrades(reader: Reader, runId: string, paging: Paging): Promise<Page<TradeRow>> {
  return pageOfRun(reader, TRADES, runId, paging)
}

export type DecisionKind = 'acted' | 'skipped'

const KINDS: Record<DecisionKind, string> = { acted: '{acted}', skipped: '{skipped,risk,rejected}' }

/** What was decided, and at which ticks nothing was and why; oldest first. */
export function pageDecisions(
  reader: Reader,
  runId: string,
  { kind, order = 'asc', page, page_size }: Paging & { kind?: DecisionKind | undefined; order?: 'asc' | 'desc' },
): Promise<Page<TimelineRow>> {
  const filters = [
    ['run_id = ?', runId],
    ['kind = any(?::text[])', kind && KINDS[kind]],
  ] as const
  const orderBy = order === 'asc' ? 'bar_index, place' : 'bar_index desc, place desc'
  return listPage<TimelineRow>(reader, { table: TIMELINE, filters, orderBy, page, page_size })
}

export interface SkipSummary {
  kind: SkipRow['kind']
  rule: string | null
  reason: string
  ticks: number
  first_ts: string
  last_ts: string
}

/** Why a run did nothing, the most frequent reason first. */
export function summariseSkips(reader: Reader, runId: string, most: number): Promise<SkipSummary[]> {
  return reader.query<SkipSummary>(
    `select kind, rule, reason, sum(ticks)::bigint as ticks, min(first_ts) as first_ts, max(last_ts) as last_ts
     from weaver.skips where run_id = $1 group by kind, rule, reason order by ticks desc, kind, reason limit $2`,
    [runId, most],
  )
}

/** What was decided at the tick itself. */
export async function getDecision(reader: Reader, runId: string, barIndex: number): Promise<DecisionRow | null> {
  const [decision] = await reader.query<DecisionRow>(
    `select ${selectList(DECISIONS)} from weaver.decisions where run_id = $1 and bar_index = $2 and part = 0`,
    [runId, barIndex],
  )
  return decision ?? null
}

export function listPositions(reader: Reader, runId?: string): Promise<PositionRow[]> {
  return reader.query<PositionRow>(
    `select ${selectList(POSITIONS)} from weaver.positions where run_id = $1 or $1 is null order by run_id, symbol`,
    [runId ?? null],
  )
}

/** A run's rows in batches by a key that counts up, however many there are, without a cursor to keep open. */
async function* eachRow<Row extends object>(
  reader: Reader,
  table: Table<Row>,
  { runId, key, batchSize }: { runId: string; key: keyof Row & string; batchSize: number },
): AsyncGenerator<Row> {
  const statement = `select ${selectList(table)} from ${table.name}
    where run_id = $1 and ${quoted(key)} > $2 order by ${quoted(key)} limit $3`
  let last: unknown = -1
  while (true) {
    const rows: Row[] = await reader.query<Row>(statement, [runId, last, batchSize])
    yield* rows
    const newest = rows.at(-1)
    if (newest === undefined || rows.length < batchSize) return
    last = newest[key]
  }
}

/** What of a run's rows its result hash and its account are made of; the rest would take most of the time to read. */
const HASHED_ORDER = only(ORDERS, [
  'id',
  'ordinal',
  'client_order_id',
  'symbol',
  'side',
  'order_type',
  'qty',
  'price',
  'stop_price',
  'time_in_force',
  'take_profit',
  'stop_loss',
  'status',
  'filled_qty',
  'filled_avg_price',
])
const HASHED_DECISION = only(DECISIONS, ['bar_index', 'ts', 'intents'])
const HASHED_FILL = only(FILLS, [
  'ordinal',
  'order_id',
  'symbol',
  'side',
  'qty',
  'price',
  'fee',
  'fee_qty',
  'slippage',
  'timestamp',
  'ambiguous',
])

export type HashedOrder = RowOf<typeof HASHED_ORDER>
export type HashedFill = RowOf<typeof HASHED_FILL>

export function hashedRows(reader: Reader, runId: string, batchSize: number) {
  return {
    orders: eachRow(reader, HASHED_ORDER, { runId, key: 'ordinal', batchSize }),
    decisions: eachRow(reader, HASHED_DECISION, { runId, key: 'bar_index', batchSize }),
    fills: eachRow(reader, HASHED_FILL, { runId, key: 'ordinal', batchSize }),
  }
}

type RowOf<T> = T extends Table<infer Row> ? Row : never

function only<Row, Name extends keyof Row & string>(table: Table<Row>, names: readonly Name[]): Table<Pick<Row, Name>> {
  const columns = Object.fromEntries(names.map((name) => [name, table.columns[name]]))
  return { name: table.name, columns: columns as Columns<Pick<Row, Name>> }
}

export interface EquityCurve {
  /** Tick times, epoch milliseconds. */
  ts: Float64Array
  equity: Float64Array
  exposure: Float64Array
}

export async function readEquity(reader: Reader, runId: string): Promise<EquityCurve> {
  const blocks = await copyBinary(
    reader,
    `select ts, equity, exposure from weaver.equity_blocks where run_id = ${literal(runId)}::uuid order by first_tick`,
  )
  const column = (index: number) => {
    const parts = blocks.map((fields) => fields[index] ?? new Uint8Array())
    const values = new Float64Array(parts.reduce((sum, part) => sum + part.byteLength, 0) / 8)
    let offset = 0
    for (const part of parts) offset += copyFloats(part, values, offset)
    return values
  }
  return { ts: column(0), equity: column(1), exposure: column(2) }
}

/** The first and the last tick that a run has played, epoch milliseconds; null before any. */
export async function tickRange(reader: Reader, runId: string): Promise<{ first: number; last: number } | null> {
  const edge = (order: 'asc' | 'desc', from: string) =>
    `(select substring(ts from ${from} for 8) from weaver.equity_blocks where run_id = $1 order by first_tick ${order} limit 1)`
  const [row] = await reader.query<{ first: Uint8Array | null; last: Uint8Array | null }>(
    `select ${edge('asc', '1')} as first, ${edge('desc', 'octet_length(ts) - 7')} as last`,
    [runId],
  )
  if (!row?.first || !row.last) return null
  const [first, last] = [new Float64Array(1), new Float64Array(1)]
  copyFloats(row.first, first, 0)
  copyFloats(row.last, last, 0)
  return { first: first[0] as number, last: last[0] as number }
}

export interface ResultRow {
  stats: Record<string, Json>
  result_hash: string
  final_equity: string
}

export async function getResult(reader: Reader, runId: string): Promise<ResultRow | null> {
  const [result] = await reader.query<ResultRow>(
    'select stats, result_hash, final_equity from weaver.backtest_results where run_id = $1',
    [runId],
  )
  return result ?? null
}

/** Other variants of a run's strategy that were tried on its data. */
export interface OtherTrials {
  count: number
  /** Of those with a Sharpe ratio: how many, the mean of their newest, and the sum of squared distances from it. */
  known: number
  mean: number
  squares: number
}

/**
 * How often this has been tried otherwise: what a result is to be measured against. On its data means over ticks that
 * overlap these, with a symbol of the run's, in whatever timeframe.
 */
export async function otherTrials(
  reader: Reader,
  run: Pick<RunRow, 'id' | 'strategy_id' | 'symbols'>,
  ticks: { first: number; last: number },
): Promise<OtherTrials> {
  const [row] = await reader.query<OtherTrials>(
    `with newest as (
       select distinct on (variant) sharpe from weaver.trials
       where strategy_id = $2 and symbols && $3::text[] and first_tick_at <= $5 and last_tick_at >= $4
         and variant <> (select weaver.trial_variant(r) from weaver.runs r where r.id = $1)
       order by variant, updated_at desc
     )
     select count(*)::integer as count, count(sharpe)::integer as known, coalesce(avg(sharpe), 0) as mean,
       coalesce(var_pop(sharpe) * count(sharpe), 0) as squares from newest`,
    [run.id, run.strategy_id, run.symbols, new Date(ticks.first).toISOString(), new Date(ticks.last).toISOString()],
  )
  return row ?? { count: 0, known: 0, mean: 0, squares: 0 }
}
