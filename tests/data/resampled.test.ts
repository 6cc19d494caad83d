/** Runs and windows on bars that are made of finer ones: both drivers see the same, and nothing that is not closed. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barsOfSession, type Session, sessionsBetween } from '../../db/walle/calendar/calendar.ts'
import { emptyColumns } from '../../db/walle/candle_columns.ts'
import { listFills } from '../../db/walle/queries/results.ts'
import { listRunDatasets } from '../../db/walle/queries/run_data.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import type { Timeframe } from '../../strategies/api.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'

/** Tells at each tick what it sees of a longer timeframe, and trades on it. */
const WATCHER = `
import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'watcher', version: '1', description: 'Looks at a longer timeframe.',
  params: z.object({ timeframe: z.enum(['1h', '4h', '1d']).default('1h'), bars: z.int().default(3) }),
  window: () => ({ bars: 1 }),
  onTick(ctx) {
    ctx.fetch({ symbol: ctx.symbols[0], timeframe: ctx.params.timeframe, bars: ctx.params.bars })
  },
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    const { time, close, volume } = ctx.window(symbol, ctx.params.timeframe)
    ctx.log('seen', { times: [...time], closes: [...close], volumes: [...volume] })
    if (close.length > 1) ctx.target(symbol, close.at(-1) > close.at(-2) ? '1' : '0')
  },
})
`

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess({ 'watcher/index.ts': WATCHER })
})
afterAll(() => weaver.close())

const HOUR = 3_600_000

/** A price that goes up and down, a volume of 1. */
function barsAt(times: readonly number[]): CandleColumns {
  const columns = emptyColumns(times.length)
  times.forEach((time, index) => {
    const price = 100 + ((index * 7) % 13)
    columns.time[index] = time
    columns.open[index] = columns.close[index] = price
    columns.high[index] = price + 1
    columns.low[index] = price - 1
    columns.volume[index] = 1
  })
  return columns
}

const grid = (start: string, step: number, bars: number) =>
  Array.from({ length: bars }, (_, index) => Date.parse(start) + index * step)

function regular(timeframe: Timeframe, from: string, to: string): number[] {
  const sessions = sessionsBetween(Date.parse(from), Date.parse(to)) as readonly Session[]
  return sessions.flatMap((session) => barsOfSession(session, timeframe))
}

interface Seen {
  ts: number
  times: number[]
  closes: number[]
  volumes: number[]
}

async function seenBy(run: RunRow): Promise<Seen[]> {
  const rows = await weaver.system.db.reader.query<{ ts: string; logs: { data: Omit<Seen, 'ts'> }[] }>(
    "select ts, logs from weaver.decisions where run_id = $1 and logs <> '[]' order by bar_index",
    [run.id],
  )
  return rows.map(({ ts, logs }) => ({ ts: Date.parse(ts), ...(logs[0] as (typeof logs)[number]).data }))
}

async function inBothDrivers(request: Parameters<InProcess['backtest']>[0], columns: CandleColumns) {
  const chunk = await weaver.backtest(request, columns)
  const chain = await weaver.backtest({ ...request, driver: 'chain' }, columns)
  expect([chunk.status, chunk.error, chain.status, chain.error]).toEqual(['completed', null, 'completed', null])
  expect(chain.result_hash).toBe(chunk.result_hash)
  expect(chain.dataset_fingerprint).toBe(chunk.dataset_fingerprint)
  expect(await seenBy(chain)).toEqual(await seenBy(chunk))
  return chunk
}

test('a longer timeframe that a strategy fetches is made of the stored bars, and only closed ones are seen', async () => {
  // From 00:15: the first hour is no bar.
  const columns = barsAt(grid('2024-01-01T00:15:00Z', HOUR / 4, 24))
  await weaver.store('FINE/USD', '15m', columns)
  const run = await inBothDrivers({ strategy_id: 'watcher', symbols: ['FINE/USD'], timeframe: '15m' }, columns)
  const seen = await seenBy(run)
  for (const { ts, times, volumes } of seen) {
    const first = Date.parse('2024-01-01T01:00:00Z')
    const newest = Math.floor(ts / HOUR) * HOUR - HOUR
    const expected = grid('2024-01-01T01:00:00Z', HOUR, 6).filter((time) => time >= first && time <= newest)
    expect(times).toEqual(expected.slice(-3))
    expect(volumes).toEqual(times.map(() => 4))
  }
  expect(seen.at(-1)?.times).toHaveLength(3)
  expect((await listFills(weaver.system.db.reader, run.id)).length).toBeGreaterThan(0)
  expect(await listRunDatasets(weaver.system.db.reader, run.id)).toMatchObject([
    { symbol: 'FINE/USD', timeframe: '15m', fetched: false, source_timeframe: '15m', bars: 24 },
    { symbol: 'FINE/USD', timeframe: '1h', fetched: true, source_timeframe: '15m', bars: 5 },
  ])
})

test('day bars of an equity are those of its sessions, seen when their day is over', async () => {
  // Over the change of the clocks and with a bar after hours.
  const times = [...regular('1h', '2024-03-07', '2024-03-13'), Date.parse('2024-03-13T13:00:00Z')]
  const columns = barsAt(times)
  await weaver.store('SPY', '1h', columns)
  const run = await inBothDrivers(
    { strategy_id: 'watcher', symbols: ['SPY'], timeframe: '1h', config: { timeframe: '1d' } },
    columns,
  )
  const days = (ts: string) =>
    seen.find((one) => one.ts === Date.parse(ts))?.times.map((time) => new Date(time).getUTCDate())
  const seen = await seenBy(run)
  expect(days('2024-03-08T20:00:00Z')).toEqual([7])
  expect(days('2024-03-11T14:00:00Z')).toEqual([7, 8])
  expect(days('2024-03-13T14:00:00Z')).toEqual([8, 11, 12])
  expect(seen.at(-1)?.volumes).toEqual([7, 7, 7])
})

test('a run in a timeframe that is not stored plays on bars made of finer ones, warm-up included', async () => {
  const columns = barsAt(grid('2024-02-27T00:00:00Z', HOUR / 2, 48 * 4))
  await weaver.store('HALF/USD', '30m', columns)
  const request = {
    strategy_id: 'sma_cross',
    symbols: ['HALF/USD'],
    timeframe: '4h' as const,
    config: { fast: 2, slow: 4 },
  }
  const range = { start_time: '2024-02-28T00:00:00.000Z', end_time: '2024-03-01T23:00:00.000Z' }
  const run = await inBothDrivers({ ...request, ...range }, columns)
  // The bar that closes at the start is of the range, the last one closes at 20:00.
  expect(run.ticks_total).toBe(18)
  expect(await listRunDatasets(weaver.system.db.reader, run.id)).toMatchObject([
    {
      ...{ timeframe: '4h', source_timeframe: '30m', adjustment: 'raw', feed: 'import' },
      ...{ first: '2024-02-27T00:00:00.000Z', last: '2024-03-01T19:30:00.000Z', bars: 23 },
      fingerprint: run.dataset_fingerprint,
    },
  ])
})

test('a range of the finer candles that fills no bar ends the run with words that say so', async () => {
  const columns = barsAt(grid('2024-01-01T00:00:00Z', 60_000, 30))
  await weaver.store('SHORT/USD', '1m', columns)
  const range = { start_time: '2024-01-01T00:00:00.000Z', end_time: '2024-01-01T00:30:00.000Z' }
  const run = await weaver.backtest(
    { strategy_id: 'sma_cross', symbols: ['SHORT/USD'], timeframe: '1h', ...range },
    columns,
  )
  expect([run.status, run.error?.message]).toEqual([
    'error',
    'no bar closes in the range: its candles do not fill one, or were removed since the run was made',
  ])
})

test('a run in days of an equity before the calendar is refused where it would have to make them', async () => {
  const columns = barsAt(grid('1989-12-28T14:00:00Z', HOUR, 7))
  await weaver.store('OLD', '1h', columns)
  await expect(
    weaver.backtest({ strategy_id: 'sma_cross', symbols: ['OLD'], timeframe: '1d' }, columns),
  ).rejects.toMatchObject({
    code: 'VALIDATION_ERROR',
    message: expect.stringContaining('made of 1h candles by the exchange calendar, which knows 1990 to 2030'),
  })
})
