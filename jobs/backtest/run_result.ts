/** What a finished backtest amounts to: result hash and statistics, from its stored rows and its bars. */
import type { Reader } from '../../db/database.ts'
import { getCheckpoint } from '../../db/walle/queries/checkpoints.ts'
import {
  type HashedFill,
  type HashedOrder,
  hashedRows,
  listTrades,
  otherTrials,
  readEquity,
} from '../../db/walle/queries/results.ts'
import { listRunDatasets } from '../../db/walle/queries/run_data.ts'
import type { RunRow, TradeRow } from '../../db/walle/rows.ts'
import { type Json, TIMEFRAME_MS } from '../../strategies/api.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { createResultHasher } from '../greta/result_hash.ts'
import { calendarOf, computeStats, DAYS_A_YEAR, type StatsInput } from '../greta/stats.ts'
import { openTradesOf } from '../greta/trades.ts'
import type { Checkpoint } from './backtest.ts'
import { dataCautions } from './data_cautions.ts'
import type { LoadedRun } from './run_data.ts'

export interface RunResult {
  resultHash: string
  finalEquity: string
  stats: Record<string, Json>
  cautions: string[]
  /** What the ledger of trials is told; null without a tick. */
  trial: { first_tick_at: string; last_tick_at: string; sharpe: number | null } | null
}

const ROWS_AT_ONCE = 20_000

export async function computeResult(reader: Reader, run: RunRow, data: LoadedRun): Promise<RunResult> {
  const { resultHash, fills } = await hashRecords(reader, run)
  const account = accountOf(run, data, fills)
  const curve = await readEquity(reader, run.id)
  const checkpoint = (await getCheckpoint(reader, run.id))?.state as Checkpoint | undefined
  const calendar = calendarOf(run.symbols)
  const trades = await listTrades(reader, run.id)
  const [first, last] = [data.ticks[0], data.ticks.at(-1)]
  const tried = first === undefined || last === undefined ? null : { first, last }
  const stats = computeStats({
    initialCash: run.initial_cash,
    ...account,
    ...curve,
    timeframeMs: TIMEFRAME_MS[run.timeframe],
    calendar,
    trades,
    ...ambiguityOf(fills, trades),
    openTrades: checkpoint ? openTradesOf(checkpoint.simulation.trades) : 0,
    benchmark: benchmarkOf(run, data),
    ...(tried ? { others: await otherTrials(reader, run, tried) } : {}),
  })
  const sharpe = stats.sharpe_ratio === null ? null : stats.sharpe_ratio / Math.sqrt(DAYS_A_YEAR[calendar])
  const trial = tried && {
    first_tick_at: new Date(tried.first).toISOString(),
    last_tick_at: new Date(tried.last).toISOString(),
    sharpe,
  }
  const cautions = [...stats.cautions, ...dataCautions(run, data, await listRunDatasets(reader, run.id))]
  return { resultHash, finalEquity: account.finalEquity, stats, cautions, trial }
}

/** Bars that held both exits of a position, and the trades whose end such a bar decided. */
function ambiguityOf(
  fills: readonly HashedFill[],
  trades: readonly Pick<TradeRow, 'exit_order_id'>[],
): Pick<StatsInput, 'ambiguousBars' | 'ambiguousTrades'> {
  const ambiguous = fills.filter((fill) => fill.ambiguous)
  const bars = new Set(ambiguous.map(({ symbol, timestamp }) => `${symbol} ${timestamp}`))
  const exits = new Set(ambiguous.map(({ order_id }) => order_id))
  return {
    ambiguousBars: bars.size,
    ambiguousTrades: trades.filter(({ exit_order_id }) => exits.has(exit_order_id)).length,
  }
}

/** Orders as cancels are described by them, and fills in the order in which they happened. */
async function hashRecords(reader: Reader, run: RunRow): Promise<{ resultHash: string; fills: HashedFill[] }> {
  const hasher = createResultHasher()
  const rows = hashedRows(reader, run.id, ROWS_AT_ONCE)
  const orders = new Map<string, HashedOrder>()
  const byClientId = new Map<string, HashedOrder>()
  for await (const order of rows.orders) {
    orders.set(order.id, order)
    byClientId.set(order.client_order_id, order)
  }
  for await (const decision of rows.decisions) {
    decision.intents.forEach((intent, ordinal) => {
      const target = intent.kind === 'cancel' ? (byClientId.get(intent.client_order_id) ?? null) : null
      hasher.intent(decision.ts, ordinal, intent, target)
    })
  }
  for (const order of orders.values()) hasher.order(order.status, order.filled_qty, order.filled_avg_price)
  const fills: HashedFill[] = []
  for await (const fill of rows.fills) {
    const order = orders.get(fill.order_id)
    if (!order) throw new Error(`The fill ${fill.ordinal} of run ${run.id} has no order ${fill.order_id}`)
    hasher.fill(fill.timestamp, order.ordinal, fill.side, fill.qty, fill.price, fill.fee)
    fills.push(fill)
  }
  return { resultHash: hasher.digest(), fills }
}

type Account = Pick<StatsInput, 'finalEquity' | 'fees' | 'slippage' | 'turnover'>

/** Cash and positions from the fills alone, in decimals, positions at the last closes. */
function accountOf(run: RunRow, data: LoadedRun, fills: readonly HashedFill[]): Account {
  let equity = new Decimal(run.initial_cash)
  let fees = ZERO
  let slippage = ZERO
  let turnover = ZERO
  const held = new Map<string, Decimal>()
  for (const fill of fills) {
    const received = new Decimal(fill.qty).minus(fill.fee_qty)
    const signed = fill.side === 'buy' ? received : received.neg()
    const notional = signed.times(fill.price)
    equity = equity.minus(notional).minus(fill.fee)
    fees = fees.plus(fill.fee)
    slippage = slippage.plus(fill.slippage)
    turnover = turnover.plus(new Decimal(fill.qty).times(fill.price))
    held.set(fill.symbol, signed.plus(held.get(fill.symbol) ?? ZERO))
  }
  run.symbols.forEach((symbol, index) => {
    const qty = held.get(symbol)
    const last = data.columns[index]?.close.at(-1)
    if (qty && last !== undefined) equity = equity.plus(qty.times(String(last)))
  })
  return {
    finalEquity: equity.toString(),
    fees: fees.toString(),
    slippage: slippage.toString(),
    turnover: turnover.toString(),
  }
}

/** The first symbol's close at each tick; 0 where it has no bar. */
function benchmarkOf(run: RunRow, data: LoadedRun): Float64Array | null {
  const [columns] = data.columns
  if (!columns) return null
  const frame = TIMEFRAME_MS[run.timeframe]
  const closes = new Float64Array(data.ticks.length)
  let bar = data.warmup[0] ?? 0
  data.ticks.forEach((ts, tick) => {
    if ((columns.time[bar] as number) + frame !== ts) return
    closes[tick] = columns.close[bar] as number
    bar += 1
  })
  return closes
}
