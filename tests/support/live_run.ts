/** A paper run in the midst of its life, and the events that its hops hear, for tests without a clock and a venue. */

import type { Database } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import { record } from '../../db/walle/record.ts'
import type { NewRun, RunRow, StrategySourceRow } from '../../db/walle/rows.ts'
import { ownFetch } from '../../jobs/live/decisions.ts'
import { type FetchRequest, TIMEFRAME_MS } from '../../strategies/api.ts'
import { aRun, aSource } from './walle_rows.ts'

/** A boundary of every timeframe. */
export const LIVE_START = Date.parse('2026-03-02T00:00:00.000Z')

export const boundary = (run: Pick<RunRow, 'timeframe'>, barIndex: number): number =>
  LIVE_START + barIndex * TIMEFRAME_MS[run.timeframe]

/** Running, with an open ledger. */
export async function startLiveRun(
  db: Database,
  number: number,
  changes: Partial<NewRun> = {},
  source: StrategySourceRow = aSource(),
): Promise<RunRow> {
  const run = aRun(number, {
    ...{ mode: 'paper', exchange: 'scripted', start_time: null, audit: 'full', window_bars: 2, config: {} },
    ...{
      initial_cash: '1000',
      strategy_hash: source.hash,
      last_event_id: '00000000-0000-4000-8000-0000000000ff',
      ...changes,
    },
  })
  const cash = run.initial_cash
  const ledger = { run_id: run.id, cash, fees: '0', turnover: '0', next_order: 0, next_fill: 0 }
  const started = new Date(LIVE_START - 1).toISOString()
  const outcome: Outcome = {
    writes: [
      { kind: 'store_source', source },
      { kind: 'create_run', run },
      { kind: 'update_run', id: run.id, changes: { status: 'running', started_at: started } },
      { kind: 'save_run_ledgers', rows: [{ ...ledger, trade_matcher: null, risk_watch: null, splits: null }] },
    ],
    events: [],
  }
  await db.write((tx) => record(tx, outcome))
  return mustGet(db, run.id)
}

export async function mustGet(db: Database, id: string): Promise<RunRow> {
  const run = await getRun(db.reader, id)
  if (!run) throw new Error(`no run ${id}`)
  return run
}

/** As the clock does it: the tick's events and its row. `route`: with the job that they set off. `requests`: in place of its windows. */
export async function emitTick(
  db: Database,
  run: RunRow,
  barIndex: number,
  {
    at = boundary(run, barIndex),
    route = false,
    requests,
  }: { at?: number; route?: boolean; requests?: FetchRequest[] } = {},
): Promise<NewEvent> {
  const [event] = await emitTicks(db, [run], barIndex, { at, route, requests })
  return event as NewEvent
}

/** Of many runs in one transaction. */
export async function emitTicks(
  db: Database,
  runs: readonly RunRow[],
  barIndex: number,
  { at, route, requests }: { at: number; route: boolean; requests?: FetchRequest[] | undefined },
): Promise<NewEvent[]> {
  const ts = new Date(at).toISOString()
  const ticks = runs.map(({ id: run_id, timeframe }): NewEvent => {
    const id = tickEventId(run_id, barIndex, 0)
    return {
      ...{ id, type: 'clock.Tick', run_id, corr_id: id, causation_id: null, ts, producer: 'glados' },
      payload: { run_id, ts, timeframe, bar_index: barIndex, is_backtest: false },
    }
  })
  const events = ticks.flatMap((tick, n) => {
    const fetch = ownFetch(runs[n] as RunRow, { bar_index: barIndex, ts: at, corr_id: tick.id })
    if (requests) for (const { payload } of fetch) Object.assign(payload, { requests })
    return [tick, ...fetch]
  })
  const rows = ticks.map(({ id, run_id }) => {
    return {
      run_id: run_id as string,
      bar_index: barIndex,
      ts,
      event_id: id,
      missed_reason: null,
      drift_ms: 1,
      done_at: null,
    }
  })
  const open = ticks.map(({ id, run_id }) => ({ run_id: run_id as string, bar_index: barIndex, corr_id: id }))
  await db.write(async (tx) => {
    const writes: Outcome['writes'] = [
      { kind: 'save_clock_ticks', rows },
      { kind: 'open_ticks', rows: open },
    ]
    await record(tx, { writes, events: [] })
    await append(tx, events, { route })
  })
  return ticks
}

/**
 * As Veda answers a fetch: windows of the closes given, the last of a bar that closed at the tick unless `newest` says.
 * `command`: the ordinal of what it answers, in its tick.
 */
export async function answerWindows(
  db: Database,
  run: RunRow,
  barIndex: number,
  closes: Record<string, number[]>,
  newest = boundary(run, barIndex) - TIMEFRAME_MS[run.timeframe],
  { command = 2, timeframe = run.timeframe } = {},
): Promise<NewEvent> {
  const frame = TIMEFRAME_MS[timeframe]
  const windows = Object.entries(closes).map(([symbol, values]) => {
    const time = values.map((_, index) => newest - (values.length - 1 - index) * frame)
    const [from, to] = [time[0] ?? newest, time.at(-1) ?? newest].map((at) => new Date(at).toISOString()) as [
      string,
      string,
    ]
    const columns = { time, open: values, high: values, low: values, close: values, volume: values.map(() => 1) }
    return { symbol, timeframe, bars: values.length, from, to, columns, data_ref: null }
  })
  const event: NewEvent = {
    ...{ id: tickEventId(run.id, barIndex, command + 1), type: 'data.WindowReady', run_id: run.id, producer: 'veda' },
    ...{ corr_id: tickEventId(run.id, barIndex, 0), causation_id: tickEventId(run.id, barIndex, command) },
    ...{ ts: new Date(boundary(run, barIndex)).toISOString(), payload: { bar_index: barIndex, windows } },
  }
  await db.write((tx) => append(tx, [event], { route: false }))
  return event
}

/** What the run wrote to the log, oldest first. */
export async function toldBy(db: Database, runId: string): Promise<NewEvent[]> {
  const rows = await db.reader.query<{ payload: NewEvent }>(
    'select payload from weaver.outbox where run_id = $1 order by id',
    [runId],
  )
  return rows.map(({ payload }) => payload)
}
