/** Rows for tests: complete, distinct by number, changed where a test says so. */
import type { DecisionRow, FillRow, NewRun, OrderRow, StrategySourceRow, TradeRow } from '../../db/walle/rows.ts'

export const T0 = '2024-01-02T03:04:05.678Z'
const MINUTE = 60_000

const KINDS = ['run', 'order', 'fill', 'decision', 'corr', 'event'] as const

/** A UUID made of what it names. */
export function idOf(kind: (typeof KINDS)[number], number: number, run = 0): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')
  return `${hex(run, 8)}-0000-4000-8000-${hex(KINDS.indexOf(kind), 2)}${hex(number, 10)}`
}

function runNumber(runId: string): number {
  return Number.parseInt(runId.slice(-10), 16)
}

function minute(number: number): string {
  return new Date(Date.parse(T0) + number * MINUTE).toISOString()
}

export function aSource(changes: Partial<StrategySourceRow> = {}): StrategySourceRow {
  const files = { 'sample.ts': 'export default {}\n' }
  return { hash: 'a1b2', strategy_id: 'sample', version: '1', entry: 'sample.ts', files, ...changes }
}

export function aRun(number: number, changes: Partial<NewRun> = {}): NewRun {
  return {
    id: idOf('run', number),
    strategy_id: 'sample',
    strategy_version: '1',
    strategy_hash: 'a1b2',
    mode: 'backtest',
    exchange: null,
    symbols: ['BTC/USD'],
    timeframe: '1m',
    start_time: T0,
    end_time: null,
    config: { fast: 10, nested: { list: [1, 'two', null] } },
    initial_cash: '100000.50',
    fill: { preset: 'weaver' },
    risk: {},
    own_risk: {},
    audit: 'summary',
    driver: 'chunk',
    seed: 1,
    missed_ticks: 'skip',
    bar_wait_ms: 5_000,
    label: 'first',
    weaver_version: '0.1.0',
    dataset_fingerprint: null,
    window_bars: 31,
    last_event_id: null,
    ...changes,
  }
}

export function anOrder(runId: string, ordinal: number, changes: Partial<OrderRow> = {}): OrderRow {
  const run = runNumber(runId)
  return {
    id: idOf('order', ordinal, run),
    run_id: runId,
    ordinal,
    client_order_id: `${run}-${ordinal}`,
    exchange_order_id: null,
    parent_order_id: null,
    symbol: 'BTC/USD',
    side: 'buy',
    order_type: 'limit',
    qty: '2.5',
    price: '12345678901234567890.123456789',
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    take_profit: '110',
    stop_loss: '90.25',
    time_in_force: 'gtc',
    extended_hours: ordinal % 2 === 1,
    status: 'accepted',
    filled_qty: '0',
    filled_avg_price: null,
    fees: '0',
    reason: null,
    reject_reason: null,
    reject_rule: null,
    bar_index: ordinal,
    placed_at: minute(ordinal),
    submitted_at: minute(ordinal),
    filled_at: null,
    closed_at: null,
    corr_id: idOf('corr', ordinal, run),
    last_event_id: idOf('event', ordinal, run),
    ...changes,
  }
}

export function aFill(runId: string, ordinal: number, changes: Partial<FillRow> = {}): FillRow {
  const run = runNumber(runId)
  return {
    id: idOf('fill', ordinal, run),
    run_id: runId,
    order_id: idOf('order', ordinal, run),
    ordinal,
    symbol: 'BTC/USD',
    side: ordinal % 2 === 0 ? 'buy' : 'sell',
    qty: '0.000000001',
    price: '43210.5',
    fee: '0.1',
    fee_qty: '0',
    slippage: '0',
    timestamp: minute(ordinal),
    known_at: minute(ordinal + 1),
    ambiguous: false,
    execution_id: null,
    ...changes,
  }
}

export function aTrade(runId: string, ordinal: number, changes: Partial<TradeRow> = {}): TradeRow {
  const run = runNumber(runId)
  return {
    run_id: runId,
    ordinal,
    symbol: 'BTC/USD',
    side: 'long',
    qty: '1',
    entry_order_id: idOf('order', ordinal, run),
    exit_order_id: idOf('order', ordinal + 1, run),
    entry_time: minute(ordinal),
    exit_time: minute(ordinal + 1),
    entry_price: '100',
    exit_price: '101.5',
    fees: '0.2',
    pnl: '1.3',
    return: 0.1 + 0.2,
    mae: null,
    mfe: -1e-7,
    bars: 1,
    ...changes,
  }
}

export function aDecision(runId: string, barIndex: number, changes: Partial<DecisionRow> = {}): DecisionRow {
  const run = runNumber(runId)
  return {
    id: idOf('decision', barIndex, run),
    run_id: runId,
    bar_index: barIndex,
    part: 0,
    ts: minute(barIndex),
    corr_id: idOf('corr', barIndex, run),
    intents: [{ kind: 'cancel', client_order_id: `${run}-${barIndex}` }],
    skips: [],
    logs: [],
    ...changes,
  }
}
