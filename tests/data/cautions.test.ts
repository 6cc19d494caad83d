/** A result says what is strange about the data that it comes from. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barsOfSession, type Session, sessionsBetween } from '../../db/walle/calendar/calendar.ts'
import { inspectSeries } from '../../db/walle/calendar/inspect.ts'
import { emptyColumns } from '../../db/walle/candle_columns.ts'
import type { Adjustment } from '../../db/walle/import/adjustment.ts'
import { record } from '../../db/walle/record.ts'
import type { CandleColumns, CandleText } from '../../db/walle/rows.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess()
})
afterAll(() => weaver.close())

const DAY_BARS = (sessionsBetween(Date.UTC(2024, 0, 1), Date.UTC(2024, 5, 1)) as readonly Session[]).flatMap(
  (session) => barsOfSession(session, '1d'),
)

/** Quiet day bars that halve at the 50th, without the 20th, and the 30th without volume. */
function splitBars(): { candles: CandleText[]; columns: CandleColumns } {
  const times = DAY_BARS.filter((_, index) => index !== 20)
  const candles = times.map((time) => {
    const index = DAY_BARS.indexOf(time)
    const price = String((index < 50 ? 200 : 100) + (index % 3))
    const volume = index === 30 ? '0' : '10'
    return { time, open: price, high: price, low: price, close: price, volume, trade_count: null }
  })
  return { candles, columns: { ...emptyColumns(0), time: Float64Array.from(times) } }
}

async function store(symbol: string, said: { adjustment?: Adjustment; feed?: string }) {
  const { candles, columns } = splitBars()
  const write = { kind: 'store_candles', symbol, timeframe: '1d', candles, ...said } as const
  await weaver.system.db.write((tx) => record(tx, { writes: [write], events: [] }))
  return columns
}

const run = (symbols: string[], columns: CandleColumns) =>
  weaver.backtest({ strategy_id: 'buy_and_hold', symbols, timeframe: '1d' }, columns)

test('gaps, bars without volume and what looks like a split are cautions of the run', async () => {
  const columns = await store('RAW', { adjustment: 'raw', feed: 'sip' })
  const { status, cautions } = await run(['RAW'], columns)
  expect([status, cautions.filter((caution) => caution.startsWith('RAW'))]).toEqual([
    'completed',
    [
      'RAW 1d: 1 bar missing in 1 gap, the longest 1 bar from 2024-01-31T00:00:00.000Z to 2024-01-31T00:00:00.000Z',
      'RAW 1d: 1 bar without volume, 2024-02-14T00:00:00.000Z',
      'RAW 1d: 1 overnight jump like a split in candles that are said to be raw, 2024-03-14T00:00:00.000Z (2:1): a position held over it has a profit or loss that nobody made',
    ],
  ])
})

test('symbols of several adjustments or feeds are played, with a caution that names them', async () => {
  const columns = await store('ONE', { adjustment: 'raw', feed: 'sip' })
  await store('SAME', { adjustment: 'raw', feed: 'sip' })
  await store('OTHER', { adjustment: 'split', feed: 'iex' })
  const about = (cautions: string[]) => cautions.filter((caution) => caution.startsWith('the candles'))
  expect(about((await run(['ONE', 'SAME'], columns)).cautions)).toEqual([])
  expect(about((await run(['ONE', 'OTHER'], columns)).cautions)).toEqual([
    'the candles are adjusted for different corporate actions (ONE 1d raw, OTHER 1d split): their prices do not compare over a split or a dividend',
    'the candles come from different feeds (ONE 1d sip, OTHER 1d iex): prices and volumes may differ by it',
  ])
})

const shared = process.env.WEAVER_SHARED_DATA
const file = shared === undefined ? null : join(shared, 'data', 'aapl_1d.csv')

test.skipIf(file === null || !existsSync(file))(
  "the splits of 23 years of raw candles are found, and no others (needs WEAVER_SHARED_DATA's aapl_1d.csv)",
  () => {
    const inspector = inspectSeries('AAPL', '1d')
    const lines = readFileSync(file as string, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
    for (const line of lines) {
      const [timestamp, ...numbers] = line.split(',')
      const [open, high, low, close, volume] = numbers.map(Number) as [number, number, number, number, number]
      inspector.add(Date.parse(timestamp as string), open, high, low, close, volume)
    }
    const { gaps, splits, bars } = inspector.finish()
    expect([bars, gaps.missing, gaps.unknown]).toEqual([5849, 0, 0])
    expect(splits.listed.map(({ time, what }) => [new Date(time).toISOString().slice(0, 10), what])).toEqual([
      ['2000-06-21', '2:1'],
      ['2005-02-28', '2:1'],
      ['2014-06-09', '7:1'],
      ['2020-08-31', '4:1'],
    ])
  },
)
