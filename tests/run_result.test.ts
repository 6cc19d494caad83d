/** What a run comes to, out of the database: the same hash by docs/result-hash.md's query as by the code. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateCandles } from '../db/walle/generate.ts'
import type { Write } from '../db/walle/outcome.ts'
import { otherTrials } from '../db/walle/queries/results.ts'
import { getRun } from '../db/walle/queries/runs.ts'
import { record } from '../db/walle/record.ts'
import type { CandleColumns, NewRun, RunRow } from '../db/walle/rows.ts'
import type { Stretch } from '../jobs/backtest/backtest.ts'
import { computeResult } from '../jobs/backtest/run_result.ts'
import { ticksOf } from '../jobs/greta/ticks.ts'
import { type StrategyDefinition, TIMEFRAME_MS } from '../strategies/api.ts'
import bollingerLimit from '../strategies/bollinger_limit/index.ts'
import bracketSma from '../strategies/bracket_sma/index.ts'
import breakout from '../strategies/breakout/index.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'
import { playPure } from './support/pure_run.ts'
import { aDecision, aFill, anOrder, aRun, aSource, aTrade, idOf } from './support/walle_rows.ts'

const page = readFileSync(new URL('../docs/result-hash.md', import.meta.url), 'utf8')
const [, query = ''] = /```sql\n([\s\S]*?)```/.exec(page) ?? []
const HOUR = TIMEFRAME_MS['1h']
const START = Date.UTC(2024, 0, 1)

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
  await store({ kind: 'store_source', source: aSource() })
})

afterAll(() => database?.drop())

function store(...writes: Write[]) {
  return database.db.write((tx) => record(tx, { writes, events: [] }))
}

/** psql puts the run's id in as text; here it is a parameter. */
async function hashByQuery(runId: string): Promise<unknown> {
  const [row] = await database.db.reader.query<Record<string, unknown>>(query.replaceAll(`:'run'`, '$1::uuid'), [runId])
  return Object.values(row ?? {})[0]
}

async function resultOf(runId: string, columns: CandleColumns) {
  const run = (await getRun(database.db.reader, runId)) as RunRow
  const data = { columns: [columns], ticks: ticksOf([columns], [0], HOUR), warmup: [0], fingerprint: '', datasets: [] }
  return computeResult(database.db.reader, run, data)
}

function columnsOf(seed: number, bars: number): CandleColumns {
  const candles = generateCandles({ timeframe: '1h', start: START, bars, seed, startPrice: 1000, volatility: 0.02 })
  const column = (name: 'open' | 'high' | 'low' | 'close' | 'volume') =>
    Float64Array.from(candles, (candle) => Number(candle[name]))
  return {
    time: Float64Array.from(candles, ({ time }) => time),
    open: column('open'),
    high: column('high'),
    low: column('low'),
    close: column('close'),
    volume: column('volume'),
  }
}

const NO_BARS: CandleColumns = {
  time: new Float64Array(0),
  open: new Float64Array(0),
  high: new Float64Array(0),
  low: new Float64Array(0),
  close: new Float64Array(0),
  volume: new Float64Array(0),
}

function storePlayed(runId: string, played: Stretch) {
  return store(
    { kind: 'create_run', run: aRun(0, { id: runId, timeframe: '1h', initial_cash: '100000' }) },
    { kind: 'insert_orders', rows: played.newOrders },
    { kind: 'insert_fills', rows: played.fills },
    { kind: 'insert_decisions', rows: played.decisions },
    { kind: 'insert_trades', rows: played.trades },
    { kind: 'append_equity', block: { run_id: runId, first_tick: 0, ...played.curve } },
    { kind: 'save_checkpoint', run_id: runId, next_tick: played.next, state: played.checkpoint },
  )
}

test.each([
  ['bollinger_limit', bollingerLimit as unknown as StrategyDefinition, '00000000-0000-4000-8000-0000000000a1'],
  ['breakout', breakout as unknown as StrategyDefinition, '00000000-0000-4000-8000-0000000000a2'],
  ['bracket_sma', bracketSma as unknown as StrategyDefinition, '00000000-0000-4000-8000-0000000000a3'],
])('a run of %s comes to the hash of the page, and to the money that its account had', async (_, strategy, runId) => {
  const columns = columnsOf(11, 1500)
  const fill = { commission_bps: '7.5', slippage_bps: '3' }
  const played = playPure({ strategy, columns, timeframe: '1h', runId, cash: '100000', fill })
  await storePlayed(runId, played)
  const { resultHash, finalEquity, stats } = await resultOf(runId, columns)
  expect(played.fills.length).toBeGreaterThan(20)
  expect(resultHash).toBe(await hashByQuery(runId))
  expect(finalEquity).toBe(played.finalEquity)
  const sum = (values: string[]) => values.reduce((total, value) => total + Number(value), 0)
  expect(stats).toMatchObject({ initial_cash: '100000', final_equity: finalEquity, total_trades: played.trades.length })
  expect(Number(stats.fees)).toBeCloseTo(sum(played.fills.map(({ fee }) => fee)), 6)
  expect(Number(stats.slippage)).toBeCloseTo(sum(played.fills.map(({ slippage }) => slippage)), 6)
  expect(stats.buy_and_hold_return).toBe((columns.close.at(-1) as number) / (columns.close[0] as number) - 1)
  expect(stats.open_trades).toBe(played.positions.filter(({ qty }) => qty !== '0').length)
})

test('the hash of rows by hand is that of their lines', async () => {
  const run = aRun(1, { timeframe: '1h' })
  const place = {
    ...{ kind: 'place' as const, client_order_id: '1-0', symbol: 'BTC/USD', side: 'buy' as const },
    ...{ order_type: 'stop_limit' as const, qty: '0.5', limit_price: '1e-7', stop_price: '41999.50' },
    ...{ trail_price: null, trail_percent: null, time_in_force: 'day' as const, extended_hours: false },
    ...{ take_profit: '45000', stop_loss: null, reason: 'never, in it' },
  }
  await store(
    { kind: 'create_run', run },
    {
      kind: 'insert_orders',
      rows: [
        anOrder(run.id, 0, {
          qty: '2.500000000',
          status: 'filled',
          filled_qty: '2.5',
          filled_avg_price: '0.000000000001',
        }),
        anOrder(run.id, 1, { status: 'rejected', price: null, take_profit: null, stop_loss: '7' }),
      ],
    },
    {
      kind: 'insert_decisions',
      rows: [
        aDecision(run.id, 7, {
          ts: '2024-01-01T07:00:00.000Z',
          intents: [place, { kind: 'cancel', client_order_id: '1-1' }],
        }),
        aDecision(run.id, 30, {
          ts: '2024-01-02T06:00:00.001Z',
          intents: [{ kind: 'cancel', client_order_id: 'of no order' }],
        }),
      ],
    },
    {
      kind: 'insert_fills',
      rows: [aFill(run.id, 0, { timestamp: '2024-01-01T07:00:00.000Z', price: '100.50', fee: '0' })],
    },
  )
  const { resultHash } = await resultOf(run.id, NO_BARS)
  // sha256sum of
  // ["2024-01-01T07:00:00.000Z",0,"place","BTC/USD","buy","stop_limit","0.5","1e-7","41999.50","day","45000",null]
  // ["2024-01-01T07:00:00.000Z",1,"cancel","BTC/USD","buy","limit","2.5",null,null,"gtc",null,"7"]
  // ["2024-01-02T06:00:00.001Z",0,"cancel",null,null,null,null,null,null,null,null,null]
  // ["filled","2.5","0.000000000001"]
  // ["rejected","0",null]
  // ["2024-01-01T07:00:00.000Z",0,"buy","0.000000001","100.5","0"]
  expect(resultHash).toBe('38ff893e51348d89b8cbd02ae913a2d4cb944c29b24fca5c3c5507f4030e05fa')
  expect(await hashByQuery(run.id)).toBe(resultHash)
})

test('docs/statistics.md defines every key of a report, and none that there is not', async () => {
  const run = aRun(3, { timeframe: '1h' })
  await store({ kind: 'create_run', run })
  const { stats } = await resultOf(run.id, NO_BARS)
  const told = readFileSync(new URL('../docs/statistics.md', import.meta.url), 'utf8')
  const rows = told.split('\n').flatMap((line) => /^\| (`[^|]*)\|/.exec(line)?.[1] ?? [])
  const defined = rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, key]) => key))
  expect(defined.toSorted()).toEqual(
    Object.keys(stats)
      .filter((key) => key !== 'cautions' && key !== 'convention')
      .toSorted(),
  )
})

describe('the ledger of trials', () => {
  const DAY = TIMEFRAME_MS['1d']
  const range = { first: START, last: START + 10 * DAY }
  let number = 100

  async function tried(changes: Partial<NewRun>, sharpe: number | null, { first, last } = range): Promise<NewRun> {
    const run = aRun(number++, { strategy_id: 'tried', ...changes })
    const trial = { first_tick_at: new Date(first).toISOString(), last_tick_at: new Date(last).toISOString(), sharpe }
    await store({ kind: 'create_run', run }, { kind: 'record_trial', run_id: run.id, ...trial })
    return run
  }
  const others = (run: NewRun, ticks = range) => otherTrials(database.db.reader, run, ticks)

  test('counts variants once each, on data that overlaps, whatever became of their runs', async () => {
    const own = await tried({ config: { fast: 1 } }, 0.9)
    expect(await others(own)).toEqual({ count: 0, known: 0, mean: 0, squares: 0 })

    const again = await tried({ config: { fast: 1 }, label: 'again' }, 0.9)
    const longer = await tried({ config: { fast: 1 } }, 0.8, { first: START, last: START + 20 * DAY })
    for (const run of [own, again, longer]) expect(await others(run)).toMatchObject({ count: 0 })

    const two = await tried({ config: { fast: 2 } }, 0.1)
    await tried({ config: { fast: 3 }, timeframe: '1h' }, 0.3)
    await tried({ config: { fast: 4 }, symbols: ['ETH/USD', 'BTC/USD'] }, null)
    // mean of 0.1 and 0.3; 0.01 + 0.01
    const told = { count: 3, known: 2, mean: expect.closeTo(0.2, 12), squares: expect.closeTo(0.02, 12) }
    expect(await others(own)).toEqual(told)

    await store({ kind: 'delete_run', id: two.id })
    expect(await others(own)).toEqual(told)

    await tried({ config: { fast: 5 }, symbols: ['ETH/USD'] }, 0.5)
    await tried({ config: { fast: 6 }, strategy_id: 'another' }, 0.5)
    await tried({ config: { fast: 7 } }, 0.5, { first: range.last + 1, last: range.last + DAY })
    expect(await others(own)).toEqual(told)
  })

  test('begins with the backtests that were completed before there was one', async () => {
    const sql = readFileSync(new URL('../db/migrations/009.do.business_results.sql', import.meta.url), 'utf8')
    const [statement = ''] = /insert into weaver\.trials[\s\S]*?;/.exec(sql) ?? []
    const runs = [1, 2, 2].map((fast) =>
      aRun(number++, {
        strategy_id: 'earlier',
        config: { fast },
        end_time: new Date(START).toISOString(),
        start_time: new Date(START).toISOString(),
      }),
    )
    for (const [index, run] of runs.entries()) {
      const stats = { sharpe_ratio: index === 1 ? null : 3.8, convention: 'weaver-1/utc_days/361' }
      const stopped_at = new Date(START + index).toISOString()
      await store(
        { kind: 'create_run', run },
        { kind: 'update_run', id: run.id, changes: { status: 'completed', stats, stopped_at } },
      )
    }
    await database.db.write((tx) => tx.execute(statement, []))
    const told = await database.db.reader.query(
      "select run_id, sharpe from weaver.trials where strategy_id = 'earlier' order by run_id",
    )
    // 3.8 / sqrt(361) = 0.2; the newest of the two that are the same
    expect(told).toEqual([runs[0], runs[2]].map((run) => ({ run_id: run?.id, sharpe: expect.closeTo(0.2, 12) })))
  })

  test('the newest Sharpe ratio of a variant counts', async () => {
    const own = await tried({ strategy_id: 'renewed', config: { fast: 1 } }, 0.9)
    await tried({ strategy_id: 'renewed', config: { fast: 2 } }, 0.1)
    await tried({ strategy_id: 'renewed', config: { fast: 2 } }, 0.4, { first: START, last: START + 11 * DAY })
    expect(await others(own)).toMatchObject({ count: 1, known: 1, mean: 0.4 })
    await tried({ strategy_id: 'renewed', config: { fast: 2 } }, 0.2)
    expect(await others(own)).toMatchObject({ count: 1, known: 1, mean: 0.2 })
  })
})

test('trades that an ambiguous bar decided are counted, and the bars', async () => {
  const run = aRun(4, { timeframe: '1h' })
  const exits = [0, 1, 2].map((n) => aTrade(run.id, n, { exit_order_id: idOf('order', 1, 4) }))
  await store(
    { kind: 'create_run', run },
    { kind: 'insert_orders', rows: [anOrder(run.id, 0), anOrder(run.id, 1)] },
    {
      kind: 'insert_fills',
      rows: [
        aFill(run.id, 0),
        aFill(run.id, 1, { ambiguous: true }),
        aFill(run.id, 2, { ambiguous: true, order_id: idOf('order', 1, 4) }),
      ],
    },
    { kind: 'insert_trades', rows: [...exits.slice(0, 2), aTrade(run.id, 2)] },
  )
  const { stats, cautions } = await resultOf(run.id, NO_BARS)
  expect(stats).toMatchObject({ ambiguous_bars: 2, ambiguous_trades: 2 })
  expect(cautions.join()).toContain('2 of 3 closed trades ended in a bar that held both')
})

test('a run that did nothing has the hash of no bytes', async () => {
  const run = aRun(2, { timeframe: '1h' })
  await store({ kind: 'create_run', run })
  const { resultHash, finalEquity, stats } = await resultOf(run.id, NO_BARS)
  expect(resultHash).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  expect(await hashByQuery(run.id)).toBe(resultHash)
  expect(finalEquity).toBe('100000.5')
  expect(stats).toMatchObject({ total_trades: 0, days: 0, open_trades: 0, buy_and_hold_return: null })
})
